//! Floors of regret: what is left to a perfect prediction, and to one whose errors are pure chance.

use cost_model::normal::share_below;
use planner::ranking::{Particular, Ranked};

/// Points of the integral over the least of several plans.
const POINTS: usize = 48;
/// Standard deviations on either side that count.
const REACH: f64 = 5.0;
/// Draws of what plans of one question share.
const DRAWS: u32 = 64;
/// Bases of the Halton sequences, one per trait.
const BASES: [u32; 4] = [2, 3, 5, 7];

/// By how much the least of several values, each with independent normal noise, is expected to be
/// below the least value: `min y − E[min (y_i + σ·z_i)]`, with
/// `E[min] = a + ∫_a^∞ Π (1 − Φ((t − y_i)/σ)) dt` for `a` below all. Of a perfect prediction this
/// is the regret in logarithms, since the best of the measured steps is also the luckiest.
#[must_use]
pub fn least_gain(values: &[f64], sd: f64) -> f64 {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    if sd <= 0.0 || !least.is_finite() {
        return 0.0;
    }
    least - expected_least(values, least, sd)
}

fn expected_least(values: &[f64], least: f64, sd: f64) -> f64 {
    let near: Vec<f64> = values.iter().copied().filter(|y| *y < least + 2.0 * REACH * sd).collect();
    let (from, width) = (least - REACH * sd, 2.0 * REACH * sd / POINTS as f64);
    let above = |t: f64| near.iter().map(|y| 1.0 - share_below((t - y) / sd)).product::<f64>();
    // Midpoints.
    let integral: f64 = (0..POINTS).map(|k| above(from + (k as f64 + 0.5) * width)).sum();
    from + integral * width
}

/// The regret to be expected of the fastest prediction where errors are normal with the known
/// spread, of unknown sign: `exp(ln t_best − E[min ln t]) − 1`. No rule has a smaller one in
/// logarithms. What plans share is drawn from Halton sequences, the same for all questions; what is
/// each one's own is integrated.
#[must_use]
pub fn expected_regret(plans: &[Ranked], particular: &Particular) -> f64 {
    let steps: Vec<f64> = plans.iter().map(|p| p.step.ln()).collect();
    let best = steps.iter().copied().fold(f64::INFINITY, f64::min);
    let [tensor, pipeline, micro_batch, across, own] = particular.all();
    let deviations = [tensor, pipeline, micro_batch, across];
    let total: f64 = (1..=DRAWS)
        .map(|draw| {
            let shared: [f64; 4] = std::array::from_fn(|k| {
                deviations[k] * cost_model::normal::quantile(halton(draw, BASES[k]))
            });
            let errors = plans
                .iter()
                .map(|p| p.traits.all().iter().zip(shared).map(|(x, g)| x * g).sum::<f64>());
            let drawn: Vec<f64> = steps.iter().zip(errors).map(|(s, e)| s + e).collect();
            let least = drawn.iter().copied().fold(f64::INFINITY, f64::min);
            let base: f64 = if own > 0.0 { expected_least(&drawn, least, own) } else { least };
            // Errors of the best prediction have the mean zero over all draws.
            let chosen = steps.iter().zip(&drawn).find(|(s, _)| **s == best);
            chosen.map_or(best, |(_, d)| *d) - base
        })
        .sum();
    (total / f64::from(DRAWS)).exp_m1()
}

/// The radical inverse: digits of `n` in a base, mirrored at the point.
fn halton(n: u32, base: u32) -> f64 {
    let (mut rest, mut unit, mut value) = (n, 1.0, 0.0);
    while rest > 0 {
        unit /= f64::from(base);
        value += unit * f64::from(rest % base);
        rest /= base;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use planner::ranking::{Risk, Traits};

    /// The least of n equal values with noise 1: 0 for one, 0.5642 below for two, 1.5388 for ten
    /// (Harter 1961). Far values do not matter.
    #[test]
    fn the_least_of_several_by_tables() {
        assert!(least_gain(&[3.0], 1.0).abs() < 1e-4);
        assert!((least_gain(&[3.0, 3.0], 1.0) - 0.5642).abs() < 1e-3);
        assert!((least_gain(&[0.0; 10], 1.0) - 1.5388).abs() < 1e-3);
        assert!((least_gain(&[3.0, 99.0, 3.0], 1.0) - 0.5642).abs() < 1e-3);
        assert_eq!(least_gain(&[1.0, 2.0], 0.0), 0.0);
        assert_eq!(least_gain(&[], 1.0), 0.0);
    }

    /// 1, 2, 3 in base 2 are 1, 10, 11: 1/2, 1/4, 3/4.
    #[test]
    fn sequences_by_hand() {
        assert_eq!([1, 2, 3].map(|n| halton(n, 2)), [0.5, 0.25, 0.75]);
        assert!((halton(5, 3) - 7.0 / 9.0).abs() < 1e-12);
    }

    /// Two equal predictions a doubling apart, spread 0.2 in that alone: the better one is
    /// E|0.2·z|/2 = 0.0798 faster in the mean.
    #[test]
    fn chance_costs_half_of_the_mean_difference() {
        let plan = |tensor| Ranked {
            step: 1.0,
            traits: Traits::new(tensor, 1, 1, false),
            risk: Risk { doubts: 0, is_split: tensor > 1 },
        };
        let particular = Particular { tensor: 0.2, ..Particular::default() };
        let regret = expected_regret(&[plan(1), plan(2)], &particular);
        assert!((regret.ln_1p() - 0.0798).abs() < 0.006, "{regret}");
        assert_eq!(expected_regret(&[plan(1), plan(2)], &Particular::default()), 0.0);
    }
}
