//! Stage patterns: everything worth doing with given layers on a given stage.
//!
//! For stage `s` with `q_s` micro-batches in flight, layers `n_k` per segment and setting `z`:
//!
//! ```text
//! minimise (F, B, tail)  over integer counts c_kj,  Σ_j c_kj = n_k
//! subject to  resident(s,n,z) + max{ q_s·Σ c_kj·A_kj + max_{c_kj>0} R_kj, update(s,n,z) }
//!             ≤  capacity_s
//! ```
//!
//! The maximum over transients is resolved by trying each threshold `ρ` among them: columns above
//! `ρ` are barred and `ρ` is charged. Segments are combined by adding their frontiers. What remains
//! is the Pareto set over (F, B, tail); of equals, the one with least memory.

use super::Segment;
use super::frontier::{Frontiers, Point, Stairs, lexicographic};
use super::instance::{Instance, Span};
use plan::units::Bytes;
use std::collections::BTreeMap;
use std::ops::Range;

/// One thing a stage can do. Seconds per micro-batch, seconds per step, bytes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pattern {
    pub setting: usize,
    pub forward: f64,
    pub backward: f64,
    pub tail: f64,
    pub memory: f64,
    /// Layers per segment and column.
    pub layers: Vec<Vec<u32>>,
}

impl Pattern {
    /// Time per micro-batch.
    pub fn both(&self) -> f64 {
        self.forward + self.backward
    }

    fn values(&self) -> [f64; 3] {
        [self.forward, self.backward, self.tail]
    }
}

/// Patterns under a set of settings, generated when first asked for.
pub(crate) struct Book<'a> {
    pub instance: &'a Instance<'a>,
    scope: Vec<usize>,
    /// Per setting and segment.
    frontiers: Vec<Vec<Frontiers>>,
    patterns: Vec<Pattern>,
    /// Per stage and class of span.
    by_class: Vec<Vec<Option<Range<usize>>>>,
    /// Per stage and span without a class.
    by_span: BTreeMap<(usize, Span), Range<usize>>,
}

impl<'a> Book<'a> {
    pub fn new(instance: &'a Instance<'a>, scope: Vec<usize>) -> Self {
        let of = |z: usize| {
            let one = |s: &Segment| Frontiers::new(&s.columns[z]);
            instance.problem.segments.iter().map(one).collect()
        };
        let frontiers = scope.iter().map(|z| of(*z)).collect();
        let by_class = vec![vec![None; instance.layers()]; instance.stages()];
        let by_span = BTreeMap::new();
        Self { instance, scope, frontiers, patterns: Vec::new(), by_class, by_span }
    }

    pub fn get(&self, pattern: usize) -> &Pattern {
        &self.patterns[pattern]
    }

    /// The patterns of `stage` for the layers of `span`, as numbers for [`Book::get`].
    pub fn list(&mut self, stage: usize, span: Span) -> Range<usize> {
        let class = self.instance.class(span);
        let known = match class {
            Some(class) => self.by_class[stage][class].as_ref(),
            None => self.by_span.get(&(stage, span)),
        };
        if let Some(known) = known {
            return known.clone();
        }
        let from = self.patterns.len();
        let new = self.generate(stage, span);
        self.patterns.extend(new);
        let list = from..self.patterns.len();
        match class {
            Some(class) => self.by_class[stage][class] = Some(list.clone()),
            None => {
                self.by_span.insert((stage, span), list.clone());
            }
        }
        list
    }

    fn generate(&mut self, stage: usize, span: Span) -> Vec<Pattern> {
        let mut found = Vec::new();
        let sender = self.instance.problem.sync.sender().get();
        let sends_down = if stage + 1 < self.instance.stages() { sender } else { 0.0 };
        let sends_up = if stage > 0 { sender } else { 0.0 };
        for place in 0..self.scope.len() {
            let Some(sync) = self.instance.sync(stage, span, self.scope[place]) else { continue };
            let thresholds = self.thresholds(place, span);
            for threshold in thresholds {
                let peak = Bytes::new(threshold);
                let memory = |activation: f64| {
                    let kept = Bytes::new(activation);
                    self.instance.memory(stage, &sync, kept, peak)
                };
                let capacity = self.instance.problem.capacity[stage];
                if memory(0.0) > capacity {
                    break;
                }
                let fits = |activation: f64| memory(activation) <= capacity;
                let parts = grow(self.instance, &mut self.frontiers[place], span, threshold);
                let sums = combine(&self.frontiers[place], &parts, fits);
                found.extend(sums.into_iter().map(|sum| {
                    let (layers, peak) = self.spell_out(place, &parts, &sum);
                    let kept = Bytes::new(sum.activation);
                    let memory = self.instance.memory(stage, &sync, kept, peak);
                    Pattern {
                        setting: self.scope[place],
                        forward: sum.forward + sends_down,
                        backward: sum.backward + sends_up,
                        tail: sync.tail.get(),
                        memory: memory.get(),
                        layers,
                    }
                }));
            }
        }
        minimal(found)
    }

    /// The transients that can be a stage's largest: not below what its segments cannot avoid.
    fn thresholds(&self, place: usize, span: Span) -> Vec<f64> {
        let columns = || self.instance.segments(span).map(|k| &self.frontiers[place][k].columns);
        let least = columns().map(|c| c.kept[0].transient.get()).fold(0.0, f64::max);
        let all = columns().flat_map(|c| c.kept.iter().map(|c| c.transient.get()));
        let mut thresholds: Vec<f64> = all.filter(|r| *r >= least).collect();
        thresholds.sort_by(f64::total_cmp);
        thresholds.dedup();
        thresholds
    }

    /// Layers per segment and original column, and the largest transient among those used.
    fn spell_out(&self, place: usize, parts: &[Part], sum: &Sum) -> (Vec<Vec<u32>>, Bytes) {
        let segments = &self.instance.problem.segments;
        let setting = self.scope[place];
        let mut layers: Vec<Vec<u32>> =
            segments.iter().map(|s| vec![0; s.columns[setting].len()]).collect();
        let mut peak = Bytes::ZERO;
        for (part, pick) in parts.iter().zip(&sum.picks) {
            let frontiers = &self.frontiers[place][part.segment];
            let point = &frontiers.of(part.allowed, part.layers)[*pick as usize];
            for (j, n) in point.counts.iter().enumerate().filter(|(_, n)| **n > 0) {
                layers[part.segment][frontiers.columns.index[j]] = *n;
                peak = peak.max(frontiers.columns.kept[j].transient);
            }
        }
        (layers, peak)
    }
}

/// The share of one segment in a stage.
struct Part {
    segment: usize,
    allowed: usize,
    layers: usize,
}

/// Names the parts of `span` under a threshold and sees to it that their frontiers exist.
fn grow(instance: &Instance, frontiers: &mut [Frontiers], span: Span, threshold: f64) -> Vec<Part> {
    let part = |segment: usize| {
        let of = &mut frontiers[segment];
        let (allowed, layers) = (of.columns.allowed(threshold), instance.count(span, segment));
        of.grow(allowed, layers);
        Part { segment, allowed, layers }
    };
    instance.segments(span).map(part).collect()
}

/// One point per part, added up.
#[derive(Clone)]
struct Sum {
    forward: f64,
    backward: f64,
    activation: f64,
    picks: Vec<u32>,
}

impl Sum {
    fn with(&self, pick: usize, point: &Point) -> Self {
        let mut picks = self.picks.clone();
        picks.push(pick as u32);
        Self {
            forward: self.forward + point.forward,
            backward: self.backward + point.backward,
            activation: self.activation + point.activation,
            picks,
        }
    }
}

/// The fastest sums of one point per part that fit.
fn combine(frontiers: &[Frontiers], parts: &[Part], fits: impl Fn(f64) -> bool) -> Vec<Sum> {
    let mut sums = vec![Sum { forward: 0.0, backward: 0.0, activation: 0.0, picks: Vec::new() }];
    for (i, part) in parts.iter().enumerate() {
        let points = frontiers[part.segment].of(part.allowed, part.layers);
        let is_last = i + 1 == parts.len();
        let pairs = sums
            .iter()
            .flat_map(|sum| points.iter().enumerate().map(move |(pick, point)| (sum, pick, point)));
        let fitting = pairs.filter(|(sum, _, point)| fits(sum.activation + point.activation));
        let mut next: Vec<(&Sum, usize, &Point)> = fitting.collect();
        if i > 0 {
            next.sort_by(|a, b| lexicographic(&total(a), &total(b)));
        }
        // Once all parts are in, memory has been checked and only times matter.
        let mut stairs = Stairs::default();
        next.retain(|pair| {
            let [_, backward, activation] = total(pair);
            stairs.admit(backward, if is_last { 0.0 } else { activation })
        });
        sums = next.into_iter().map(|(sum, pick, point)| sum.with(pick, point)).collect();
    }
    sums
}

fn total((sum, _, point): &(&Sum, usize, &Point)) -> [f64; 3] {
    [sum.forward + point.forward, sum.backward + point.backward, sum.activation + point.activation]
}

/// The patterns that no other one beats in times; of equals, the one with least memory.
fn minimal(mut found: Vec<Pattern>) -> Vec<Pattern> {
    found.sort_by(|a, b| {
        let order = lexicographic(&a.values(), &b.values());
        let order = order.then(a.memory.total_cmp(&b.memory));
        order.then_with(|| (a.setting, &a.layers).cmp(&(b.setting, &b.layers)))
    });
    let mut stairs = Stairs::default();
    found.retain(|p| stairs.admit(p.backward, p.tail));
    found
}
