//! Numbers that know how sure they are.

use crate::units::Quantity;
use std::iter::Sum;
use std::ops::{Add, Mul};

/// How good the origin of a value is, best first. Combining keeps the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grade {
    /// Follows from definitions alone (a parameter count, a closed form).
    Exact,
    /// Measured on the machine at hand.
    Measured,
    /// Read in a public source that is named.
    Published,
    /// Fitted to public measurements that are named.
    Fitted,
    /// Computed from other values by a stated formula.
    Derived,
    /// A labelled guess.
    Assumed,
}

impl Grade {
    /// The word used in files and on screens.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Measured => "measured",
            Self::Published => "published",
            Self::Fitted => "fitted",
            Self::Derived => "derived",
            Self::Assumed => "assumed",
        }
    }

    /// The grade with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Exact, Self::Measured, Self::Published, Self::Fitted, Self::Derived, Self::Assumed]
            .into_iter()
            .find(|g| g.word() == word)
    }
}

/// A datum with its origin, as scenario files carry it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// How good its origin is.
    pub grade: Grade,
    /// Where it is from, in words a reader can follow up.
    pub source: String,
}

impl<T> Sourced<T> {
    /// A value with its origin.
    pub fn new(value: T, grade: Grade, source: impl Into<String>) -> Self {
        Self { value, grade, source: source.into() }
    }
}

/// A quantity with an interval and the grade of its weakest ingredient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate<T> {
    /// Best single value.
    pub value: T,
    /// Lower end of the interval.
    pub low: T,
    /// Upper end of the interval.
    pub high: T,
    /// The weakest origin among what went in.
    pub grade: Grade,
}

impl<T: Quantity> Estimate<T> {
    /// A value that needs no interval.
    #[must_use]
    pub fn exact(value: T) -> Self {
        Self { value, low: value, high: value, grade: Grade::Exact }
    }
}

impl<T: Quantity + Mul<f64, Output = T>> Estimate<T> {
    /// A value whose interval is `value·(1 − below) … value·(1 + above)`.
    #[must_use]
    pub fn spread(value: T, below: f64, above: f64, grade: Grade) -> Self {
        Self { value, low: value * (1.0 - below), high: value * (1.0 + above), grade }
    }
}

/// Errors of summands are taken to move together (they share constants), so intervals add up.
impl<T: Quantity + Add<Output = T>> Add for Estimate<T> {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            value: self.value + other.value,
            low: self.low + other.low,
            high: self.high + other.high,
            grade: self.grade.max(other.grade),
        }
    }
}

impl<T: Quantity + Mul<f64, Output = T>> Mul<f64> for Estimate<T> {
    type Output = Self;
    fn mul(self, factor: f64) -> Self {
        Self {
            value: self.value * factor,
            low: self.low * factor,
            high: self.high * factor,
            grade: self.grade,
        }
    }
}

impl<T: Quantity + Add<Output = T> + Default> Sum for Estimate<T> {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::exact(T::default()), |a, b| a + b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Seconds;

    #[test]
    fn sums_keep_the_weakest_grade_and_add_intervals() {
        let a = Estimate::spread(Seconds::new(1.0), 0.1, 0.2, Grade::Published);
        let b = Estimate::spread(Seconds::new(2.0), 0.5, 0.5, Grade::Assumed);
        let sum: Estimate<Seconds> = [a, b].into_iter().sum();
        assert_eq!(sum.grade, Grade::Assumed);
        assert_eq!(sum.value, Seconds::new(3.0));
        assert!((sum.low.get() - 1.9).abs() < 1e-12 && (sum.high.get() - 4.2).abs() < 1e-12);
    }
}
