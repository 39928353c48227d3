//! The attention core: scores, softmax, weighted sum.
//!
//! Letters: `B` sequences, `a` local heads, `q` queries, `s` keys, `d` width of a head's key, `w`
//! that of its value, `P` peak of the 16-bit format, `φ` fraction of it that a kernel reaches at
//! long sequences and `d ≥ 128`.
//!
//! ```text
//! work     = 2·B·a·q·s·(d + w | 3d + 2w)   (half of it under a causal mask, where kernels skip)
//! flash    = ½ᶜᵃᵘˢᵃˡ · work / (φ · s/(s + s½) · head(d) · occupancy · P) + gaps
//! unfused  = two batched products (twice that backward) + score traffic / (0.68 W)
//! occupancy= tiles/(⌈tiles/SM⌉·SM), tiles = B·a·q/128;  or tiles/(tiles + half)
//! ```
//!
//! Valid for self and cross attention with a dense or causal mask. A backward flash kernel
//! computes the scores again (2.5 times the forward work where `w = d`); an unfused kernel computes
//! the whole square. Not modelled: dropout inside flash kernels, sliding windows.
//!
//! Sources: Dao 2023 (arXiv:2307.08691) and Shah et al. 2024 (arXiv:2407.08608) for the structure;
//! fractions and half lengths are data of device and stack.

use crate::constant::{term, unsupported};
use crate::profile::{Profile, dtype_index, kernel_index};
use crate::{flops, gemm, pointwise};
use plan::units::Seconds;
use plan::work::{Attention, AttentionKernel, Gemm, Pass};
use plan::{Dtype, Estimate};

/// Rows of queries that one thread block of a flash kernel handles.
const QUERY_TILE: f64 = 128.0;

/// Time of the attention core. Checked by `flash_attention_by_hand`,
/// `unfused_attention_matches_an_independent_program` and `few_heads_leave_processors_idle`.
pub(crate) fn price(attention: &Attention, profile: &Profile) -> Estimate<Seconds> {
    let extents = [attention.batch, attention.heads, attention.queries, attention.keys];
    if extents.contains(&0) {
        return Estimate::exact(Seconds::ZERO);
    }
    match attention.kernel {
        AttentionKernel::Unfused => unfused(attention, profile),
        _ => flash(attention, profile),
    }
}

/// Kernels launched: two and three for flash, two products and two or four score kernels else.
pub(crate) fn kernels(attention: &Attention) -> f64 {
    match (attention.kernel, attention.pass) {
        (AttentionKernel::Unfused, Pass::Forward) => 4.0,
        (AttentionKernel::Unfused, Pass::Backward) => 6.0,
        (_, Pass::Forward) => 2.0,
        (_, Pass::Backward) => 3.0,
    }
}

/// Part of the multiprocessors that a flash kernel keeps busy. Few local heads at one sequence
/// leave most of them idle, which tensor parallelism makes worse.
///
/// Source: 4–64 heads at 4,096 positions in SimuMax's kernel table for A100 and B200. Checked by
/// `few_heads_leave_processors_idle`.
#[must_use]
pub fn occupancy(attention: &Attention, profile: &Profile) -> f64 {
    let rows = (attention.queries as f64 / QUERY_TILE).ceil();
    let tiles = attention.batch as f64 * attention.heads as f64 * rows;
    match profile.attention.half_tiles {
        Some(half) => tiles / (tiles + half.value),
        None => {
            let processors = profile.multiprocessors;
            tiles / ((tiles / processors).ceil() * processors)
        }
    }
}

fn flash(attention: &Attention, profile: &Profile) -> Estimate<Seconds> {
    let kernel = kernel_index(attention.kernel);
    let law = &profile.attention;
    let peak = profile.peaks[dtype_index(wide(attention.dtype))];
    let (Some(peak), Some((forward, backward, grade))) = (peak, law.fractions[kernel]) else {
        return unsupported();
    };
    let keys = attention.keys as f64;
    let saturation = keys / (keys + law.half_sequence);
    let head = head_factor(attention.head_dim, law.narrow_head[kernel], law.tiny_head);
    let fraction = pointwise::by_pass(attention.pass, forward, backward);
    let speed = fraction * saturation * head * occupancy(attention, profile) * peak.value;
    let work = flops::executed_attention(attention).get();
    let grade = grade.max(peak.grade).max(law.half_tiles.map_or(grade, |half| half.grade));
    let gaps = kernels(attention) * profile.gap.value;
    term(work / speed, profile.spread.attention, grade)
        + term(gaps, profile.spread.latency, profile.gap.grade)
}

/// Narrow heads waste part of the tensor cores.
fn head_factor(head_dim: u64, narrow: f64, tiny: f64) -> f64 {
    match head_dim {
        128.. => 1.0,
        64..128 => narrow,
        _ => narrow * tiny,
    }
}

fn unfused(attention: &Attention, profile: &Profile) -> Estimate<Seconds> {
    products(attention, profile) + scores(attention, profile)
}

/// The two batched products; a head width that is not a multiple of 8 falls off the tensor cores.
fn products(attention: &Attention, profile: &Profile) -> Estimate<Seconds> {
    if !attention.head_dim.is_multiple_of(8) && attention.dtype != Dtype::Fp32 {
        return misaligned(attention, profile);
    }
    let batch = attention.batch.saturating_mul(attention.heads);
    let (queries, keys) = (attention.queries, attention.keys);
    let dtype = wide(attention.dtype);
    let scores = Gemm { batch, m: queries, n: keys, k: attention.head_dim, dtype };
    let context = Gemm { batch, m: queries, n: attention.value_dim, k: keys, dtype };
    let forward = gemm::price(&scores, profile) + gemm::price(&context, profile);
    forward * pointwise::by_pass(attention.pass, 1.0, 2.0)
}

fn misaligned(attention: &Attention, profile: &Profile) -> Estimate<Seconds> {
    let Some(peak) = profile.peaks[dtype_index(wide(attention.dtype))] else {
        return unsupported();
    };
    let speed = peak.times(profile.attention.misaligned);
    let work = flops::executed_attention(attention).get();
    term(work / speed.value, profile.spread.attention, speed.grade)
}

/// Softmax and dropout over the score matrix in memory: two kernels.
fn scores(attention: &Attention, profile: &Profile) -> Estimate<Seconds> {
    let law = &profile.attention;
    let (forward, backward) = law.softmax;
    let mut bytes = pointwise::by_pass(attention.pass, forward, backward);
    if attention.dropout {
        bytes += pointwise::by_pass(attention.pass, law.dropout.0, law.dropout.1);
    }
    let heads = attention.batch as f64 * attention.heads as f64;
    let scores = heads * attention.queries as f64 * attention.keys as f64;
    let moved = scores * bytes * pointwise::width(wide(attention.dtype));
    let stream = law.score_stream;
    term(moved / stream.value, profile.spread.memory, stream.grade)
        + term(2.0 * profile.gap.value, profile.spread.latency, profile.gap.grade)
}

/// Attention stays in 16 bit when the products around it run in 8.
fn wide(dtype: Dtype) -> Dtype {
    match dtype {
        Dtype::Fp8 => Dtype::Bf16,
        other => other,
    }
}

#[cfg(test)]
mod tests;
