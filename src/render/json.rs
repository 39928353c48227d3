//! JSON for programs: every quantity with its unit and origin, one shape everywhere.

use plan::estimate::{Estimate, Grade, Sourced};
use plan::units::{Bytes, BytesPerSecond, FlopsPerSecond, Quantity, Seconds};
use serde_json::{Value, json};

/// A quantity with the unit that its number is in.
pub trait Measured: Quantity {
    /// The SI base unit.
    const UNIT: &'static str;
    /// The number in that unit.
    fn number(self) -> f64;
}

macro_rules! measured {
    ($($name:ident $unit:literal),*) => {$(
        impl Measured for $name {
            const UNIT: &'static str = $unit;
            fn number(self) -> f64 {
                self.get()
            }
        }
    )*};
}

measured!(Bytes "B", BytesPerSecond "B/s", FlopsPerSecond "FLOP/s", Seconds "s");

/// A value with its origin.
pub fn sourced<T: Measured>(value: &Sourced<T>) -> Value {
    json!({
        "value": value.value.number(),
        "unit": T::UNIT,
        "grade": value.grade.word(),
        "source": value.source,
    })
}

/// A value with its interval and the grade of its weakest ingredient.
pub fn estimate<T: Measured>(estimate: &Estimate<T>) -> Value {
    json!({
        "value": estimate.value.number(),
        "unit": T::UNIT,
        "low": estimate.low.number(),
        "high": estimate.high.number(),
        "source": Grade::word(estimate.grade),
    })
}

/// A text as a JSON string.
pub fn string(text: &str) -> String {
    Value::from(text).to_string()
}

/// The text of a document: indented, with a line end.
pub fn document(value: &Value) -> String {
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_carry_unit_interval_and_origin() {
        let step = Estimate::spread(Seconds::new(2.0), 0.5, 0.25, Grade::Derived);
        let expected =
            json!({"value": 2.0, "unit": "s", "low": 1.0, "high": 2.5, "source": "derived"});
        assert_eq!(estimate(&step), expected);
        let size = Sourced::new(Bytes::new(8.0), Grade::Published, "a data sheet");
        assert_eq!(sourced(&size)["unit"], "B");
        assert_eq!(sourced(&size)["grade"], "published");
    }
}
