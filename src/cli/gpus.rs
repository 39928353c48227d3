//! GPU counts as people write them: `192`, `8..64:8`, `8,64,192`.

use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// The largest number of GPUs that is planned for.
pub const MAX_GPUS: u32 = 1 << 24;
/// The longest sweep.
const MAX_SWEEP: usize = 1024;

/// One GPU count, or several to sweep over, rising and without repetition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpus(Vec<u32>);

impl Gpus {
    /// The counts, rising; never empty.
    #[must_use]
    pub fn counts(&self) -> &[u32] {
        &self.0
    }
}

impl fmt::Display for Gpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.0.iter().map(u32::to_string).collect();
        f.write_str(&words.join(","))
    }
}

/// Why a GPU count could not be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum GpusError {
    /// Not a number at all.
    #[error("a GPU count is written like 192, 8..64:8 or 8,64,192")]
    NotANumber(String),
    /// Zero, negative or beyond what is planned for.
    #[error("a GPU count is between 1 and 16,777,216")]
    OutOfRange(String),
    /// A range that runs backwards.
    #[error("the range is empty; write the smaller count first")]
    EmptyRange(u32, u32),
    /// A step of zero, or one that is no number.
    #[error("a step is a whole number from 1 on, as in 8..64:8")]
    BadStep(String),
    /// More points than anybody wants to read.
    #[error("{0} GPU counts are too many for a sweep (at most 1024); take a larger step")]
    TooMany(usize),
}

impl FromStr for Gpus {
    type Err = GpusError;

    fn from_str(text: &str) -> Result<Self, GpusError> {
        let mut counts = Vec::new();
        for item in text.split(',') {
            let (first, last, step) = item_range(item.trim())?;
            let points = ((last - first) / step) as usize + 1;
            if counts.len() + points > MAX_SWEEP {
                return Err(GpusError::TooMany(counts.len() + points));
            }
            counts.extend((first..=last).step_by(step as usize));
        }
        counts.sort_unstable();
        counts.dedup();
        Ok(Self(counts))
    }
}

/// First, last and step of one item between commas; a single count is a range of one.
fn item_range(item: &str) -> Result<(u32, u32, u32), GpusError> {
    let Some((first, rest)) = item.split_once("..") else {
        let only = count(item)?;
        return Ok((only, only, 1));
    };
    let (last, step) = match rest.split_once(':') {
        Some((last, step)) => (last, self::step(step)?),
        None => (rest, 1),
    };
    let (first, last) = (count(first)?, count(last)?);
    if last < first {
        return Err(GpusError::EmptyRange(first, last));
    }
    Ok((first, last, step))
}

fn count(text: &str) -> Result<u32, GpusError> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(GpusError::NotANumber(text.to_string()));
    }
    // What does not fit into 32 bits is out of range like any other large number.
    let in_range = text.parse().ok().filter(|n| (1..=MAX_GPUS).contains(n));
    in_range.ok_or_else(|| GpusError::OutOfRange(text.to_string()))
}

fn step(text: &str) -> Result<u32, GpusError> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| GpusError::BadStep(text.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Vec<u32>, GpusError> {
        text.parse::<Gpus>().map(|g| g.0)
    }

    #[test]
    fn the_three_forms() {
        assert_eq!(parse("192"), Ok(vec![192]));
        assert_eq!(parse("8..32:8"), Ok(vec![8, 16, 24, 32]));
        assert_eq!(parse("6..9"), Ok(vec![6, 7, 8, 9]));
        assert_eq!(parse("8..31:8"), Ok(vec![8, 16, 24]));
        assert_eq!(parse("64,8, 64,128"), Ok(vec![8, 64, 128]));
        assert_eq!(parse("16777216"), Ok(vec![MAX_GPUS]));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let out = |t: &str| Err(GpusError::OutOfRange(t.into()));
        let not = |t: &str| Err(GpusError::NotANumber(t.into()));
        assert_eq!(parse("0"), out("0"));
        assert_eq!(parse("-4"), out("-4"));
        assert_eq!(parse("16777217"), out("16777217"));
        assert_eq!(parse("99999999999999999999"), out("99999999999999999999"));
        assert_eq!(parse("1e6"), not("1e6"));
        assert_eq!(parse("192.5"), not("192.5"));
        assert_eq!(parse(""), not(""));
        assert_eq!(parse("8,,64"), not(""));
        assert_eq!(parse("64..8"), Err(GpusError::EmptyRange(64, 8)));
        assert_eq!(parse("8..64:0"), Err(GpusError::BadStep("0".into())));
        assert_eq!(parse("8..64:x2"), Err(GpusError::BadStep("x2".into())));
        assert_eq!(parse("1..16777216"), Err(GpusError::TooMany(16_777_216)));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[0-9.,:x-]{0,24}") {
            if let Ok(gpus) = text.parse::<Gpus>() {
                prop_assert!(!gpus.counts().is_empty());
                prop_assert!(gpus.counts().windows(2).all(|w| w[0] < w[1]));
                prop_assert_eq!(gpus.to_string().parse::<Gpus>(), Ok(gpus));
            }
        }
    }
}
