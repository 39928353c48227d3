//! Cross-entropy of a softmax, over a vocabulary that ranks may share.
//!
//! Each rank holds the logits of consecutive words. What must be known of the others is a maximum,
//! a sum of exponentials and the target's logit: three numbers per token.

use super::across::Across;
use crate::comm::Fault;
use crate::float::Float;
use crate::matrix::Matrix;

/// What the logits should have said.
#[derive(Clone, Copy, Debug)]
pub struct Targets<'a> {
    /// One word per row.
    pub words: &'a [u32],
    /// The word of the first column.
    pub first: u32,
}

/// Sum of `−ln p(target)` over the rows, in double precision. The logits become their gradient,
/// `scale · (p − 1{target})`.
///
/// # Errors
/// The ranks that share the vocabulary cannot go on.
pub fn cross_entropy<T: Float>(
    logits: &mut Matrix<T>,
    targets: Targets<'_>,
    scale: T,
    across: &dyn Across<T>,
) -> Result<f64, Fault> {
    let rows = 0..logits.rows();
    let most = |row: usize| logits.row(row).iter().fold(T::LOWEST, |m, &v| m.max(v));
    let mut most: Vec<T> = rows.clone().map(most).collect();
    across.max(&mut most)?;
    let column = |row: usize| super::embedding::held(targets.words[row], targets.first, usize::MAX);
    let mine = |row: usize, logits: &Matrix<T>| {
        let value = column(row).and_then(|c| logits.row(row).get(c).copied());
        value.map_or(T::ZERO, |v| v - most[row])
    };
    let mut right: Vec<T> = rows.clone().map(|row| mine(row, logits)).collect();
    across.sum(&mut right)?;
    let mut sums: Vec<T> = rows.clone().map(|r| exponentials(logits.row_mut(r), most[r])).collect();
    across.sum(&mut sums)?;
    let mut loss = 0.0;
    for row in rows {
        loss += (sums[row].ln() - right[row]).to_f64();
        let factor = scale / sums[row];
        logits.row_mut(row).iter_mut().for_each(|p| *p *= factor);
        if let Some(p) = column(row).and_then(|c| logits.row_mut(row).get_mut(c)) {
            *p -= scale;
        }
    }
    Ok(loss)
}

/// Turns logits into exponentials; returns their sum.
fn exponentials<T: Float>(row: &mut [T], most: T) -> T {
    row.iter_mut().for_each(|v| *v = (*v - most).exp());
    row.iter().copied().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::across::Alone;
    use crate::ops::check::{compare, matrix};

    fn loss(logits: &[f64], scale: f64) -> (f64, Matrix<f64>) {
        let mut m = Matrix::from_vec(3, 5, logits.to_vec());
        let targets = Targets { words: &[4, 0, 2], first: 0 };
        let loss = cross_entropy(&mut m, targets, scale, &Alone).unwrap();
        (loss, m)
    }

    #[test]
    fn gradient_is_central_differences() {
        let logits = matrix(3, 5, 1);
        let (_, gradient) = loss(logits.data(), 0.25);
        compare(logits.data(), gradient.data(), |l| 0.25 * loss(l, 1.0).0);
    }

    /// Equal logits: every word has probability 1/5, so three rows cost 3 ln 5.
    #[test]
    fn equal_logits_cost_the_logarithm() {
        let (value, gradient) = loss(&[7.0; 15], 1.0);
        assert!((value - 3.0 * 5f64.ln()).abs() < 1e-12);
        assert!((gradient.row(0)[4] + 0.8).abs() < 1e-12);
        assert!((gradient.row(0)[0] - 0.2).abs() < 1e-12);
    }
}
