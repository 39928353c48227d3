//! How far predictions are from published measurements: groups, errors, coverage.

mod conformal;
mod fits;
mod flags;
mod floor;
mod group;
mod measures;
mod particular;
mod questions;
mod ranking;
mod summary;

pub use conformal::fit as fit_intervals;
pub use fits::Fits;
pub use flags::{Flag, flags};
pub use group::Axis;
pub use measures::{Errors, mean};

use measures::errors;
pub use ranking::{Choice, Choices, QUANTILE, Ranking};
pub use summary::{Rows, Summary, apply};

use crate::published::Scored;
use std::collections::BTreeMap;

/// What is known about a group of rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Splits that its rows belong to.
    pub splits: String,
    /// Rows.
    pub rows: usize,
    /// Rows with a predicted and a measured time.
    pub scored: usize,
    /// Errors of the predictions.
    pub errors: Option<Errors>,
    /// Part of the measurements inside of the stated interval.
    pub coverage: Option<f64>,
    /// Errors of the trivial baseline.
    pub baseline: Option<Errors>,
    /// Error of predicted memory, where memory was published.
    pub memory: Option<(usize, Errors)>,
}

impl Group {
    /// Summarises rows.
    #[must_use]
    pub fn of(name: &str, rows: &[&Scored]) -> Self {
        let timed: Vec<(f64, f64, bool)> = rows.iter().filter_map(|s| timed(s)).collect();
        let ratios: Vec<f64> = timed.iter().map(|t| t.0).collect();
        let baseline: Vec<f64> = timed.iter().map(|t| t.1).collect();
        let inside = timed.iter().filter(|t| t.2).count();
        let memory: Vec<f64> = rows.iter().filter_map(|s| memory_ratio(s)).collect();
        let mut splits: Vec<&str> = rows.iter().map(|s| s.row.split.as_str()).collect();
        splits.sort_unstable();
        splits.dedup();
        Self {
            name: name.to_string(),
            splits: splits.join("+"),
            rows: rows.len(),
            scored: timed.len(),
            errors: errors(&ratios),
            coverage: (!timed.is_empty()).then(|| inside as f64 / timed.len() as f64),
            baseline: errors(&baseline),
            memory: errors(&memory).map(|e| (memory.len(), e)),
        }
    }
}

/// Predicted over measured time, the same of the baseline, and whether the interval holds it.
fn timed(scored: &Scored) -> Option<(f64, f64, bool)> {
    let measured = scored.measured?;
    let prediction = scored.prediction.as_ref().ok()?;
    let inside = (prediction.low.get()..=prediction.high.get()).contains(&measured);
    Some((prediction.step.get() / measured, prediction.baseline.get() / measured, inside))
}

/// Predicted over published memory.
#[must_use]
pub fn memory_ratio(scored: &Scored) -> Option<f64> {
    let (published, _) = scored.memory?;
    scored.prediction.as_ref().ok().map(|p| p.memory.get() / published)
}

/// Why rows have no prediction, with how many: most first.
#[must_use]
pub fn skipped(rows: &[Scored]) -> Vec<(String, usize)> {
    let reasons = rows.iter().filter_map(|s| match &s.prediction {
        Err(skip) => Some(skip.class()),
        Ok(_) if s.measured.is_none() => Some("no time was measured".to_string()),
        Ok(_) => None,
    });
    counted(reasons)
}

/// What was assumed, with how often: most first.
#[must_use]
pub fn assumed(rows: &[Scored]) -> Vec<(String, usize)> {
    let all = rows.iter().filter_map(|s| s.prediction.as_ref().ok());
    counted(all.flat_map(|p| p.assumed.0.iter().map(ToString::to_string)))
}

fn counted(texts: impl Iterator<Item = String>) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for text in texts {
        *counts.entry(text).or_default() += 1;
    }
    let mut all: Vec<(String, usize)> = counts.into_iter().collect();
    all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    all
}
