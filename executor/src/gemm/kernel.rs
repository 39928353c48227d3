//! The innermost part of a product: a tile of the result, kept in registers.
//!
//! Every element of a tile is a chain of fused multiply-adds along the inner dimension, whatever
//! the size of the tile: how a product is cut into tiles does not change a bit of it.

use std::sync::OnceLock;

/// Where a tile lies, and what happens to what is there: `C ← α A B + β C`.
#[derive(Clone, Copy, Debug)]
pub struct Tile {
    /// First element.
    pub at: *mut f32,
    /// Elements from row to row.
    pub stride: usize,
    /// `α`.
    pub alpha: f32,
    /// `β`; what is there is not read where it is 0.
    pub beta: f32,
}

/// A kernel for one kind of processor.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    /// Most rows of a tile.
    pub rows: usize,
    /// Columns of a tile.
    pub cols: usize,
    run: &'static [unsafe fn(usize, *const f32, *const f32, Tile)],
}

impl Kernel {
    /// The widest one that this processor has; `None` where it has none of those written here.
    #[must_use]
    pub fn find() -> Option<Self> {
        static FOUND: OnceLock<Option<Kernel>> = OnceLock::new();
        *FOUND.get_or_init(detect)
    }

    /// A tile of `rows` rows. `a` is `k` columns of `rows` elements, `b` is `k` rows of
    /// `self.cols` elements.
    ///
    /// # Safety
    /// This kernel was found on this processor, `1 ≤ rows ≤ self.rows`, and both operands and the
    /// tile lie in their allocations.
    #[expect(unsafe_code, reason = "the innermost loop takes pointers")]
    pub unsafe fn run(&self, rows: usize, k: usize, a: *const f32, b: *const f32, tile: Tile) {
        // SAFETY: the caller's promise.
        unsafe { self.run[rows - 1](k, a, b, tile) }
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Option<Kernel> {
    None
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Option<Kernel> {
    let is_wide = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    is_wide.then_some(Kernel { rows: 6, cols: 16, run: &x86::AVX2 })
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Tile;
    use std::arch::x86_64::*;

    type Run = unsafe fn(usize, *const f32, *const f32, Tile);

    /// How far ahead the right operand is asked for: some thirty rows of it take as long as what
    /// comes from the third cache. Products of few rows read each panel a few times only.
    const AHEAD: usize = 512;

    macro_rules! kernel {
        (
            $name:ident, $features:literal, $lanes:literal, $zero:ident, $load:ident, $store:ident,
            $spread:ident, $fused:ident, $times:ident, $plus:ident
        ) => {
            /// Two vectors wide and `R` rows high.
            #[expect(unsafe_code, reason = "vector instructions on pointers")]
            #[target_feature(enable = $features)]
            unsafe fn $name<const R: usize>(k: usize, a: *const f32, b: *const f32, tile: Tile) {
                let mut sums = [[$zero(); 2]; R];
                let (mut a, mut b) = (a, b);
                // SAFETY: the caller promises `k` columns of `R` elements and `k` rows of two
                // vectors, and a tile of `R` rows of two vectors.
                unsafe {
                    // Rows of a result lie far apart: they are on their way while sums are taken.
                    for i in 0..R {
                        let row = tile.at.wrapping_add(i * tile.stride).cast::<i8>();
                        _mm_prefetch::<_MM_HINT_T0>(row);
                        _mm_prefetch::<_MM_HINT_T0>(row.wrapping_add(8 * $lanes - 1));
                    }
                    for _ in 0..k {
                        _mm_prefetch::<_MM_HINT_T0>(b.wrapping_add(AHEAD).cast());
                        let right = [$load(b), $load(b.add($lanes))];
                        for (i, sum) in sums.iter_mut().enumerate() {
                            let left = $spread(*a.add(i));
                            sum[0] = $fused(left, right[0], sum[0]);
                            sum[1] = $fused(left, right[1], sum[1]);
                        }
                        (a, b) = (a.add(R), b.add(2 * $lanes));
                    }
                    let (alpha, beta) = ($spread(tile.alpha), $spread(tile.beta));
                    for (i, sum) in sums.iter().enumerate() {
                        for (half, &sum) in sum.iter().enumerate() {
                            let at = tile.at.add(i * tile.stride + half * $lanes);
                            let new = $times(alpha, sum);
                            if tile.beta == 0.0 {
                                $store(at, new);
                            } else {
                                $store(at, $plus($times(beta, $load(at)), new));
                            }
                        }
                    }
                }
            }
        };
    }

    kernel!(
        avx2,
        "avx2,fma",
        8,
        _mm256_setzero_ps,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_set1_ps,
        _mm256_fmadd_ps,
        _mm256_mul_ps,
        _mm256_add_ps
    );
    pub const AVX2: [Run; 6] = [avx2::<1>, avx2::<2>, avx2::<3>, avx2::<4>, avx2::<5>, avx2::<6>];
}
