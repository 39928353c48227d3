//! Learning rates and batch sizes over time.

use std::f64::consts::PI;

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

/// The global batch grows along a line to its full size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchRamp {
    /// Sequences at the start.
    pub from: u64,
    /// Sequences at the end.
    pub to: u64,
    /// Steps that it grows.
    pub steps: u64,
    /// Sequences are whole multiples of this: what all replicas compute at once.
    pub multiple: u64,
}

impl BatchRamp {
    /// Sequences of a step.
    #[must_use]
    pub fn at(&self, step: u64) -> u64 {
        let share = (step as f64 / self.steps.max(1) as f64).min(1.0);
        let wanted = self.from as f64 + share * (self.to as f64 - self.from as f64);
        let multiple = self.multiple.max(1);
        ((wanted as u64) / multiple * multiple).clamp(multiple, self.to.max(multiple))
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

    #[test]
    fn the_batch_grows_in_whole_multiples() {
        let ramp = BatchRamp { from: 100, to: 1000, steps: 90, multiple: 64 };
        assert_eq!([0, 1, 45, 90, 99].map(|s| ramp.at(s)), [64, 64, 512, 960, 960]);
    }
}
