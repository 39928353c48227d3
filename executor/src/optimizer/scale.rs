//! Loss scaling: losses are multiplied so that small gradients survive a 16-bit format
//! (Micikevicius et al. 2017, arXiv:1710.03740). Scales are powers of two, so they change no other
//! bit.

/// A scale that grows until gradients overflow, and then shrinks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossScale {
    /// What losses are multiplied with.
    pub scale: f64,
    /// Steps without overflow since the last change.
    pub calm: u64,
    /// Steps without overflow after which the scale doubles; 0: it never changes.
    pub patience: u64,
}

/// Half of this is the largest scale: beyond it, losses themselves overflow.
const CEILING: f64 = (1u64 << 32) as f64;

impl LossScale {
    /// No scaling.
    pub const NONE: Self = Self { scale: 1.0, calm: 0, patience: 0 };

    /// From 2¹⁶, doubled after 2000 steps without overflow, as NVIDIA's Apex does.
    #[must_use]
    pub fn dynamic() -> Self {
        Self { scale: 65_536.0, calm: 0, patience: 2000 }
    }

    /// Takes note of a step. Without a norm, gradients overflowed; the step has to be skipped.
    pub fn note(&mut self, overflowed: bool) {
        if self.patience == 0 {
            return;
        }
        if overflowed {
            (self.scale, self.calm) = ((self.scale / 2.0).max(1.0), 0);
            return;
        }
        self.calm += 1;
        if self.calm == self.patience {
            (self.scale, self.calm) = ((self.scale * 2.0).min(CEILING), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_on_overflow_and_doubles_after_patience() {
        let mut scale = LossScale { patience: 3, ..LossScale::dynamic() };
        scale.note(true);
        assert_eq!(scale.scale, 32_768.0);
        (0..3).for_each(|_| scale.note(false));
        assert_eq!(scale.scale, 65_536.0);
        let mut none = LossScale::NONE;
        none.note(true);
        assert_eq!(none, LossScale::NONE);
    }
}
