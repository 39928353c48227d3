//! Own times: what an action takes without waiting for other ranks.
//!
//! A collective begins for all members when the last of them is there; a message can be taken when
//! it was sent; everything else is what is left of an action without waiting for messages.

use cost_model::events::Recorded;
use plan::program::{Action, Op, Peers, Program};
use plan::record::{ActionSample, StepSamples};
use plan::units::Seconds;
use std::collections::BTreeMap;

/// Ranks that have their processors for a larger part of their time are undisturbed.
const UNDISTURBED: f64 = 0.9;

/// Consecutive steps of all ranks.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Own times.
    pub recorded: Recorded,
    /// Own times without other programs: what the processor worked; of collectives and messages of
    /// an undisturbed run the lower decile of their own times.
    pub undisturbed: Recorded,
    /// From the first start to the last end.
    pub seconds: f64,
}

impl Window {
    /// How many.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.recorded.times.len()
    }
}

/// Consecutive measured steps, at most `most` at once. The first step of a run is left out where
/// there are others: it touches memory for the first time.
#[must_use]
pub fn windows(program: &Program, samples: &[StepSamples], most: usize) -> Vec<Window> {
    let mut steps: BTreeMap<u64, BTreeMap<u32, &StepSamples>> = BTreeMap::new();
    for step in samples {
        steps.entry(step.step).or_default().insert(step.rank, step);
    }
    steps.retain(|_, ranks| ranks.len() == program.ranks as usize);
    if steps.len() > 1 {
        steps.pop_first();
    }
    let mut windows: Vec<Vec<(u64, BTreeMap<u32, &StepSamples>)>> = Vec::new();
    for (step, ranks) in steps {
        match windows.last_mut() {
            Some(w) if w.len() < most && w.last().is_some_and(|(s, _)| s + 1 == step) => {
                w.push((step, ranks));
            }
            _ => windows.push(vec![(step, ranks)]),
        }
    }
    let mut made: Vec<Window> = windows.iter().map(|steps| window(program, steps)).collect();
    // Where ranks had their processors, the clock shows what meetings take. Where other programs
    // had them, it shows how long those ran, and the work of a meeting is the better witness.
    if share(samples).is_some_and(|share| share > UNDISTURBED) {
        let quiet = quiet_meetings(program, &made);
        made.iter_mut().for_each(|window| quieten(program, window, &quiet));
    }
    made
}

/// Whether other ranks decide how long an action lasts.
fn meets(action: &Action) -> bool {
    match action.peers {
        Peers::Nobody => false,
        Peers::Group { .. } => true,
        Peers::Channel { .. } => matches!(action.op, Op::Receive(_)),
    }
}

/// The lower decile of own times of what ranks do together, by class and action.
fn quiet_meetings(program: &Program, windows: &[Window]) -> BTreeMap<(usize, usize), Seconds> {
    let mut all: BTreeMap<(usize, usize), Vec<f64>> = BTreeMap::new();
    let steps = windows.iter().flat_map(|w| &w.recorded.times);
    for (rank, times) in steps.flat_map(|ranks| (0..).zip(ranks)) {
        let Some((class, _)) = program.class_of(rank) else { continue };
        let actions = program.classes[class].actions.iter().zip(times).enumerate();
        for (i, (_, time)) in actions.filter(|(_, (action, _))| meets(action)) {
            all.entry((class, i)).or_default().push(time.get());
        }
    }
    let decile = |all| Seconds::new(executor::bench::lower_decile(all));
    all.into_iter().map(|(key, times)| (key, decile(times))).collect()
}

fn quieten(program: &Program, window: &mut Window, quiet: &BTreeMap<(usize, usize), Seconds>) {
    for ranks in &mut window.undisturbed.times {
        for (rank, times) in (0..).zip(ranks.iter_mut()) {
            let Some((class, _)) = program.class_of(rank) else { continue };
            for (i, time) in times.iter_mut().enumerate() {
                *time = quiet.get(&(class, i)).copied().unwrap_or(*time);
            }
        }
    }
}

fn window(program: &Program, steps: &[(u64, BTreeMap<u32, &StepSamples>)]) -> Window {
    let all = || steps.iter().flat_map(|(_, ranks)| ranks.values());
    let start = all().map(|s| s.start).fold(f64::INFINITY, f64::min);
    let end = all().map(|s| s.end).fold(0.0, f64::max);
    let times = steps.iter().map(|(_, ranks)| own(program, ranks)).collect();
    let worked = steps.iter().map(|(_, ranks)| worked(program, ranks)).collect();
    let first = steps.first().map_or(0, |(step, _)| *step);
    let after = |of: &dyn Fn(&StepSamples) -> f64| -> Vec<Vec<Seconds>> {
        let ranks = |ranks: &BTreeMap<u32, &StepSamples>| {
            ranks.values().map(|s| Seconds::new(of(s).max(0.0))).collect()
        };
        steps.iter().map(|(_, all)| ranks(all)).collect()
    };
    let by_clock =
        after(&|s| s.end - s.start - s.actions.iter().map(ActionSample::seconds).sum::<f64>());
    let by_work = after(&|s| s.busy - s.actions.iter().map(|a| a.b).sum::<f64>());
    Window {
        recorded: Recorded { first, times, after: by_clock },
        undisturbed: Recorded { first, times: worked, after: by_work },
        seconds: end - start,
    }
}

/// What processors worked in a step, by rank and action.
fn worked(program: &Program, ranks: &BTreeMap<u32, &StepSamples>) -> Vec<Vec<Seconds>> {
    let mut times = nothing(program, ranks);
    each(program, ranks, |rank, _, sample| {
        times[rank as usize][sample.a as usize] = Seconds::new(sample.b);
    });
    times
}

fn nothing(program: &Program, ranks: &BTreeMap<u32, &StepSamples>) -> Vec<Vec<Seconds>> {
    let length = |rank| program.class_of(rank).map_or(0, |(c, _)| program.classes[c].actions.len());
    ranks.keys().map(|&rank| vec![Seconds::ZERO; length(rank)]).collect()
}

/// When a collective's last member comes, and when each message has been sent.
#[derive(Default)]
struct Meetings {
    collectives: BTreeMap<(u32, u32, u32), f64>,
    sent: BTreeMap<(u32, u32), Vec<f64>>,
}

/// Own times of a step, by rank and action.
fn own(program: &Program, ranks: &BTreeMap<u32, &StepSamples>) -> Vec<Vec<Seconds>> {
    let mut meetings = Meetings::default();
    each(program, ranks, |rank, action, sample| meetings.note(program, rank, action, sample));
    let mut taken: BTreeMap<(u32, u32), usize> = BTreeMap::new();
    let mut times = nothing(program, ranks);
    each(program, ranks, |rank, action, sample| {
        let own = meetings.own(program, rank, action, sample, &mut taken);
        times[rank as usize][sample.a as usize] = Seconds::new(own.max(0.0));
    });
    times
}

fn each(
    program: &Program,
    ranks: &BTreeMap<u32, &StepSamples>,
    mut see: impl FnMut(u32, &Action, &ActionSample),
) {
    for (&rank, step) in ranks {
        let Some((class, _)) = program.class_of(rank) else { continue };
        for sample in &step.actions {
            if let Some(action) = program.classes[class].actions.get(sample.a as usize) {
                see(rank, action, sample);
            }
        }
    }
}

impl Meetings {
    fn note(&mut self, program: &Program, rank: u32, action: &Action, sample: &ActionSample) {
        match action.peers {
            Peers::Group { communicator, sequence, .. } => {
                let key = group_key(program, communicator.0, sequence, rank);
                let last = self.collectives.entry(key).or_insert(sample.s);
                *last = last.max(sample.s);
            }
            Peers::Channel { channel, .. } if matches!(action.op, Op::Send(_)) => {
                self.sent.entry((channel.0, rank)).or_default().push(sample.e);
            }
            _ => {}
        }
    }

    fn own(
        &self,
        program: &Program,
        rank: u32,
        action: &Action,
        sample: &ActionSample,
        taken: &mut BTreeMap<(u32, u32), usize>,
    ) -> f64 {
        match action.peers {
            Peers::Group { communicator, sequence, .. } => {
                let key = group_key(program, communicator.0, sequence, rank);
                sample.e - self.collectives.get(&key).copied().unwrap_or(sample.s)
            }
            Peers::Channel { channel, .. } if matches!(action.op, Op::Receive(_)) => {
                let ranks = program.classes.first().map_or(1, |class| class.ranks);
                let from = program.channels.get(channel.0 as usize);
                let sender = from.map_or(rank, |c| c.sender(rank, ranks));
                let n = taken.entry((channel.0, rank)).or_default();
                *n += 1;
                let sent = self.sent.get(&(channel.0, sender)).and_then(|all| all.get(*n - 1));
                sample.e - sent.copied().unwrap_or(sample.s).max(sample.s)
            }
            _ => sample.seconds() - sample.w,
        }
    }
}

/// A collective: its communicator, place in the sequence, and the first member of the group.
fn group_key(program: &Program, communicator: u32, sequence: u32, rank: u32) -> (u32, u32, u32) {
    let group = program.communicators.get(communicator as usize);
    let first = group.and_then(|c| c.members(rank).first().copied()).unwrap_or(rank);
    (communicator, sequence, first)
}

/// Share of the time of all actions, waiting left out, in which a processor worked on them: less
/// than one where other programs had it.
#[must_use]
pub fn share(samples: &[StepSamples]) -> Option<f64> {
    let all = || samples.iter().flat_map(|s| &s.actions);
    let own: f64 = all().map(|a| a.seconds() - a.w).sum();
    let busy: f64 = all().map(|a| a.b).sum();
    (own > 0.0).then(|| (busy / own).min(1.0))
}
