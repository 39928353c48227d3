//! Timelines: a program in time, whoever ran it. The simulator answers with one, the executor
//! answers with one, and what compares them needs no third form.
//!
//! Actions are named by their place in the list of their class, so a timeline is read beside its
//! [`Program`](crate::program::Program). Times count from the beginning of the first step.

mod passes;
mod summary;
mod words;

pub use passes::{Block, extend, letter};
pub use summary::{Goodput, Jitter, RankSummary, SIMULATION_SCHEMA, Simulation, WhatIf};
pub use words::{cause, lane, op};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Schema name and version of a timeline.
pub const TIMELINE_SCHEMA: &str = "meshwright.timeline/1";

/// Who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The simulator: what the cost model predicts.
    Simulated,
    /// A run: what clocks showed.
    Measured,
}

/// A program in time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Timeline {
    /// Always [`TIMELINE_SCHEMA`].
    pub schema: String,
    /// Id of the plan.
    pub plan: String,
    /// Who says so.
    pub origin: Origin,
    /// From the first start to the last end, seconds.
    pub seconds: f64,
    /// Length of each step, seconds.
    pub step_seconds: Vec<f64>,
    /// Ranks; of ranks to which the same happens one.
    pub ranks: Vec<RankTimeline>,
    /// The chain of actions that nobody can shorten, first to last; empty where it is not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub critical_path: Vec<PathSpan>,
}

/// A rank in time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RankTimeline {
    /// The rank.
    pub rank: u32,
    /// Ranks to which the same happens, itself included.
    pub stands_for: u32,
    /// Class of the program that it belongs to.
    pub class: u32,
    /// Its actions, in the order of issue, step after step.
    pub spans: Vec<Span>,
    /// Where its time goes.
    pub time: RankTime,
    /// Its memory.
    pub memory: RankMemory,
}

/// An action in time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Span {
    /// Place in the list of the class.
    pub action: u32,
    /// Step.
    pub step: u32,
    /// Start, seconds.
    pub start_seconds: f64,
    /// End, seconds.
    pub end_seconds: f64,
    /// What it waited for.
    pub waited_for: Wait,
}

/// Why an action did not start earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Wait {
    /// The first step began.
    Start,
    /// Its lane was busy.
    Lane,
    /// Another lane of its rank had to be done.
    Token,
    /// Another rank was not there.
    Peer,
    /// The host had not launched it.
    Host,
    /// Not known.
    Unknown,
}

/// An action on the critical path.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PathSpan {
    /// The rank.
    pub rank: u32,
    /// Place in the list of its class.
    pub action: u32,
    /// Start, seconds.
    pub start_seconds: f64,
    /// End, seconds.
    pub end_seconds: f64,
    /// What it waited for.
    pub waited_for: Wait,
}

/// Where the time of a rank goes; the parts add up to the whole timeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RankTime {
    /// Passes over layers, recomputation not included.
    pub compute_seconds: f64,
    /// Passes for activations that were not kept.
    pub recompute_seconds: f64,
    /// Updates of weights, and whatever else is computed beside passes.
    pub update_seconds: f64,
    /// Longer computation because collectives run beside it.
    pub contention_seconds: f64,
    /// Longer computation because the rank is slow.
    pub straggling_seconds: f64,
    /// Waiting for the host to launch.
    pub launch_seconds: f64,
    /// Communication that nothing hides, by cause.
    pub exposed: Vec<ExposedTime>,
    /// Waiting for other ranks.
    pub bubble_seconds: f64,
}

/// Communication of one cause that nothing hides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExposedTime {
    /// The decision that asks for it, as [`cause`] names it.
    pub cause: String,
    /// Its time, seconds.
    pub seconds: f64,
}

/// Memory of a rank over the first step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RankMemory {
    /// What the buffers take: the end of the arena, bytes.
    pub arena_bytes: f64,
    /// The most that lives at once, bytes.
    pub peak_bytes: f64,
    /// When that is first so, seconds.
    pub peak_at_seconds: f64,
    /// What lives from each point in time on.
    pub points: Vec<MemoryPoint>,
}

/// What lives from a point in time on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoryPoint {
    /// The point in time, seconds.
    pub seconds: f64,
    /// Bytes.
    pub bytes: f64,
}

impl RankTime {
    /// All communication that nothing hides, seconds.
    #[must_use]
    pub fn exposed_seconds(&self) -> f64 {
        self.exposed.iter().map(|e| e.seconds).sum()
    }

    /// Sum of the parts, seconds.
    #[must_use]
    pub fn total_seconds(&self) -> f64 {
        self.compute_seconds
            + self.recompute_seconds
            + self.update_seconds
            + self.contention_seconds
            + self.straggling_seconds
            + self.launch_seconds
            + self.exposed_seconds()
            + self.bubble_seconds
    }
}
