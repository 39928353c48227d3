//! LayerNorm and RMSNorm over the columns of every row.
//!
//! `y = x̂ ∘ γ + β`, `x̂ = (x − mean) / √(var + ε)`; RMSNorm has neither mean nor `β` and
//! divides by `√(mean of squares + ε)`. Ba et al. 2016 (arXiv:1607.06450); Zhang and Sennrich 2019
//! (arXiv:1910.07467).

use crate::float::Float;
use crate::matrix::{Matrix, View};

/// Keeps the root away from zero; the value of the frameworks' LayerNorm.
const EPSILON: f64 = 1e-5;

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub struct Saved<T> {
    normal: Matrix<T>,
    scale: Vec<T>,
    is_centred: bool,
}

/// Gradients of scale and shift.
#[derive(Clone, Debug)]
pub struct Pending<T> {
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
    let width = T::of(x.cols() as f64);
    let mut normal = Matrix::zeros(x.rows(), x.cols());
    let mut y = Matrix::zeros(x.rows(), x.cols());
    let mut scales = Vec::with_capacity(x.rows());
    for row in 0..x.rows() {
        let from = x.row(row);
        let mean = if is_centred { from.iter().copied().sum::<T>() / width } else { T::ZERO };
        let square: T = from.iter().map(|&v| (v - mean) * (v - mean)).sum();
        let inverse = T::ONE / (square / width + T::of(EPSILON)).sqrt();
        scales.push(inverse);
        let hat = normal.row_mut(row);
        hat.iter_mut().zip(from).for_each(|(h, &v)| *h = (v - mean) * inverse);
        let out = y.row_mut(row).iter_mut();
        out.zip(&*hat).zip(scale).for_each(|((y, &h), &g)| *y = h * g);
        if let Some(shift) = shift {
            crate::matrix::add(y.row_mut(row), shift);
        }
    }
    (y, Saved { normal, scale: scales, is_centred })
}

/// Gradient of the input, `(dx̂ − mean(dx̂) − x̂ mean(dx̂ ∘ x̂)) / √(var + ε)` with `dx̂ = dy ∘ γ`
/// (without the first mean for RMSNorm), and those of scale and shift.
#[must_use]
pub fn backward<T: Float>(
    saved: &Saved<T>,
    scale: &[T],
    dy: View<'_, T>,
) -> (Matrix<T>, Pending<T>) {
    let width = T::of(dy.cols() as f64);
    let mut dx = Matrix::zeros(dy.rows(), dy.cols());
    let mut pending = Pending { scale: vec![T::ZERO; dy.cols()], shift: vec![T::ZERO; dy.cols()] };
    for row in 0..dy.rows() {
        let (dy, hat) = (dy.row(row), saved.normal.row(row));
        let out = dx.row_mut(row);
        out.iter_mut().zip(dy).zip(scale).for_each(|((o, &d), &g)| *o = d * g);
        let mean = out.iter().copied().sum::<T>() / width;
        let mean = if saved.is_centred { mean } else { T::ZERO };
        let along = crate::matrix::dot(out, hat) / width;
        let inverse = saved.scale[row];
        out.iter_mut().zip(hat).for_each(|(o, &h)| *o = (*o - mean - h * along) * inverse);
        let scales = pending.scale.iter_mut().zip(hat).zip(dy);
        scales.for_each(|((s, &h), &d)| *s += h * d);
        crate::matrix::add(&mut pending.shift, dy);
    }
    (dx, pending)
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
