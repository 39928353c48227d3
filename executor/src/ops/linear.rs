//! `y = x W + b` with `x: tokens × in`, `W: in × out`.

use crate::float::Float;
use crate::gemm::{add_product, product};
use crate::matrix::{Matrix, View, ViewMut, add, add_rows};
use crate::threads::{rows_per_piece, run_each};

/// `x W + b`.
#[must_use]
pub fn forward<T: Float>(x: View<'_, T>, w: View<'_, T>, bias: Option<&[T]>) -> Matrix<T> {
    let mut y = product(x, w);
    if let Some(bias) = bias {
        add_bias(&mut y, bias);
    }
    y
}

/// Adds `bias` to every row.
pub fn add_bias<T: Float>(y: &mut Matrix<T>, bias: &[T]) {
    let cols = y.cols().max(1);
    let each = rows_per_piece(y.rows(), cols) * cols;
    run_each(y.data_mut().chunks_mut(each).collect(), |rows: &mut [T]| {
        rows.chunks_exact_mut(cols).for_each(|row| add(row, bias));
    });
}

/// Gradient of the input: `dy Wᵀ`.
#[must_use]
pub fn backward_input<T: Float>(w: View<'_, T>, dy: View<'_, T>) -> Matrix<T> {
    product(dy, w.t())
}

/// Adds the gradient of the weights: `xᵀ dy` and the column sums of `dy`.
pub fn backward_weight<T: Float>(
    x: View<'_, T>,
    dy: View<'_, T>,
    dw: ViewMut<'_, T>,
    dbias: Option<&mut [T]>,
) {
    add_product(dw, x.t(), dy);
    if let Some(dbias) = dbias {
        add_rows(dbias, dy);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{compare, matrix, numbers, weigh};

    #[test]
    fn gradients_are_central_differences() {
        let (x, w, b) = (matrix(5, 3, 1), matrix(3, 4, 2), numbers(4, 3));
        let dy = matrix(5, 4, 9);
        let loss = |x: &[f64], w: &[f64], b: &[f64]| {
            let y = forward(View::new(x, 5, 3), View::new(w, 3, 4), Some(b));
            weigh(y.data(), 9)
        };
        let dx = backward_input(w.view(), dy.view());
        let (mut dw, mut db) = (Matrix::zeros(3, 4), vec![0.0; 4]);
        backward_weight(x.view(), dy.view(), dw.view_mut(), Some(&mut db));
        compare(x.data(), dx.data(), |x| loss(x, w.data(), &b));
        compare(w.data(), dw.data(), |w| loss(x.data(), w, &b));
        compare(&b, &db, |b| loss(x.data(), w.data(), b));
    }
}
