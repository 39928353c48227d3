//! Kernels that are bound by memory bandwidth.
//!
//! `t = bytes/W + kernels·gap` with `W` the bandwidth that streaming kernels sustain. The bytes
//! per element are data of the software stack: an eager framework moves the same tensor several
//! times where a fused kernel moves it once.
//!
//! What one *element* is, for a rank that holds `T` tokens:
//!
//! | kind | elements |
//! |---|---|
//! | norms, residual | `T·d_model`, divided by the degree under sequence parallelism |
//! | activation | `T·d_ff` local; gated or not, the width of the product |
//! | relayout | `T·heads·head_dim` local: the context; counts queries, keys, values too |
//! | rope | `T·(heads + kv_heads)·head_dim` local |
//! | bias | elements of the gradient that is summed over tokens |
//! | embedding | `T·d_model` |
//! | cross-entropy | `T·vocab` local |
//! | gate | elements of one gate times gates |
//! | permute | `T·top_k·d_model`: to the experts and back together |
//! | shift | scores of relative positions: `T·heads·keys` local |
//! | copy | elements copied |
//! | cast | elements of the operand of an 8-bit product: its input, the gradient of its output |

use crate::constant::term;
use crate::profile::{PointwiseConstants, Profile, pointwise_index};
use plan::units::{Bytes, Seconds};
use plan::work::{Pass, Pointwise, PointwiseKind};
use plan::{Dtype, Estimate};

/// Bytes a kernel moves: `elements · bytes per 16-bit element · size/2`, or `elements · bytes per
/// 32-bit element` where the stack states them.
///
/// Valid for formats of 16 and 32 bit; masks of one byte are scaled with the rest. Source: the
/// stack's table. Checked by `pointwise_traffic_by_hand` and `wide_elements_have_their_own_bytes`.
#[must_use]
pub fn bytes(kernel: &Pointwise, profile: &Profile) -> Bytes {
    let constants = constants(kernel.kind, profile);
    let per_element = match kernel.dtype {
        Dtype::Fp32 => by_pass(kernel.pass, constants.wide.0, constants.wide.1),
        narrow => by_pass(kernel.pass, constants.bytes.0, constants.bytes.1) * width(narrow),
    };
    Bytes::new(kernel.elements as f64 * per_element)
}

/// Kernels launched.
#[must_use]
pub fn kernels(kernel: &Pointwise, profile: &Profile) -> f64 {
    let (forward, backward) = constants(kernel.kind, profile).kernels;
    by_pass(kernel.pass, forward, backward)
}

/// `bytes/W + kernels·gap`.
pub(crate) fn price(kernel: &Pointwise, profile: &Profile) -> Estimate<Seconds> {
    if kernel.elements == 0 {
        return Estimate::exact(Seconds::ZERO);
    }
    let moved = stream(bytes(kernel, profile), profile);
    let grade = moved.grade.max(constants(kernel.kind, profile).grade);
    let gaps = kernels(kernel, profile) * profile.gap.value;
    Estimate { grade, ..moved } + term(gaps, profile.spread.latency, profile.gap.grade)
}

/// Time to move `bytes` at the bandwidth of streaming kernels.
pub(crate) fn stream(bytes: Bytes, profile: &Profile) -> Estimate<Seconds> {
    term(bytes.get() / profile.stream.value, profile.spread.memory, profile.stream.grade)
}

/// Time of one kernel that only moves data: `bytes/W + gap`.
pub(crate) fn traffic(bytes: Bytes, profile: &Profile) -> Estimate<Seconds> {
    if bytes.get() <= 0.0 {
        return Estimate::exact(Seconds::ZERO);
    }
    stream(bytes, profile) + term(profile.gap.value, profile.spread.latency, profile.gap.grade)
}

/// Size of an element relative to 16 bit.
pub(crate) fn width(dtype: Dtype) -> f64 {
    dtype.size() as f64 / 2.0
}

pub(crate) fn by_pass(pass: Pass, forward: f64, backward: f64) -> f64 {
    match pass {
        Pass::Forward => forward,
        Pass::Backward => backward,
    }
}

fn constants(kind: PointwiseKind, profile: &Profile) -> &PointwiseConstants {
    &profile.pointwise[pointwise_index(kind)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    /// Norm forward moves 4 B per 16-bit element: 2²⁰ elements are 4 MiB; at 0.82 · 2.039 TB/s
    /// that is 2.5086 µs, and one gap of 2 µs.
    #[test]
    fn pointwise_traffic_by_hand() {
        let profile = fixtures::a100();
        let norm = Pointwise {
            kind: PointwiseKind::LayerNorm,
            elements: 1 << 20,
            dtype: Dtype::Bf16,
            pass: Pass::Forward,
        };
        let time = price(&norm, &profile).value.get();
        let by_hand = 4.0 * 1_048_576.0 / (0.82 * 2.039e12) + 2e-6;
        assert!((time / by_hand - 1.0).abs() < 1e-12, "{time} against {by_hand}");
        let wide = Pointwise { dtype: Dtype::Fp32, ..norm };
        assert_eq!(bytes(&wide, &profile), bytes(&norm, &profile) * 2.0);
    }

    /// A stack that moves 10 B per 16-bit element and 12 B, not 20 B, per 32-bit element.
    #[test]
    fn wide_elements_have_their_own_bytes() {
        let mut profile = fixtures::a100();
        let law = &mut profile.pointwise[pointwise_index(PointwiseKind::Copy)];
        (law.bytes, law.wide) = ((10.0, 10.0), (12.0, 12.0));
        let copy = |dtype| Pointwise {
            kind: PointwiseKind::Copy,
            elements: 1000,
            dtype,
            pass: Pass::Forward,
        };
        assert_eq!(bytes(&copy(Dtype::Bf16), &profile), Bytes::new(10_000.0));
        assert_eq!(bytes(&copy(Dtype::Fp32), &profile), Bytes::new(12_000.0));
    }

    #[test]
    fn nothing_takes_no_time() {
        let profile = fixtures::a100();
        let none = Pointwise {
            kind: PointwiseKind::Copy,
            elements: 0,
            dtype: Dtype::Bf16,
            pass: Pass::Backward,
        };
        assert_eq!(price(&none, &profile), Estimate::exact(Seconds::ZERO));
        assert_eq!(traffic(Bytes::ZERO, &profile), Estimate::exact(Seconds::ZERO));
    }
}
