//! Constants as the pricing functions need them: a number and how good its origin is.

use plan::units::Seconds;
use plan::{Estimate, Grade, Sourced};

/// A resolved constant, in SI base units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Constant {
    pub(crate) value: f64,
    pub(crate) grade: Grade,
}

impl Constant {
    pub(crate) const ZERO: Self = Self { value: 0.0, grade: Grade::Exact };

    pub(crate) fn of(sourced: &Sourced<f64>) -> Self {
        Self { value: sourced.value, grade: sourced.grade }
    }

    pub(crate) fn from<T: Copy>(sourced: &Sourced<T>, value: impl Fn(T) -> f64) -> Self {
        Self { value: value(sourced.value), grade: sourced.grade }
    }

    /// The product; its origin is as weak as the weaker factor's.
    pub(crate) fn times(self, other: Self) -> Self {
        Self { value: self.value * other.value, grade: self.grade.max(other.grade) }
    }
}

/// `seconds` with a symmetric relative interval.
pub(crate) fn term(seconds: f64, spread: f64, grade: Grade) -> Estimate<Seconds> {
    Estimate::spread(Seconds::new(seconds), spread, spread, grade)
}

/// The price of work for which the profile has no constants: it cannot be done, so it is never
/// chosen. [`crate::Profile::check`] says what is missing.
pub(crate) fn unsupported() -> Estimate<Seconds> {
    let never = Seconds::new(f64::INFINITY);
    Estimate { value: never, low: never, high: never, grade: Grade::Assumed }
}
