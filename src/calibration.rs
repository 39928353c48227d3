//! Constants of software stacks from measured steps: which rows are fitted together, and how well.
//!
//! Rows of one stack on one device are a [`Case`]. Its constants are fitted to all of its rows; the
//! error that is told beside it comes from two further fits, each to the rows of every other model
//! and judged on the rest, so that it says something about models that were not seen.

mod file;
pub mod machine;

pub use file::overlay;

use crate::catalog::Catalog;
use crate::diagnostics::Failure;
use crate::published::{Row, Rules, Scored, score, score_under};
use cost_model::Stack;
use cost_model::fit::{CONSTANTS, Free, FreeConstant, fit};
use std::collections::{BTreeMap, BTreeSet};

/// Fewer rows are not fitted.
const LEAST_ROWS: usize = 6;
/// A constant is left alone where moving it by its whole spread moves no step by more than this.
const NO_MATTER: f64 = 0.004;
/// Residual of a row that constants make impossible to price.
const UNPRICED: f64 = 1.0;

/// Rows of one stack on one device.
#[derive(Clone, Debug)]
pub struct Case {
    /// The stack.
    pub stack: String,
    /// The device.
    pub device: String,
    /// The rows.
    pub rows: Vec<Row>,
}

/// A constant before and after.
#[derive(Clone, Copy, Debug)]
pub struct Moved {
    /// Which one.
    pub constant: &'static FreeConstant,
    /// Before.
    pub before: f64,
    /// After.
    pub after: f64,
}

/// A fitted case.
#[derive(Clone, Debug)]
pub struct Calibration {
    /// What was fitted.
    pub case: Case,
    /// Constants that matter.
    pub constants: Vec<Moved>,
    /// `ln(predicted/measured)` before, row by row.
    pub before: Vec<f64>,
    /// The same after.
    pub after: Vec<f64>,
    /// The same on models that were left out; empty where there is only one model.
    pub held_out: Vec<f64>,
}

/// Where rows are scored.
pub struct Bench<'a> {
    /// Stacks and devices.
    pub catalog: &'a Catalog,
    /// What words of rows mean.
    pub rules: &'a Rules,
    /// Constants to fit; empty: all that matter.
    pub free: Vec<&'static FreeConstant>,
}

/// Groups scored rows by stack and device. Rows without prediction or time are left out.
#[must_use]
pub fn cases(scored: Vec<Scored>) -> Vec<Case> {
    let mut all: BTreeMap<(String, String), Vec<Row>> = BTreeMap::new();
    for one in scored.into_iter().filter(|s| s.ratio().is_some_and(f64::is_finite)) {
        all.entry((one.stack, one.device)).or_default().push(one.row);
    }
    let big = all.into_iter().filter(|(_, rows)| rows.len() >= LEAST_ROWS);
    big.map(|((stack, device), rows)| Case { stack, device, rows }).collect()
}

impl Bench<'_> {
    /// The cases of some rows.
    #[must_use]
    pub fn cases(&self, rows: Vec<Row>) -> Vec<Case> {
        cases(score(self.catalog, self.rules, rows))
    }

    /// Fits a case.
    ///
    /// # Errors
    /// A stack file that cannot be read.
    pub fn calibrate(&self, case: Case) -> Result<Calibration, Failure> {
        let base = self.catalog.stack(&case.stack)?;
        let start = base.on(&case.device).clone();
        let trial = |rows: &[Row]| Trial {
            bench: self,
            base: &base,
            device: &case.device,
            rows: rows.to_vec(),
        };
        let whole = trial(&case.rows);
        let before = whole.residuals(&[], &[]);
        let constants = self.constants(&whole, &start, &before);
        let values = whole.fit(&constants, &start);
        let after = whole.residuals(&constants, &values);
        let mut held_out = Vec::new();
        for (seen, unseen) in halves(&case.rows) {
            let values = trial(&seen).fit(&constants, &start);
            held_out.extend(trial(&unseen).residuals(&constants, &values));
        }
        let moved = |(constant, after): (&'static FreeConstant, f64)| Moved {
            constant,
            before: constant.of(&start),
            after,
        };
        let constants = constants.into_iter().zip(values).map(moved).collect();
        Ok(Calibration { case, constants, before, after, held_out })
    }

    /// The constants that were asked for, or those that matter to the rows.
    fn constants(
        &self,
        trial: &Trial<'_>,
        start: &Stack,
        before: &[f64],
    ) -> Vec<&'static FreeConstant> {
        if !self.free.is_empty() {
            return self.free.clone();
        }
        let matters = |constant: &&'static FreeConstant| {
            let Free { start, spread, low, high } = constant.free(start);
            let moved = if start + spread > high { start - spread } else { start + spread };
            let value = constant.value(moved.clamp(low, high));
            let there = trial.residuals(&[*constant], &[value]);
            there.iter().zip(before).any(|(a, b)| (a - b).abs() > NO_MATTER)
        };
        CONSTANTS.iter().filter(matters).collect()
    }
}

/// Some rows under one stack with changed constants on one device.
struct Trial<'a> {
    bench: &'a Bench<'a>,
    base: &'a Stack,
    device: &'a str,
    rows: Vec<Row>,
}

impl Trial<'_> {
    fn residuals(&self, constants: &[&'static FreeConstant], values: &[f64]) -> Vec<f64> {
        let mut here = self.base.on(self.device).clone();
        here.on.clear();
        for (constant, value) in constants.iter().zip(values) {
            constant.set(&mut here, *value, "a trial");
        }
        let mut stack = self.base.clone();
        stack.on.insert(self.device.to_string(), here);
        let stacks = BTreeMap::from([(stack.name.clone(), stack)]);
        let scored = score_under(self.bench.catalog, self.bench.rules, self.rows.clone(), &stacks);
        scored.iter().map(|s| s.ratio().map_or(UNPRICED, f64::ln)).collect()
    }

    fn fit(&self, constants: &[&'static FreeConstant], start: &Stack) -> Vec<f64> {
        let free: Vec<Free> = constants.iter().map(|c| c.free(start)).collect();
        let values = |at: &[f64]| -> Vec<f64> {
            constants.iter().zip(at).map(|(c, x)| c.value(*x)).collect()
        };
        let found = fit(&free, &mut |at: &[f64]| self.residuals(constants, &values(at)));
        values(&found.values)
    }
}

/// Rows of every other model, and the rest; then the other way round.
fn halves(rows: &[Row]) -> Vec<(Vec<Row>, Vec<Row>)> {
    let models: BTreeSet<&str> = rows.iter().map(|r| r.model.as_str()).collect();
    if models.len() < 2 {
        return Vec::new();
    }
    let odd: BTreeSet<&str> = models.into_iter().skip(1).step_by(2).collect();
    let (a, b): (Vec<Row>, Vec<Row>) =
        rows.iter().cloned().partition(|row| odd.contains(row.model.as_str()));
    vec![(a.clone(), b.clone()), (b, a)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(model: &str) -> Row {
        Row { model: model.into(), ..Row::default() }
    }

    /// Models a, b, c: b is one half, a and c the other; both halves are judged once.
    #[test]
    fn models_are_left_out_whole() {
        let rows = ["a", "b", "a", "c"].map(row);
        let halves = halves(&rows);
        let sizes: Vec<(usize, usize)> = halves.iter().map(|(a, b)| (a.len(), b.len())).collect();
        assert_eq!(sizes, [(1, 3), (3, 1)]);
        assert!(super::halves(&["a", "a"].map(row)).is_empty());
    }
}
