//! Why a plan cannot be lowered.

use crate::lower::Indivisible;
use crate::schedule::timetable::Stuck;
use thiserror::Error;

/// Why a plan cannot be lowered.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LowerError {
    /// The degrees do not make up the ranks.
    #[error(
        "DP {dp} × TP {tp} × PP {pp} × CP {cp} are not {world_size} ranks, or EP {ep} does \
             not divide DP"
    )]
    Degrees {
        /// Data-parallel degree.
        dp: u32,
        /// Tensor-parallel degree.
        tp: u32,
        /// Pipeline-parallel degree.
        pp: u32,
        /// Context-parallel degree.
        cp: u32,
        /// Expert-parallel degree.
        ep: u32,
        /// Ranks.
        world_size: u32,
    },
    /// The schedule does not exist in these sizes.
    #[error(
        "{schedule} does not exist for {ranks} pipeline ranks, {micro_batches} micro-batches \
             and {chunks} chunks per rank"
    )]
    NoSuchSchedule {
        /// Its name.
        schedule: &'static str,
        /// Pipeline ranks.
        ranks: u32,
        /// Micro-batches.
        micro_batches: u32,
        /// Chunks per rank.
        chunks: u32,
    },
    /// The given order cannot run.
    #[error("the order of passes cannot run: {0}")]
    Order(#[from] Stuck),
    /// The given order is not about this plan.
    #[error("the order of passes lists {listed}; the plan needs {needed}")]
    OtherOrder {
        /// What it lists.
        listed: String,
        /// What is needed.
        needed: String,
    },
    /// Stages do not cover the layers.
    #[error(
        "stage {stage} holds layers {first} to {last}; layer {expected} is next of the \
             model's {layers}"
    )]
    Layers {
        /// Virtual stage.
        stage: u32,
        /// Its first layer.
        first: u32,
        /// Its last layer.
        last: u32,
        /// The layer that has to come next.
        expected: u32,
        /// Layers of the model.
        layers: u32,
    },
    /// A number of stages that the schedule does not have.
    #[error("the plan lists {listed} stages; {schedule} has {needed}")]
    Stages {
        /// Stages listed.
        listed: usize,
        /// Name of the schedule.
        schedule: &'static str,
        /// Stages of the schedule.
        needed: u32,
    },
    /// A stage on another rank than the schedule's.
    #[error("stage {stage} is on pipeline rank {listed}; {schedule} runs it on {needed}")]
    Home {
        /// Virtual stage.
        stage: u32,
        /// Rank in the plan.
        listed: u32,
        /// Name of the schedule.
        schedule: &'static str,
        /// Rank in the schedule.
        needed: u32,
    },
    /// Recomputation is not decided for every layer.
    #[error(
        "stage {stage} holds {layers} layers of kind `{kind}` and decides recomputation for \
             {decided} of them"
    )]
    Recompute {
        /// Virtual stage.
        stage: u32,
        /// Kind of layer.
        kind: &'static str,
        /// Layers of it.
        layers: u32,
        /// Layers decided.
        decided: u32,
    },
    /// A ZeRO stage that there is not.
    #[error("stage {stage} has ZeRO {zero}; there are 0 to 3")]
    Zero {
        /// Virtual stage.
        stage: u32,
        /// What it says.
        zero: u8,
    },
    /// A dimension that does not divide.
    #[error("{0}")]
    Indivisible(#[from] Indivisible),
    /// More passes than a list can hold.
    #[error(
        "{passes} passes are more than the {most} that a program holds; fewer micro-batches \
             or stages make it fit"
    )]
    TooLarge {
        /// Passes.
        passes: u64,
        /// Limit.
        most: u64,
    },
    /// Decisions that do not go together.
    #[error("{what}; {instead}")]
    Unsupported {
        /// What was asked for.
        what: &'static str,
        /// What would work.
        instead: &'static str,
    },
}
