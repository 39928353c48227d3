//! Learning rates and batch sizes over time.

use std::f64::consts::PI;
use std::fmt;

/// A learning-rate schedule. Steps count from 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Schedule {
    /// Always the same.
    Constant {
        /// The rate.
        rate: f64,
    },
    /// Falls along a line to 0.
    Linear {
        /// First rate.
        rate: f64,
        /// Steps to 0.
        steps: u64,
    },
    /// Rises along a line, then falls along a cosine (Loshchilov and Hutter 2016,
    /// arXiv:1608.03983).
    Cosine {
        /// Highest rate.
        rate: f64,
        /// Steps of the rise.
        warm_up: u64,
        /// Steps in total.
        steps: u64,
        /// Last rate, as a share of the highest.
        floor: f64,
    },
    /// Rises along a line for half of the time, then falls along a line to 0: one cycle, without
    /// warm-up (Geiping and Goldstein 2022, arXiv:2212.14034).
    OneCycle {
        /// Highest rate.
        rate: f64,
        /// Share of the steps that rise.
        rise: f64,
        /// Steps in total.
        steps: u64,
    },
}

impl Schedule {
    /// Large-batch training of the multiplicative LSTM: the rate grows with the batch from 5e-4 at
    /// 128 sequences, no further than 3e-3, and falls along a line to 0 over 100,000 steps (Puri et
    /// al. 2018, arXiv:1808.01371; numbers from the paper's code, NVIDIA/sentiment-discovery).
    #[must_use]
    pub fn large_batch_mlstm(global_sequences: u64) -> Self {
        let rate = (5e-4 * global_sequences as f64 / 128.0).min(3e-3);
        Self::Linear { rate, steps: 100_000 }
    }

    /// The rate of a step.
    #[must_use]
    pub fn at(&self, step: u64) -> f64 {
        let share = |steps: u64| (step as f64 / steps.max(1) as f64).min(1.0);
        match *self {
            Self::Constant { rate } => rate,
            Self::Linear { rate, steps } => rate * (1.0 - share(steps)),
            Self::Cosine { rate, warm_up, .. } if step < warm_up => {
                rate * (step + 1) as f64 / warm_up as f64
            }
            Self::Cosine { rate, warm_up, steps, floor } => {
                let rest = steps.saturating_sub(warm_up).max(1) as f64;
                let share = ((step - warm_up) as f64 / rest).min(1.0);
                rate * (floor + (1.0 - floor) * 0.5 * (1.0 + (PI * share).cos()))
            }
            Self::OneCycle { rate, rise, steps } => {
                let share = share(steps);
                let up = share / rise.clamp(f64::EPSILON, 1.0);
                let down = (1.0 - share) / (1.0 - rise).max(f64::EPSILON);
                rate * up.min(down).clamp(0.0, 1.0)
            }
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Constant { rate } => write!(f, "{rate}"),
            Self::Linear { rate, steps } => write!(f, "{rate} along a line to 0 at step {steps}"),
            Self::Cosine { rate, warm_up, steps, floor } => {
                write!(f, "up to {rate} at step {warm_up}, ")?;
                write!(f, "along a cosine to {} at step {steps}", rate * floor)
            }
            Self::OneCycle { rate, rise, steps } => {
                let top = rise * steps as f64;
                write!(f, "up to {rate} at step {top:.0}, down to 0 at step {steps}")
            }
        }
    }
}

/// The global batch grows along a line to its full size, in whole multiples of its first size: at
/// step `s`, `min((⌊s · to / (steps · from)⌋ + 1) · from, to)` sequences, as in the recipe of
/// Geiping and Goldstein 2022 (arXiv:2212.14034; JonasGeiping/cramming
/// cramming/backend/torch_default.py, where the share of a time budget stands in place of steps).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchRamp {
    /// Sequences at the start, and by how many they grow.
    pub from: u64,
    /// Sequences at the end.
    pub to: u64,
    /// Steps that it grows.
    pub steps: u64,
}

impl BatchRamp {
    /// Sequences of a step.
    #[must_use]
    pub fn at(&self, step: u64) -> u64 {
        let from = self.from.max(1);
        let whole = u128::from(self.steps.max(1)) * u128::from(from);
        let grown = u128::from(step) * u128::from(self.to) / whole;
        u64::try_from((grown + 1) * u128::from(from)).unwrap_or(u64::MAX).min(self.to)
    }

    /// The first step that a sequence is part of, sequences counting from 0: the least `s` with
    /// `⌊s · to / (steps · from)⌋ ≥ ⌊sequence / from⌋`.
    #[must_use]
    pub fn begins(&self, sequence: u64) -> u64 {
        let from = self.from.max(1);
        let whole = u128::from(self.steps.max(1)) * u128::from(from);
        let needed = u128::from(sequence / from) * whole;
        u64::try_from(needed.div_ceil(u128::from(self.to.max(1)))).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for BatchRamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, steps } = self;
        write!(f, "{from} to {to} sequences over {steps} steps")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 32,768 / 128 · 5e-4 = 0.128, far above the cap; 256 sequences give 1e-3.
    #[test]
    fn the_large_batch_rate_is_capped() {
        assert_eq!(Schedule::large_batch_mlstm(32_768).at(0), 3e-3);
        assert_eq!(Schedule::large_batch_mlstm(256).at(0), 1e-3);
        assert_eq!(Schedule::large_batch_mlstm(256).at(50_000), 5e-4);
        assert_eq!(Schedule::large_batch_mlstm(256).at(200_000), 0.0);
    }

    #[test]
    fn schedules_are_said_in_words() {
        let words = Schedule::large_batch_mlstm(32_768).to_string();
        assert_eq!(words, "0.003 along a line to 0 at step 100000");
        let cycle = Schedule::OneCycle { rate: 0.001, rise: 0.5, steps: 90 };
        assert_eq!(cycle.to_string(), "up to 0.001 at step 45, down to 0 at step 90");
    }

    #[test]
    fn one_cycle_peaks_in_the_middle() {
        let cycle = Schedule::OneCycle { rate: 2.0, rise: 0.5, steps: 100 };
        assert_eq!([0, 25, 50, 75, 100].map(|s| cycle.at(s)), [0.0, 1.0, 2.0, 1.0, 0.0]);
    }

    #[test]
    fn cosine_warms_up_and_reaches_its_floor() {
        let cosine = Schedule::Cosine { rate: 1.0, warm_up: 4, steps: 104, floor: 0.1 };
        assert_eq!([0, 3, 4].map(|s| cosine.at(s)), [0.25, 1.0, 1.0]);
        assert!((cosine.at(54) - 0.55).abs() < 1e-12);
        assert!((cosine.at(500) - 0.1).abs() < 1e-12);
    }

    /// Cramming's numbers on the smallest card: micro-batches of 96 up to 4032 = 42 · 96 sequences.
    /// Over 84 steps, one more micro-batch every second step.
    #[test]
    fn the_batch_grows_in_whole_multiples() {
        let ramp = BatchRamp { from: 96, to: 4032, steps: 84 };
        let sizes = [0, 1, 2, 40, 82, 83, 84, 1000].map(|s| ramp.at(s));
        assert_eq!(sizes, [96, 96, 192, 2016, 4032, 4032, 4032, 4032]);
        assert_eq!([0, 95, 96, 2015, 4031].map(|i| ramp.begins(i)), [0, 0, 2, 40, 82]);
        let uneven = BatchRamp { from: 4, to: 10, steps: 7 };
        let joins = |i| (0..20).find(|&s| uneven.at(s) > i).unwrap();
        assert!((0..10).all(|i| uneven.begins(i) == joins(i)));
    }
}
