//! Records of runs: what a program did on a machine, measured action by action.
//!
//! A record (`run.json`) holds what is told of a run; the raw samples lie beside it, a line per
//! rank and step, and are only ever added to. Both name the plan and the program that ran, so that
//! nobody compares a measurement with another plan's prediction.

use crate::document::Plan;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Schema name and version of a record.
pub const RUN_RECORD_SCHEMA: &str = "meshwright.run-record/1";

/// How much is measured.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum RecordMode {
    /// Whole steps only.
    #[default]
    Off,
    /// Every action of every tenth step.
    Sampled,
    /// Every action of every step.
    Full,
    /// Every action of every step, and one rank computes at a time: what actions cost alone.
    Serial,
}

/// What a run did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunRecord {
    /// Always [`RUN_RECORD_SCHEMA`].
    pub schema: String,
    /// Program and version that wrote the record.
    pub made_by: String,
    /// Where it is from.
    pub provenance: Provenance,
    /// The plan that was run.
    pub plan: Plan,
    /// How much was measured.
    pub mode: RecordMode,
    /// Every step.
    pub steps: Vec<StepRecord>,
    /// Actions by class and place in its list, where some were measured.
    pub actions: Vec<ActionRecord>,
    /// Memory of the process beside the arenas of its ranks.
    pub memory: MemoryRecord,
    /// Bytes that rank 0 sent, beside those of closed forms.
    pub traffic: Vec<TrafficRecord>,
    /// What a small known piece of work took right before the run.
    pub canary: Canary,
    /// Where its raw samples lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<SamplesPlace>,
}

/// Lines of a file of raw samples. Runs add to it and change nothing that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SamplesPlace {
    /// The file, relative to the record.
    pub file: String,
    /// Lines before the first.
    pub skip: u64,
    /// Lines.
    pub lines: u64,
}

/// Where a record is from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Digest of the program.
    pub program: String,
    /// The command, word by word.
    pub command: Vec<String>,
    /// Where initial values and draws started.
    pub seed: u64,
    /// The machine.
    pub machine: MachineRecord,
    /// Ranks.
    pub ranks: u32,
    /// Threads that a rank computes with.
    pub threads_per_rank: u32,
}

/// A machine, as far as it decides how fast a rank is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MachineRecord {
    /// Hash of the rest.
    pub fingerprint: String,
    /// Processor.
    pub processor: String,
    /// Processors that may be used.
    pub cores: u32,
    /// Vector extension.
    pub vectors: String,
}

/// A step of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepRecord {
    /// Step, from 0.
    pub step: u64,
    /// Mean loss of a prediction, nats.
    pub loss: f64,
    /// Norm of all gradients; absent where they overflowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub norm: Option<f64>,
    /// How long it took on rank 0, seconds.
    pub seconds: f64,
}

/// An action of a class, over all measured steps and all ranks of the class.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionRecord {
    /// Class of the program.
    pub class: u32,
    /// Place in its list.
    pub action: u32,
    /// Samples.
    pub samples: u32,
    /// Median from start to end, seconds.
    pub seconds: f64,
    /// Median part of it that was spent waiting for messages, seconds.
    pub waiting_seconds: f64,
    /// Median time that a processor worked on it, seconds; the rest is waiting and other programs.
    pub busy_seconds: f64,
    /// Median distance of the samples' length from their median, seconds.
    pub deviation_seconds: f64,
}

/// Memory of a process that holds ranks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoryRecord {
    /// Arenas of all ranks of the process, bytes.
    pub arena_bytes: f64,
    /// What the process held before the run, bytes; absent where the system does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_bytes: Option<f64>,
    /// The most that it held during the run, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_bytes: Option<f64>,
}

/// Bytes that a rank sent for one purpose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrafficRecord {
    /// What for.
    pub purpose: String,
    /// Bytes per step, counted.
    pub sent_bytes: f64,
    /// Bytes per step by closed form; absent where the plan has none for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_bytes: Option<f64>,
    /// Calls per step.
    pub calls: f64,
}

/// A small known piece of work: whether the machine is what it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// A matrix product that fits a cache, on every rank's processor at once, seconds.
    pub product_seconds: f64,
    /// A copy that fits no cache, likewise, seconds.
    pub copy_seconds: f64,
}

/// What one rank did in one step: a line of the file of raw samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepSamples {
    /// Rank.
    pub rank: u32,
    /// Step.
    pub step: u64,
    /// When it began, seconds since the ranks started.
    pub start: f64,
    /// When it ended.
    pub end: f64,
    /// Time that a processor worked on it, seconds.
    pub busy: f64,
    /// Its actions, in the order in which they ran.
    pub actions: Vec<ActionSample>,
}

/// One action, once. Short names: there are many.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionSample {
    /// Place in the list of the class.
    pub a: u32,
    /// Start, seconds since the ranks started.
    pub s: f64,
    /// End.
    pub e: f64,
    /// Part of it spent waiting for messages, seconds.
    pub w: f64,
    /// Time that a processor worked on it, seconds.
    pub b: f64,
}

impl ActionSample {
    /// From start to end, seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.e - self.s
    }
}

impl RunRecord {
    /// Median step, seconds. The first step also touches memory for the first time: where there
    /// are others, it is left out.
    #[must_use]
    pub fn median_seconds(&self) -> Option<f64> {
        let skip = usize::from(self.steps.len() > 1);
        median(self.steps.iter().skip(skip).map(|s| s.seconds).collect())
    }
}

/// The middle of some numbers; of an even count the mean of the two in the middle.
#[must_use]
pub fn median(mut all: Vec<f64>) -> Option<f64> {
    all.sort_by(f64::total_cmp);
    let upper = *all.get(all.len() / 2)?;
    let lower = *all.get(all.len().saturating_sub(1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn medians_by_hand() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 9.0]), Some(3.0));
        assert_eq!(median(Vec::new()), None);
    }
}
