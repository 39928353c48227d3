//! Does it fit? Predictions against configurations that did not run, and those that did.

use super::flags::{Flag, flags};
use crate::published::Scored;

/// How often "does not fit" was right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fits {
    /// Configurations that ran out of memory, for certain.
    pub out_of_memory: usize,
    /// Those of them that were predicted not to fit.
    pub recalled: usize,
    /// Configurations without a result: out of memory, or anything else.
    pub no_result: usize,
    /// Those of them that were predicted not to fit.
    pub no_result_recalled: usize,
    /// Configurations that ran.
    pub ran: usize,
    /// Those of them that were predicted not to fit.
    pub false_alarms: usize,
    /// Configurations that could not be expressed.
    pub skipped: usize,
}

impl Fits {
    /// Counts over configurations at the limit and over runs.
    #[must_use]
    pub fn of(limits: &[Scored], runs: &[Scored]) -> Self {
        let mut fits = Self::default();
        for scored in limits {
            fits.limit(scored);
        }
        // States that are kept on the host are predicted on the device.
        let is_whole = |s: &&Scored| s.measured.is_some() && !flags(s).contains(&Flag::Offload);
        for scored in runs.iter().filter(is_whole) {
            if let Ok(prediction) = &scored.prediction {
                fits.ran += 1;
                fits.false_alarms += usize::from(prediction.fill > 1.0);
            }
        }
        fits
    }

    fn limit(&mut self, scored: &Scored) {
        let Ok(prediction) = &scored.prediction else {
            self.skipped += 1;
            return;
        };
        let fails = usize::from(prediction.fill > 1.0);
        match outcome(&scored.row.outcome) {
            Outcome::OutOfMemory => {
                (self.out_of_memory, self.recalled) =
                    (self.out_of_memory + 1, self.recalled + fails)
            }
            Outcome::NoResult => {
                (self.no_result, self.no_result_recalled) =
                    (self.no_result + 1, self.no_result_recalled + fails)
            }
            Outcome::Ran => {
                (self.ran, self.false_alarms) = (self.ran + 1, self.false_alarms + fails)
            }
        }
    }

    /// Part of what ran out of memory that was predicted to.
    #[must_use]
    pub fn recall(&self) -> Option<f64> {
        ratio(self.recalled, self.out_of_memory)
    }

    /// Part of what was predicted not to fit that certainly did not, over certain outcomes.
    #[must_use]
    pub fn precision(&self) -> Option<f64> {
        ratio(self.recalled, self.recalled + self.false_alarms)
    }

    /// Part of what ran that was predicted not to.
    #[must_use]
    pub fn alarm_rate(&self) -> Option<f64> {
        ratio(self.false_alarms, self.ran)
    }

    /// Part of the configurations without result that were predicted not to fit.
    #[must_use]
    pub fn no_result_rate(&self) -> Option<f64> {
        ratio(self.no_result_recalled, self.no_result)
    }
}

enum Outcome {
    OutOfMemory,
    NoResult,
    Ran,
}

/// What a word of the column `outcome` means.
fn outcome(word: &str) -> Outcome {
    let word = word.to_lowercase();
    match word.as_str() {
        w if w.starts_with("no result") || w.starts_with("crash") => Outcome::NoResult,
        w if w.contains("fits") || w.contains("max_batch") || w.contains("ran") => Outcome::Ran,
        w if w.contains("oom") || w.contains("memory") => Outcome::OutOfMemory,
        _ => Outcome::NoResult,
    }
}

fn ratio(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
