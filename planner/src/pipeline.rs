//! The inner problem: one outer configuration (ranks, micro-batches, schedule) is fixed; cut the
//! chain of layers into stages and choose a column for every layer so that the simulated step is
//! shortest and every stage fits.
//!
//! Times and sizes are already priced; nothing in here knows what a transformer is.
//!
//! The way to an answer, each step in its own file, cheapest first:
//!
//! 1. [`bound`]: a closed-form lower bound, valid for every split.
//! 2. `frontier` and `pattern`: what one stage can do with given layers, exactly: integer
//!    counts of identical layers per column under the stage's memory.
//! 3. `labels`: a dynamic program over stages whose labels bound the step from below by the
//!    longest of a family of paths through the schedule. It yields a plan as well; where that
//!    plan's simulated step equals the bound, the plan is optimal and nothing else runs.
//! 4. [`formulation`]: otherwise, an integer program over patterns with path cuts: solve,
//!    simulate, add the critical path, repeat.
//! 5. `tidy`: among plans of equal step time, the one with least memory.
//! 6. `elastic`: where nothing fits, the split that comes closest.
//!
//! [`solve()`] runs them in this order; [`solve_with_ilp`] does not let step 3 close the case, so
//! that the two can be checked against each other (and both are against exhaustive search, in
//! `planner/tests/pipeline.rs`).

pub mod bound;
mod elastic;
pub mod formulation;
mod frontier;
mod instance;
mod labels;
mod master;
mod outcome;
mod pattern;
mod seeds;
mod solve;
mod solver;
mod tidy;

pub use bound::{Bound, BoundReason, lower_bound};
pub use elastic::Infeasible;
pub use instance::ProblemError;
pub use outcome::{CutOffBy, Outcome, Proof};
pub use solve::{TOLERANCE, solve, solve_by_labels, solve_with_ilp};
pub use solver::Backend;

use plan::schedule::ScheduleKind;
use plan::units::{Bytes, Seconds};

/// One way to run one layer of a segment.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Forward time of one micro-batch.
    pub forward: Seconds,
    /// Backward time of one micro-batch, recomputation included.
    pub backward: Seconds,
    /// The part of it that gradients of weights take, where they are computed apart.
    pub weight: Seconds,
    /// Activations kept per micro-batch in flight.
    pub activation: Bytes,
    /// What is kept besides between both halves of a backward pass.
    pub halves: Bytes,
    /// Memory needed only while the layer runs; the stage pays the largest.
    pub transient: Bytes,
}

/// A run of identical layers in model order.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Layers in the run.
    pub layers: u32,
    /// Per setting (see [`SyncModel::settings`]), the columns to choose from. Never empty.
    pub columns: Vec<Vec<Column>>,
}

/// What a stage costs once per step and holds regardless of micro-batches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StageSync {
    /// Exposed once-per-step time after the stage's last backward (gradient exchange, update).
    pub tail: Seconds,
    /// Memory that does not depend on micro-batches: states, buffers, runtime.
    pub resident: Bytes,
    /// Memory that exists only during the update, when no activation does.
    pub update: Bytes,
}

impl StageSync {
    /// Peak memory: what is resident, and the larger of what passes keep, `q·A + R`, and what the
    /// update needs. The only place where they are added.
    #[must_use]
    pub fn peak(&self, passes: Bytes) -> Bytes {
        self.resident + passes.max(self.update)
    }
}

/// Once-per-step costs as a function of what a stage holds.
pub trait SyncModel {
    /// Number of settings a stage can choose from (ZeRO stage × embedding exchange), at least 1.
    fn settings(&self) -> usize;
    /// The cost of a stage that holds `counts[k]` layers of segment `k` under `setting`;
    /// `None` where the setting does not apply to such a stage.
    ///
    /// Both costs are finite and not negative.
    fn stage(&self, stage: usize, counts: &[u32], setting: usize) -> Option<StageSync>;
    /// What a message takes of its sender's time, beside [`Problem::send`]: the forward pass of all
    /// stages but the last takes longer by it, and the backward pass of all but the first.
    fn sender(&self) -> Seconds {
        Seconds::ZERO
    }
    /// Resident memory that each layer of `segment` adds under `setting` wherever it is put: a
    /// floor of `Σ counts[k] · floor(k) ≤ resident`, used only to rule problems out early. Zero is
    /// always right.
    fn resident_floor(&self, segment: usize, setting: usize) -> Bytes {
        let _ = (segment, setting);
        Bytes::ZERO
    }
}

/// One inner problem.
pub struct Problem<'a> {
    /// Pipeline ranks; stages are contiguous, in order, and none is empty.
    pub stages: usize,
    /// Micro-batches per step.
    pub micro_batches: u32,
    /// GPipe or 1F1B.
    pub schedule: ScheduleKind,
    /// The chain of layers.
    pub segments: Vec<Segment>,
    /// Time of one message across a stage boundary, paid per micro-batch in each direction.
    pub send: Seconds,
    /// Memory of each stage's device that a plan may use.
    pub capacity: Vec<Bytes>,
    /// Once-per-step costs.
    pub sync: &'a dyn SyncModel,
    /// All stages must use the same setting (what most runtimes execute).
    pub uniform_setting: bool,
}

/// What one stage does.
#[derive(Clone, Debug, PartialEq)]
pub struct StageChoice {
    /// Setting.
    pub setting: usize,
    /// Layers per segment and column: `layers[segment][column]`.
    pub layers: Vec<Vec<u32>>,
    /// Forward time of one micro-batch.
    pub forward: Seconds,
    /// Backward time of one micro-batch.
    pub backward: Seconds,
    /// Once-per-step exposed time.
    pub tail: Seconds,
    /// Peak memory.
    pub memory: Bytes,
}

/// A full assignment with its simulated step time.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// One choice per stage.
    pub stages: Vec<StageChoice>,
    /// Simulated makespan of the step, tails included.
    pub makespan: Seconds,
}
