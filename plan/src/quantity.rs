//! Numbers as machine-readable files carry them: value, unit, interval, source.

use crate::estimate::Estimate;
use crate::units::{Bytes, Seconds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A number with its unit, interval and the grade of its weakest ingredient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Value {
    /// Best single value.
    pub value: f64,
    /// Unit in SI: `s`, `B`, `token/s`, `1`.
    pub unit: String,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// Grade of the weakest ingredient.
    pub source: String,
}

impl Value {
    /// A dimensioned number from its parts.
    #[must_use]
    pub fn new(value: f64, (low, high): (f64, f64), unit: &str, source: &str) -> Self {
        Self { value, unit: unit.into(), low, high, source: source.into() }
    }
}

impl From<Estimate<Seconds>> for Value {
    fn from(e: Estimate<Seconds>) -> Self {
        Self::new(e.value.get(), (e.low.get(), e.high.get()), "s", e.grade.word())
    }
}

impl From<Estimate<Bytes>> for Value {
    fn from(e: Estimate<Bytes>) -> Self {
        Self::new(e.value.get(), (e.low.get(), e.high.get()), "B", e.grade.word())
    }
}
