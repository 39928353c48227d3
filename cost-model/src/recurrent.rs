//! Recurrent layers: steps that must run one after the other.
//!
//! ```text
//! scan     = steps · (t_step + t_host + Σ body)
//! product in a scan = max(gemm, weight bytes / (e·BW)) + gap
//! gradient = gemm(m, n, k·steps)                     batched over time
//!          = steps · (gemm(m, n, k) + 3·m·n·size/(ν·W))  unrolled: read, read, write per step
//! ```
//!
//! The recurrent matrices of a large layer exceed every cache, so each step reads them again from
//! memory: for mLSTM-4096 in fp16 168 MB, 0.28 ms per step on V100. Kernels that keep the weights
//! in registers (up to about 1–2 thousand cells) are not modelled, nor are caches that hold them.
//!
//! Source: fitted to the LSTM and GRU rows of DeepBench on V100 (baidu-research/DeepBench,
//! `results/train`): `t_step` 28.8 µs, `e` 0.66, 13.8 % on the held-out half; the unrolled
//! gradient follows NVIDIA/sentiment-discovery@17bcf05, whose autograd accumulates per step.

use crate::constant::{term, unsupported};
use crate::profile::{Profile, RecurrentConstants};
use crate::{gemm, pointwise, price};
use plan::units::{Bytes, Seconds};
use plan::work::{Gemm, RecurrentWeightGradient, Scan, Work};
use plan::{Dtype, Estimate};

/// `steps · (t_step + t_host + Σ body)`. Checked by `a_scan_pays_overhead_and_body_once_per_step`.
pub(crate) fn scan(scan: &Scan, profile: &Profile) -> Estimate<Seconds> {
    let Some(law) = profile.recurrent else { return unsupported() };
    let host = &profile.stack.recurrent.step_host;
    let step = term(law.step.value, profile.spread.latency, law.step.grade)
        + term(host.value.get(), profile.spread.latency, host.grade);
    let body = scan.body.iter().fold(step, |sum, work| sum + in_scan(work, profile, &law));
    body * scan.steps as f64
}

fn in_scan(work: &Work, profile: &Profile, law: &RecurrentConstants) -> Estimate<Seconds> {
    match work {
        Work::Gemm(product) => {
            let busy = gemm::busy(product, profile);
            let floor = weight_read(product, profile, law);
            let longer = if floor.value > busy.value { floor } else { busy };
            longer + gemm::gap(profile)
        }
        other => price::unclamped(other, profile),
    }
}

/// Time to read the `k × n` weights once. Checked by `weights_are_read_again_in_each_step`.
fn weight_read(product: &Gemm, profile: &Profile, law: &RecurrentConstants) -> Estimate<Seconds> {
    let weights = product.batch as f64 * product.k as f64 * product.n as f64;
    let bytes = weights * product.dtype.size() as f64;
    let stream = law.weight_stream;
    term(bytes / stream.value, profile.spread.memory, stream.grade)
}

/// Weight gradient of a scan. Checked by `unrolled_gradients_pay_for_accumulation`.
pub(crate) fn weight_gradient(
    gradient: &RecurrentWeightGradient,
    profile: &Profile,
) -> Estimate<Seconds> {
    let stack = &profile.stack.recurrent;
    let step = gradient.step;
    if stack.batched_weight_gradient.value {
        return gemm::price(&Gemm { k: step.k.saturating_mul(gradient.steps), ..step }, profile);
    }
    let weights = step.batch as f64 * step.m as f64 * step.n as f64;
    // ν: additions of 16 bit without vector loads do not reach the bandwidth of streaming kernels.
    let narrow = &stack.narrow_accumulation;
    let share = if step.dtype == Dtype::Fp32 { 1.0 } else { narrow.value };
    let moved = weights * step.dtype.size() as f64 * stack.accumulation_passes.value / share;
    let accumulate = pointwise::stream(Bytes::new(moved), profile);
    let grade = accumulate.grade.max(stack.accumulation_passes.grade).max(narrow.grade);
    (gemm::price(&step, profile) + Estimate { grade, ..accumulate }) * gradient.steps as f64
}

#[cfg(test)]
mod tests;
