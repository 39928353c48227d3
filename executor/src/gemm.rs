//! Matrix products, spread over a bounded number of threads.
//!
//! Parts of a product are parts of its result, never of its inner dimension, so that the number of
//! threads does not change a bit of it.

use crate::float::Float;
use crate::matrix::{Matrix, View, ViewMut};
use std::cell::Cell;

/// Below this many multiplications a part is not worth a thread of its own.
const WORTH_A_THREAD: usize = 4 << 20;

/// Parts begin at multiples of this, so that the kernel's tiles stay whole.
const TILE: usize = 16;

thread_local! {
    static THREADS: Cell<usize> = const { Cell::new(1) };
}

/// How many threads products started by this thread may use; 1 until said otherwise.
pub fn limit_threads(threads: usize) {
    THREADS.set(threads.max(1));
}

/// `out = a · b`.
#[must_use]
pub fn product<T: Float>(a: View<'_, T>, b: View<'_, T>) -> Matrix<T> {
    let mut out = Matrix::zeros(a.rows, b.cols);
    gemm(out.view_mut(), T::ZERO, T::ONE, a, b);
    out
}

/// `out += a · b`.
pub fn add_product<T: Float>(out: ViewMut<'_, T>, a: View<'_, T>, b: View<'_, T>) {
    gemm(out, T::ONE, T::ONE, a, b);
}

/// `out = beta · out + alpha · a · b`.
#[expect(unsafe_code, reason = "the kernel takes pointers; bounds are checked right before")]
pub fn gemm<T: Float>(mut out: ViewMut<'_, T>, beta: T, alpha: T, a: View<'_, T>, b: View<'_, T>) {
    let [m, k, n] = [a.rows, a.cols, b.cols];
    assert!(b.rows == k && (out.rows, out.cols) == (m, n), "{m}×{k} · {}×{n}", b.rows);
    assert!(a.is_inside() && b.is_inside() && out.is_inside(), "a view lies in its slice");
    if m == 0 || n == 0 {
        return;
    }
    let scale = [alpha, beta];
    let whole = Part { m, n, k, scale, a: operand(&a), b: operand(&b), c: target(&mut out) };
    let parts = THREADS.get().min(m * n * k / WORTH_A_THREAD);
    if parts < 2 {
        // SAFETY: the views lie in their slices, as asserted, and `out` is borrowed exclusively.
        unsafe { whole.run() };
        return;
    }
    std::thread::scope(|scope| {
        for part in whole.split(parts) {
            // SAFETY: as above; parts are disjoint blocks of `out`.
            scope.spawn(move || unsafe { part.run() });
        }
    });
}

fn operand<T>(v: &View<'_, T>) -> (*const T, usize, usize) {
    (v.data.as_ptr(), v.strides.0, v.strides.1)
}

fn target<T>(v: &mut ViewMut<'_, T>) -> (*mut T, usize) {
    (v.data.as_mut_ptr(), v.row_stride)
}

/// A block of a product.
#[derive(Clone, Copy)]
struct Part<T> {
    m: usize,
    n: usize,
    k: usize,
    scale: [T; 2],
    a: (*const T, usize, usize),
    b: (*const T, usize, usize),
    c: (*mut T, usize),
}

// SAFETY: a part is sent to one thread, and parts of one product write disjoint blocks.
#[expect(unsafe_code, reason = "pointers to disjoint blocks")]
unsafe impl<T: Float> Send for Part<T> {}

impl<T: Float> Part<T> {
    /// Cuts the longer side into `parts`.
    fn split(self, parts: usize) -> Vec<Self> {
        let along_rows = self.m >= self.n;
        let total = if along_rows { self.m } else { self.n };
        let piece = total.div_ceil(parts).next_multiple_of(TILE);
        let starts = (0..total).step_by(piece);
        starts.map(|start| self.piece(along_rows, start, piece.min(total - start))).collect()
    }

    fn piece(self, along_rows: bool, start: usize, len: usize) -> Self {
        let Self { a, b, c, .. } = self;
        if along_rows {
            let a = (a.0.wrapping_add(start * a.1), a.1, a.2);
            Self { m: len, a, c: (c.0.wrapping_add(start * c.1), c.1), ..self }
        } else {
            let b = (b.0.wrapping_add(start * b.2), b.1, b.2);
            Self { n: len, b, c: (c.0.wrapping_add(start), c.1), ..self }
        }
    }

    /// # Safety
    /// The views of the part lie in their slices, and nobody else touches its block of the result.
    #[expect(unsafe_code, reason = "the kernel takes pointers")]
    unsafe fn run(self) {
        let stride = |s: usize| s as isize;
        let a = (self.a.0, stride(self.a.1), stride(self.a.2));
        let b = (self.b.0, stride(self.b.1), stride(self.b.2));
        let c = (self.c.0, stride(self.c.1), 1);
        // SAFETY: the caller's promise.
        unsafe { T::product([self.m, self.k, self.n], self.scale, a, b, c) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matrix(rows: usize, cols: usize, seed: usize) -> Matrix<f32> {
        Matrix::from_fn(rows, cols, |i, j| ((i * 31 + j * 17 + seed * 7) % 5) as f32 - 2.0)
    }

    /// Integers below 2²⁴ are exact in any order.
    fn naive(a: View<'_, f32>, b: View<'_, f32>) -> Matrix<f32> {
        let (a, b) = (a.to_matrix(), b.to_matrix());
        Matrix::from_fn(a.rows(), b.cols(), |i, j| {
            (0..a.cols()).map(|k| a.row(i)[k] * b.row(k)[j]).sum()
        })
    }

    proptest! {
        #[test]
        fn equals_the_sums(m in 1usize..40, k in 0usize..40, n in 1usize..40, ta: bool, tb: bool) {
            let a = if ta { matrix(k, m, 1) } else { matrix(m, k, 1) };
            let b = if tb { matrix(n, k, 2) } else { matrix(k, n, 2) };
            let a = if ta { a.view().t() } else { a.view() };
            let b = if tb { b.view().t() } else { b.view() };
            prop_assert_eq!(product(a, b), naive(a, b));
        }
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        let a = Matrix::from_fn(300, 333, |i, j| ((i * 333 + j) as f32).sin());
        let b = Matrix::from_fn(333, 500, |i, j| ((i * 500 + j) as f32).cos());
        for (a, b) in [(a.view(), b.view()), (b.view().t(), a.view().t())] {
            limit_threads(1);
            let one = product(a, b);
            limit_threads(3);
            assert!(one == product(a, b));
        }
        limit_threads(1);
    }

    #[test]
    fn blocks_write_their_place_only() {
        let a = matrix(2, 3, 1);
        let b = matrix(3, 2, 2);
        let mut out = Matrix::zeros(4, 5);
        add_product(out.view_mut().block(1..3, 2..4), a.view(), b.view());
        let inner = out.view().block(1..3, 2..4).to_matrix();
        assert_eq!(inner, naive(a.view(), b.view()));
        let sum = |m: &Matrix<f32>| m.data().iter().map(|x| x.abs()).sum::<f32>();
        assert_eq!(sum(&out), sum(&inner));
    }
}
