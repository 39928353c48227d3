//! The critical batch: where larger batches stop paying.

/// Scale and exponent of the critical batch of language models over their loss: Kaplan et al. 2020
/// (arXiv:2001.08361), table 5: `B* = 2·10⁸` tokens, `α_B = 0.21`.
const TOKENS_AT_LOSS_1: f64 = 2e8;
const LOSS_EXPONENT: f64 = 1.0 / 0.21;

/// The batch at which a run takes twice the fewest steps and twice the fewest tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CriticalBatch {
    /// Tokens per step.
    pub tokens: f64,
}

impl CriticalBatch {
    /// The critical batch of a Transformer language model at a loss in nats per token:
    /// `B_crit = B*·L^(−1/α_B)`.
    ///
    /// Source: Kaplan et al. 2020 (arXiv:2001.08361), equation 1.4 and table 5. Checked by
    /// `the_critical_batch_grows_as_the_loss_falls`.
    #[must_use]
    pub fn at_loss(loss: f64) -> Self {
        Self { tokens: TOKENS_AT_LOSS_1 * loss.powf(-LOSS_EXPONENT) }
    }

    /// Tokens to the same loss at `batch` tokens per step, if tiny batches need `least`:
    /// `E = E_min·(1 + B/B_crit)`.
    ///
    /// Source: McCandlish et al. 2018 (arXiv:1812.06162), section 2.2. Checked by
    /// `twice_the_steps_and_twice_the_tokens_at_the_critical_batch`.
    #[must_use]
    pub fn tokens_needed(&self, least: f64, batch: f64) -> f64 {
        least * (1.0 + batch / self.tokens)
    }

    /// Steps to the same loss: `S = E/B = S_min·(1 + B_crit/B)` with `S_min = E_min/B_crit`.
    #[must_use]
    pub fn steps_needed(&self, least: f64, batch: f64) -> f64 {
        self.tokens_needed(least, batch) / batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_the_steps_and_twice_the_tokens_at_the_critical_batch() {
        let critical = CriticalBatch { tokens: 1e6 };
        let least = 3e9;
        assert_eq!(critical.tokens_needed(least, 1e6), 6e9);
        // S_min = E_min/B_crit = 3000.
        assert_eq!(critical.steps_needed(least, 1e6), 6000.0);
        // A thousand times the critical batch: 0.1 % above the fewest steps.
        assert!((critical.steps_needed(least, 1e9) / 3000.0 - 1.001).abs() < 1e-12);
        // A thousandth of it: 0.1 % above the fewest tokens.
        assert!((critical.tokens_needed(least, 1e3) / least - 1.001).abs() < 1e-12);
    }

    #[test]
    fn the_critical_batch_grows_as_the_loss_falls() {
        // 2e8·3^(−4.7619) = 2e8/187.1 = 1.07 M tokens.
        let at_3 = CriticalBatch::at_loss(3.0).tokens;
        assert!((at_3 / 1.069e6 - 1.0).abs() < 0.01, "{at_3}");
        assert!(CriticalBatch::at_loss(2.0).tokens > at_3);
        assert_eq!(CriticalBatch::at_loss(1.0).tokens, 2e8);
    }
}
