//! The report: one structure behind terminal, JSON and every other view of a plan.

use crate::document::Plan;
use crate::exchange::Exchange;
use crate::quantity::Value;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Schema name and version of a report.
pub const REPORT_SCHEMA: &str = "meshwright.report/1";

/// Everything there is to say about a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Always [`REPORT_SCHEMA`].
    pub schema: String,
    /// The model, in a line.
    pub model: ModelLine,
    /// The machine, in a line.
    pub machine: MachineLine,
    /// The plan.
    pub plan: Plan,
    /// Time of one step.
    pub step: Value,
    /// What the interval of the step is: "spread of …", "90 %, calibrated on …".
    pub interval: String,
    /// Tokens per second over all ranks.
    pub tokens_per_second: Value,
    /// Tokens per second per rank.
    pub tokens_per_second_per_gpu: Value,
    /// Model FLOPs utilisation.
    pub mfu: Value,
    /// Hardware FLOPs utilisation: recomputed FLOPs count.
    pub hfu: Value,
    /// Dense peak of one device in the compute format.
    pub peak: Value,
    /// The step if every product ran at the peak.
    pub speed_of_light: Value,
    /// Time of one epoch, where its size is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Value>,
    /// Money per step over all ranks, where a price is known, in dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dollars_per_step: Option<Value>,
    /// Where the step goes, largest first; parts add up to the step.
    pub time: Vec<TimePart>,
    /// Memory.
    pub memory: MemoryReport,
    /// The embedding exchange, where the model has a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange: Option<ExchangeReport>,
    /// Why this plan wins, most important first.
    pub why: Vec<String>,
    /// The nearest other plans.
    pub runners_up: Vec<RunnerUp>,
    /// Warnings about regimes where predictions are known to be weak.
    pub warnings: Vec<String>,
    /// Constants that are guesses, with what they stand for.
    pub assumptions: Vec<Assumption>,
}

/// The model, in a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelLine {
    /// Name.
    pub name: String,
    /// Parameters.
    pub parameters: u64,
    /// Model FLOPs per token, forward and backward.
    pub flops_per_token: f64,
}

/// The machine, in a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MachineLine {
    /// Name of the cluster.
    pub cluster: String,
    /// Label of the cluster.
    pub label: String,
    /// Label of the device.
    pub device: String,
    /// Devices used.
    pub gpus: u32,
    /// Nodes used.
    pub nodes: u32,
    /// Devices per node.
    pub per_node: u32,
}

/// One part of the step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimePart {
    /// Stable id: `compute`, `tensor`, `bubble`, …
    pub id: String,
    /// What it is, for people.
    pub label: String,
    /// Its part of the step.
    pub time: Value,
    /// For communication: all of it, hidden or not, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_seconds: Option<f64>,
    /// Id of the formula behind it, where it is one formula: `explain --formula ID` prints it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub formula: String,
    /// A remark.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// What it consists of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<TimePart>,
}

/// Memory over all stages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoryReport {
    /// Capacity of one device, bytes.
    pub capacity_bytes: f64,
    /// What the plan may fill, bytes.
    pub limit_bytes: f64,
    /// What is kept free of tensors, and where that is from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reserve: Vec<String>,
    /// Pipeline ranks, in order.
    pub stages: Vec<StageMemory>,
}

/// Memory of one pipeline rank (its worst device).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StageMemory {
    /// Pipeline rank.
    pub stage: u32,
    /// Micro-batch activations in flight, counted in chunks.
    pub in_flight: u32,
    /// Parts, in fixed order.
    pub parts: Vec<MemoryPart>,
    /// Their sum: what the device shows as used, bytes.
    pub total_bytes: f64,
}

/// One part of a stage's memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoryPart {
    /// Stable id: `activations`, `weights`, `gradients`, `optimizer`, `exchange`, `buffers`,
    /// `reserve`, `runtime`.
    pub id: String,
    /// Bytes.
    pub bytes: f64,
}

/// The ways to exchange the embedding gradient, side by side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExchangeReport {
    /// G: ranks that exchange.
    pub ranks: u32,
    /// K: tokens per rank and step.
    pub tokens_per_rank: f64,
    /// D: width of a row.
    pub width: u64,
    /// V: rows.
    pub vocab: u64,
    /// U: different rows touched in a step.
    pub unique: f64,
    /// Where U is from.
    pub unique_source: String,
    /// Whether the output projection is the same table.
    pub tied: bool,
    /// The members.
    pub members: Vec<ExchangeMember>,
}

/// One way to exchange the embedding gradient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExchangeMember {
    /// Which.
    pub exchange: Exchange,
    /// Its cost as the literature writes it: `G·K + U·D`.
    pub formula: String,
    /// Buffer per rank, bytes.
    pub buffer_bytes: f64,
    /// Wire traffic per rank, bytes.
    pub wire_bytes: f64,
    /// Time, seconds.
    pub seconds: f64,
    /// Whether the plan uses it.
    pub chosen: bool,
    /// Why it cannot be used, or a remark.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// Another plan that came close.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunnerUp {
    /// What differs: `ZeRO 1`, `TP 2 · DP 96`.
    pub label: String,
    /// Step time, seconds.
    pub seconds: f64,
    /// Relative to the plan that is answered: 0.003 is 0.3 % slower.
    pub slower: f64,
    /// The probability that it is faster all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faster: Option<f64>,
    /// Largest memory, bytes.
    pub memory_bytes: f64,
    /// A reason to prefer it, or what it loses by.
    pub note: String,
}

/// A constant that is a guess.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Assumption {
    /// What it is.
    pub what: String,
    /// Why it has this value.
    pub source: String,
}

/// Nothing fits: an answer, not an error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InfeasibleReport {
    /// Always [`INFEASIBLE_SCHEMA`].
    pub schema: String,
    /// The model, in a line.
    pub model: ModelLine,
    /// The machine, in a line.
    pub machine: MachineLine,
    /// Configurations that were tried.
    pub configurations: u64,
    /// The plan that lacks least.
    pub closest: ClosestPlan,
    /// What binds, in a sentence.
    pub binding: String,
    /// What would make it fit; each was solved.
    pub ways_out: Vec<WayOut>,
    /// What would not help; each was tried.
    pub dead_ends: Vec<String>,
}

/// Schema name and version of an infeasible report.
pub const INFEASIBLE_SCHEMA: &str = "meshwright.infeasible/1";

/// The plan that lacks least memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClosestPlan {
    /// The plan in a line.
    pub label: String,
    /// Pipeline rank that overflows most.
    pub stage: u32,
    /// What that rank needs, bytes.
    pub needs_bytes: f64,
    /// What a plan may fill, bytes.
    pub limit_bytes: f64,
    /// Capacity of one device, bytes.
    pub capacity_bytes: f64,
    /// What fills that rank.
    pub parts: Vec<MemoryPart>,
}

/// A change that makes a plan fit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WayOut {
    /// The change, as flags where flags can make it.
    pub change: String,
    /// The plan it leads to.
    pub label: String,
    /// Its largest memory, bytes.
    pub memory_bytes: f64,
    /// Its step, seconds.
    pub seconds: f64,
    /// A remark.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// One line of a sweep over GPU counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SweepRow {
    /// Devices.
    pub gpus: u32,
    /// The best plan in a line; empty where nothing fits.
    pub label: String,
    /// Step, seconds.
    pub seconds: Option<f64>,
    /// Tokens per second.
    pub tokens_per_second: Option<f64>,
    /// Model FLOPs utilisation.
    pub mfu: Option<f64>,
    /// Tokens per second per device relative to the first row that fits.
    pub scaling: Option<f64>,
    /// Largest memory, bytes.
    pub memory_bytes: Option<f64>,
    /// Device-hours per billion tokens.
    pub gpu_hours_per_billion_tokens: Option<f64>,
    /// Dollars per billion tokens, where a price is known.
    pub dollars_per_billion_tokens: Option<f64>,
    /// Best under the objective.
    pub is_best: bool,
    /// Why nothing fits, or a remark.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// One line of a sweep over clusters and GPU counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterRow {
    /// Name of the cluster.
    pub cluster: String,
    /// What a GPU count of it gives; `scaling` is relative to the first row of this cluster that
    /// fits, the best row is the best of all clusters.
    pub row: SweepRow,
    /// Hours for a billion tokens.
    pub hours_per_billion_tokens: Option<f64>,
    /// Whatever is faster costs more: no other row is as fast and cheaper, or as cheap and faster.
    pub is_pareto: bool,
}

/// Version of [`TrainingReport`].
pub const TRAINING_SCHEMA: &str = "meshwright.training/1";

/// A run to a loss: what each batch takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrainingReport {
    /// `meshwright.training/1`.
    pub schema: String,
    /// The model.
    pub model: ModelLine,
    /// The machine.
    pub machine: MachineLine,
    /// What is minimised.
    pub objective: String,
    /// Tokens that the loss takes at tiny batches.
    pub least_tokens: f64,
    /// The critical batch, tokens.
    pub critical_tokens: f64,
    /// Everything statistical that the numbers rest on.
    pub assumptions: Vec<String>,
    /// One per batch that has a plan, smallest first.
    pub rows: Vec<TrainingRow>,
}

/// A run with one batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrainingRow {
    /// Sequences per step.
    pub global_sequences: u64,
    /// Tokens per step.
    pub tokens_per_step: f64,
    /// The best plan for this batch, in a line.
    pub label: String,
    /// Step, seconds.
    pub step_seconds: f64,
    /// Steps to the loss.
    pub steps: f64,
    /// Tokens to the loss.
    pub tokens: f64,
    /// Share of the wall clock that trains.
    pub goodput: f64,
    /// Wall clock, seconds.
    pub seconds: f64,
    /// Device-hours.
    pub gpu_hours: f64,
    /// Rent, where a price is known.
    pub dollars: Option<f64>,
    /// Electricity, where the devices' power is known.
    pub kilowatt_hours: Option<f64>,
    /// Best under the objective.
    pub is_best: bool,
}

/// Why another choice was not taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhyNot {
    /// The choice: `tp=2`.
    pub choice: String,
    /// The best plan with it; empty where there is none.
    pub label: String,
    /// Its step, seconds.
    pub seconds: Option<f64>,
    /// Relative to the winner: 0.05 is 5 % slower.
    pub slower: Option<f64>,
    /// Its largest memory, bytes.
    pub memory_bytes: Option<f64>,
    /// Parts of the step that differ, largest difference first.
    pub differences: Vec<Difference>,
    /// The answer in a sentence or two.
    pub verdict: Vec<String>,
}

/// A part of the step in two plans.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// The part.
    pub label: String,
    /// In the winner, seconds.
    pub winner_seconds: f64,
    /// In the other plan, seconds.
    pub other_seconds: f64,
}

/// What binds: the value of one more of something, by solving again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// What was changed: `+1 GiB per GPU`, `2 × bandwidth between nodes`.
    pub change: String,
    /// The best plan then.
    pub label: String,
    /// Its step, seconds; empty where nothing fits or the change does not apply.
    pub seconds: Option<f64>,
    /// Relative speed-up of the throughput: 0.02 is 2 % more tokens per second.
    pub gain: Option<f64>,
    /// A remark.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}
