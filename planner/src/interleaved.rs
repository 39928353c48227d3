//! Interleaved 1F1B: every rank holds the same number of equal chunks, as the runtimes that
//! implement it require. All settings and recomputation levels are tried; each is simulated.

use crate::inner::Inner;
use crate::pipeline::{Column, SyncModel};
use crate::prices::PricedKinds;
use crate::request::Request;
use crate::solution::{By, NO_SUCH_PLAN, Solution, Solved, StageUse, jittered, levels};
use crate::space::Configuration;
use cost_model::simulate::{Recurrence, StageTimes, Times};
use plan::lower::Recompute;
use plan::schedule::{Order, ScheduleKind, Slot, order};
use plan::units::{Bytes, Seconds};

/// `T ≥ (m + (P − 1)/v)·W/P`, where `W` is the work of the equal chunks of one micro-batch: the
/// last rank waits for `P − 1` forward chunks, does all of its own, and its last gradient goes back
/// through `P − 1` backward chunks.
pub(crate) fn wait_and_work(c: &Configuration, body: Seconds) -> Seconds {
    let (m, p, v) = (f64::from(c.micro_batches), f64::from(c.degrees.pp), f64::from(c.chunks));
    body * ((m + (p - 1.0) / v) / p)
}

/// The bound of a configuration under one setting.
#[must_use]
pub fn bound(inner: &Inner<'_>, setting: usize) -> Seconds {
    let c = &inner.configuration;
    let fastest = |columns: &[Column]| {
        let both = columns.iter().map(|c| c.forward + c.backward);
        both.fold(Seconds::new(f64::INFINITY), Seconds::min)
    };
    let body = &inner.segments[1..inner.segments.len() - 1];
    let each = body.iter().map(|g| fastest(&g.columns[setting]) * f64::from(g.layers));
    // Every chunk also blocks for its messages, once per pass.
    let chunks = f64::from(c.degrees.pp * c.chunks);
    wait_and_work(c, each.sum::<Seconds>() + inner.send.blocking * (2.0 * chunks))
}

/// Micro-batches per rank after which an interleaved order repeats itself: the warm-up has fewer
/// than `(chunks + 1)·ranks` passes, a period `chunks·ranks`. The peak of the activations in flight
/// shows in an order of that length.
const SHOWS_PEAK: u32 = 4;

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
    let passes = |micro_batches| order(c.schedule, c.degrees.pp, micro_batches, c.chunks);
    let Some(start) = passes(c.micro_batches.min(SHOWS_PEAK * c.degrees.pp)) else {
        return NO_SUCH_PLAN;
    };
    let mut recurrence = None;
    let mut slower = None;
    let capacity = request.usable(request.limit());
    let mut best: Option<(Seconds, Vec<StageUse>)> = None;
    let mut least_missing = (Bytes::new(f64::INFINITY), 0);
    for level in Recompute::ALL {
        let Some(stages) = even_stages(request, inner, kinds, level) else { continue };
        let (stage, most) = largest(&rank_memory(inner, &stages, &start, setting));
        if most > capacity {
            if most - capacity < least_missing.0 {
                least_missing = (most - capacity, stage);
            }
            continue;
        }
        let times = times(inner, &stages, setting);
        let bound = least(c, &times);
        if cutoff.is_some_and(|cutoff| bound >= cutoff) {
            slower = Some(slower.map_or(bound, |s: Seconds| s.min(bound)));
            continue;
        }
        let ready =
            recurrence.get_or_insert_with(|| Recurrence::new(&passes(c.micro_batches)?).ok());
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

/// The bound for given times: the smallest chunk stands for all.
fn least(c: &Configuration, times: &Times) -> Seconds {
    let both = times.stages.iter().map(|s| s.forward + s.backward);
    let smallest = both.fold(Seconds::new(f64::INFINITY), Seconds::min);
    wait_and_work(c, smallest * f64::from(c.degrees.pp * c.chunks))
}

/// Equal chunks of the body; embedding and head join the first and the last.
fn even_stages(
    request: &Request<'_>,
    inner: &Inner<'_>,
    kinds: &PricedKinds,
    level: Recompute,
) -> Option<Vec<StageUse>> {
    let c = &inner.configuration;
    let chain = &request.model.chain;
    let virtual_stages = c.degrees.pp * c.chunks;
    let body: u32 = chain[1..chain.len() - 1].iter().map(|run| run.layers).sum();
    let each = body / virtual_stages;
    let has_level =
        |run: usize| kinds[chain[run].kind].levels.iter().position(|l| l.recompute == level);
    // A level that no kind of body layer has would repeat another one.
    (1..chain.len() - 1).find_map(has_level)?;
    let mut left: Vec<u32> = chain.iter().map(|run| run.layers).collect();
    let mut stages = Vec::new();
    for stage in 0..virtual_stages {
        let mut layers: Vec<Vec<u32>> =
            chain.iter().map(|run| vec![0; kinds[run.kind].levels.len()]).collect();
        let mut wanted = each;
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
        stages.push(StageUse { rank: stage % c.degrees.pp, layers });
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

/// Times of all virtual stages. The tail of a rank follows its first chunk, whose last backward
/// pass is the rank's last.
pub(crate) fn times(inner: &Inner<'_>, stages: &[StageUse], setting: usize) -> Times {
    let ranks = inner.configuration.degrees.pp as usize;
    let is_interleaved = inner.configuration.schedule == ScheduleKind::Interleaved;
    let blocking = if is_interleaved { inner.send.blocking } else { Seconds::ZERO };
    let per_stage = stages.iter().enumerate().map(|(i, stage)| {
        let counts = rank_counts(stages, stage.rank);
        let sync = inner.sync.stage(stage.rank as usize, &counts, setting);
        let tail = sync.filter(|_| i < ranks).map_or(Seconds::ZERO, |s| s.tail);
        StageTimes {
            forward: sum(inner, stage, setting, |c| c.forward) + blocking,
            backward: sum(inner, stage, setting, |c| c.backward) + blocking,
            tail,
        }
    });
    Times::with_uniform_send(per_stage.collect(), inner.send.whole - blocking)
}

/// Peak tensors of each pipeline rank: what stays, plus the activations in flight as its order
/// makes and frees them, plus the largest layer in the middle of its recomputation.
pub(crate) fn rank_memory(
    inner: &Inner<'_>,
    stages: &[StageUse],
    order: &Order,
    setting: usize,
) -> Vec<Bytes> {
    let kept: Vec<Bytes> =
        stages.iter().map(|s| sum(inner, s, setting, |c| c.activation)).collect();
    order
        .iter()
        .zip(0u32..)
        .map(|(slots, rank)| {
            let counts = rank_counts(stages, rank);
            let sync = inner.sync.stage(rank as usize, &counts, setting);
            let passes = peak(slots, &kept) + transient(inner, stages, rank, setting);
            sync.map_or(passes, |s| s.peak(passes))
        })
        .collect()
}

fn peak(slots: &[Slot], kept: &[Bytes]) -> Bytes {
    let mut live = Bytes::ZERO;
    let mut most = Bytes::ZERO;
    for slot in slots {
        let bytes = kept[slot.stage as usize];
        live = if slot.is_forward() { live + bytes } else { live - bytes };
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
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_start_of_an_order_shows_its_peak(
            ranks in 2u32..7, k in 1u32..12, chunks in 1u32..6,
            kept in prop::collection::vec(0u32..100, 42),
        ) {
            let kept: Vec<Bytes> = kept.iter().map(|k| Bytes::from_count(u64::from(*k))).collect();
            let passes = |m| order(ScheduleKind::Interleaved, ranks, m, chunks).unwrap();
            let (whole, start) = (passes(ranks * k), passes(ranks * k.min(SHOWS_PEAK)));
            for (all, first) in whole.iter().zip(&start) {
                prop_assert_eq!(peak(all, &kept), peak(first, &kept));
            }
        }
    }
}
