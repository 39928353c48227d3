//! Random numbers by place: the value depends on seed, purpose and index alone, so that a rank can
//! draw its part of a tensor without drawing the rest.

/// Numbers for one purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Random {
    key: u64,
}

/// The finaliser of SplitMix64 (Steele et al. 2014): every bit depends on every bit.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Random {
    /// For a purpose, by name.
    #[must_use]
    pub fn new(seed: u64, purpose: &str) -> Self {
        let key = purpose
            .bytes()
            .fold(mix(seed ^ STEP), |key, byte| mix(key.wrapping_add(STEP) ^ u64::from(byte)));
        Self { key }
    }

    /// For a part of the purpose, by number.
    #[must_use]
    pub fn at(self, number: u64) -> Self {
        Self { key: mix(self.key ^ mix(number.wrapping_add(STEP))) }
    }

    /// 64 random bits.
    #[must_use]
    pub fn bits(self, index: u64) -> u64 {
        mix(self.key.wrapping_add(index.wrapping_add(1).wrapping_mul(STEP)))
    }

    /// In `[0, 1)`.
    #[must_use]
    pub fn uniform(self, index: u64) -> f64 {
        (self.bits(index) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal (Box and Muller 1958).
    #[must_use]
    pub fn normal(self, index: u64) -> f64 {
        let (a, b) = (self.uniform(2 * index), self.uniform(2 * index + 1));
        (-2.0 * (1.0 - a).ln()).sqrt() * (std::f64::consts::TAU * b).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean of n normals has deviation 1/√n, their mean square √(2/n): 0.01 and 0.014 here.
    #[test]
    fn normals_have_mean_0_and_variance_1() {
        let draw = Random::new(1, "test");
        let values: Vec<f64> = (0..10_000).map(|i| draw.normal(i)).collect();
        let mean = values.iter().sum::<f64>() / 1e4;
        let square = values.iter().map(|v| v * v).sum::<f64>() / 1e4;
        assert!(mean.abs() < 0.05 && (square - 1.0).abs() < 0.07, "{mean} {square}");
    }

    #[test]
    fn purposes_and_numbers_differ() {
        let a = Random::new(1, "a");
        assert_ne!(a.bits(0), Random::new(1, "b").bits(0));
        assert_ne!(a.bits(0), Random::new(2, "a").bits(0));
        assert_ne!(a.at(0).bits(0), a.at(1).bits(0));
        assert_eq!(a.at(7).bits(3), Random::new(1, "a").at(7).bits(3));
    }
}
