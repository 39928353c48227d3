//! A run to a loss: the batch is a decision too.
//!
//! `minimise over batches B, plans p:  T = t_step(p, B)·S(B)/g`, with the steps `S` to the loss of
//! [`cost_model::training::critical`] and the goodput `g` of [`cost_model::training::goodput`]; or
//! device-hours, dollars or energy, which are multiples of `T` for given devices. Batches are the
//! recipe's times powers of two. For each, the planner is asked as always.

use crate::answer::{Answer, Planned, plan};
use crate::label::label;
use crate::report::{machine_line, model_line};
use crate::request::{Effort, Objective, Request};
use cost_model::training::critical::CriticalBatch;
use cost_model::training::energy::Power;
use cost_model::training::goodput::Failures;
use plan::report::{TRAINING_SCHEMA, TrainingReport, TrainingRow};
use plan::units::{DollarsPerHour, Seconds};

/// Batches up to this power of two below and above the recipe's are tried.
const OCTAVES: u32 = 6;

/// What a run is for, and what it rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct Goal {
    /// What is minimised.
    pub objective: Objective,
    /// Tokens that the loss takes at tiny batches.
    pub least_tokens: f64,
    /// The critical batch.
    pub critical: CriticalBatch,
    /// Failures and checkpoints; `None`: there are none.
    pub failures: Option<Failures>,
    /// Power; `None`: not known.
    pub power: Option<Power>,
    /// Rent of one device; `None`: not known.
    pub price: Option<DollarsPerHour>,
    /// The statistical assumptions behind these numbers, in words.
    pub assumptions: Vec<String>,
}

/// A run with its best batch.
#[derive(Clone, Debug)]
pub struct Run {
    /// What each batch takes.
    pub report: TrainingReport,
    /// Sequences per step of the best row, with its plan proven best.
    pub best: Option<(u64, Box<Planned>)>,
}

/// Answers a question about a run: `None` in [`Run::best`] where no batch has a plan.
#[must_use]
pub fn train(request: &Request<'_>, goal: &Goal) -> Run {
    let tried = batches(request.global_sequences).into_iter();
    let mut rows: Vec<TrainingRow> = tried.filter_map(|n| row(request, goal, n)).collect();
    let scores: Vec<Option<f64>> = rows.iter().map(|r| score(r, goal.objective)).collect();
    let least = scores.iter().flatten().copied().fold(f64::INFINITY, f64::min);
    // Of equal rows the smaller batch: it needs fewer tokens.
    let best = scores.iter().position(|s| *s == Some(least));
    let best = best.map(|at| {
        rows[at].is_best = true;
        rows[at].global_sequences
    });
    let asked = |n: u64| Request { global_sequences: n, ..*request };
    let proven = best.and_then(|n| match plan(&asked(n), Objective::StepTime) {
        Answer::Plan(planned) => Some((n, planned)),
        _ => None,
    });
    let report = TrainingReport {
        schema: TRAINING_SCHEMA.into(),
        model: model_line(request),
        machine: machine_line(request),
        objective: goal.objective.name().into(),
        least_tokens: goal.least_tokens,
        critical_tokens: goal.critical.tokens,
        assumptions: goal.assumptions.clone(),
        rows,
    };
    Run { report, best: proven }
}

/// The recipe's batch times powers of two.
fn batches(recipe: u64) -> Vec<u64> {
    let smaller = (1..=OCTAVES).rev().map(|k| recipe >> k);
    let smaller = smaller.enumerate().filter(|(i, n)| {
        let octave = OCTAVES - u32::try_from(*i).unwrap_or(OCTAVES);
        *n > 0 && n << octave == recipe
    });
    let larger = (0..=OCTAVES).filter_map(|k| recipe.checked_mul(1 << k));
    smaller.map(|(_, n)| n).chain(larger).collect()
}

fn row(request: &Request<'_>, goal: &Goal, sequences: u64) -> Option<TrainingRow> {
    let asked = Request { global_sequences: sequences, effort: Effort::Labels, ..*request };
    let Answer::Plan(planned) = plan(&asked, Objective::StepTime) else { return None };
    let tokens_per_step = sequences as f64 * request.sequence() as f64;
    let steps = goal.critical.steps_needed(goal.least_tokens, tokens_per_step).ceil();
    let goodput = goal.failures.map_or(1.0, |f| f.goodput(request.gpus));
    let time: Seconds = planned.solution.step * (steps / goodput);
    let gpu_hours = time.get() / 3600.0 * f64::from(request.gpus);
    let power = goal.power.as_ref();
    Some(TrainingRow {
        global_sequences: sequences,
        tokens_per_step,
        label: label(&asked, &planned.solution),
        step_seconds: planned.solution.step.get(),
        steps,
        tokens: steps * tokens_per_step,
        goodput,
        seconds: time.get(),
        gpu_hours,
        dollars: goal.price.map(|p| p.get() * gpu_hours),
        kilowatt_hours: power.map(|p| p.energy(request.gpus, request.nodes(), time).get()),
        is_best: false,
    })
}

/// What the objective minimises; `None` where it is not known.
fn score(row: &TrainingRow, objective: Objective) -> Option<f64> {
    match objective {
        Objective::Dollars => row.dollars,
        Objective::GpuHours => Some(row.gpu_hours),
        Objective::KilowattHours => row.kilowatt_hours,
        _ => Some(row.seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_the_recipes_times_powers_of_two() {
        assert_eq!(batches(12), [3, 6, 12, 24, 48, 96, 192, 384, 768]);
        assert_eq!(batches(1)[..2], [1, 2]);
        assert_eq!(batches(256).len(), 13);
    }
}
