//! The inner problem: one outer configuration (ranks, micro-batches, schedule) is fixed; cut the
//! chain of layers into stages and choose a column for every layer so that the simulated step is
//! shortest and every stage fits.
//!
//! Times and sizes are already priced; nothing in here knows what a transformer is.

use plan::schedule::ScheduleKind;
use plan::units::{Bytes, Seconds};

/// One way to run one layer of a segment.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Forward time of one micro-batch.
    pub forward: Seconds,
    /// Backward time of one micro-batch, recomputation included.
    pub backward: Seconds,
    /// Activations kept per micro-batch in flight.
    pub activation: Bytes,
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
}

/// Once-per-step costs as a function of what a stage holds.
pub trait SyncModel {
    /// Number of settings a stage can choose from (ZeRO stage × embedding exchange), at least 1.
    fn settings(&self) -> usize;
    /// The cost of a stage that holds `counts[k]` layers of segment `k` under `setting`;
    /// `None` where the setting does not apply to such a stage.
    fn stage(&self, stage: usize, counts: &[u32], setting: usize) -> Option<StageSync>;
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
