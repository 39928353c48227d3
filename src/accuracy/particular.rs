//! What is particular to a plan, from sweeps: by how much the ratio of two measured steps of one
//! question is off its prediction, and what it grows with.
//!
//! For plans `i`, `j` of a sweep, `Δ = ln(t_i/p_i) − ln(t_j/p_j)` has the variance
//! `v = Σ τ_f²·(x_f(i) − x_f(j))² + 2·τ_0²` of [`planner::ranking`]; whatever the question's plans
//! have in common has dropped out. The variances are the most likely ones for all pairs together
//! (a composite likelihood; Varin, Reid, Firth 2011, Statistica Sinica 21), with Student's t of
//! few degrees of freedom so that a few wild runs decide little. The iteration multiplies each
//! variance by the root of (what its pairs show / what they should), which keeps it positive and
//! raises the likelihood each time (Hunter and Lange 2004, American Statistician 58).

use super::measures::mean;
use super::questions::{Question, questions};
use super::ranking::{QUANTILE, regret};
use crate::published::{Fitted, Scored};
use planner::ranking::{Particular, Rule};
use std::collections::{BTreeMap, BTreeSet};

/// Degrees of freedom of the t distribution.
const FREEDOM: f64 = 4.0;
/// Rounds; three digits stand long before.
const ROUNDS: usize = 200;
/// Standard deviations to start from.
const START: f64 = 0.15;
/// Keeps variances of what never differs from vanishing altogether.
const LEAST: f64 = 1e-12;

/// Traits, and what no trait explains.
const TERMS: usize = 5;

/// A pair of plans of one sweep.
struct Pair {
    /// Squared differences of the traits, then the constant of what no trait explains.
    terms: [f64; TERMS],
    /// Squared difference of the residuals.
    squared: f64,
    /// Groups weigh the same, and sweeps within one.
    weight: f64,
}

/// The particular part from all sweeps among rows; none of rows without sweeps.
#[must_use]
pub fn fit(rows: &[Scored]) -> Option<Fitted> {
    let sweeps = questions(rows);
    let all: Vec<&Question<'_>> = sweeps.iter().collect();
    let particular = most_likely(&all)?;
    let groups: BTreeSet<&str> = sweeps.iter().map(|s| s.group.as_str()).collect();
    let source = format!(
        "fitted: pairs of plans in sweeps of tuning rows, every group counts once; with those of \
         the other groups only, regret in a sweep is {:.1} % in the mean where the fastest \
         prediction has {:.1} %",
        100.0 * held_out(&sweeps, &groups)?,
        100.0 * mean(&regrets(&all, None))?
    );
    let (sweeps, groups) = (sweeps.len() as u64, groups.len() as u64);
    Some(Fitted { particular, sweeps, groups, source })
}

/// Mean regret where each group's plans are ranked by what the others have shown.
fn held_out(sweeps: &[Question<'_>], groups: &BTreeSet<&str>) -> Option<f64> {
    let mut all = Vec::new();
    for group in groups {
        let (own, others): (Vec<_>, Vec<_>) = sweeps.iter().partition(|s| s.group == *group);
        let particular = most_likely(&others)?;
        all.extend(regrets(&own, Some(particular)));
    }
    mean(&all)
}

fn regrets(sweeps: &[&Question<'_>], particular: Option<Particular>) -> Vec<f64> {
    let rule = Rule { particular: particular.unwrap_or_default(), quantile: QUANTILE };
    let rule = particular.map(|_| rule);
    sweeps.iter().filter_map(|s| regret(s, rule.as_ref())).collect()
}

fn most_likely(sweeps: &[&Question<'_>]) -> Option<Particular> {
    let pairs = pairs(sweeps);
    if pairs.is_empty() {
        return None;
    }
    let mut variances = [START * START; TERMS];
    for _ in 0..ROUNDS {
        variances = improved(&pairs, &variances);
    }
    Some(Particular::from_all(variances.map(f64::sqrt)))
}

/// One round of the iteration.
fn improved(pairs: &[Pair], variances: &[f64; TERMS]) -> [f64; TERMS] {
    let (mut shown, mut due) = ([LEAST; TERMS], [LEAST; TERMS]);
    for pair in pairs {
        let terms = pair.terms.iter().zip(variances);
        let variance = terms.map(|(x, v)| x * v).sum::<f64>().max(LEAST);
        let tamed = pair.squared * (FREEDOM + 1.0) / (FREEDOM + pair.squared / variance);
        for (k, x) in pair.terms.iter().enumerate() {
            shown[k] += pair.weight * x * tamed / (variance * variance);
            due[k] += pair.weight * x / variance;
        }
    }
    std::array::from_fn(|k| variances[k] * (shown[k] / due[k]).sqrt())
}

fn pairs(sweeps: &[&Question<'_>]) -> Vec<Pair> {
    let mut sizes: BTreeMap<&str, f64> = BTreeMap::new();
    for sweep in sweeps {
        *sizes.entry(&sweep.group).or_default() += 1.0;
    }
    let of = |sweep: &&Question<'_>| {
        let n = sweep.plans.len();
        let count = (n * n.saturating_sub(1) / 2) as f64;
        let weight = 1.0 / count / sizes[sweep.group.as_str()];
        let both = (0..n).flat_map(|i| (0..i).map(move |j| (i, j)));
        both.map(|(i, j)| pair(sweep, (i, j), weight)).collect::<Vec<_>>()
    };
    sweeps.iter().flat_map(of).collect()
}

fn pair(sweep: &Question<'_>, (i, j): (usize, usize), weight: f64) -> Pair {
    let (a, b) = (&sweep.plans[i], &sweep.plans[j]);
    let (x, y) = (a.ranked.traits.all(), b.ranked.traits.all());
    let mut terms = [2.0; TERMS];
    for (term, (x, y)) in terms.iter_mut().zip(x.into_iter().zip(y)) {
        *term = (x - y).powi(2);
    }
    Pair { terms, squared: (a.residual() - b.residual()).powi(2), weight }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs that differ in nothing but themselves, all off by 0.2 or 0.1, with equal weights. With
    /// t of ν = 4, `v` solves mean(5·d²/(4·v + d²)) = 1: 5·0.04/(4v + 0.04) + 5·0.01/(4v + 0.01) =
    /// 2, a quadratic in w = 4v: w² − 0.075·w − 0.0016 = 0, w = 0.09232, v = 0.02308. Of it, each
    /// plan's own part is half: τ_0 = √0.01154 = 0.1074.
    #[test]
    fn the_own_part_by_hand() {
        let pair = |d: f64| Pair { terms: [0.0, 0.0, 0.0, 0.0, 2.0], squared: d * d, weight: 1.0 };
        let pairs = [pair(0.2), pair(0.1)];
        let mut variances = [START * START; TERMS];
        for _ in 0..ROUNDS {
            variances = improved(&pairs, &variances);
        }
        assert!((variances[4].sqrt() - 0.1074).abs() < 2e-4, "{}", variances[4].sqrt());
    }

    /// Pairs a doubling of the ranks per layer apart are off by three times as much as others: the
    /// first trait explains it, and nothing else does.
    #[test]
    fn a_trait_is_found() {
        let near = Pair { terms: [0.0, 1.0, 0.0, 0.0, 2.0], squared: 0.0025, weight: 1.0 };
        let far = Pair { terms: [1.0, 1.0, 0.0, 0.0, 2.0], squared: 0.0225, weight: 1.0 };
        let pairs = [near, far];
        let mut variances = [START * START; TERMS];
        for _ in 0..ROUNDS {
            variances = improved(&pairs, &variances);
        }
        let [tensor, pipeline, .., own] = variances;
        assert!(tensor > 0.9 * 0.02 && tensor < 1.3 * 0.02, "{tensor}");
        assert!((pipeline + 2.0 * own - 0.0025).abs() < 3e-4, "{pipeline} {own}");
    }
}
