//! Units as types: the only place where numbers become text and text becomes numbers.
//!
//! Each quantity is a newtype over `f64` in its SI base unit (bytes, seconds, FLOP). Only
//! operations with a meaning exist: `Bytes / BytesPerSecond` is `Seconds`, `Bytes + Seconds`
//! does not compile. Memory prints IEC (GiB), rates and FLOPs print SI.

mod format;
mod parse;

pub use format::{count, percent, significant};
pub use parse::UnitError;

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

/// A physical quantity that has a unit, a textual form and a total order.
pub trait Quantity: Copy + PartialOrd + fmt::Display {
    /// What the quantity is called in error messages, with article: "a bandwidth".
    const WHAT: &'static str;
    /// A correct example shown when parsing fails.
    const EXAMPLE: &'static str;
    /// Reads a number with its unit, such as `"12.5 GB/s"`.
    ///
    /// # Errors
    /// [`UnitError`] names what is wrong and what would be right.
    fn parse(text: &str) -> Result<Self, UnitError>;
}

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident, $what:literal, $example:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
        pub struct $name(f64);

        impl $name {
            /// Zero of this quantity.
            pub const ZERO: Self = Self(0.0);

            /// Wraps a value given in the SI base unit.
            #[must_use]
            pub const fn new(value: f64) -> Self {
                Self(value)
            }

            /// The value in the SI base unit.
            #[must_use]
            pub const fn get(self) -> f64 {
                self.0
            }

            /// The larger of the two.
            #[must_use]
            pub fn max(self, other: Self) -> Self {
                Self(self.0.max(other.0))
            }

            /// The smaller of the two.
            #[must_use]
            pub fn min(self, other: Self) -> Self {
                Self(self.0.min(other.0))
            }

            /// Total order, for sorting.
            #[must_use]
            pub fn total_cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.0.total_cmp(&other.0)
            }
        }

        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }
        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                self.0 += other.0;
            }
        }
        impl Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0 - other.0)
            }
        }
        impl Neg for $name {
            type Output = Self;
            fn neg(self) -> Self {
                Self(-self.0)
            }
        }
        impl Mul<f64> for $name {
            type Output = Self;
            fn mul(self, factor: f64) -> Self {
                Self(self.0 * factor)
            }
        }
        impl Div<f64> for $name {
            type Output = Self;
            fn div(self, divisor: f64) -> Self {
                Self(self.0 / divisor)
            }
        }
        impl Div for $name {
            type Output = f64;
            fn div(self, other: Self) -> f64 {
                self.0 / other.0
            }
        }
        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
                Self(iter.map(|x| x.0).sum())
            }
        }
        impl Quantity for $name {
            const WHAT: &'static str = $what;
            const EXAMPLE: &'static str = $example;
            fn parse(text: &str) -> Result<Self, UnitError> {
                parse::quantity(text, stringify!($name), $what, $example).map(Self)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&format::quantity(self.0, stringify!($name)))
            }
        }
    };
}

quantity!(
    /// An amount of memory or traffic.
    Bytes, "a size", "80 GiB"
);
quantity!(
    /// A duration.
    Seconds, "a time", "5 us"
);
quantity!(
    /// An amount of floating-point work.
    Flops, "an amount of work", "12.6 PFLOP"
);
quantity!(
    /// A bandwidth.
    BytesPerSecond, "a bandwidth", "200 GB/s"
);
quantity!(
    /// A compute rate.
    FlopsPerSecond, "a compute rate", "312 TFLOP/s"
);
quantity!(
    /// Money.
    Dollars, "an amount of money", "$100"
);
quantity!(
    /// A rental price.
    DollarsPerHour, "a price", "$2.50/h"
);
quantity!(
    /// Electrical power.
    Watts, "a power", "700 W"
);
quantity!(
    /// Electrical energy.
    KilowattHours, "an amount of energy", "500 kWh"
);

impl Bytes {
    /// A whole number of bytes.
    #[must_use]
    pub const fn from_count(n: u64) -> Self {
        Self(n as f64)
    }

    /// The size in GiB (2³⁰ bytes).
    #[must_use]
    pub fn gib(self) -> f64 {
        self.0 / (1u64 << 30) as f64
    }
}

impl Div<BytesPerSecond> for Bytes {
    type Output = Seconds;
    fn div(self, rate: BytesPerSecond) -> Seconds {
        Seconds(self.0 / rate.0)
    }
}

impl Div<FlopsPerSecond> for Flops {
    type Output = Seconds;
    fn div(self, rate: FlopsPerSecond) -> Seconds {
        Seconds(self.0 / rate.0)
    }
}

impl Div<Seconds> for Flops {
    type Output = FlopsPerSecond;
    fn div(self, time: Seconds) -> FlopsPerSecond {
        FlopsPerSecond(self.0 / time.0)
    }
}

impl Mul<Seconds> for DollarsPerHour {
    type Output = Dollars;
    fn mul(self, time: Seconds) -> Dollars {
        Dollars(self.0 * time.0 / 3600.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bits_and_bytes_differ_by_eight() {
        let bytes = BytesPerSecond::parse("12.5 GB/s").unwrap();
        let bits = BytesPerSecond::parse("100 Gbit/s").unwrap();
        assert_eq!(bytes, bits);
    }

    #[test]
    fn iec_and_si_differ() {
        assert_eq!(Bytes::parse("1 GiB").unwrap(), Bytes::from_count(1 << 30));
        assert_eq!(Bytes::parse("1 GB").unwrap(), Bytes::new(1e9));
    }

    #[test]
    fn a_bare_number_is_refused_with_an_example() {
        let error = BytesPerSecond::parse("200").unwrap_err();
        assert!(error.to_string().contains("a bandwidth needs a unit"), "{error}");
        assert!(error.to_string().contains("200 GB/s"), "{error}");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "GiB", "nan GiB", "inf GiB", "-1 GiB", "1e400 GiB", "1 GiB/s", "1 2 GiB"] {
            assert!(Bytes::parse(text).is_err(), "{text:?} was accepted");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back_within_rounding(x in 1.0e-9f64..1.0e18) {
            let size = Bytes::new(x.max(1.0));
            let back = Bytes::parse(&size.to_string()).unwrap();
            prop_assert!((back / size - 1.0).abs() < 5.1e-3, "{size} became {back}");
            let time = Seconds::new(x.min(9.0e3));
            let back = Seconds::parse(&time.to_string()).unwrap();
            prop_assert!((back / time - 1.0).abs() < 5.1e-3, "{time} became {back}");
        }
    }
}
