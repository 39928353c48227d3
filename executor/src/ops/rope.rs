//! Rotary positions (Su et al. 2021, arXiv:2104.09864): column `i` and column `i + d/2` of a head
//! turn by `position / 10000^{2i/d}`.

use crate::float::Float;
use crate::matrix::ViewMut;

/// Which heads to turn.
#[derive(Clone, Copy, Debug)]
pub struct Rope {
    /// Heads beside each other in the columns.
    pub heads: usize,
    /// Width of one head; even.
    pub head_dim: usize,
    /// Tokens per sequence; sequences lie one after the other in the rows.
    pub sequence: usize,
    /// Position of the first token.
    pub first: usize,
}

const BASE: f64 = 10_000.0;

impl Rope {
    /// Turns forward.
    pub fn forward<T: Float>(&self, x: ViewMut<'_, T>) {
        self.turn(x, 1.0);
    }

    /// Turns back, which is the gradient: a rotation's inverse is its transpose.
    pub fn backward<T: Float>(&self, dx: ViewMut<'_, T>) {
        self.turn(dx, -1.0);
    }

    fn turn<T: Float>(&self, mut x: ViewMut<'_, T>, sign: f64) {
        let half = self.head_dim / 2;
        let table = self.table::<T>(sign);
        for row in 0..x.rows {
            let angles = &table[row % self.sequence * half..][..half];
            for head in x.row_mut(row).chunks_exact_mut(self.head_dim).take(self.heads) {
                let (low, high) = head.split_at_mut(half);
                let pairs = low.iter_mut().zip(high).zip(angles);
                pairs.for_each(|((a, b), &(cos, sin))| {
                    (*a, *b) = (*a * cos - *b * sin, *a * sin + *b * cos);
                });
            }
        }
    }

    fn table<T: Float>(&self, sign: f64) -> Vec<(T, T)> {
        let half = self.head_dim / 2;
        let angle = |position: usize, i: usize| {
            (self.first + position) as f64 / BASE.powf(2.0 * i as f64 / self.head_dim as f64)
        };
        let at = |n: usize| {
            let a = angle(n / half, n % half);
            (T::of(a.cos()), T::of(sign * a.sin()))
        };
        (0..self.sequence * half).map(at).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::Matrix;
    use crate::ops::check::{compare, matrix, weigh};

    const ROPE: Rope = Rope { heads: 2, head_dim: 4, sequence: 3, first: 2 };

    #[test]
    fn gradient_is_central_differences() {
        let x = matrix(6, 8, 1);
        let mut dx = matrix(6, 8, 3);
        ROPE.backward(dx.view_mut());
        compare(x.data(), dx.data(), |x| {
            let mut y = Matrix::from_vec(6, 8, x.to_vec());
            ROPE.forward(y.view_mut());
            weigh(y.data(), 3)
        });
    }

    /// Turning two vectors by the same angle keeps their product: scores see distances only.
    #[test]
    fn products_depend_on_the_distance() {
        let score = |first: usize| {
            let rope = Rope { heads: 1, head_dim: 4, sequence: 2, first };
            let mut x = matrix(2, 4, 1);
            rope.forward(x.view_mut());
            crate::matrix::dot(x.row(0), x.row(1))
        };
        assert!((score(0) - score(7)).abs() < 1e-12);
    }
}
