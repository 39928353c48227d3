//! Axes: from values to places, and where marks stand.

/// Even steps from one value to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// `low` is drawn at `from`, `high` at `to`.
    #[must_use]
    pub fn new((low, high): (f64, f64), (from, to): (f64, f64)) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        Self { low, high, from, to }
    }

    /// The place of a value.
    #[must_use]
    pub fn at(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Round values inside, about `count` of them.
    #[must_use]
    pub fn marks(&self, count: usize) -> Vec<f64> {
        let step = round_step((self.high - self.low) / count.max(1) as f64);
        let first = (self.low / step - 1e-9).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        (first..=last).map(|i| i as f64 * step).collect()
    }
}

/// The next of 1, 2, 2.5, 5, 10 times a power of ten.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.max(f64::MIN_POSITIVE).log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0];
    let step = steps.into_iter().find(|s| s * power >= least * (1.0 - 1e-9));
    step.unwrap_or(10.0) * power
}

/// Equal factors at equal distances.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Log(Scale);

impl Log {
    /// `low` is drawn at `from`, `high` at `to`; both are positive.
    #[must_use]
    pub fn new((low, high): (f64, f64), places: (f64, f64)) -> Self {
        let log = |value: f64| value.max(f64::MIN_POSITIVE).log2();
        Self(Scale::new((log(low), log(high)), places))
    }

    /// The place of a value.
    #[must_use]
    pub fn at(&self, value: f64) -> f64 {
        self.0.at(value.max(f64::MIN_POSITIVE).log2())
    }

    /// 1, 2 and 5 times powers of ten inside, or the powers alone where those are more than
    /// `count`.
    #[must_use]
    pub fn tens(&self, count: usize) -> Vec<f64> {
        let (low, high) = (self.0.low.exp2() * (1.0 - 1e-9), self.0.high.exp2() * (1.0 + 1e-9));
        let powers = low.log10().floor() as i32..=high.log10().ceil() as i32;
        let inside = |steps: &[f64]| -> Vec<f64> {
            let all = powers.clone().flat_map(|p| steps.iter().map(move |s| s * 10f64.powi(p)));
            all.filter(|value| (low..=high).contains(value)).collect()
        };
        let all = inside(&[1.0, 2.0, 5.0]);
        if all.len() <= count { all } else { inside(&[1.0]) }
    }

    /// Powers of two inside, at most `count` of them, with a whole power between any two.
    #[must_use]
    pub fn marks(&self, count: usize) -> Vec<f64> {
        let (low, high) = ((self.0.low - 1e-9).ceil() as i64, (self.0.high + 1e-9).floor() as i64);
        let every = ((high - low) as usize / count.max(1) + 1).max(1);
        (low..=high).step_by(every).map(|power| 2f64.powi(power as i32)).collect()
    }
}

/// Text of a mark: as many decimals as the distance between marks asks for.
#[must_use]
pub fn mark(value: f64, marks: &[f64]) -> String {
    let step = marks.windows(2).map(|w| w[1] - w[0]).fold(f64::INFINITY, f64::min);
    let decimals = match step {
        s if s >= 1.0 && (s - s.round()).abs() < 1e-9 => 0,
        s if (s * 10.0 - (s * 10.0).round()).abs() < 1e-6 => 1,
        s if s >= 0.01 => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    match text.split_once('.') {
        None => grouped(&text),
        Some((whole, rest)) => format!("{}.{rest}", grouped(whole)),
    }
}

fn grouped(digits: &str) -> String {
    digits.parse().map_or_else(|_| digits.to_string(), crate::render::number::grouped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_inside() {
        let scale = Scale::new((0.0, 1.02), (0.0, 100.0));
        assert_eq!(scale.marks(5), [0.0, 0.25, 0.5, 0.75, 1.0]);
        assert_eq!(scale.at(0.51), 50.0);
        let scale = Scale::new((921.0, 1_490.0), (0.0, 1.0));
        assert_eq!(scale.marks(4), [1_000.0, 1_200.0, 1_400.0]);
        assert_eq!(Scale::new((3.0, 3.0), (0.0, 1.0)).at(3.0), 0.0);
    }

    #[test]
    fn logarithms_step_by_whole_powers() {
        let log = Log::new((8.0, 8192.0), (0.0, 100.0));
        // Ten doublings: two at a time are six marks.
        assert_eq!(log.marks(6), [8.0, 32.0, 128.0, 512.0, 2048.0, 8192.0]);
        assert!((log.at(256.0) - 50.0).abs() < 1e-9);
    }

    #[test]
    fn decimal_marks_are_thinned_to_powers() {
        let log = Log::new((0.04, 20.0), (0.0, 1.0));
        assert_eq!(log.tens(9), [0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0]);
        assert_eq!(log.tens(8), [0.1, 1.0, 10.0]);
    }

    #[test]
    fn marks_have_the_decimals_that_tell_them_apart() {
        assert_eq!(mark(0.25, &[0.0, 0.25]), "0.25");
        assert_eq!(mark(0.5, &[0.0, 0.5]), "0.5");
        assert_eq!(mark(1200.0, &[1000.0, 1200.0]), "1,200");
        assert_eq!(mark(2.0, &[0.0, 2.0]), "2");
    }
}
