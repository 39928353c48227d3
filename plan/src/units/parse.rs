//! Text to numbers: a value always carries its unit.

use thiserror::Error;

/// Why a quantity could not be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum UnitError {
    /// The number stands alone.
    #[error("{what} needs a unit, for example \"{example}\"")]
    MissingUnit {
        /// The quantity, with article.
        what: &'static str,
        /// A correct example.
        example: &'static str,
    },
    /// There is a unit, but not one of this quantity.
    #[error("`{unit}` is not a unit of {what}; write it like \"{example}\"")]
    UnknownUnit {
        /// The unit as written.
        unit: String,
        /// The quantity, with article.
        what: &'static str,
        /// A correct example.
        example: &'static str,
    },
    /// No number, or one that is negative, infinite or not a number.
    #[error(
        "\"{text}\" does not start with a number that is zero or more; \
         write {what} like \"{example}\""
    )]
    BadNumber {
        /// The text as written.
        text: String,
        /// The quantity, with article.
        what: &'static str,
        /// A correct example.
        example: &'static str,
    },
}

pub(super) fn quantity(
    text: &str,
    kind: &str,
    what: &'static str,
    example: &'static str,
) -> Result<f64, UnitError> {
    let trimmed = text.trim();
    let bad = || UnitError::BadNumber { text: trimmed.to_string(), what, example };
    let is_money = kind.starts_with("Dollars");
    let body = if is_money { trimmed.strip_prefix('$').unwrap_or(trimmed) } else { trimmed };
    let (number, unit) = split(body);
    let value: f64 = number.replace(',', "").parse().map_err(|_| bad())?;
    if !value.is_finite() || value < 0.0 {
        return Err(bad());
    }
    if unit.is_empty() && !(is_money && kind == "Dollars" && trimmed.starts_with('$')) {
        return Err(UnitError::MissingUnit { what, example });
    }
    let factor = factor(kind, unit).ok_or_else(|| UnitError::UnknownUnit {
        unit: unit.to_string(),
        what,
        example,
    })?;
    let result = value * factor;
    if result.is_finite() { Ok(result) } else { Err(bad()) }
}

/// Splits "12.5 GB/s" into number and unit; an exponent belongs to the number.
fn split(text: &str) -> (&str, &str) {
    let bytes = text.as_bytes();
    let mut end = 0;
    while end < bytes.len() {
        let c = bytes[end];
        let is_exponent = matches!(c, b'e' | b'E')
            && end > 0
            && bytes.get(end + 1).is_some_and(|d| d.is_ascii_digit() || matches!(d, b'-' | b'+'));
        let is_sign =
            matches!(c, b'-' | b'+') && (end == 0 || matches!(bytes[end - 1], b'e' | b'E'));
        if c.is_ascii_digit() || matches!(c, b'.' | b',') || is_exponent || is_sign {
            end += 1;
        } else {
            break;
        }
    }
    (&text[..end], text[end..].trim())
}

fn factor(kind: &str, unit: &str) -> Option<f64> {
    match kind {
        "Bytes" => bytes(unit),
        "BytesPerSecond" => bandwidth(unit),
        "Flops" => work(unit),
        "FlopsPerSecond" => work(unit.strip_suffix("/s")?),
        "Seconds" => seconds(unit),
        "Dollars" => matches!(unit, "" | "USD").then_some(1.0),
        "DollarsPerHour" => matches!(unit, "/h" | "USD/h").then_some(1.0),
        "KilowattHours" => match unit {
            "kWh" => Some(1.0),
            "MWh" => Some(1e3),
            "GWh" => Some(1e6),
            _ => None,
        },
        _ => match unit {
            "W" => Some(1.0),
            "kW" => Some(1e3),
            _ => None,
        },
    }
}

fn bytes(unit: &str) -> Option<f64> {
    let iec = |power: i32| Some(1024f64.powi(power));
    match unit {
        "B" => Some(1.0),
        "KiB" => iec(1),
        "MiB" => iec(2),
        "GiB" => iec(3),
        "TiB" => iec(4),
        "PiB" => iec(5),
        _ => si(unit.strip_suffix('B')?),
    }
}

fn bandwidth(unit: &str) -> Option<f64> {
    let rate = unit.strip_suffix("/s")?;
    match rate.strip_suffix("bit") {
        Some(prefix) => Some(si(prefix)? / 8.0),
        None => bytes(rate),
    }
}

fn work(unit: &str) -> Option<f64> {
    si(unit.strip_suffix("FLOP").or_else(|| unit.strip_suffix("OP"))?)
}

fn seconds(unit: &str) -> Option<f64> {
    match unit {
        "h" => Some(3600.0),
        "min" => Some(60.0),
        "s" => Some(1.0),
        "ms" => Some(1e-3),
        "us" | "µs" | "μs" => Some(1e-6),
        "ns" => Some(1e-9),
        _ => None,
    }
}

fn si(prefix: &str) -> Option<f64> {
    match prefix {
        "" => Some(1.0),
        "k" => Some(1e3),
        "M" => Some(1e6),
        "G" => Some(1e9),
        "T" => Some(1e12),
        "P" => Some(1e15),
        "E" => Some(1e18),
        _ => None,
    }
}
