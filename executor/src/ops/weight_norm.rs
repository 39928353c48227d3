//! Weight normalisation (Salimans and Kingma 2016, arXiv:1602.07868): column `j` of the weights is
//! `g_j v_j / ‖v_j‖`.

use crate::float::Float;
use crate::matrix::{Matrix, View, ViewMut, add_scaled};

/// Lengths of the columns. A column of zeros counts as length 1.
fn lengths<T: Float>(v: View<'_, T>) -> Vec<T> {
    let mut squares = vec![T::ZERO; v.cols()];
    for row in 0..v.rows() {
        squares.iter_mut().zip(v.row(row)).for_each(|(s, &x)| *s += x * x);
    }
    squares.into_iter().map(|s| if s > T::ZERO { s.sqrt() } else { T::ONE }).collect()
}

/// The weights that a direction and lengths make.
#[must_use]
pub fn forward<T: Float>(v: View<'_, T>, g: &[T]) -> Matrix<T> {
    let factors: Vec<T> = lengths(v).iter().zip(g).map(|(&n, &g)| g / n).collect();
    let mut w = Matrix::zeros(v.rows(), v.cols());
    for row in 0..v.rows() {
        let parts = v.row(row).iter().zip(&factors);
        w.row_mut(row).iter_mut().zip(parts).for_each(|(w, (&v, &f))| *w = v * f);
    }
    w
}

/// Adds the gradients: with `v̂ = v/‖v‖`, `dg = dw·v̂` and `dv = g/‖v‖ (dw − v̂ dg)` per column.
pub fn backward<T: Float>(
    v: View<'_, T>,
    g: &[T],
    dw: &Matrix<T>,
    mut dv: ViewMut<'_, T>,
    dg: &mut [T],
) {
    let lengths = lengths(v);
    let mut along = vec![T::ZERO; v.cols()];
    for row in 0..v.rows() {
        let parts = v.row(row).iter().zip(dw.row(row));
        along.iter_mut().zip(parts).for_each(|(a, (&v, &d))| *a += v * d);
    }
    along.iter_mut().zip(&lengths).for_each(|(a, &n)| *a = *a / n);
    for row in 0..v.rows() {
        let (v, dw, dv) = (v.row(row), dw.row(row), dv.row_mut(row));
        for (j, out) in dv.iter_mut().enumerate() {
            *out += g[j] / lengths[j] * (dw[j] - v[j] / lengths[j] * along[j]);
        }
    }
    add_scaled(dg, T::ONE, &along);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{compare, matrix, numbers, weigh};

    #[test]
    fn gradients_are_central_differences() {
        let (v, g) = (matrix(4, 3, 1), numbers(3, 2));
        let (mut dv, mut dg) = (Matrix::zeros(4, 3), vec![0.0; 3]);
        backward(v.view(), &g, &matrix(4, 3, 5), dv.view_mut(), &mut dg);
        let loss = |v: &[f64], g: &[f64]| weigh(forward(View::new(v, 4, 3), g).data(), 5);
        compare(v.data(), dv.data(), |v| loss(v, &g));
        compare(&g, &dg, |g| loss(v.data(), g));
    }

    #[test]
    fn columns_get_their_lengths() {
        let w = forward(matrix(4, 2, 1).view(), &[2.0, 0.5]);
        let length = |j: usize| (0..4).map(|i| w.row(i)[j].powi(2)).sum::<f64>().sqrt();
        assert!((length(0) - 2.0).abs() < 1e-12 && (length(1) - 0.5).abs() < 1e-12);
    }
}
