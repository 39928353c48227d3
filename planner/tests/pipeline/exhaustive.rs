//! Exhaustive search: every contiguous split, every column for every layer, every setting, each
//! combination simulated. Shares nothing with the solver but the simulation.

use super::generate::Instance;
use cost_model::simulate::{Recurrence, StageTimes, Times};
use plan::schedule;
use plan::units::{Bytes, Seconds};
use planner::pipeline::{Assignment, Column, SyncModel};

/// What is true of an instance.
#[derive(Debug)]
pub struct Truth {
    /// The shortest step, if anything fits.
    pub best: Option<f64>,
    /// The least, over all plans, of the worst stage's overflow.
    pub overflow: f64,
    /// The least total memory of an optimal plan none of whose stages could be faster as it is.
    pub least_memory: f64,
}

/// One way to run one stage.
#[derive(Clone, Debug)]
struct Choice {
    setting: usize,
    times: StageTimes,
    memory: f64,
    /// No other choice for the same layers beats it in times, or in memory at equal times.
    is_minimal: bool,
}

impl Choice {
    fn values(&self) -> [f64; 3] {
        [self.times.forward, self.times.backward, self.times.tail].map(Seconds::get)
    }
}

pub fn search(instance: &Instance) -> Truth {
    let mut search = Search::new(instance);
    search.split(0, 0, &mut Vec::new());
    let best = search.plans.iter().map(|p| p.makespan).fold(f64::INFINITY, f64::min);
    let optimal = search.plans.iter().filter(|p| p.is_minimal && p.makespan <= best * (1.0 + 1e-9));
    Truth {
        best: Some(best).filter(|best| best.is_finite()),
        overflow: search.overflow,
        least_memory: optimal.map(|p| p.memory).fold(f64::INFINITY, f64::min),
    }
}

struct Plan {
    makespan: f64,
    memory: f64,
    is_minimal: bool,
}

struct Search<'a> {
    instance: &'a Instance,
    /// Segment of each layer.
    chain: Vec<usize>,
    in_flight: Vec<u32>,
    recurrence: Recurrence,
    plans: Vec<Plan>,
    overflow: f64,
}

impl<'a> Search<'a> {
    fn new(instance: &'a Instance) -> Self {
        let ranks = instance.stages as u32;
        let order = schedule::order(instance.schedule, ranks, instance.micro_batches, 1).unwrap();
        let segments = instance.segments.iter().enumerate();
        Self {
            instance,
            chain: segments.flat_map(|(k, s)| (0..s.layers).map(move |_| k)).collect(),
            in_flight: order.iter().map(|slots| schedule::in_flight(slots)).collect(),
            recurrence: Recurrence::new(&order).unwrap(),
            plans: Vec::new(),
            overflow: f64::INFINITY,
        }
    }

    /// Every end of `stage`, which starts at layer `start`.
    fn split(&mut self, stage: usize, start: usize, before: &mut Vec<Vec<Choice>>) {
        let after = self.instance.stages - 1 - stage;
        let last = self.chain.len() - after;
        let first = if after == 0 { last } else { start + 1 };
        for end in first..=last {
            before.push(self.choices(stage, start..end));
            if after == 0 {
                self.combine(before);
            } else {
                self.split(stage + 1, end, before);
            }
            before.pop();
        }
    }

    fn choices(&self, stage: usize, layers: std::ops::Range<usize>) -> Vec<Choice> {
        let mut counts = vec![0; self.instance.segments.len()];
        layers.clone().for_each(|i| counts[self.chain[i]] += 1);
        let mut found = Vec::new();
        for setting in 0..self.instance.sync.settings {
            let Some(sync) = self.instance.sync.stage(stage, &counts, setting) else { continue };
            for columns in self.per_layer(layers.clone(), setting) {
                let sum = |value: fn(&Column) -> f64| columns.iter().map(|c| value(c)).sum::<f64>();
                let peak = columns.iter().map(|c| c.transient.get()).fold(0.0, f64::max);
                let kept = f64::from(self.in_flight[stage]) * sum(|c| c.activation.get());
                let times = StageTimes {
                    forward: Seconds::new(sum(|c| c.forward.get())),
                    backward: Seconds::new(sum(|c| c.backward.get())),
                    weight: Seconds::ZERO,
                    tail: sync.tail,
                };
                let memory = sync.peak(Bytes::new(kept + peak)).get();
                found.push(Choice { setting, times, memory, is_minimal: true });
            }
        }
        // Exchanging identical layers changes nothing.
        found.sort_by(|a, b| {
            let key = |c: &Choice| (c.setting, c.values().map(f64::to_bits), c.memory.to_bits());
            key(a).cmp(&key(b))
        });
        found.dedup_by(|a, b| {
            (a.setting, a.values(), a.memory) == (b.setting, b.values(), b.memory)
        });
        self.mark_minimal(stage, &mut found);
        found
    }

    fn mark_minimal(&self, stage: usize, choices: &mut [Choice]) {
        let all: Vec<Choice> = choices.to_vec();
        let capacity = self.instance.capacity[stage];
        for c in choices {
            let beats = |r: &Choice| {
                let comparable = !self.instance.uniform_setting || r.setting == c.setting;
                let faster = r.values().iter().zip(c.values()).all(|(x, y)| *x <= y);
                let same = r.values() == c.values();
                comparable && r.memory <= capacity && faster && (!same || r.memory < c.memory)
            };
            c.is_minimal = !all.iter().any(beats);
        }
    }

    /// Every assignment of columns to single layers.
    fn per_layer(&self, layers: std::ops::Range<usize>, setting: usize) -> Vec<Vec<&'a Column>> {
        let mut ways: Vec<Vec<&Column>> = vec![Vec::new()];
        for layer in layers {
            let columns = &self.instance.segments[self.chain[layer]].columns[setting];
            let longer = ways
                .iter()
                .flat_map(|way| columns.iter().map(move |c| [way.as_slice(), &[c]].concat()));
            ways = longer.collect();
        }
        ways
    }

    fn combine(&mut self, stages: &[Vec<Choice>]) {
        let sets: Vec<Option<usize>> = if self.instance.uniform_setting {
            (0..self.instance.sync.settings).map(Some).collect()
        } else {
            vec![None]
        };
        for set in sets {
            let allowed = |c: &&Choice| set.is_none_or(|z| c.setting == z);
            let least = |s: usize| {
                let memory = stages[s].iter().filter(allowed).map(|c| c.memory);
                memory.fold(f64::INFINITY, f64::min) - self.instance.capacity[s]
            };
            let worst = (0..stages.len()).map(least).fold(f64::NEG_INFINITY, f64::max);
            self.overflow = self.overflow.min(worst);
            let fits = |s: usize| {
                let capacity = self.instance.capacity[s];
                let choices = stages[s].iter().filter(allowed);
                choices.filter(|c| c.memory <= capacity).cloned().collect::<Vec<_>>()
            };
            let fitting: Vec<Vec<Choice>> = (0..stages.len()).map(fits).collect();
            self.product(&fitting, &mut Vec::new());
        }
    }

    fn product(&mut self, stages: &[Vec<Choice>], chosen: &mut Vec<Choice>) {
        if chosen.len() == stages.len() {
            let times = chosen.iter().map(|c| c.times).collect();
            let times = Times::with_uniform_send(times, Seconds::new(self.instance.send));
            self.plans.push(Plan {
                makespan: self.recurrence.run(&times).makespan().get(),
                memory: chosen.iter().map(|c| c.memory).sum(),
                is_minimal: chosen.iter().all(|c| c.is_minimal),
            });
            return;
        }
        for choice in &stages[chosen.len()] {
            chosen.push(choice.clone());
            self.product(stages, chosen);
            chosen.pop();
        }
    }
}

/// Checks that an assignment is a plan of the instance and says the truth about itself.
pub fn validate(instance: &Instance, assignment: &Assignment) {
    assert_eq!(assignment.stages.len(), instance.stages);
    let ranks = instance.stages as u32;
    let order = schedule::order(instance.schedule, ranks, instance.micro_batches, 1).unwrap();
    let mut placed = vec![0; instance.segments.len()];
    for (s, stage) in assignment.stages.iter().enumerate() {
        let counts: Vec<u32> = stage.layers.iter().map(|columns| columns.iter().sum()).collect();
        let sync = instance.sync.stage(s, &counts, stage.setting).unwrap();
        let (mut forward, mut backward, mut kept, mut peak) = (0.0, 0.0, 0.0, 0.0f64);
        for (k, columns) in stage.layers.iter().enumerate() {
            // Contiguous: whoever holds a later segment comes after the earlier ones are placed.
            if counts[k] > 0 {
                assert!((0..k).all(|earlier| {
                    placed[earlier] + counts[earlier] == instance.segments[earlier].layers
                }));
            }
            for (column, n) in instance.segments[k].columns[stage.setting].iter().zip(columns) {
                let n = f64::from(*n);
                forward += n * column.forward.get();
                backward += n * column.backward.get();
                kept += n * column.activation.get();
                peak = if n > 0.0 { peak.max(column.transient.get()) } else { peak };
            }
        }
        placed.iter_mut().zip(&counts).for_each(|(p, n)| *p += n);
        let in_flight = f64::from(schedule::in_flight(&order[s]));
        let memory = sync.peak(Bytes::new(in_flight * kept + peak));
        let said =
            [stage.forward.get(), stage.backward.get(), stage.tail.get(), stage.memory.get()];
        assert_eq!(said, [forward, backward, sync.tail.get(), memory.get()]);
        assert!(memory.get() <= instance.capacity[s], "stage {s} overflows");
    }
    let whole: Vec<u32> = instance.segments.iter().map(|s| s.layers).collect();
    assert_eq!(placed, whole);
    let times = assignment.stages.iter().map(|s| StageTimes {
        forward: s.forward,
        backward: s.backward,
        weight: Seconds::ZERO,
        tail: s.tail,
    });
    let times = Times::with_uniform_send(times.collect(), Seconds::new(instance.send));
    let recurrence = Recurrence::new(&order).unwrap();
    assert_eq!(recurrence.run(&times).makespan(), assignment.makespan);
}
