//! The norm of all gradients, to the bit the same however they are split over ranks.
//!
//! Floating-point sums depend on their order, and shards are summed in different orders. Here each
//! square is rounded to fixed steps first, which depends on nothing else; sums of multiples of one
//! step are exact as long as they are below 2⁵³ steps, so their order does not matter.

use crate::float::widened;
use crate::threads::{map_each, rows_per_piece};

/// Squares of this many elements are summed in floating point, exactly; then in integers.
const BLOCK: usize = 4096;

/// Steps of the three parts of a square: with 2¹² elements per block, sums stay below 2⁵³ steps for
/// squares up to 2⁴⁰ (elements up to a million).
const STEPS: [f64; 3] = [1.0, 1.0 / (1u64 << 40) as f64, 1.0 / (1u64 << 63) as f64 / 2.0];

/// An exact sum of rounded squares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SquareSum {
    /// In units of the smallest step, 2⁻⁶⁴.
    units: i128,
    /// Whether some element was infinite, NaN or beyond a million.
    is_broken: bool,
}

impl SquareSum {
    /// Adds the squares of `values`, each times `factor`; an element's square is rounded to
    /// multiples of 2⁻⁶⁴.
    pub fn add(&mut self, values: &[f32], factor: f64) {
        let each = rows_per_piece(values.len(), 1).next_multiple_of(BLOCK);
        let pieces = values.chunks(each).collect();
        let sums = map_each(pieces, |piece: &[f32]| {
            let mut sum = Self::default();
            piece.chunks(BLOCK).for_each(|block| sum.add_block(block, factor));
            sum
        });
        sums.into_iter().for_each(|sum| self.join(sum));
    }

    fn add_block(&mut self, block: &[f32], factor: f64) {
        let Some(sums) = block_sums(block, factor) else {
            self.is_broken = true;
            return;
        };
        let units = |sum: f64, step: f64| ((sum / step) as i128) * (step / STEPS[2]) as i128;
        self.units += (0..3).map(|i| units(sums[i], STEPS[i])).sum::<i128>();
    }

    /// Joins two sums.
    pub fn join(&mut self, other: Self) {
        self.units += other.units;
        self.is_broken |= other.is_broken;
    }

    /// The root of the sum; `None` where some element was no usable number.
    #[must_use]
    pub fn norm(self) -> Option<f64> {
        (!self.is_broken).then(|| (self.units as f64 * STEPS[2]).sqrt())
    }

    /// As a message.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = self.units.to_le_bytes().to_vec();
        bytes.push(self.is_broken.into());
        bytes
    }

    /// From a message. `None` where it is none.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (units, flag) = bytes.split_first_chunk()?;
        let is_broken = matches!(flag, [1]);
        (flag.len() == 1).then(|| Self { units: i128::from_le_bytes(*units), is_broken })
    }
}

/// Lanes of a vector, which are summed apart: sums are exact, so their order does not matter.
const LANES: usize = 8;

widened! {
    /// Sums of the three parts of the squares; `None` where one is too large, infinite or NaN.
    fn block_sums(block: &[f32], factor: f64) -> Option<[f64; 3]> {
        let mut sums = [[0.0f64; LANES]; 3];
        let mut largest = [0.0f64; LANES];
        let (chunks, rest) = block.as_chunks::<LANES>();
        let mut last = [0.0; LANES];
        last[..rest.len()].copy_from_slice(rest);
        for chunk in chunks.iter().chain([&last]) {
            for lane in 0..LANES {
                let scaled = f64::from(chunk[lane]) * factor;
                let square = scaled * scaled;
                largest[lane] = if square > largest[lane] { square } else { largest[lane] };
                let mut rest = square;
                for (sums, step) in sums.iter_mut().zip(STEPS) {
                    // Adding 1.5·2⁵² steps leaves no room for less than one step.
                    let high = 1.5 * (1u64 << 52) as f64 * step;
                    let part = (rest + high) - high;
                    sums[lane] += part;
                    rest -= part;
                }
            }
        }
        // NaN is not larger than anything, but makes sums NaN.
        let is_usable = largest.iter().all(|&square| square < (1u64 << 40) as f64);
        let sums = sums.map(|lanes| lanes.iter().sum::<f64>());
        (is_usable && sums.iter().all(|sum| sum.is_finite())).then_some(sums)
    }
}

/// What gradients are multiplied with so that their norm is at most `limit`.
#[must_use]
pub fn clip_factor(norm: f64, limit: Option<f64>) -> f64 {
    match limit {
        Some(limit) if norm > limit => limit / norm,
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum(values: &[f32]) -> SquareSum {
        let mut sum = SquareSum::default();
        sum.add(values, 1.0);
        sum
    }

    proptest! {
        #[test]
        fn neither_order_nor_cut_matters(
            values in proptest::collection::vec(-1e3f32..1e3, 1..9000),
            tiny in proptest::collection::vec(-1e-6f32..1e-6, 1..100),
            at in any::<prop::sample::Index>(),
        ) {
            let mut values = values;
            values.extend(tiny);
            let whole = sum(&values);
            let (a, b) = values.split_at(at.index(values.len()));
            let mut parts = sum(b);
            parts.join(sum(a));
            prop_assert_eq!(whole, parts);
            let mut turned = values.clone();
            turned.reverse();
            prop_assert_eq!(whole, sum(&turned));
            let exact: f64 = values.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
            let norm = whole.norm().unwrap();
            prop_assert!((norm - exact.sqrt()).abs() <= 1e-9 * norm);
            prop_assert_eq!(SquareSum::from_bytes(&whole.to_bytes()), Some(whole));
        }
    }

    /// 3² + 4² = 5².
    #[test]
    fn known_norms() {
        assert_eq!(sum(&[3.0, -4.0]).norm(), Some(5.0));
        assert_eq!(sum(&[]).norm(), Some(0.0));
        for bad in [f32::NAN, f32::INFINITY, 3e6] {
            assert_eq!(sum(&[1.0, bad, 1.0]).norm(), None);
        }
        assert_eq!(clip_factor(5.0, Some(1.0)), 0.2);
        assert_eq!(clip_factor(0.5, Some(1.0)), 1.0);
    }
}
