//! Rows of a table, picked by token. A rank may hold some rows of the table only; the others come
//! out as zeros, and the sum over ranks is the lookup.

use crate::float::Float;
use crate::matrix::{Matrix, View, ViewMut, add};

/// Rows `first..first + table.rows()` of the vocabulary; one result row per token.
#[must_use]
pub fn forward<T: Float>(table: View<'_, T>, first: u32, tokens: &[u32]) -> Matrix<T> {
    let mut y = Matrix::zeros(tokens.len(), table.cols());
    for (row, &token) in tokens.iter().enumerate() {
        if let Some(held) = held(token, first, table.rows()) {
            y.row_mut(row).copy_from_slice(table.row(held));
        }
    }
    y
}

/// Adds the gradient of the table, token after token, so that the sum has one order.
pub fn backward<T: Float>(mut dtable: ViewMut<'_, T>, first: u32, tokens: &[u32], dy: View<'_, T>) {
    let rows = dtable.rows;
    for (row, &token) in tokens.iter().enumerate() {
        if let Some(held) = held(token, first, rows) {
            add(dtable.row_mut(held), dy.row(row));
        }
    }
}

/// The local row of a token, if it is held here.
pub(crate) fn held(token: u32, first: u32, rows: usize) -> Option<usize> {
    let local = token.checked_sub(first)? as usize;
    (local < rows).then_some(local)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{compare, matrix, weigh};

    #[test]
    fn gradient_is_central_differences() {
        let table = matrix(4, 3, 1);
        let tokens = [2, 0, 2, 3];
        let mut gradient = Matrix::zeros(4, 3);
        backward(gradient.view_mut(), 0, &tokens, matrix(4, 3, 5).view());
        compare(table.data(), gradient.data(), |t| {
            weigh(forward(View::new(t, 4, 3), 0, &tokens).data(), 5)
        });
    }

    #[test]
    fn parts_of_a_table_add_up() {
        let table = matrix(5, 2, 1);
        let tokens = [4, 0, 3, 1, 2, 4];
        let (low, high) = (table.rows_view(0..3), table.rows_view(3..5));
        let mut sum = forward(low, 0, &tokens);
        sum.add(&forward(high, 3, &tokens));
        assert_eq!(sum, forward(table.view(), 0, &tokens));
    }
}
