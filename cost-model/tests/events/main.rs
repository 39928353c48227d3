//! The event simulator against closed forms, the recurrence, and itself.

mod contention;
mod folding;
mod programs;
mod published;
mod schedules;
mod whole;

use cost_model::events::{Durations, Fold, Options, Prepared, Prices};
use programs::Timed;

/// Makespan of a program with no rank differing.
fn makespan(timed: &Timed, contention: f64, options: &Options) -> f64 {
    let prices = Prices::given(timed.charges.clone(), contention);
    let fold = Fold::classes(&timed.program);
    let durations = Durations::Prices(&prices);
    let prepared = Prepared::new(&timed.program, durations, fold, options).unwrap();
    prepared.run().unwrap().makespan().get()
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}
