//! Central differences, against which every gradient is checked.

use crate::matrix::Matrix;

/// Numbers that look random, the same every time: fractional parts of multiples of √2.
pub fn numbers(n: usize, seed: usize) -> Vec<f64> {
    let value = |i: usize| ((i + 1 + seed * 1013) as f64 * std::f64::consts::SQRT_2).fract();
    (0..n).map(|i| value(i) - 0.5).collect()
}

/// A matrix of such numbers.
pub fn matrix(rows: usize, cols: usize, seed: usize) -> Matrix<f64> {
    Matrix::from_vec(rows, cols, numbers(rows * cols, seed))
}

/// Sum of the products with such numbers: a loss that reaches every element differently.
pub fn weigh(values: &[f64], seed: usize) -> f64 {
    values.iter().zip(numbers(values.len(), seed)).map(|(a, b)| a * b).sum()
}

/// Consecutive parts of these sizes.
pub fn parts<'a>(values: &'a [f64], sizes: &[usize]) -> Vec<&'a [f64]> {
    let mut rest = values;
    let cut = |&n: &usize| {
        let (part, tail) = rest.split_at(n);
        rest = tail;
        part
    };
    sizes.iter().map(cut).collect()
}

/// Compares `gradient` of `loss` at `at` with central differences.
///
/// With steps of 1e-5 the truncation is about 1e-10 and cancellation about 1e-11, well below the
/// 1e-6 that is asked of every element relative to the largest.
pub fn compare(at: &[f64], gradient: &[f64], mut loss: impl FnMut(&[f64]) -> f64) {
    const STEP: f64 = 1e-5;
    assert_eq!(at.len(), gradient.len());
    let mut point = at.to_vec();
    let scale = gradient.iter().fold(1e-3f64, |m, g| m.max(g.abs()));
    for i in 0..at.len() {
        point[i] = at[i] + STEP;
        let above = loss(&point);
        point[i] = at[i] - STEP;
        let below = loss(&point);
        point[i] = at[i];
        let numeric = (above - below) / (2.0 * STEP);
        let error = (numeric - gradient[i]).abs();
        assert!(error <= 1e-6 * scale, "element {i}: {} against {numeric}", gradient[i]);
    }
}
