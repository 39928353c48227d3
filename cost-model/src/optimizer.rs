//! Optimizer updates: bound by memory bandwidth.
//!
//! `t = bytes(rule)·parameters/W + kernels·gap + fixed`. The bytes per local parameter are data
//! of the
//! stack, because unscaling, overflow checks, clipping and casts cost as much as the rule itself:
//! fused Adam moves 28–30 B, Megatron's fp16 recipe 52 B, PyTorch 0.4 about 120 B.

use crate::constant::{Constant, term, unsupported};
use crate::pointwise;
use crate::profile::{Profile, rule_index};
use plan::Estimate;
use plan::units::{Bytes, Seconds};
use plan::work::OptimizerStep;

/// Time of one update. Checked by `an_update_moves_bytes_per_parameter`.
pub(crate) fn price(step: &OptimizerStep, profile: &Profile) -> Estimate<Seconds> {
    if step.parameters == 0 {
        return Estimate::exact(Seconds::ZERO);
    }
    let Some(bytes) = profile.optimizer[rule_index(step.rule)] else { return unsupported() };
    let moved = pointwise::stream(Bytes::new(bytes.value * step.parameters as f64), profile);
    let kernels = Constant::of(&profile.stack.optimizer.kernels).times(profile.gap);
    let moved = Estimate { grade: moved.grade.max(bytes.grade), ..moved };
    let fixed = Constant::from(&profile.stack.optimizer.fixed, |t| t.get());
    moved
        + term(kernels.value, profile.spread.latency, kernels.grade)
        + term(fixed.value, profile.spread.latency, fixed.grade)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use plan::work::OptimizerRule;

    /// 10⁹ parameters at 52 B on 0.82 · 2.039 TB/s, and 80 gaps of 2 µs.
    #[test]
    fn an_update_moves_bytes_per_parameter() {
        let step = OptimizerStep { rule: OptimizerRule::Adam, parameters: 1_000_000_000 };
        let time = price(&step, &fixtures::a100()).value.get();
        let by_hand = 52e9 / (0.82 * 2.039e12) + 80.0 * 2e-6;
        assert!((time / by_hand - 1.0).abs() < 1e-12, "{time} against {by_hand}");
    }
}
