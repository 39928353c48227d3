//! Calibrations: constants of one machine, measured on it, laid over those that ship.
//!
//! A calibration never edits what ships: a plan that uses it says so, and without it everything is
//! as it was. Constants depend on how many ranks work at once, because they share caches, memory
//! and sometimes the units of a core, so each number of ranks has its own.

use crate::record::{Canary, MachineRecord};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Schema name and version of a calibration.
pub const CALIBRATION_SCHEMA: &str = "meshwright.calibration/1";

/// Constants of one machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Always [`CALIBRATION_SCHEMA`].
    pub schema: String,
    /// Program and version that wrote it.
    pub made_by: String,
    /// The machine that it is of; on any other it does not apply.
    pub machine: MachineRecord,
    /// By number of ranks that work at once, rising.
    pub loads: Vec<Load>,
}

/// Constants of a machine on which so many ranks work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// Ranks.
    pub ranks: u32,
    /// What a small known piece of work took when this was measured.
    pub canary: Canary,
    /// What it was made from, in words.
    pub made_from: Vec<String>,
    /// The constants.
    pub constants: Vec<CalibratedConstant>,
    /// How well they fit what they were fitted to; absent where nothing was fitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residuals: Option<Residuals>,
}

/// A constant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CalibratedConstant {
    /// Its name, such as `gemm.efficiency`.
    pub name: String,
    /// In SI units.
    pub value: f64,
    /// Where it is from: a grade and words.
    pub source: String,
}

/// Relative errors of fitted times.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Residuals {
    /// Kinds of actions that were fitted.
    pub actions: u32,
    /// Half of them are off by less.
    pub median: f64,
    /// Nine of ten are off by less.
    pub p90: f64,
    /// Median error of whole steps.
    pub steps: f64,
}

impl Calibration {
    /// The constants for a number of ranks: those of the next larger number that was measured, or
    /// of the largest.
    #[must_use]
    pub fn load(&self, ranks: u32) -> Option<&Load> {
        self.loads.iter().find(|load| load.ranks >= ranks).or(self.loads.last())
    }

    /// Replaces the constants of a number of ranks.
    pub fn put(&mut self, load: Load) {
        self.loads.retain(|other| other.ranks != load.ranks);
        self.loads.push(load);
        self.loads.sort_by_key(|load| load.ranks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_larger_number_of_ranks_stands_for_one_that_was_not_measured() {
        let machine = MachineRecord {
            fingerprint: "0".into(),
            processor: "Testium".into(),
            cores: 8,
            vectors: "AVX2".into(),
        };
        let load = |ranks| Load {
            ranks,
            canary: Canary::default(),
            made_from: Vec::new(),
            constants: Vec::new(),
            residuals: None,
        };
        let (schema, made_by) = (CALIBRATION_SCHEMA.to_string(), String::new());
        let mut all = Calibration { schema, made_by, machine, loads: Vec::new() };
        assert_eq!(all.load(1), None);
        [4, 1, 4].into_iter().for_each(|ranks| all.put(load(ranks)));
        let found = [1, 2, 4, 8].map(|ranks| all.load(ranks).map(|l| l.ranks));
        assert_eq!((all.loads.len(), found), (2, [Some(1), Some(4), Some(4), Some(4)]));
    }
}
