//! Update rules. Every element is updated from its own gradient and state alone, so that a shard's
//! update is that of the whole.

use crate::float::widened;
use crate::threads::{rows_per_piece, run_each};
use plan::work::OptimizerRule;

/// An update rule and its constants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// `w −= η g`.
    Sgd,
    /// `v = µ v + g; w −= η v`.
    Momentum {
        /// Share of the velocity that stays, `µ`.
        momentum: f32,
    },
    /// `a += g²; w −= η g/(√a + ε)` (Duchi et al. 2011).
    Adagrad {
        /// First value of `a`.
        initial: f32,
    },
    /// Adam, with decay beside the gradient where there is some (Kingma and Ba 2014,
    /// arXiv:1412.6980; Loshchilov and Hutter 2017, arXiv:1711.05101).
    Adam(Adam),
}

/// Constants of Adam.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// Share of the mean that stays.
    pub beta1: f32,
    /// Share of the mean square that stays.
    pub beta2: f32,
    /// Keeps the root away from zero.
    pub epsilon: f32,
    /// Share of a weight that is taken away per step and unit of learning rate.
    pub decay: f32,
}

/// State of consecutive elements.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// One or two numbers per element, by rule.
    pub slots: Vec<Vec<f32>>,
}

const ADAGRAD_EPSILON: f32 = 1e-10;

impl Default for Adam {
    /// The constants of the paper, no decay.
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, decay: 0.0 }
    }
}

impl Rule {
    /// The rule of a plan, with its usual constants: momentum 0.9, AdaGrad from 0.1 on
    /// (TensorFlow's default; from 0 its first step would move every weight by the whole rate),
    /// Adam as in its paper. `None` where the rule is not implemented.
    #[must_use]
    pub fn of(rule: OptimizerRule) -> Option<Self> {
        Some(match rule {
            OptimizerRule::Sgd => Self::Sgd,
            OptimizerRule::Momentum => Self::Momentum { momentum: 0.9 },
            OptimizerRule::Adagrad => Self::Adagrad { initial: 0.1 },
            OptimizerRule::Adam => Self::Adam(Adam::default()),
            OptimizerRule::Adafactor | OptimizerRule::Lamb => return None,
        })
    }

    /// Names of the slots of the state, in checkpoints.
    #[must_use]
    pub fn slots(&self) -> &'static [&'static str] {
        match self {
            Self::Sgd => &[],
            Self::Momentum { .. } => &["velocity"],
            Self::Adagrad { .. } => &["square_sum"],
            Self::Adam(_) => &["mean", "mean_square"],
        }
    }

    /// State before the first step.
    #[must_use]
    pub fn start(&self, elements: usize) -> State {
        let first = if let Self::Adagrad { initial } = self { *initial } else { 0.0 };
        State { slots: self.slots().iter().map(|_| vec![first; elements]).collect() }
    }

    /// Updates weights from gradients, each times `factor`, at the `step`-th step from 0.
    pub fn update(
        &self,
        weights: &mut [f32],
        gradients: &[f32],
        state: &mut State,
        (rate, factor, step): (f64, f64, u64),
    ) {
        let (rate32, factor) = (rate as f32, factor as f32);
        match (self, &mut state.slots[..]) {
            (Self::Momentum { momentum }, [velocity]) => {
                let pairs = weights.iter_mut().zip(gradients).zip(velocity);
                pairs.for_each(|((w, &g), v)| {
                    *v = momentum * *v + g * factor;
                    *w -= rate32 * *v;
                });
            }
            (Self::Adagrad { .. }, [sums]) => {
                let pairs = weights.iter_mut().zip(gradients).zip(sums);
                pairs.for_each(|((w, &g), a)| {
                    let g = g * factor;
                    *a += g * g;
                    *w -= rate32 * g / (a.sqrt() + ADAGRAD_EPSILON);
                });
            }
            (Self::Adam(adam), [mean, square]) => {
                adam.update(weights, gradients, (mean, square), (rate, factor, step));
            }
            _ => {
                let pairs = weights.iter_mut().zip(gradients);
                pairs.for_each(|(w, &g)| *w -= rate32 * (g * factor));
            }
        }
    }
}

impl Adam {
    fn update(
        &self,
        weights: &mut [f32],
        gradients: &[f32],
        (mean, square): (&mut [f32], &mut [f32]),
        (rate, factor, step): (f64, f32, u64),
    ) {
        let steps = i32::try_from(step + 1).unwrap_or(i32::MAX);
        // Both means start at zero; these undo it.
        let undo = |beta: f32| 1.0 - f64::from(beta).powi(steps);
        let size = (rate / undo(self.beta1)) as f32;
        let root = (1.0 / undo(self.beta2).sqrt()) as f32;
        let keep = 1.0 - (rate * f64::from(self.decay)) as f32;
        let Self { beta1, beta2, epsilon, .. } = *self;
        let now = Now { beta1, beta2, epsilon, size, root, keep, factor };
        let each = rows_per_piece(weights.len(), 1);
        let states = mean.chunks_mut(each).zip(square.chunks_mut(each));
        let pieces = weights.chunks_mut(each).zip(gradients.chunks(each)).zip(states);
        run_each(pieces.collect(), |((w, g), (m, v))| adam(now, w, g, m, v));
    }
}

/// Adam's constants of one step.
#[derive(Clone, Copy)]
struct Now {
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    size: f32,
    root: f32,
    keep: f32,
    factor: f32,
}

widened! {
    fn adam(
        now: Now,
        weights: &mut [f32],
        gradients: &[f32],
        mean: &mut [f32],
        square: &mut [f32],
    ) {
        let Now { beta1, beta2, epsilon, size, root, keep, factor } = now;
        let pairs = weights.iter_mut().zip(gradients).zip(mean.iter_mut().zip(square));
        pairs.for_each(|((w, &g), (m, v))| {
            let g = g * factor;
            *m = beta1 * *m + (1.0 - beta1) * g;
            *v = beta2 * *v + (1.0 - beta2) * g * g;
            *w = *w * keep - size * *m / (v.sqrt() * root + epsilon);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn twice(rule: Rule, gradients: [f32; 2]) -> f32 {
        let mut state = rule.start(1);
        let mut w = [1.0f32];
        for (step, g) in gradients.into_iter().enumerate() {
            rule.update(&mut w, &[g], &mut state, (0.1, 1.0, step as u64));
        }
        w[0]
    }

    fn close(a: f32, b: f64) {
        assert!((f64::from(a) - b).abs() < 1e-6, "{a} {b}");
    }

    /// By hand with η = 0.1, g = 1 then 2:
    /// SGD 1 − 0.1 − 0.2; momentum 0.9: v = 1, then 2.9; AdaGrad: a = 1, then 5.
    #[test]
    fn two_steps_by_hand() {
        close(twice(Rule::Sgd, [1.0, 2.0]), 0.7);
        close(twice(Rule::Momentum { momentum: 0.9 }, [1.0, 2.0]), 1.0 - 0.1 - 0.29);
        let adagrad = 1.0 - 0.1 - 0.1 * 2.0 / 5f64.sqrt();
        close(twice(Rule::Adagrad { initial: 0.0 }, [1.0, 2.0]), adagrad);
    }

    /// Adam: the first step is η whatever the gradient. Then m = 0.9·0.1 + 0.1·2 = 0.29 over
    /// 1 − 0.81, v = 0.999·0.001 + 0.001·4 = 0.004999 over 1 − 0.998001.
    #[test]
    fn adam_by_hand() {
        let second = 0.1 * (0.29 / 0.19) / (0.004_999f64 / 0.001_999).sqrt();
        close(twice(Rule::Adam(Adam::default()), [1.0, 2.0]), 0.9 - second);
        let decayed = Rule::Adam(Adam { decay: 0.5, ..Adam::default() });
        close(twice(decayed, [0.0, 0.0]), 0.95 * 0.95);
    }

    #[test]
    fn a_shard_is_updated_as_the_whole_is() {
        let rule = Rule::Adam(Adam { decay: 0.1, ..Adam::default() });
        let gradients: Vec<f32> = (0..10).map(|i| (i as f32).sin()).collect();
        let mut whole = vec![0.5f32; 10];
        rule.update(&mut whole, &gradients, &mut rule.start(10), (0.01, 0.3, 0));
        let mut parts = vec![0.5f32; 10];
        for range in [0..3, 3..10] {
            let mut state = rule.start(range.len());
            let (w, g) = (&mut parts[range.clone()], &gradients[range]);
            rule.update(w, g, &mut state, (0.01, 0.3, 0));
        }
        assert_eq!(whole, parts);
    }
}
