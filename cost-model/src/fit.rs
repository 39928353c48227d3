//! Fitting a few constants of a stack to measured steps.
//!
//! Letters: `x` free constants in their own coordinates, `x₀` where they start, `s` how far each
//! may plausibly be from there, `r` residuals `ln(predicted/measured)`, `σ` what a residual is by
//! chance.
//!
//! ```text
//! minimise  Σ 2(√(1 + (r/σ)²) − 1)  +  Σ ((x − x₀)/s)²     within bounds
//! ```
//!
//! Few rows move a constant little, many rows move it to where they want it, and single rows that
//! went wrong pull with a bounded force. Solved by damped Gauss–Newton steps on difference
//! quotients; no randomness, so that the same rows give the same constants.
//!
//! Source: soft-L1 loss and trust region as in Branch, Coleman and Li 1999
//! (doi:10.1137/S1064827595289108), which `scipy.optimize.least_squares` implements.

mod constants;
mod linear;
mod local;

pub use constants::{CONSTANTS, FreeConstant};
pub use local::{LOCAL_CONSTANTS, LocalConstant, LocalMachine};

/// What a residual is by chance: repeated runs of one configuration differ by 3 to 5 %.
const CHANCE: f64 = 0.03;
/// Part of a constant's spread by which it is moved to see what that does.
const PROBE: f64 = 0.02;
/// Rounds after which a fit ends.
const MOST_ROUNDS: u32 = 30;
/// Relative gain below which a fit ends.
const NO_GAIN: f64 = 1e-6;
/// Factor by which damping falls and rises.
const DAMPING: f64 = 4.0;
/// Damping beyond which no step helps.
const MOST_DAMPING: f64 = 1e8;

/// One free constant, in the coordinate in which it is fitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Free {
    /// Where it starts, and where it stays without data.
    pub start: f64,
    /// How far it may plausibly be from there.
    pub spread: f64,
    /// Least value.
    pub low: f64,
    /// Largest value.
    pub high: f64,
}

/// Constants after a fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// Values, in the order of the free constants.
    pub values: Vec<f64>,
    /// The minimum.
    pub cost: f64,
    /// Gauss–Newton rounds.
    pub rounds: u32,
}

/// Fits `free` so that the residuals become small; `residuals` gives as many for all values.
///
/// Formula and source: see the [module](self). Checked by `a_line_is_found_despite_an_outlier` and
/// `without_data_nothing_moves`.
#[must_use]
pub fn fit(free: &[Free], residuals: &mut dyn FnMut(&[f64]) -> Vec<f64>) -> Fitted {
    let mut at: Vec<f64> = free.iter().map(|f| f.start.clamp(f.low, f.high)).collect();
    let mut here = residuals(&at);
    let mut least = cost(free, &at, &here);
    let mut damping = 1e-3;
    let mut rounds = 0;
    while rounds < MOST_ROUNDS {
        rounds += 1;
        let slopes = slopes(free, &at, &here, residuals);
        let before = least;
        while damping < MOST_DAMPING {
            let next = step(free, &at, (&here, &slopes), damping);
            let there = residuals(&next);
            let then = cost(free, &next, &there);
            if then < least {
                (at, here, least) = (next, there, then);
                damping /= DAMPING;
                break;
            }
            damping *= DAMPING;
        }
        if before - least <= NO_GAIN * before {
            break;
        }
    }
    Fitted { values: at, cost: least, rounds }
}

fn cost(free: &[Free], at: &[f64], residuals: &[f64]) -> f64 {
    let data: f64 =
        residuals.iter().map(|r| 2.0 * ((1.0 + (r / CHANCE).powi(2)).sqrt() - 1.0)).sum();
    let prior: f64 = free.iter().zip(at).map(|(f, x)| ((x - f.start) / f.spread).powi(2)).sum();
    data + prior
}

/// Per constant: how the residuals change with it. The probe goes inward at the upper bound.
fn slopes(
    free: &[Free],
    at: &[f64],
    here: &[f64],
    residuals: &mut dyn FnMut(&[f64]) -> Vec<f64>,
) -> Vec<Vec<f64>> {
    let slope = |k: usize| {
        let far = PROBE * free[k].spread;
        let by = if at[k] + far > free[k].high { -far } else { far };
        let mut moved = at.to_vec();
        moved[k] += by;
        let there = residuals(&moved);
        there.iter().zip(here).map(|(a, b)| (a - b) / by).collect()
    };
    (0..free.len()).map(slope).collect()
}

/// One damped Gauss–Newton step; a residual far out counts less: `w = 1/√(1 + (r/σ)²)`.
fn step(
    free: &[Free],
    at: &[f64],
    (here, slopes): (&[f64], &[Vec<f64>]),
    damping: f64,
) -> Vec<f64> {
    let weights: Vec<f64> =
        here.iter().map(|r| 1.0 / (1.0 + (r / CHANCE).powi(2)).sqrt() / CHANCE.powi(2)).collect();
    let dot = |a: &[f64], b: &[f64]| -> f64 {
        a.iter().zip(b).zip(&weights).map(|((a, b), w)| a * b * w).sum()
    };
    let n = free.len();
    let mut matrix = vec![vec![0.0; n]; n];
    let mut right = vec![0.0; n];
    for i in 0..n {
        let stiffness = free[i].spread.powi(-2);
        right[i] = -dot(&slopes[i], here) - (at[i] - free[i].start) * stiffness;
        for j in 0..n {
            matrix[i][j] = dot(&slopes[i], &slopes[j]);
        }
        matrix[i][i] = (matrix[i][i] + stiffness) * (1.0 + damping);
    }
    let by = linear::solve(matrix, right);
    (0..n).map(|k| (at[k] + by[k]).clamp(free[k].low, free[k].high)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(start: f64) -> Free {
        Free { start, spread: 10.0, low: -100.0, high: 100.0 }
    }

    /// Residuals of 40 points of 1 + 2x, one of which is off by 30: a square loss would be off by
    /// 0.75, the bounded pull leaves less than one hundredth.
    #[test]
    fn a_line_is_found_despite_an_outlier() {
        let data: Vec<(f64, f64)> = (0..40)
            .map(|i| (f64::from(i) / 40.0, if i == 7 { 30.0 } else { 0.0 }))
            .map(|(x, off)| (x, 1.0 + 2.0 * x + off))
            .collect();
        let mut residuals =
            |p: &[f64]| data.iter().map(|(x, y)| p[0] + p[1] * x - y).collect::<Vec<_>>();
        let found = fit(&[free(0.0), free(0.0)], &mut residuals);
        assert!((found.values[0] - 1.0).abs() < 0.01, "{found:?}");
        assert!((found.values[1] - 2.0).abs() < 0.01, "{found:?}");
    }

    #[test]
    fn without_data_nothing_moves() {
        let found = fit(&[free(3.0)], &mut |_| Vec::new());
        assert_eq!((found.values, found.cost), (vec![3.0], 0.0));
    }

    /// Data want 5, the bound is 4.
    #[test]
    fn bounds_hold() {
        let bounded = Free { high: 4.0, ..free(3.0) };
        let found = fit(&[bounded], &mut |p: &[f64]| vec![p[0] - 5.0; 9]);
        assert_eq!(found.values, [4.0]);
    }

    /// One residual x − 1 with σ = 0.03 against a prior at 0 of spread 0.03: near the middle both
    /// pull alike, so x is between; a hundred such residuals win.
    #[test]
    fn many_rows_win_over_the_start() {
        let tight = Free { start: 0.0, spread: 0.03, low: -1.0, high: 1.0 };
        let at = |rows: usize| fit(&[tight], &mut |p: &[f64]| vec![p[0] - 0.03; rows]).values[0];
        assert!((0.01..0.02).contains(&at(1)), "{}", at(1));
        assert!(at(100) > 0.029, "{}", at(100));
    }
}
