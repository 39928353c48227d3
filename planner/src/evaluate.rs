//! A solution in detail: where time and memory of each rank go. The same prices and the same
//! simulation that the search used, kept apart by cause.

use crate::even::{last_stages, rank_counts, rank_memory, ready, sum, times, transient};
use crate::inner::Inner;
use crate::pipeline::SyncModel;
use crate::prices::{Level, PricedKinds};
use crate::request::Request;
use crate::solution::{Solution, StageUse, jittered};
use crate::sync::SyncParts;
use cost_model::flops;
use cost_model::layer::PassTime;
use plan::lower::Recompute;
use plan::schedule::{Order, in_flight, order};
use plan::units::{Bytes, Flops, Seconds};
use plan::work::Work;
use plan::{Estimate, Grade};

/// One pipeline rank in detail.
#[derive(Clone, Debug, PartialEq)]
pub struct RankDetail {
    /// Layers, all micro-batches, by cause; recomputation not included.
    pub layers: PassTime,
    /// Recomputation, all micro-batches.
    pub recompute: PassTime,
    /// What sharding and gradient accumulation add to the layers.
    pub sharding: Seconds,
    /// Messages between stages that block the rank.
    pub messages: Seconds,
    /// Once-per-step costs.
    pub sync: SyncParts,
    /// Waiting for other stages.
    pub idle: Seconds,
    /// Activations kept at the peak, or what the update needs where that is more.
    pub activations: Bytes,
    /// Largest layer in the middle of its recomputation.
    pub transient: Bytes,
    /// All tensors.
    pub tensors: Bytes,
    /// Micro-batch activations in flight, counted in chunks.
    pub in_flight: u32,
}

/// A solution in detail.
#[derive(Clone, Debug, PartialEq)]
pub struct Detail {
    /// Step time with its interval.
    pub step: Estimate<Seconds>,
    /// Stragglers' part of the step.
    pub jitter: Seconds,
    /// Pipeline ranks.
    pub ranks: Vec<RankDetail>,
    /// The rank whose time the breakdown shows: the one that is busy longest.
    pub busiest: usize,
    /// FLOPs that all ranks execute in a step, recomputation included.
    pub executed: Flops,
}

/// Works a solution out.
#[must_use]
pub fn detail(
    request: &Request<'_>,
    inner: &Inner<'_>,
    kinds: &PricedKinds,
    solution: &Solution,
) -> Option<Detail> {
    let c = &solution.configuration;
    let order = order(c.schedule, c.degrees.pp, c.micro_batches, c.chunks)?;
    let setting = inner.settings().iter().position(|s| *s == solution.setting)?;
    let recurrence = ready(c.schedule, &order)?;
    let times = times(inner, &solution.stages, &last_stages(&order), setting);
    let run = recurrence.run(&times);
    let memory = rank_memory(inner, &solution.stages, (&order, 1.0), setting);
    let rank = |r: usize| {
        let view = View { inner, kinds, stages: &solution.stages, setting };
        view.rank(r, (run.idle(r), run.busy(r)), memory[r], &order)
    };
    let ranks: Vec<RankDetail> = (0..c.degrees.pp as usize).map(rank).collect();
    let busiest =
        (0..ranks.len()).fold(0, |best, r| if run.busy(r) > run.busy(best) { r } else { best });
    let step = jittered(request, run.makespan());
    Some(Detail {
        step: interval(request, step, &ranks[busiest]),
        jitter: step - run.makespan(),
        executed: executed(request, inner, kinds, solution),
        ranks,
        busiest,
    })
}

struct View<'a> {
    inner: &'a Inner<'a>,
    kinds: &'a PricedKinds,
    stages: &'a [StageUse],
    setting: usize,
}

impl View<'_> {
    fn rank(
        &self,
        r: usize,
        (idle, busy): (Seconds, Seconds),
        tensors: Bytes,
        order: &Order,
    ) -> RankDetail {
        let m = f64::from(self.inner.configuration.micro_batches);
        let rank = u32::try_from(r).unwrap_or(u32::MAX);
        let mine: Vec<&StageUse> = self.stages.iter().filter(|s| s.rank == rank).collect();
        let (mut layers, mut recompute) = (PassTime::zero(), PassTime::zero());
        for (level, n) in mine.iter().flat_map(|s| self.levels(s)) {
            let both = level.time.forward.plus(&level.time.backward);
            layers = layers.plus(&both.times(f64::from(n) * m));
            recompute = recompute.plus(&level.time.recompute.times(f64::from(n) * m));
        }
        let both = |s: &&StageUse| sum(self.inner, s, self.setting, |c| c.forward + c.backward);
        let layers_time = mine.iter().map(both).sum::<Seconds>() * m;
        let plain = layers.total().value + recompute.total().value;
        let counts = rank_counts(self.stages, rank);
        let sync = self.inner.sync.parts(r, &counts, self.setting);
        let resident = self.inner.sync.stage(r, &counts, self.setting);
        let resident = resident.map_or(Bytes::ZERO, |s| s.resident);
        let passes = tensors - resident;
        let transient = transient(self.inner, self.stages, rank, self.setting).min(passes);
        RankDetail {
            layers,
            recompute,
            sharding: (layers_time - plain).max(Seconds::ZERO),
            messages: (busy - layers_time).max(Seconds::ZERO),
            sync,
            idle,
            activations: (passes - transient).max(Bytes::ZERO),
            transient,
            tensors,
            in_flight: in_flight(&order[r]),
        }
    }

    fn levels(&self, stage: &StageUse) -> Vec<(Level, u32)> {
        let chain = self.inner.chain();
        let runs = chain.iter().zip(&stage.layers);
        runs.flat_map(|(run, counts)| {
            self.kinds[run.kind].levels.iter().cloned().zip(counts.iter().copied())
        })
        .collect()
    }
}

/// The interval of a step. Constants of one class move together, so their intervals add up along
/// the busiest rank; what no constant covers is the spread of whole runs of the stack. The two are
/// independent and combine as the root of the sum of squares.
fn interval(request: &Request<'_>, step: Seconds, rank: &RankDetail) -> Estimate<Seconds> {
    let priced = rank.layers.total() + rank.recompute.total();
    let relative = |end: Seconds| {
        if priced.value == Seconds::ZERO { 0.0 } else { (end / priced.value - 1.0).abs() }
    };
    let band = &request.profile.stack().residual;
    let below = relative(priced.low).hypot(band.below.value);
    let above = relative(priced.high).hypot(band.above.value);
    let grade = priced.grade.max(band.above.grade).max(Grade::Derived);
    Estimate::spread(step, below.min(1.0), above, grade)
}

/// FLOPs executed by all ranks: what the model needs, and what is computed again.
fn executed(
    request: &Request<'_>,
    inner: &Inner<'_>,
    kinds: &PricedKinds,
    solution: &Solution,
) -> Flops {
    let t = &request.model.spec.training;
    let needed = request.model.flops_per_sequence(t.sequence, t.source_or_target())
        * request.global_sequences as f64;
    let chain = inner.chain();
    let mut again = Flops::ZERO;
    for stage in &solution.stages {
        for (run, counts) in chain.iter().zip(&stage.layers) {
            for (level, &n) in kinds[run.kind].levels.iter().zip(counts) {
                if level.recompute != Recompute::None {
                    again += level.recomputed * f64::from(n);
                }
            }
        }
    }
    let d = solution.configuration.degrees;
    let ranks = f64::from(d.tp * d.cp * d.dp);
    needed + again * (f64::from(solution.configuration.micro_batches) * ranks)
}

/// FLOPs of a list of work items.
#[must_use]
pub fn flops_of<'a>(work: impl IntoIterator<Item = &'a Work>) -> Flops {
    work.into_iter().map(flops::needed).sum()
}
