//! Values of flags that are more than a number or a word.

use plan::schedule::LocalSteps;
use plan::units::{Bytes, Quantity, Seconds};
use std::num::{NonZeroU32, NonZeroU64};
use std::ops::RangeInclusive;

/// A decision that is left to the planner, or pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin<T> {
    /// The planner decides.
    Auto,
    /// Exactly this.
    To(T),
}

impl<T> Pin<T> {
    /// The pinned value.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Auto => None,
            Self::To(value) => Some(value),
        }
    }
}

/// Reads `auto` or a degree of at least one.
pub fn degree(text: &str) -> Result<Pin<NonZeroU32>, String> {
    if text == "auto" {
        return Ok(Pin::Auto);
    }
    let number = text.parse::<NonZeroU32>().ok();
    let in_range = number.filter(|n| n.get() <= super::gpus::MAX_GPUS);
    in_range.map(Pin::To).ok_or_else(|| "it is `auto` or a whole number from 1 on".to_string())
}

/// Reads a whole number from one on.
pub fn positive(text: &str) -> Result<NonZeroU64, String> {
    text.parse().map_err(|_| "it is a whole number from 1 on".to_string())
}

/// Reads a number of devices.
pub fn devices(text: &str) -> Result<NonZeroU32, String> {
    let number = text.parse::<NonZeroU32>().ok().filter(|n| n.get() <= super::gpus::MAX_GPUS);
    number.ok_or_else(|| "the explorer begins with one number of GPUs, such as 192".to_string())
}

/// Reads columns and rows, such as `100x30`.
pub fn screen(text: &str) -> Result<(u16, u16), String> {
    let number = |n: &str| n.parse::<u16>().ok().filter(|n| (1..=500).contains(n));
    let both = text.split_once('x').and_then(|(w, h)| Some((number(w)?, number(h)?)));
    both.ok_or_else(|| "it is columns x rows, such as 100x30, each up to 500".to_string())
}

/// A parser of whole numbers in a range.
pub fn within(
    range: RangeInclusive<u16>,
) -> impl Fn(&str) -> Result<u16, String> + Clone + Send + Sync {
    move |text| {
        let number = text.parse().ok().filter(|n| range.contains(n));
        let (least, most) = (range.start(), range.end());
        number.ok_or_else(|| format!("it is a whole number from {least} to {most}"))
    }
}

/// Reads `rank=3`.
pub fn rank(text: &str) -> Result<u32, String> {
    let number = text.strip_prefix("rank=").and_then(|number| number.parse().ok());
    number.ok_or_else(|| "it is `rank=` and the number of a rank, such as rank=3".to_string())
}

/// Reads `auto` or a ZeRO stage.
pub fn zero_stage(text: &str) -> Result<Pin<u8>, String> {
    match text {
        "auto" => Ok(Pin::Auto),
        "0" | "1" | "2" | "3" => Ok(Pin::To(text.as_bytes()[0] - b'0')),
        _ => Err("it is `auto`, 0, 1, 2 or 3".to_string()),
    }
}

/// Reads `30` or `30:3:5`: a period, fragments and a delay.
pub fn local_steps(text: &str) -> Result<LocalSteps, String> {
    let numbers: Option<Vec<u32>> = text.split(':').map(|n| n.trim().parse().ok()).collect();
    let policy = match numbers.as_deref() {
        Some([every]) => LocalSteps { every: *every, fragments: 1, delay: 0 },
        Some([every, fragments, delay]) => {
            LocalSteps { every: *every, fragments: *fragments, delay: *delay }
        }
        _ => return Err("it is a number of steps, or steps:fragments:delay such as 30:3:5".into()),
    };
    match policy.is_sound() && policy.fragments <= policy.every && policy.every <= 100_000 {
        true => Ok(policy),
        false => Err("the period is 1 to 100000 steps, fragments are at most as many, and the \
                      delay is below the period"
            .into()),
    }
}

/// How much of the device memory a plan may use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MemoryLimit {
    /// A fraction of what the device has.
    Fraction(f64),
    /// An amount.
    Amount(Bytes),
}

/// Reads `90%` or `70GiB`.
pub fn memory_limit(text: &str) -> Result<MemoryLimit, String> {
    match text.trim().strip_suffix('%') {
        Some(number) => {
            let percent: f64 = number.trim().parse().unwrap_or(f64::NAN);
            let is_share = percent > 0.0 && percent <= 100.0;
            let limit = MemoryLimit::Fraction(percent / 100.0);
            if is_share { Ok(limit) } else { Err("a share is above 0% and up to 100%".into()) }
        }
        None => size(text).map(MemoryLimit::Amount),
    }
}

/// Reads a probability such as `80%`, from one half on.
pub fn quantile(text: &str) -> Result<f64, String> {
    let percent = text.trim().strip_suffix('%').and_then(|number| number.trim().parse().ok());
    let in_range = percent.filter(|p: &f64| (50.0..=99.0).contains(p));
    in_range.map(|p| p / 100.0).ok_or_else(|| "it is from 50% to 99%".to_string())
}

/// Reads a size such as `2GiB`.
pub fn size(text: &str) -> Result<Bytes, String> {
    Bytes::parse(text).map_err(|error| error.to_string())
}

/// Reads a time such as `30s`.
pub fn time(text: &str) -> Result<Seconds, String> {
    Seconds::parse(text).map_err(|error| error.to_string())
}

/// Reads a count of tokens: `4194304`, `300B`, `4M`, `3e11`.
pub fn tokens(text: &str) -> Result<f64, String> {
    let text = text.trim();
    let suffixes = [('k', 1e3), ('M', 1e6), ('B', 1e9), ('T', 1e12)];
    let found = suffixes.iter().find_map(|(c, f)| Some((text.strip_suffix(*c)?, *f)));
    let (digits, factor) = found.unwrap_or((text, 1.0));
    let number = digits.trim().parse::<f64>().ok().map(|n| n * factor);
    let number = number.filter(|n| n.is_finite() && *n >= 1.0);
    number.ok_or_else(|| "it is a number of tokens such as 300B, 4M or 4194304".to_string())
}

/// Reads a loss in nats per token.
pub fn loss(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|n| n.is_finite() && *n > 0.0);
    number.ok_or_else(|| "it is a loss in nats per token, such as 2.1".to_string())
}

/// Reads a learning rate or another positive number.
pub fn rate(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|n| n.is_finite() && *n > 0.0);
    number.ok_or_else(|| "it is a number above 0".to_string())
}

/// Reads a share above 0 and up to 1.
pub fn share(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|n| *n > 0.0 && *n <= 1.0);
    number.ok_or_else(|| "it is a share above 0 and up to 1".to_string())
}

/// Reads a power usage effectiveness.
pub fn effectiveness(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|n| (1.0..=10.0).contains(n));
    number.ok_or_else(|| "it is total over computing power, from 1 on".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_auto_or_positive() {
        assert_eq!(degree("auto"), Ok(Pin::Auto));
        assert_eq!(degree("8").unwrap().value().map(NonZeroU32::get), Some(8));
        for text in ["0", "-1", "1.5", "", "4294967296", "16777217"] {
            assert!(degree(text).is_err(), "{text}");
        }
        assert_eq!(zero_stage("3"), Ok(Pin::To(3)));
        assert!(zero_stage("4").is_err());
    }

    #[test]
    fn local_steps_read_back() {
        let policy = LocalSteps { every: 30, fragments: 3, delay: 5 };
        assert_eq!(local_steps("30:3:5"), Ok(policy));
        assert_eq!(local_steps(&policy.to_string()), Ok(policy));
        let plain = LocalSteps { every: 100, fragments: 1, delay: 0 };
        assert_eq!(local_steps("100"), Ok(plain));
        for text in ["", "0", "30:3", "30:31:0", "30:3:30", "-1", "30:0:1", "1e3"] {
            assert!(local_steps(text).is_err(), "{text}");
        }
    }

    #[test]
    fn tokens_have_suffixes() {
        assert_eq!(tokens("300B"), Ok(3e11));
        assert_eq!(tokens("4M"), Ok(4e6));
        assert_eq!(tokens("1.5 k"), Ok(1500.0));
        assert_eq!(tokens("3e11"), Ok(3e11));
        for text in ["", "B", "-3M", "0", "nan", "1e400"] {
            assert!(tokens(text).is_err(), "{text}");
        }
    }

    #[test]
    fn limits_carry_their_unit() {
        assert_eq!(memory_limit("90%"), Ok(MemoryLimit::Fraction(0.9)));
        assert_eq!(quantile("80%"), Ok(0.8));
        assert!(["49%", "100%", "0.8", "x%", "NaN%"].iter().all(|text| quantile(text).is_err()));
        assert_eq!(memory_limit("1GiB"), Ok(MemoryLimit::Amount(Bytes::new(1_073_741_824.0))));
        for text in ["0%", "101%", "nan%", "%", "70", "-1GiB"] {
            assert!(memory_limit(text).is_err(), "{text}");
        }
        assert_eq!(time("30s"), Ok(Seconds::new(30.0)));
        assert!(time("30").unwrap_err().contains("needs a unit"));
    }
}
