//! Backward passes in two halves.

use super::Step;
use crate::work::Work;

/// A half of a backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// Gradients of inputs, and everything that is not in the other half.
    Input,
    /// Gradients of weights.
    Weight,
}

/// One half of the steps of a backward pass.
///
/// Lowering lists the two products of an operator one after the other, input first. What runs
/// element by element is in the first half, as in Qi et al. 2023 (arXiv:2401.10241), section 2.
#[must_use]
pub fn half(steps: &[Step], wanted: Half) -> Vec<Step> {
    let mut is_second = false;
    let mut half = Vec::new();
    for (i, step) in steps.iter().enumerate() {
        is_second = !is_second && follows_product(steps, i) || is_batched(step);
        if is_second == (wanted == Half::Weight) {
            half.push(step.clone());
        }
    }
    half
}

fn is_batched(step: &Step) -> bool {
    matches!(step.work, Work::RecurrentWeightGradient(_))
}

/// Whether a step and the one before are products of one operator.
fn follows_product(steps: &[Step], i: usize) -> bool {
    let is_product = |step: &Step| matches!(step.work, Work::Gemm(_));
    let before = i.checked_sub(1).map(|j| &steps[j]);
    is_product(&steps[i]) && before.is_some_and(|b| b.op == steps[i].op && is_product(b))
}
