//! Matrix products, spread over a bounded number of threads.
//!
//! Parts of a product are parts of its result, never of its inner dimension, so that the number of
//! threads does not change a bit of it. In single precision, tiles are computed by [`kernel`] where
//! the processor has wide vectors, and by the crate `matrixmultiply` elsewhere; double precision,
//! in which gradients are checked, always takes that crate.

mod blocks;
mod kernel;

pub use crate::threads::limit_threads;
pub(crate) use blocks::{Panels, Product};
pub(crate) use kernel::Kernel;

use crate::float::Float;
use crate::matrix::{Matrix, View, ViewMut};
use crate::threads::{run_each, threads};

/// Below this many multiplications a part is not worth a thread of its own.
const WORTH_A_THREAD: usize = 1 << 20;

/// Parts begin at multiples of this, so that the kernel's tiles stay whole.
const TILE: usize = 32;

/// A right operand that is used again and again: copied once into the order in which the kernel
/// reads it, where there is a kernel.
#[derive(Clone, Debug)]
pub struct Packed<'a, T> {
    view: View<'a, T>,
    panels: Option<Panels>,
}

impl<'a, T: Float> Packed<'a, T> {
    /// Copies an operand.
    #[must_use]
    pub fn new(view: View<'a, T>) -> Self {
        assert!(view.is_inside(), "a view lies in its slice");
        Self { view, panels: T::panels(view) }
    }

    /// Columns.
    #[must_use]
    pub fn cols(&self) -> usize {
        self.view.cols
    }
}

/// `out = a · b`.
#[must_use]
pub fn product<T: Float>(a: View<'_, T>, b: View<'_, T>) -> Matrix<T> {
    let mut out = Matrix::stale(a.rows, b.cols);
    gemm(out.view_mut(), T::ZERO, T::ONE, a, b);
    out
}

/// `out += a · b`.
pub fn add_product<T: Float>(out: ViewMut<'_, T>, a: View<'_, T>, b: View<'_, T>) {
    gemm(out, T::ONE, T::ONE, a, b);
}

/// `out = beta · out + alpha · a · b`.
pub fn gemm<T: Float>(out: ViewMut<'_, T>, beta: T, alpha: T, a: View<'_, T>, b: View<'_, T>) {
    run(out, [alpha, beta], a, b, None);
}

/// `out = beta · out + a · b`, to the bit that of [`gemm`].
pub fn gemm_packed<T: Float>(out: ViewMut<'_, T>, beta: T, a: View<'_, T>, b: &Packed<'_, T>) {
    run(out, [T::ONE, beta], a, b.view, b.panels.as_ref());
}

#[expect(unsafe_code, reason = "the kernel takes pointers; bounds are checked right before")]
fn run<T: Float>(
    mut out: ViewMut<'_, T>,
    scale: [T; 2],
    a: View<'_, T>,
    b: View<'_, T>,
    panels: Option<&Panels>,
) {
    let [m, k, n] = [a.rows, a.cols, b.cols];
    assert!(b.rows == k && (out.rows, out.cols) == (m, n), "{m}×{k} · {}×{n}", b.rows);
    assert!(a.is_inside() && b.is_inside() && out.is_inside(), "a view lies in its slice");
    if m == 0 || n == 0 {
        return;
    }
    let panels = panels.map(|panels| (panels, 0));
    let (a, b, c) = (operand(&a), operand(&b), target(&mut out));
    let whole = Part { m, n, k, scale, a, b, panels, c };
    let parts = (m * n * k / WORTH_A_THREAD).min(threads());
    let all = if parts < 2 { vec![whole] } else { whole.split(parts) };
    // SAFETY: the views lie in their slices, as asserted; `out` is borrowed exclusively, and parts
    // are disjoint blocks of it.
    run_each(all, |part| unsafe { part.run() });
}

fn operand<T>(v: &View<'_, T>) -> (*const T, usize, usize) {
    (v.data.as_ptr(), v.strides.0, v.strides.1)
}

fn target<T>(v: &mut ViewMut<'_, T>) -> (*mut T, usize) {
    (v.data.as_mut_ptr(), v.row_stride)
}

/// A block of a product.
#[derive(Clone, Copy)]
struct Part<'a, T> {
    m: usize,
    n: usize,
    k: usize,
    scale: [T; 2],
    a: (*const T, usize, usize),
    b: (*const T, usize, usize),
    panels: Option<(&'a Panels, usize)>,
    c: (*mut T, usize),
}

// SAFETY: a part is sent to one thread, and parts of one product write disjoint blocks.
#[expect(unsafe_code, reason = "pointers to disjoint blocks")]
unsafe impl<T: Float> Send for Part<'_, T> {}

impl<T: Float> Part<'_, T> {
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
            let panels = self.panels.map(|(panels, first)| (panels, first + start));
            Self { n: len, b, panels, c: (c.0.wrapping_add(start), c.1), ..self }
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
        unsafe { T::product([self.m, self.k, self.n], self.scale, a, (b, self.panels), c) };
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

        /// Whether the right operand was packed before does not change a bit, nor do threads, nor
        /// does computing some columns alone.
        #[test]
        fn packed_operands_give_the_same_bits(
            m in 1usize..30, k in 1usize..600, n in 1usize..200, turned: bool, threads in 1usize..4,
        ) {
            let a = Matrix::from_fn(m, k, |i, j| ((i * k + j) as f32).sin());
            let b = Matrix::from_fn(if turned { n } else { k }, if turned { k } else { n },
                |i, j| ((i * 7 + j * 13) as f32).cos());
            let b = if turned { b.view().t() } else { b.view() };
            let whole = product(a.view(), b);
            limit_threads(threads);
            let mut again = Matrix::zeros(m, n);
            gemm_packed(again.view_mut(), 0.0, a.view(), &Packed::new(b));
            limit_threads(1);
            prop_assert!(whole == again);
            let from = n / 3;
            let some = product(a.view(), b.columns(from..n));
            prop_assert!(some == whole.view().columns(from..n).to_matrix());
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

    /// 2·3 + 10 − 4·(1·5 + 2·6) by hand: alpha and beta, over more than one block of the inner
    /// dimension too.
    #[test]
    fn results_are_scaled() {
        let mut out = Matrix::from_vec(1, 1, vec![3.0f32]);
        let a = Matrix::from_vec(1, 3, vec![1.0, 2.0, 0.0]);
        let b = Matrix::from_vec(3, 1, vec![5.0, 6.0, 7.0]);
        gemm(out.view_mut(), 2.0, -4.0, a.view(), b.view());
        assert_eq!(out.data(), [6.0 - 68.0]);
        let ones = |rows, cols| Matrix::from_fn(rows, cols, |_, _| 1.0f32);
        let mut out = ones(7, 17);
        gemm(out.view_mut(), 3.0, 0.5, ones(7, 1000).view(), ones(1000, 17).view());
        assert!(out.data().iter().all(|&v| v == 503.0));
        gemm(out.view_mut(), 3.0, 0.5, ones(7, 0).view(), ones(0, 17).view());
        assert!(out.data().iter().all(|&v| v == 1509.0));
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
