//! What a simulation says, in numbers: the timeline without its actions.

use super::{RankTime, Timeline};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Schema name and version of a simulation.
pub const SIMULATION_SCHEMA: &str = "meshwright.simulation/1";

/// The answer of `simulate`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Simulation {
    /// Always [`SIMULATION_SCHEMA`].
    pub schema: String,
    /// Id of the plan.
    pub plan: String,
    /// Actions simulated; ranks to which the same happens count once.
    pub actions: u64,
    /// One step, without stragglers, seconds.
    pub seconds: f64,
    /// The same by the closed form that the search uses, seconds.
    pub closed_form_seconds: f64,
    /// How much longer the simulation is, as a fraction of the closed form.
    pub difference: f64,
    /// Where the time and the memory of each kind of rank go.
    pub ranks: Vec<RankSummary>,
    /// Steps with jitter, where some was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Jitter>,
    /// The step under other circumstances.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub what_if: Vec<WhatIf>,
    /// Failures, where they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<Goodput>,
}

/// One kind of rank.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RankSummary {
    /// A rank of the kind.
    pub rank: u32,
    /// Ranks of the kind.
    pub stands_for: u32,
    /// Where its time goes.
    pub time: RankTime,
    /// What its buffers take, bytes.
    pub arena_bytes: f64,
    /// The most that lives at once, bytes.
    pub peak_bytes: f64,
}

/// Steps with jitter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Jitter {
    /// Steps simulated.
    pub steps: u32,
    /// Standard deviation of the factor that a step has for all ranks.
    pub common: f64,
    /// Standard deviation of the factor on one rank's computation.
    pub rank: f64,
    /// Where the draws started.
    pub seed: u64,
    /// Half of the steps are shorter, seconds.
    pub median_seconds: f64,
    /// 95 of 100 steps are shorter, seconds.
    pub p95_seconds: f64,
    /// Median part of a step that is waiting for the slowest rank.
    pub straggler_wait: f64,
}

/// A step under other circumstances.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhatIf {
    /// What is different: `link=10GbE`, `rank 3 takes 1.2 times as long`.
    pub change: String,
    /// What the change assumes, in words.
    pub assumes: String,
    /// The step, seconds.
    pub seconds: f64,
    /// How much longer it is, as a fraction of the step as planned.
    pub slower: f64,
    /// The same by closed form, where that knows the change, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_form_seconds: Option<f64>,
}

/// What failures leave of the time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Goodput {
    /// Mean time between failures of the whole job, seconds.
    pub mtbf_seconds: f64,
    /// Work between two checkpoints that loses least, seconds.
    pub interval_seconds: f64,
    /// Part of the time that is work which counts.
    pub goodput: f64,
}

impl RankSummary {
    /// The ranks of a timeline.
    #[must_use]
    pub fn all(timeline: &Timeline) -> Vec<Self> {
        let ranks = timeline.ranks.iter();
        ranks
            .map(|r| Self {
                rank: r.rank,
                stands_for: r.stands_for,
                time: r.time.clone(),
                arena_bytes: r.memory.arena_bytes,
                peak_bytes: r.memory.peak_bytes,
            })
            .collect()
    }
}
