//! Ranking: how good the plan is that the predictions choose among those that were run.

use super::floor::{expected_regret, least_gain};
use super::measures::{mean, median, quantile, spearman};
use super::questions::{Plan, Question, questions};
use crate::published::Scored;
use planner::ranking::{Ranked, Rule};
use std::collections::BTreeMap;

/// Plans for one model on one cluster with one batch, all measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// Group and question in words.
    pub name: String,
    /// Group of its rows.
    pub group: String,
    /// Different plans.
    pub plans: usize,
    /// The plan of the least predicted step.
    pub fastest: Choice,
    /// The plan that is chosen at the stated quantile.
    pub chosen: Choice,
    /// The measured best, by id.
    pub best: String,
    /// Rank correlation of predicted and measured times; from three plans on.
    pub correlation: Option<f64>,
    /// The regret of a perfect prediction, where measurements repeat as they do.
    pub repeats: f64,
    /// The regret that is to be expected where errors are chance of the known size.
    pub chance: Option<f64>,
}

/// A choice in a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The plan, by id of its first row.
    pub id: String,
    /// How much slower it ran than the measured best.
    pub regret: f64,
    /// How much slower it ran than the best plain data parallelism, where that was run; below zero
    /// where it is faster.
    pub against_data_parallel: Option<f64>,
    /// How much longer it took, relative to its prediction, than the sweep's plans in the mean.
    pub curse: f64,
}

/// All sweeps together.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking {
    /// Sweeps.
    pub sweeps: usize,
    /// Plans in them.
    pub plans: usize,
    /// How the fastest predictions did.
    pub fastest: Choices,
    /// How the plans did that were chosen at the stated quantile.
    pub chosen: Choices,
    /// The quantile.
    pub quantile: f64,
    /// Mean rank correlation.
    pub correlation: Option<f64>,
    /// Sweeps in which plain data parallelism was run.
    pub with_data_parallel: usize,
    /// Standard deviation of the logarithm of a repeated measurement, where there are any.
    pub noise: f64,
    /// Mean regret of a perfect prediction.
    pub repeats: f64,
    /// Mean and 95th percentile of the regret that is to be expected from errors that are chance.
    pub chance: Option<(f64, f64)>,
    /// What was said about pairs of plans, and what came true.
    pub odds: Vec<Odds>,
}

/// How choices did in all sweeps together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choices {
    /// Mean regret.
    pub mean: f64,
    /// 95th percentile of the regret.
    pub worst: f64,
    /// Sweeps in which the choice lost to plain data parallelism by more than noise.
    pub losses: usize,
    /// How much longer choices took, relative to their predictions, than plans in the mean.
    pub curse: f64,
}

/// Pairs of plans about which as much was said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Odds {
    /// Mean of the stated probabilities that the plan predicted to be faster is.
    pub said: f64,
    /// Part of the pairs in which it was; groups count the same, and sweeps within one.
    pub came_true: f64,
    /// Pairs.
    pub pairs: usize,
}

/// How sure it must be that a plan of more risk is faster.
pub const QUANTILE: f64 = 0.8;
/// A difference below this is noise: the best-repeating source repeats to 0.5 %.
const NOISE: f64 = 0.005;
/// A correlation needs this many plans.
const CORRELATED: usize = 3;

/// The sweeps among rows, by name, and all of them together; none of nothing.
#[must_use]
pub fn ranking(rows: &[Scored], rule: Option<&Rule>) -> (Vec<Sweep>, Option<Ranking>) {
    let questions = questions(rows);
    let noise = noise(&questions);
    let sweeps: Vec<Sweep> = questions.iter().filter_map(|q| sweep(q, rule, noise)).collect();
    let ranking = together(&questions, &sweeps, rule, noise);
    (sweeps, ranking)
}

fn together(
    questions: &[Question<'_>],
    sweeps: &[Sweep],
    rule: Option<&Rule>,
    noise: f64,
) -> Option<Ranking> {
    let correlations: Vec<f64> = sweeps.iter().filter_map(|s| s.correlation).collect();
    let chance: Vec<f64> = sweeps.iter().filter_map(|s| s.chance).collect();
    let repeats: Vec<f64> = sweeps.iter().map(|s| s.repeats).collect();
    let with = sweeps.iter().filter(|s| s.fastest.against_data_parallel.is_some());
    Some(Ranking {
        sweeps: sweeps.len(),
        plans: sweeps.iter().map(|s| s.plans).sum(),
        fastest: choices(sweeps.iter().map(|s| &s.fastest))?,
        chosen: choices(sweeps.iter().map(|s| &s.chosen))?,
        quantile: rule.map_or(0.5, |r| r.quantile),
        correlation: mean(&correlations),
        with_data_parallel: with.count(),
        noise,
        repeats: mean(&repeats)?,
        chance: mean(&chance).zip(quantile(&chance, 0.95)),
        odds: rule.map_or(Vec::new(), |rule| odds(questions, rule)),
    })
}

fn choices<'a>(all: impl Iterator<Item = &'a Choice>) -> Option<Choices> {
    let all: Vec<&Choice> = all.collect();
    let regrets: Vec<f64> = all.iter().map(|c| c.regret).collect();
    let curses: Vec<f64> = all.iter().map(|c| c.curse).collect();
    let lost = all.iter().filter_map(|c| c.against_data_parallel).filter(|lost| *lost > NOISE);
    Some(Choices {
        mean: mean(&regrets)?,
        worst: quantile(&regrets, 0.95)?,
        losses: lost.count(),
        curse: mean(&curses)?,
    })
}

/// Standard deviation of the logarithm of a measured step, from pairs of runs of one plan: the
/// median of their differences is 0.6745·√2 of it. Zero where nothing was repeated.
fn noise(questions: &[Question<'_>]) -> f64 {
    let runs = questions.iter().flat_map(|q| &q.plans).map(|p| &p.runs);
    let pairs = runs.flat_map(|runs| runs.windows(2).map(|w| (w[0] / w[1]).ln().abs()));
    let differences: Vec<f64> = pairs.collect();
    median(&differences).unwrap_or(0.0) / (0.6745 * std::f64::consts::SQRT_2)
}

/// The regret of the choice among a question's plans: at a quantile, or the fastest prediction.
#[must_use]
pub fn regret(question: &Question<'_>, rule: Option<&Rule>) -> Option<f64> {
    let plans = &question.plans;
    let best = plans.iter().map(|p| p.measured).fold(f64::INFINITY, f64::min);
    Some(plans[chosen(plans, rule)?].measured / best - 1.0)
}

fn chosen(plans: &[Plan<'_>], rule: Option<&Rule>) -> Option<usize> {
    let ranked: Vec<Ranked> = plans.iter().map(|p| p.ranked).collect();
    match rule {
        Some(rule) => rule.choose(&ranked),
        None => (0..ranked.len()).min_by(|&i, &j| ranked[i].step.total_cmp(&ranked[j].step)),
    }
}

/// The sweep of a question.
fn sweep(question: &Question<'_>, rule: Option<&Rule>, noise: f64) -> Option<Sweep> {
    let plans = &question.plans;
    let best = plans.iter().min_by(|a, b| a.measured.total_cmp(&b.measured))?;
    let predicted: Vec<f64> = plans.iter().map(|p| p.ranked.step).collect();
    let measured: Vec<f64> = plans.iter().map(|p| p.measured).collect();
    let ranked: Vec<Ranked> = plans.iter().map(|p| p.ranked).collect();
    let logs: Vec<f64> = measured.iter().map(|m| m.ln()).collect();
    Some(Sweep {
        name: question.name.clone(),
        group: question.group.clone(),
        plans: plans.len(),
        fastest: choice(plans, chosen(plans, None)?),
        chosen: choice(plans, chosen(plans, rule)?),
        best: best.scored.row.id.clone(),
        correlation: spearman(&predicted, &measured).filter(|_| plans.len() >= CORRELATED),
        repeats: least_gain(&logs, noise).exp_m1(),
        chance: rule.map(|rule| expected_regret(&ranked, &rule.particular)),
    })
}

fn choice(plans: &[Plan<'_>], at: usize) -> Choice {
    let least = |wanted: fn(&&Plan<'_>) -> bool| {
        plans.iter().filter(wanted).map(|p| p.measured).min_by(f64::total_cmp)
    };
    let taken = &plans[at];
    let residuals: Vec<f64> = plans.iter().map(Plan::residual).collect();
    let plain = least(|p| p.is_data_parallel);
    Choice {
        id: taken.scored.row.id.clone(),
        regret: least(|_| true).map_or(0.0, |best| taken.measured / best - 1.0),
        against_data_parallel: plain.map(|plain| taken.measured / plain - 1.0),
        curse: mean(&residuals).map_or(0.0, |mean| (taken.residual() - mean).exp_m1()),
    }
}

/// What was said about pairs of plans, in tenths, and what came true.
fn odds(questions: &[Question<'_>], rule: &Rule) -> Vec<Odds> {
    let mut sizes: BTreeMap<&str, f64> = BTreeMap::new();
    for question in questions {
        *sizes.entry(&question.group).or_default() += 1.0;
    }
    // Weight, weighted probability, weighted truth, pairs.
    let mut tenths = [(0.0, 0.0, 0.0, 0usize); 5];
    for question in questions {
        let n = question.plans.len();
        let pairs = (n * n.saturating_sub(1) / 2) as f64;
        let weight = 1.0 / pairs / sizes[question.group.as_str()];
        for (i, j) in (0..n).flat_map(|i| (0..i).map(move |j| (i, j))) {
            let (said, came_true) = bet(&question.plans[i], &question.plans[j], rule);
            let tenth = &mut tenths[(((said - 0.5) * 10.0) as usize).min(4)];
            tenth.0 += weight;
            tenth.1 += weight * said;
            tenth.2 += weight * came_true;
            tenth.3 += 1;
        }
    }
    let filled = tenths.into_iter().filter(|t| t.3 > 0);
    filled.map(|t| Odds { said: t.1 / t.0, came_true: t.2 / t.0, pairs: t.3 }).collect()
}

/// The probability that the plan which is predicted to be faster is, and whether it was.
fn bet(a: &Plan<'_>, b: &Plan<'_>, rule: &Rule) -> (f64, f64) {
    let (first, second) = if a.ranked.step <= b.ranked.step { (a, b) } else { (b, a) };
    let of = |p: &Plan<'_>| (p.ranked.step, p.ranked.traits);
    let ((x, s), (y, t)) = (of(first), of(second));
    let said = rule.particular.faster((x, &s), (y, &t));
    (said, f64::from(u8::from(first.measured < second.measured)))
}
