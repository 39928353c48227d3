//! Why a row cannot be expressed, and what was assumed where it can.

use std::fmt;
use thiserror::Error;

/// Why a row has no prediction.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Skip {
    /// The table marks the row as incomplete.
    #[error("marked incomplete by its table (tier C)")]
    Incomplete,
    /// A column that the question needs is empty.
    #[error("no value for {0}")]
    Missing(&'static str),
    /// The device is in no file.
    #[error("no device file for the accelerator `{0}`")]
    Device(String),
    /// The family is not one of the house.
    #[error("models of the family `{0}` cannot be described")]
    Family(String),
    /// The model has parts that no family has.
    #[error("{0} cannot be described")]
    Part(&'static str),
    /// Degrees and devices contradict each other.
    #[error("degrees do not multiply to the devices")]
    Degrees,
    /// The batch does not divide.
    #[error("the batch does not divide into micro-batches")]
    Batch,
    /// More stages than layers.
    #[error("more pipeline stages than layers")]
    Stages,
    /// The shape is not consistent.
    #[error("the shape is not consistent: {0}")]
    Shape(String),
    /// The format is unknown.
    #[error("the number format `{0}` is unknown")]
    Format(String),
    /// The machine or the stack lacks something.
    #[error("{0}")]
    Machine(String),
    /// The split has no price.
    #[error("the split has no price: {0}")]
    Unpriced(String),
    /// A number beyond what can be planned.
    #[error("{0} is too large")]
    Large(&'static str),
    /// The prediction is not a time.
    #[error("the prediction is not finite")]
    Unbounded,
}

impl Skip {
    /// The reason without what differs from row to row, for counting.
    #[must_use]
    pub fn class(&self) -> String {
        match self {
            Self::Shape(_) => "the shape is not consistent".to_string(),
            Self::Unpriced(_) => "the split has no price".to_string(),
            other => other.to_string(),
        }
    }
}

/// Something that the row does not say and that was assumed. Short, and the same for all rows that
/// need it, so that it can be counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Assumption(String);

impl Assumption {
    /// An assumption in words.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Assumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Assumptions being collected.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Assumptions(pub Vec<Assumption>);

impl Assumptions {
    /// Adds one, once.
    pub fn add(&mut self, text: impl Into<String>) {
        let new = Assumption::new(text);
        if !self.0.contains(&new) {
            self.0.push(new);
        }
    }

    /// The value, or the assumed one with its label.
    pub fn or<T>(&mut self, value: Option<T>, assumed: T, text: &str) -> T {
        value.unwrap_or_else(|| {
            self.add(text);
            assumed
        })
    }
}
