//! Schedules with equal stages: every rank holds the same number of equal chunks, as the runtimes
//! that interleave, go breadth first or split backward passes require. All settings and
//! recomputation levels are tried; each is simulated.

use crate::inner::Inner;
use crate::pipeline::{Column, SyncModel};
use crate::prices::PricedKinds;
use crate::request::Request;
use crate::solution::{By, NO_SUCH_PLAN, Solution, Solved, StageUse, jittered, levels};
use crate::space::Configuration;
use cost_model::simulate::{Boundary, Recurrence, StageTimes, Times};
use plan::lower::Recompute;
use plan::schedule::{Order, ScheduleKind, Shape, Slot, Task, order};
use plan::units::{Bytes, Seconds};
use std::cell::OnceCell;

/// Layers of equal virtual stages between embedding and head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Split {
    /// Layers of every stage,
    pub each: u32,
    /// less these of the first one,
    pub first_less: u32,
    /// and these of the last one.
    pub last_less: u32,
}

impl Split {
    /// Layers of a virtual stage.
    fn layers(&self, stage: u32, stages: u32) -> u32 {
        let first = if stage == 0 { self.first_less } else { 0 };
        let last = if stage + 1 == stages { self.last_less } else { 0 };
        self.each - first - last
    }

    /// Layers of a rank.
    fn of_rank(&self, c: &Configuration, rank: u32) -> u32 {
        let shape = shape(c);
        let last = shape.home(shape.stages() - 1);
        let first_less = if rank == 0 { self.first_less } else { 0 };
        let last_less = if rank == last { self.last_less } else { 0 };
        let held = (0..shape.stages()).filter(|&s| shape.home(s) == rank).count() as u32;
        self.each * held - first_less - last_less
    }
}

/// The splits of a configuration's layers that the stack can run; none where it has none.
pub(crate) fn splits(request: &Request<'_>, c: &Configuration) -> Vec<Split> {
    let body = request.model.layers().saturating_sub(2);
    let stages = shape(c).stages();
    // At most the 1e6 that the file allows.
    let shorter = request.profile.stack().pipeline.shorter_ends.value as u32;
    if stages < 2 {
        return Vec::new();
    }
    let mut all = Vec::new();
    for each in body.div_ceil(stages)..=(body + 2 * shorter) / stages {
        let less = each * stages - body;
        for first_less in less.saturating_sub(shorter)..=less.min(shorter) {
            let split = Split { each, first_less, last_less: less - first_less };
            if each > 0 && first_less <= each && split.last_less <= each {
                all.push(split);
            }
        }
    }
    all
}

/// Times of one layer between embedding and head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Least {
    /// The least forward time of any of them.
    pub forward: Seconds,
    /// The least time in all.
    pub both: Seconds,
    /// The time in all of all of them.
    pub sum: Seconds,
    /// What every pass of a stage takes besides.
    pub blocked: Seconds,
}

/// A bound of a split.
///
/// Some rank has at least its share of the work, `T ≥ m·W/P`. Rank `r` waits for `r` forward
/// chunks and does all of its own; with whole backward passes its last gradient goes back through
/// `r` backward chunks. Ranks `P − 1` and `P − 2` are looked at: one of them has no shorter end,
/// or both have.
pub(crate) fn wait_and_work(c: &Configuration, split: &Split, least: Least) -> Seconds {
    let (m, p) = (f64::from(c.micro_batches), c.degrees.pp);
    let passes = least.blocked * (2.0 * f64::from(c.chunks));
    let share = (least.sum / f64::from(p) + passes) * m;
    let is_whole = hands_back_last(c.schedule);
    let chain = if is_whole { least.both } else { least.forward };
    let blocked = least.blocked * if is_whole { 2.0 } else { 1.0 };
    let of_rank = |rank: u32| {
        let before = split.each * rank - if rank > 0 { split.first_less } else { 0 };
        let wait = chain * f64::from(before) + blocked * f64::from(rank);
        wait + (least.both * f64::from(split.of_rank(c, rank)) + passes) * m
    };
    (p.saturating_sub(2)..p).map(of_rank).fold(share, Seconds::max)
}

/// Whether the last pass of a rank hands a gradient of this step to the rank before.
fn hands_back_last(schedule: ScheduleKind) -> bool {
    !schedule.splits_backward() && schedule != ScheduleKind::Ouroboros
}

/// [`wait_and_work`] of the best split. An infinite bound means that there is none.
pub(crate) fn of_best_split(request: &Request<'_>, c: &Configuration, least: Least) -> Seconds {
    let bounds = splits(request, c).into_iter().map(|split| wait_and_work(c, &split, least));
    bounds.fold(Seconds::new(f64::INFINITY), Seconds::min)
}

/// The bound of a configuration under one setting.
#[must_use]
pub fn bound(request: &Request<'_>, inner: &Inner<'_>, setting: usize) -> Seconds {
    let body = &inner.segments[1..inner.segments.len() - 1];
    let fastest = |columns: &[Column], time: fn(&Column) -> Seconds| {
        columns.iter().map(time).fold(Seconds::new(f64::INFINITY), Seconds::min)
    };
    let least = |time: fn(&Column) -> Seconds| {
        let each = body.iter().map(|g| fastest(&g.columns[setting], time));
        each.fold(Seconds::new(f64::INFINITY), Seconds::min)
    };
    let both = |c: &Column| c.forward + c.backward;
    let sum = body.iter().map(|g| fastest(&g.columns[setting], both) * f64::from(g.layers)).sum();
    let (forward, both) = (least(|c| c.forward), least(both));
    let least = Least { forward, both, sum, blocked: blocking(inner) };
    of_best_split(request, &inner.configuration, least)
}

/// The part of a message that blocks both of its ends: stacks overlap messages where chunks give
/// them something to do meanwhile, and wait for them on one chunk per rank.
fn blocking(inner: &Inner<'_>) -> Seconds {
    if inner.configuration.chunks > 1 { inner.send.blocking } else { Seconds::ZERO }
}

/// Micro-batches per rank after which an order repeats itself: the warm-up has fewer than
/// `(chunks + 1)·ranks` passes, a period `chunks·ranks`. The peak of the activations in flight
/// shows in an order of that length.
const SHOWS_PEAK: u32 = 4;

/// Orders of a configuration, made when they are needed.
#[derive(Default)]
pub(crate) struct Orders {
    beginning: OnceCell<Option<Beginning>>,
    ready: OnceCell<Option<Recurrence>>,
}

/// The beginning of an order that shows its peak.
struct Beginning {
    order: Order,
    /// How many times that peak the whole order has.
    times_peak: f64,
    /// Per rank, the stage of its last pass.
    last: Vec<u32>,
}

impl Beginning {
    /// Breadth first, activations of all micro-batches pile up, so that one of them shows the peak.
    fn new(c: &Configuration) -> Option<Self> {
        let (shown, times_peak) = match c.schedule {
            ScheduleKind::BreadthFirst => (1, f64::from(c.micro_batches)),
            _ => (c.micro_batches.min(SHOWS_PEAK * c.degrees.pp), 1.0),
        };
        let order = order(c.schedule, c.degrees.pp, shown, c.chunks)?;
        let last = last_stages(&order);
        Some(Self { order, times_peak, last })
    }
}

/// The best recomputation level under one setting.
#[must_use]
pub fn solve(
    request: &Request<'_>,
    inner: &Inner<'_>,
    kinds: &PricedKinds,
    setting: usize,
    cutoff: Option<Seconds>,
) -> Solved {
    let c = &inner.configuration;
    let beginning = inner.orders.beginning.get_or_init(|| Beginning::new(c));
    let Some(beginning) = beginning else { return NO_SUCH_PLAN };
    let mut slower = None;
    let capacity = request.usable(request.limit());
    let mut best: Option<(Seconds, Vec<StageUse>)> = None;
    let mut least_missing = (Bytes::new(f64::INFINITY), 0);
    let choices = splits(request, c).into_iter();
    for (split, level) in choices.flat_map(|s| Recompute::ALL.map(|level| (s, level))) {
        let Some(stages) = even_stages(request, inner, kinds, (split, level)) else { continue };
        let times = times(inner, &stages, &beginning.last, setting);
        let bound = least(c, &times);
        if cutoff.is_some_and(|cutoff| bound >= cutoff) {
            slower = Some(slower.map_or(bound, |s: Seconds| s.min(bound)));
            continue;
        }
        let shown = (&beginning.order, beginning.times_peak);
        let (stage, most) = largest(&rank_memory(inner, &stages, shown, setting));
        if most > capacity {
            if most - capacity < least_missing.0 {
                least_missing = (most - capacity, stage);
            }
            continue;
        }
        let whole = || order(c.schedule, c.degrees.pp, c.micro_batches, c.chunks);
        let ready = inner.orders.ready.get_or_init(|| ready(c.schedule, &whole()?));
        let Some(ready) = ready else { return NO_SUCH_PLAN };
        let makespan = ready.run(&times).makespan();
        if best.as_ref().is_none_or(|b| makespan < b.0) {
            best = Some((makespan, stages));
        }
    }
    let Some((makespan, stages)) = best else {
        if let Some(bound) = slower {
            let bound = jittered(request, bound);
            return Solved::Slower { bound, by: By::Bound, programmes: 0 };
        }
        return Solved::DoesNotFit { missing: least_missing.0, stage: least_missing.1 };
    };
    let step = jittered(request, makespan);
    if cutoff.is_some_and(|c| makespan >= c) {
        return Solved::Slower { bound: step, by: By::Simulation, programmes: 0 };
    }
    let setting = inner.settings()[setting];
    let levels = levels(kinds);
    let solution = Solution { configuration: *c, setting, levels, stages, step };
    Solved::Best { solution, programmes: 0 }
}

/// The bound for given times: `max over ranks r of Σ_{i<r} (F_i + send) + m·Σ (F + B) + after`, the
/// sum over stages of `r`. After its passes comes its tail; with whole backward passes its last
/// gradient goes back as well, to the tail of rank 0.
fn least(c: &Configuration, times: &Times) -> Seconds {
    let shape = shape(c);
    let is_whole = hands_back_last(c.schedule);
    let (mut arrives, mut returns, mut longest) = (Seconds::ZERO, Seconds::ZERO, Seconds::ZERO);
    for rank in 0..c.degrees.pp {
        let mine = times.stages.iter().zip(0..).filter(|(_, s)| shape.home(*s) == rank);
        let mine = mine.map(|(stage, _)| stage);
        let passes: Seconds = mine.clone().map(|s| s.forward + s.backward).sum();
        let tail: Seconds = mine.map(|s| s.tail).sum();
        let after = if is_whole && rank > 0 { tail.max(returns) } else { tail };
        longest = longest.max(arrives + passes * f64::from(c.micro_batches) + after);
        let send = times.boundaries.get(rank as usize).copied().unwrap_or_default();
        let stage = &times.stages[rank as usize];
        arrives += stage.forward + send.forward;
        returns += stage.backward + send.backward + if rank == 0 { tail } else { Seconds::ZERO };
    }
    longest
}

/// An order, ready to be simulated.
pub(crate) fn ready(schedule: ScheduleKind, order: &Order) -> Option<Recurrence> {
    match schedule {
        ScheduleKind::Ouroboros => Recurrence::stale(order).ok(),
        _ => Recurrence::new(order).ok(),
    }
}

/// The schedule of a configuration.
pub(crate) fn shape(c: &Configuration) -> Shape {
    let (kind, ranks) = (c.schedule, c.degrees.pp);
    Shape { kind, ranks, micro_batches: c.micro_batches, chunks: c.chunks }
}

/// Per rank, the virtual stage of its last pass.
pub(crate) fn last_stages(order: &Order) -> Vec<u32> {
    order.iter().map(|slots| slots.last().map_or(0, |slot| slot.stage)).collect()
}

/// Equal chunks of the body; embedding and head join the first and the last.
fn even_stages(
    request: &Request<'_>,
    inner: &Inner<'_>,
    kinds: &PricedKinds,
    (split, level): (Split, Recompute),
) -> Option<Vec<StageUse>> {
    let c = &inner.configuration;
    let chain = &request.model.chain;
    let virtual_stages = shape(c).stages();
    let has_level =
        |run: usize| kinds[chain[run].kind].levels.iter().position(|l| l.recompute == level);
    // A level that no kind of body layer has would repeat another one.
    (1..chain.len() - 1).find_map(has_level)?;
    let mut left: Vec<u32> = chain.iter().map(|run| run.layers).collect();
    let mut stages = Vec::new();
    for stage in 0..virtual_stages {
        let mut layers: Vec<Vec<u32>> =
            chain.iter().map(|run| vec![0; kinds[run.kind].levels.len()]).collect();
        let mut wanted = split.layers(stage, virtual_stages);
        for run in 1..chain.len() - 1 {
            let take = left[run].min(wanted);
            let column = has_level(run).unwrap_or(0);
            layers[run][column] += take;
            left[run] -= take;
            wanted -= take;
        }
        if stage == 0 {
            layers[0][0] = chain[0].layers;
        }
        if stage + 1 == virtual_stages {
            layers[chain.len() - 1][0] = chain[chain.len() - 1].layers;
        }
        stages.push(StageUse { rank: shape(c).home(stage), layers });
    }
    Some(stages)
}

/// Sums a property of the columns over the layers of a stage.
pub(crate) fn sum<T: std::iter::Sum + std::ops::Mul<f64, Output = T>>(
    inner: &Inner<'_>,
    stage: &StageUse,
    setting: usize,
    of: impl Fn(&Column) -> T,
) -> T {
    let runs = inner.segments.iter().zip(&stage.layers);
    runs.flat_map(|(segment, counts)| segment.columns[setting].iter().zip(counts))
        .map(|(column, &n)| of(column) * f64::from(n))
        .sum()
}

/// Counts of each run over all chunks of a rank.
pub(crate) fn rank_counts(stages: &[StageUse], rank: u32) -> Vec<u32> {
    let mut sum: Vec<u32> = Vec::new();
    for stage in stages.iter().filter(|s| s.rank == rank) {
        let counts = stage.counts();
        sum.resize(counts.len(), 0);
        sum.iter_mut().zip(counts).for_each(|(a, b)| *a += b);
    }
    sum
}

/// Times of all virtual stages. The tail of a rank follows the stage of its last pass.
pub(crate) fn times(inner: &Inner<'_>, stages: &[StageUse], last: &[u32], setting: usize) -> Times {
    let blocking = blocking(inner);
    let sender = |one: &StageUse, other: Option<&StageUse>| match other {
        Some(other) if other.rank != one.rank => inner.send.sender,
        _ => Seconds::ZERO,
    };
    let per_stage = stages.iter().zip(0u32..).map(|(stage, i)| {
        let rank = stage.rank as usize;
        let is_last = last.get(rank) == Some(&i);
        let counts = is_last.then(|| rank_counts(stages, stage.rank));
        let sync = counts.and_then(|counts| inner.sync.stage(rank, &counts, setting));
        let next = stages.get(i as usize + 1);
        let before = (i as usize).checked_sub(1).and_then(|before| stages.get(before));
        let (down, up) = (sender(stage, next), sender(stage, before));
        StageTimes {
            forward: sum(inner, stage, setting, |c| c.forward) + blocking + down,
            backward: sum(inner, stage, setting, |c| c.backward) + blocking + up,
            weight: sum(inner, stage, setting, |c| c.weight),
            tail: sync.map_or(Seconds::ZERO, |s| s.tail),
        }
    });
    let send = inner.send.whole - blocking;
    let mut times = Times::with_uniform_send(per_stage.collect(), send);
    for (boundary, pair) in times.boundaries.iter_mut().zip(stages.windows(2)) {
        if pair[0].rank == pair[1].rank {
            *boundary = Boundary::default();
        }
    }
    times
}

/// Peak tensors of each pipeline rank: what stays, plus the activations in flight as its order
/// makes and frees them, plus the largest layer in the middle of its recomputation. The peak of
/// `order` counts `times_peak` times.
pub(crate) fn rank_memory(
    inner: &Inner<'_>,
    stages: &[StageUse],
    (order, times_peak): (&Order, f64),
    setting: usize,
) -> Vec<Bytes> {
    let kept = |s| Kept {
        forward: sum(inner, s, setting, |c| c.activation),
        halves: sum(inner, s, setting, |c| c.halves),
    };
    let kept: Vec<Kept> = stages.iter().map(kept).collect();
    let shape = shape(&inner.configuration);
    order
        .iter()
        .zip(0u32..)
        .map(|(slots, rank)| {
            let counts = rank_counts(stages, rank);
            let sync = inner.sync.stage(rank as usize, &counts, setting);
            let kept = match shape.kind {
                ScheduleKind::Ouroboros => rings(&shape, rank, &kept),
                _ => peak(slots, &kept) * times_peak,
            };
            let passes = kept + transient(inner, stages, rank, setting);
            sync.map_or(passes, |s| s.peak(passes))
        })
        .collect()
}

/// What a pass of a virtual stage leaves.
#[derive(Clone, Copy, Debug)]
struct Kept {
    /// Activations, until the last half of the backward pass.
    forward: Bytes,
    /// What stays between both halves besides.
    halves: Bytes,
}

/// Activations of every micro-batch of this step and of the steps that gradients are behind.
fn rings(shape: &Shape, rank: u32, kept: &[Kept]) -> Bytes {
    let mine = (0..shape.stages()).filter(|&stage| shape.home(stage) == rank);
    let of_stage = |stage: u32| {
        let steps = f64::from(shape.age(stage) + 1);
        kept[stage as usize].forward * (steps * f64::from(shape.micro_batches))
    };
    mine.map(of_stage).sum()
}

fn peak(slots: &[Slot], kept: &[Kept]) -> Bytes {
    let mut live = Bytes::ZERO;
    let mut most = Bytes::ZERO;
    for slot in slots {
        let kept = kept[slot.stage as usize];
        live = match slot.task {
            Task::Forward => live + kept.forward,
            Task::Backward => live - kept.forward,
            Task::BackwardInput => live + kept.halves,
            Task::BackwardWeight => live - kept.forward - kept.halves,
        };
        most = most.max(live);
    }
    most
}

pub(crate) fn transient(
    inner: &Inner<'_>,
    stages: &[StageUse],
    rank: u32,
    setting: usize,
) -> Bytes {
    let mine = stages.iter().filter(|s| s.rank == rank);
    let used = mine.flat_map(|stage| {
        inner.segments.iter().zip(&stage.layers).flat_map(|(segment, counts)| {
            segment.columns[setting].iter().zip(counts).filter(|(_, n)| **n > 0)
        })
    });
    used.map(|(column, _)| column.transient).fold(Bytes::ZERO, Bytes::max)
}

fn largest(memory: &[Bytes]) -> (usize, Bytes) {
    let mut most = (0, Bytes::ZERO);
    for (i, &bytes) in memory.iter().enumerate() {
        if bytes > most.1 {
            most = (i, bytes);
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;
    use plan::mesh::Degrees;
    use proptest::prelude::*;

    fn shapes() -> impl Strategy<Value = (ScheduleKind, u32, u32, u32)> {
        (0usize..5, 2u32..7, 1u32..12, 1u32..6).prop_map(|(kind, ranks, k, v)| match kind {
            0 => (ScheduleKind::Interleaved, ranks, ranks * k, v),
            1 => (ScheduleKind::BreadthFirst, ranks, k, v),
            2 => (ScheduleKind::ZeroBubbleH1, ranks, 3 * k + v, 1),
            3 => (ScheduleKind::ZeroBubbleH2, ranks, 3 * k + v, 1),
            _ => (ScheduleKind::ZeroBubbleV, ranks, 3 * k + v, 2),
        })
    }

    fn configuration(
        (schedule, pp, micro_batches, chunks): (ScheduleKind, u32, u32, u32),
    ) -> Configuration {
        Configuration {
            degrees: Degrees { dp: 1, tp: 1, pp, cp: 1, ep: 1 },
            sequence_parallel: false,
            micro_sequences: 1,
            micro_batches,
            time_chunks: 1,
            schedule,
            chunks,
            pieces: 1,
        }
    }

    proptest! {
        /// What is counted in the beginning of an order is what is counted in all of it, and so is
        /// the stage that a rank ends with.
        #[test]
        fn the_beginning_of_an_order_shows_its_peak(
            shape in shapes(), kept in prop::collection::vec((0u32..100, 0u32..40), 42),
        ) {
            let bytes = |n: u32| Bytes::from_count(u64::from(n));
            let kept: Vec<Kept> =
                kept.iter().map(|k| Kept { forward: bytes(k.0), halves: bytes(k.1) }).collect();
            let c = configuration(shape);
            let whole = order(c.schedule, c.degrees.pp, c.micro_batches, c.chunks).unwrap();
            let start = Beginning::new(&c).unwrap();
            prop_assert_eq!(&last_stages(&whole), &start.last);
            for (all, first) in whole.iter().zip(&start.order) {
                prop_assert_eq!(peak(all, &kept), peak(first, &kept) * start.times_peak);
            }
        }

        /// No bound is above what the simulation says.
        #[test]
        fn bounds_are_below_the_simulation(
            shape in shapes(), send in 0.0f64..0.5,
            raw in prop::collection::vec((0.1f64..3.0, 0.1f64..3.0, 0.0f64..3.0, 0.0f64..4.0), 42),
        ) {
            let c = configuration(shape);
            let all = order(c.schedule, c.degrees.pp, c.micro_batches, c.chunks).unwrap();
            let last = last_stages(&all);
            let of = Seconds::new;
            let stage = |(i, (f, b, w, t)): (u32, &(f64, f64, f64, f64))| {
                let ends = last.contains(&i);
                let tail = if ends { of(*t) } else { Seconds::ZERO };
                StageTimes { forward: of(*f), backward: of(b + w), weight: of(*w), tail }
            };
            let count = (c.degrees.pp * c.chunks) as usize;
            let stages: Vec<StageTimes> = (0..).zip(&raw[..count]).map(stage).collect();
            let mut times = Times::with_uniform_send(stages, of(send));
            if c.schedule == ScheduleKind::ZeroBubbleV {
                times.boundaries[c.degrees.pp as usize - 1] = Boundary::default();
            }
            let makespan = Recurrence::new(&all).unwrap().run(&times).makespan();
            prop_assert!(least(&c, &times) <= makespan * (1.0 + 1e-12));
        }
    }
}
