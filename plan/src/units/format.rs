//! Numbers to text: three significant digits, one formatter.

/// Formats `value` with `digits` significant digits and no exponent.
///
/// ```
/// assert_eq!(plan::units::significant(1017.6, 3), "1018");
/// assert_eq!(plan::units::significant(0.012345, 3), "0.0123");
/// ```
#[must_use]
pub fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { "0".into() } else { value.to_string() };
    }
    let decimals = |x: f64| (digits as i32 - 1 - x.abs().log10().floor() as i32).max(0) as usize;
    let first = format!("{value:.*}", decimals(value));
    // Rounding may have carried into a new digit (9.996 → 10.00); format what was rounded.
    let rounded: f64 = first.parse().unwrap_or(value);
    format!("{value:.*}", decimals(rounded))
}

/// A fraction as a percentage with one decimal.
#[must_use]
pub fn percent(fraction: f64) -> String {
    format!("{:.1} %", fraction * 100.0)
}

/// A count in SI steps: 86.3 M, 1.02 k, 404 B (billion, as the field writes parameters).
#[must_use]
pub fn count(n: f64) -> String {
    scaled(n, &[(1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")], "")
}

const SI_BYTES: [(f64, &str); 6] =
    [(1e15, "PB/s"), (1e12, "TB/s"), (1e9, "GB/s"), (1e6, "MB/s"), (1e3, "kB/s"), (1.0, "B/s")];
const IEC: [(f64, &str); 6] = [
    (1_125_899_906_842_624.0, "PiB"),
    (1_099_511_627_776.0, "TiB"),
    (1_073_741_824.0, "GiB"),
    (1_048_576.0, "MiB"),
    (1024.0, "KiB"),
    (1.0, "B"),
];
const WORK: [(f64, &str); 7] = [
    (1e18, "EFLOP"),
    (1e15, "PFLOP"),
    (1e12, "TFLOP"),
    (1e9, "GFLOP"),
    (1e6, "MFLOP"),
    (1e3, "kFLOP"),
    (1.0, "FLOP"),
];
const ENERGY: [(f64, &str); 3] = [(1e6, "GWh"), (1e3, "MWh"), (1.0, "kWh")];
const TIME: [(f64, &str); 4] = [(1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")];

pub(super) fn quantity(value: f64, kind: &str) -> String {
    match kind {
        "Bytes" => scaled(value, &IEC, "B"),
        "Seconds" => duration(value),
        "Flops" => scaled(value, &WORK, "FLOP"),
        "BytesPerSecond" => scaled(value, &SI_BYTES, "B/s"),
        "FlopsPerSecond" => scaled(value, &WORK, "FLOP") + "/s",
        "Dollars" => format!("${}", money(value)),
        "DollarsPerHour" => format!("${}/h", money(value)),
        "KilowattHours" => scaled(value, &ENERGY, "kWh"),
        _ => format!("{} W", significant(value, 3)),
    }
}

fn duration(value: f64) -> String {
    if value >= 3600.0 {
        format!("{} h", significant(value / 3600.0, 3))
    } else if value >= 600.0 {
        format!("{} min", significant(value / 60.0, 3))
    } else {
        scaled(value, &TIME, "s")
    }
}

fn money(value: f64) -> String {
    if value >= 1000.0 { significant(value, 3) } else { format!("{value:.2}") }
}

/// Picks the largest unit that leaves at least one whole unit after rounding.
fn scaled(value: f64, units: &[(f64, &str)], base: &str) -> String {
    if value == 0.0 {
        return format!("0 {base}").trim_end().to_string();
    }
    let digits = |x: f64| significant(x, 3);
    for &(size, name) in units {
        let shown = value / size;
        if shown.abs() >= 0.9995 {
            return format!("{} {name}", digits(shown));
        }
    }
    match units.last() {
        Some(&(size, name)) if size <= 1.0 => format!("{} {name}", digits(value / size)),
        _ => format!("{} {base}", digits(value)).trim_end().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_everywhere() {
        assert_eq!(quantity(1.018, "Seconds"), "1.02 s");
        assert_eq!(quantity(0.0137, "Seconds"), "13.7 ms");
        assert_eq!(quantity(9.2e-6, "Seconds"), "9.20 µs");
        assert_eq!(quantity(7200.0, "Seconds"), "2.00 h");
        assert_eq!(quantity(1830.0, "Seconds"), "30.5 min");
        assert_eq!(quantity(102.6, "Seconds"), "103 s");
        assert_eq!(quantity(6.3 * 1_073_741_824.0, "Bytes"), "6.30 GiB");
        assert_eq!(quantity(125e12, "FlopsPerSecond"), "125 TFLOP/s");
        assert_eq!(quantity(12.5e9, "BytesPerSecond"), "12.5 GB/s");
        assert_eq!(quantity(2.5, "DollarsPerHour"), "$2.50/h");
        assert_eq!(quantity(51_200.0, "KilowattHours"), "51.2 MWh");
        assert_eq!(count(86_282_561.0), "86.3 M");
        assert_eq!(significant(9.996, 3), "10.0");
        assert_eq!(quantity(0.0, "Bytes"), "0 B");
    }
}
