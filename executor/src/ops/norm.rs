//! LayerNorm and RMSNorm over the columns of every row.
//!
//! `y = x̂ ∘ γ + β`, `x̂ = (x − mean) / √(var + ε)`; RMSNorm has neither mean nor `β` and
//! divides by `√(mean of squares + ε)`. Ba et al. 2016 (arXiv:1607.06450); Zhang and Sennrich 2019
//! (arXiv:1910.07467).

use crate::float::{Float, widened};
use crate::matrix::{Matrix, View, dot, sum};
use crate::threads::{rows_per_piece, run_each};

/// Keeps the root away from zero; the value of the frameworks' LayerNorm.
const EPSILON: f64 = 1e-5;

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub struct Saved<T: Float> {
    normal: Matrix<T>,
    scale: Vec<T>,
    is_centred: bool,
}

/// Gradients of scale and shift.
#[derive(Clone, Debug)]
pub struct Pending<T: Float> {
    /// Of the scale.
    pub scale: Vec<T>,
    /// Of the shift.
    pub shift: Vec<T>,
}

impl<T: Float> Saved<T> {
    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.normal.bytes() + self.scale.len() * T::BYTES
    }
}

/// Normalises every row; with a shift it is LayerNorm, without one RMSNorm.
#[must_use]
pub fn forward<T: Float>(
    x: View<'_, T>,
    scale: &[T],
    shift: Option<&[T]>,
) -> (Matrix<T>, Saved<T>) {
    let is_centred = shift.is_some();
    let (rows, cols) = (x.rows(), x.cols());
    let mut normal = Matrix::zeros(rows, cols);
    let mut y = Matrix::zeros(rows, cols);
    let mut scales = vec![T::ZERO; rows];
    let each = rows_per_piece(rows, cols);
    let outs = normal.data_mut().chunks_mut((each * cols).max(1));
    let outs = outs.zip(y.data_mut().chunks_mut((each * cols).max(1)));
    let pieces = outs.zip(scales.chunks_mut(each)).enumerate().collect();
    run_each(pieces, |(piece, ((normal, y), scales))| {
        let rows = normal.chunks_exact_mut(cols).zip(y.chunks_exact_mut(cols)).zip(scales);
        for (row, ((hat, y), inverse)) in rows.enumerate() {
            *inverse = normalise(x.row(piece * each + row), hat, y, (scale, shift));
        }
    });
    (y, Saved { normal, scale: scales, is_centred })
}

widened! {
    /// One row; returns what it was multiplied with.
    fn normalise<T: Float>(
        x: &[T],
        hat: &mut [T],
        y: &mut [T],
        by: (&[T], Option<&[T]>),
    ) -> T {
        let width = T::of(x.len() as f64);
        let mean = if by.1.is_some() { sum(x) / width } else { T::ZERO };
        hat.iter_mut().zip(x).for_each(|(h, &v)| *h = v - mean);
        let inverse = T::ONE / (dot(hat, hat) / width + T::of(EPSILON)).sqrt();
        hat.iter_mut().for_each(|h| *h *= inverse);
        y.iter_mut().zip(&*hat).zip(by.0).for_each(|((y, &h), &g)| *y = h * g);
        if let Some(shift) = by.1 {
            y.iter_mut().zip(shift).for_each(|(y, &s)| *y += s);
        }
        inverse
    }
}

/// Gradient of the input, `(dx̂ − mean(dx̂) − x̂ mean(dx̂ ∘ x̂)) / √(var + ε)` with `dx̂ = dy ∘ γ`
/// (without the first mean for RMSNorm), and those of scale and shift.
#[must_use]
pub fn backward<T: Float>(
    saved: &Saved<T>,
    scale: &[T],
    dy: View<'_, T>,
) -> (Matrix<T>, Pending<T>) {
    let (rows, cols) = (dy.rows(), dy.cols());
    let mut dx = Matrix::zeros(rows, cols);
    let each = rows_per_piece(rows, cols);
    let pieces = dx.data_mut().chunks_mut((each * cols).max(1)).enumerate().collect();
    run_each(pieces, |(piece, dx): (usize, &mut [T])| {
        for (row, dx) in dx.chunks_exact_mut(cols).enumerate() {
            let row = piece * each + row;
            let (hat, inverse) = (saved.normal.row(row), saved.scale[row]);
            back(dy.row(row), (hat, inverse, saved.is_centred), scale, dx);
        }
    });
    let mut pending = Pending { scale: vec![T::ZERO; cols], shift: vec![T::ZERO; cols] };
    let each = rows_per_piece(cols, rows);
    let columns = pending.scale.chunks_mut(each).zip(pending.shift.chunks_mut(each));
    run_each(columns.enumerate().collect(), |(piece, (scale, shift))| {
        let own = piece * each..piece * each + scale.len();
        for row in 0..rows {
            let (dy, hat) = (&dy.row(row)[own.clone()], &saved.normal.row(row)[own.clone()]);
            add_both(dy, hat, scale, shift);
        }
    });
    (dx, pending)
}

widened! {
    /// Gradient of one row from its normal form, what it was multiplied with, and whether its mean
    /// was taken away.
    fn back<T: Float>(dy: &[T], saved: (&[T], T, bool), scale: &[T], dx: &mut [T]) {
        let (hat, inverse, is_centred) = saved;
        let width = T::of(dy.len() as f64);
        dx.iter_mut().zip(dy).zip(scale).for_each(|((o, &d), &g)| *o = d * g);
        let mean = if is_centred { sum(dx) / width } else { T::ZERO };
        let along = dot(dx, hat) / width;
        dx.iter_mut().zip(hat).for_each(|(o, &h)| *o = (*o - mean - h * along) * inverse);
    }
}

widened! {
    fn add_both<T: Float>(dy: &[T], hat: &[T], scale: &mut [T], shift: &mut [T]) {
        scale.iter_mut().zip(hat).zip(dy).for_each(|((s, &h), &d)| *s += h * d);
        shift.iter_mut().zip(dy).for_each(|(s, &d)| *s += d);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{compare, matrix, numbers, weigh};

    fn check(shift: Option<Vec<f64>>) {
        let (x, scale) = (matrix(3, 6, 1), numbers(6, 2));
        let (_, saved) = forward(x.view(), &scale, shift.as_deref());
        let (dx, pending) = backward(&saved, &scale, matrix(3, 6, 7).view());
        let loss = |x: &[f64], g: &[f64], b: Option<&[f64]>| {
            weigh(forward(View::new(x, 3, 6), g, b).0.data(), 7)
        };
        compare(x.data(), dx.data(), |x| loss(x, &scale, shift.as_deref()));
        compare(&scale, &pending.scale, |g| loss(x.data(), g, shift.as_deref()));
        if let Some(shift) = shift {
            compare(&shift, &pending.shift, |b| loss(x.data(), &scale, Some(b)));
        }
    }

    #[test]
    fn gradients_are_central_differences() {
        check(Some(numbers(6, 3)));
        check(None);
    }

    /// (1, 3) has mean 2 and variance 1; its root mean square is √5.
    #[test]
    fn rows_are_normalised() {
        let x = Matrix::from_vec(1, 2, vec![1.0, 3.0]);
        let (y, _) = forward::<f64>(x.view(), &[1.0, 1.0], Some(&[0.0, 0.5]));
        assert!((y.data()[0] + 1.0).abs() < 1e-5 && (y.data()[1] - 1.5).abs() < 1e-5);
        let (y, _) = forward::<f64>(x.view(), &[1.0, 1.0], None);
        assert!((y.data()[1] - 3.0 / 5f64.sqrt()).abs() < 1e-5);
    }
}
