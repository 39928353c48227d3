//! Cross-entropy of a softmax, over a vocabulary that ranks may share.
//!
//! Each rank holds the logits of consecutive words. What must be known of the others is a maximum,
//! a sum of exponentials and the target's logit: three numbers per token.

use super::across::Across;
use crate::comm::Fault;
use crate::float::{Float, widened};
use crate::matrix::{Matrix, largest, sum};
use crate::threads::{map_each, rows_per_piece, run_each};

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
    let width = logits.cols();
    let each = rows_per_piece(logits.rows(), width);
    let mut most = by_rows(logits, each, &|row| largest(row));
    across.max(&mut most)?;
    let column = |row: usize| super::embedding::held(targets.words[row], targets.first, width);
    let rows = 0..logits.rows();
    let mine = |row| column(row).map_or(T::ZERO, |c| logits.row(row)[c] - most[row]);
    let mut right: Vec<T> = rows.clone().map(mine).collect();
    across.sum(&mut right)?;
    let pieces = logits.data_mut().chunks_mut((each * width).max(1)).zip(most.chunks(each));
    let sums = map_each(pieces.collect(), |(rows, most): (&mut [T], &[T])| {
        let rows = rows.chunks_exact_mut(width.max(1)).zip(most);
        rows.map(|(row, &most)| exponentials(row, most)).collect::<Vec<_>>()
    });
    let mut sums = sums.concat();
    // A rank may hold no words at all.
    sums.resize(logits.rows(), T::ZERO);
    across.sum(&mut sums)?;
    let factors: Vec<T> = sums.iter().map(|&sum| scale / sum).collect();
    let pieces = logits.data_mut().chunks_mut((each * width).max(1)).zip(factors.chunks(each));
    run_each(pieces.collect(), |(rows, factors): (&mut [T], &[T])| {
        let rows = rows.chunks_exact_mut(width.max(1)).zip(factors);
        rows.for_each(|(row, &factor)| times(row, factor));
    });
    let mut loss = 0.0;
    for row in rows {
        loss += (sums[row].ln() - right[row]).to_f64();
        if let Some(c) = column(row) {
            logits.row_mut(row)[c] -= scale;
        }
    }
    Ok(loss)
}

/// A number per row.
fn by_rows<T: Float>(m: &Matrix<T>, each: usize, f: &(dyn Fn(&[T]) -> T + Sync)) -> Vec<T> {
    if m.cols() == 0 {
        return vec![f(&[]); m.rows()];
    }
    let pieces = m.data().chunks(each * m.cols()).collect();
    let of = |rows: &[T]| rows.chunks_exact(m.cols()).map(f).collect::<Vec<_>>();
    map_each(pieces, of).concat()
}

widened! {
    fn times<T: Float>(row: &mut [T], factor: T) {
        row.iter_mut().for_each(|p| *p *= factor);
    }
}

widened! {
    /// Turns scores into exponentials; returns their sum.
    pub(super) fn exponentials<T: Float>(row: &mut [T], most: T) -> T {
        row.iter_mut().for_each(|v| *v = (*v - most).exp());
        sum(row)
    }
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
