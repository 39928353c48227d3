//! Jitter: one factor per step for everybody, one per rank for its computation.
//!
//! Noise of clusters is common: a warm room, a busy network, a slow input pipeline slow down all
//! that happens for a while. Drawing a new factor for every action would average that away inside
//! a step and put it back as false waiting between ranks; measured on replays it overstates the
//! step by a fifth. So nothing here is drawn per action.
//!
//! Deterministic: the draws follow from the seed alone.

use super::Fold;
use crate::normal;

/// How much steps differ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// Standard deviation of the factor of a whole step.
    pub common: f64,
    /// Standard deviation of the factor on one rank's computation, for a whole step.
    pub rank: f64,
    /// Where the draws start.
    pub seed: u64,
}

/// The factors of one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Draw {
    /// On everything.
    pub common: f64,
    /// On the computation of each simulated rank.
    pub ranks: Vec<f64>,
}

/// Factors stay above this: no step is done in a tenth of its time.
const LEAST: f64 = 0.1;

impl Noise {
    /// The factors of a step.
    ///
    /// A simulated rank stands for `n` ranks, and collectives make all wait for the slowest, so it
    /// gets the largest of `n` draws: the quantile `u^(1/n)` for a uniform `u`.
    #[must_use]
    pub fn draw(&self, step: u64, fold: &Fold) -> Draw {
        let mut uniform = Uniform::new(self.seed, step);
        let factor = |quantile: f64, deviation: f64| {
            if deviation == 0.0 {
                1.0
            } else {
                (1.0 + deviation * normal::quantile(quantile)).max(LEAST)
            }
        };
        let common = factor(uniform.next(), self.common);
        let counts = fold.counts.iter();
        let ranks = counts
            .map(|&n| factor(uniform.next().powf(1.0 / f64::from(n.max(1))), self.rank))
            .collect();
        Draw { common, ranks }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators").
struct Uniform(u64);

impl Uniform {
    fn new(seed: u64, step: u64) -> Self {
        let mut mix = Self(seed);
        let start = mix.bits();
        Self(start ^ step.wrapping_mul(0xd134_2543_de82_ef95))
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Above 0 and below 1.
    fn next(&mut self) -> f64 {
        ((self.bits() >> 12) as f64 + 0.5) / (1u64 << 52) as f64
    }
}

/// The value below which a share of all lie, interpolated between the nearest two. Zero of none.
#[must_use]
pub fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let at = share.clamp(0.0, 1.0) * last as f64;
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    sorted[low] + (sorted[high] - sorted[low]) * (at - low as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fold(counts: &[u32]) -> Fold {
        Fold::with_counts(counts)
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let noise = Noise { common: 0.01, rank: 0.002, seed: 7 };
        assert_eq!(noise.draw(3, &fold(&[4, 4])), noise.draw(3, &fold(&[4, 4])));
        assert_ne!(noise.draw(3, &fold(&[4, 4])), noise.draw(4, &fold(&[4, 4])));
        let quiet = Noise { common: 0.0, rank: 0.0, seed: 7 };
        assert_eq!(quiet.draw(3, &fold(&[4])), Draw { common: 1.0, ranks: vec![1.0] });
    }

    /// The mean of the largest of n normal draws: 0.5642 for 2, 2.5076 for 100 (Harter 1961,
    /// "Expected values of normal order statistics", Biometrika 48).
    #[test]
    fn the_slowest_of_many_is_slower() {
        let noise = Noise { common: 0.0, rank: 0.01, seed: 1 };
        for (n, expected) in [(1, 0.0), (2, 0.5642), (100, 2.5076)] {
            let draws = (0..4000).map(|step| noise.draw(step, &fold(&[n])).ranks[0]);
            let mean = (draws.sum::<f64>() / 4000.0 - 1.0) / 0.01;
            assert!((mean - expected).abs() < 0.05, "{n}: {mean}");
        }
    }

    #[test]
    fn percentiles_by_hand() {
        assert_eq!(percentile(&[4.0, 1.0, 3.0, 2.0], 0.5), 2.5);
        assert_eq!(percentile(&[1.0, 2.0], 1.0), 2.0);
        assert_eq!(percentile(&[], 0.5), 0.0);
    }
}
