//! plan.json: one reviewable, reproducible object. What was decided, from which inputs, what is
//! predicted, and the certificate that nothing better exists under the model.
//!
//! `id` hashes inputs and decisions, never predictions: two versions that decide alike agree on it.

use crate::exchange::Exchange;
use crate::lower::Recompute;
use crate::mesh::Degrees;
use crate::schedule::{LocalSteps, ScheduleKind};
use crate::work::OptimizerRule;
use crate::{Dtype, quantity::Value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Schema name and version of plan.json.
///
/// Version 2 has `local_steps` and `offload`.
pub const PLAN_SCHEMA: &str = "meshwright.plan/2";

/// Schemas whose files are plans of [`PLAN_SCHEMA`] as they are: they lack keys that may be left
/// out.
pub const PLAN_SCHEMAS_READ: [&str; 2] = ["meshwright.plan/1", PLAN_SCHEMA];

/// A plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`PLAN_SCHEMA`], or an older one of [`PLAN_SCHEMAS_READ`].
    pub schema: String,
    /// Hash of inputs and decisions.
    pub id: String,
    /// Version that made it.
    pub made_by: String,
    /// What it was made from.
    pub inputs: Inputs,
    /// What was decided.
    pub decision: Decision,
    /// What is predicted; not part of `id`.
    pub prediction: Prediction,
    /// Why nothing better exists under the model.
    pub certificate: Certificate,
}

/// An input and the hash of its parsed content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Name.
    pub name: String,
    /// Hash of what was read.
    pub fingerprint: String,
}

/// What a plan was made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// Model.
    pub model: Input,
    /// Cluster.
    pub cluster: Input,
    /// Software stack.
    pub stack: Input,
    /// Corpus, where one applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corpus: Option<Input>,
    /// Share of the device memory that the plan may fill.
    pub max_memory: f64,
    /// What the person fixed, as flags: `--tp 8`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<String>,
    /// What was minimised or maximised.
    pub objective: String,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Ranks.
    pub world_size: u32,
    /// Degrees of parallelism.
    pub degrees: Degrees,
    /// Sequence parallelism between the blocks of tensor parallelism.
    pub sequence_parallel: bool,
    /// Batch.
    pub batch: BatchDecision,
    /// Pipeline schedule.
    pub schedule: ScheduleKind,
    /// Virtual stages per rank.
    pub chunks: u32,
    /// Virtual stages, in model order.
    pub stages: Vec<StageDecision>,
    /// Exchange of the embedding gradient, where the model has a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding: Option<EmbeddingDecision>,
    /// Formats and bytes per parameter.
    pub precision: PrecisionDecision,
    /// Replicas that train apart and meet now and then; without it they agree after every step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_steps: Option<LocalSteps>,
    /// Whether activations wait for their backward pass in host memory.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub offload: bool,
}

/// Batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchDecision {
    /// Sequences per step.
    pub global_sequences: u64,
    /// Tokens per sequence.
    pub tokens_per_sequence: u64,
    /// Sequences per micro-batch and replica.
    pub micro_sequences: u64,
    /// Micro-batches per step and replica.
    pub micro_batches: u32,
    /// Pieces along time into which a recurrent model's sequence is cut.
    pub time_chunks: u32,
}

/// One virtual stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StageDecision {
    /// First and last layer of the chain, embedding and head counted.
    pub layers: LayerRange,
    /// Pipeline rank that runs it.
    pub pipeline_rank: u32,
    /// ZeRO stage of its parameters.
    pub zero: u8,
    /// How many of its layers use which recomputation.
    pub recompute: Vec<RecomputeCount>,
}

/// An inclusive range of layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LayerRange {
    /// First.
    pub first: u32,
    /// Last.
    pub last: u32,
}

/// Layers of one kind with one recomputation level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecomputeCount {
    /// Kind of layer.
    pub kind: String,
    /// Level.
    pub level: Recompute,
    /// Layers.
    pub layers: u32,
}

/// Exchange of the embedding gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmbeddingDecision {
    /// Which exchange.
    pub exchange: Exchange,
    /// Bytes per element on the wire.
    pub wire_bytes: u64,
    /// Pipeline stages that share the storage of the table.
    pub pieces: u32,
}

/// Formats and bytes per parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrecisionDecision {
    /// Format of activations and products.
    pub compute: Dtype,
    /// Bytes per parameter of the weights.
    pub weight_bytes: u64,
    /// Bytes per parameter of the gradients.
    pub gradient_bytes: u64,
    /// Bytes per parameter of optimizer state.
    pub optimizer_bytes: u64,
    /// Bytes per gradient element on the wire.
    pub wire_bytes: u64,
    /// Update rule.
    pub optimizer: OptimizerRule,
}

/// What is predicted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prediction {
    /// Time of one step.
    pub step: Value,
    /// Tokens per second over all ranks.
    pub tokens_per_second: Value,
    /// Largest memory over all ranks.
    pub memory: Value,
    /// Model FLOPs over what the devices could do at their dense peak.
    pub mfu: Value,
}

/// How far the search got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// No better plan exists in the stated space under the cost model.
    Optimal,
    /// The best plan found; the search was stopped before it was proven best.
    Feasible,
}

/// Why a mesh was ruled out.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The winner comes from this mesh.
    Winner,
    /// No split fits in memory.
    Memory,
    /// The closed-form bound is not below the winner.
    Bound,
    /// The bound of the stage programme is not below the winner.
    StageBound,
    /// The integer programme has no plan below the winner.
    Ilp,
    /// Solved, and slower than the winner.
    Solved,
    /// A dimension does not divide.
    Divisibility,
    /// The machine lacks something that the mesh needs.
    Unsupported,
    /// The search was stopped before this mesh was decided.
    Undecided,
}

/// One mesh and why it lost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuledOut {
    /// Degrees.
    pub degrees: Degrees,
    /// Configurations of micro-batch, schedule and sequence parallelism on this mesh.
    pub configurations: u32,
    /// The reason of the configuration that came closest.
    pub reason: Reason,
    /// Lower bound (or value) of the step time of that configuration, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound_seconds: Option<f64>,
}

/// The proof.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// How far the search got.
    pub status: Status,
    /// Relative gap between the plan and the best bound.
    pub gap: f64,
    /// Solver of the integer programmes.
    pub solver: String,
    /// Configurations in the space.
    pub configurations: u64,
    /// Configurations with a plan that fits, among those solved.
    pub solved: u64,
    /// Integer programmes solved.
    pub programmes: u64,
    /// What the space contains, in words.
    pub space: Vec<String>,
    /// One entry per mesh.
    pub meshes: Vec<RuledOut>,
    /// The plan as a program, action by action, where it was simulated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<ProgramScore>,
    /// The plan that the proof is about, where another one was preferred to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fastest: Option<Fastest>,
}

/// The fastest prediction, where a plan that splits the model less was preferred to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fastest {
    /// The plan in a line.
    pub label: String,
    /// Its predicted step, seconds.
    pub seconds: f64,
    /// The probability that it is faster than the plan that was preferred.
    pub faster: f64,
    /// The probability from which on it would have been taken.
    pub quantile: f64,
    /// How much slower than the preferred plan it is in the worst cases, those beyond the
    /// quantile, at least: 0.05 is 5 %.
    pub worst: f64,
    /// What makes their difference uncertain, most of all.
    pub because: String,
}

/// How far the closed form that the search uses is from the simulation of the plan's program. Both
/// without stragglers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProgramScore {
    /// The step by the closed form, seconds.
    pub closed_form_seconds: f64,
    /// The step of the program, seconds.
    pub simulated_seconds: f64,
    /// How much longer the program takes, as a fraction of the closed form.
    pub difference: f64,
}
