//! A whole Transformer layer, composed from work items.

use super::*;
use crate::fixtures;
use crate::overlap::exposed;
use plan::Dtype;
use plan::units::Bytes;
use plan::work::{
    Attention, AttentionKernel, Collective, CollectiveOp, Gemm, Group, Pass, Pointwise,
    PointwiseKind,
};

/// GPT of 22 B parameters: 6,144 wide, 64 heads, 2,048 positions, 4 sequences, 8-way tensor
/// parallel, on the A100 fixture.
const TOKENS: u64 = 4 * 2048;
const WIDTH: u64 = 6144;
const DEGREE: u64 = 8;

fn gemm(m: u64, n: u64, k: u64) -> Work {
    Work::Gemm(Gemm { batch: 1, m, n, k, dtype: Dtype::Fp16 })
}

/// Output and input widths of the four linear layers on one rank.
const LINEAR: [(u64, u64); 4] = [
    (3 * WIDTH / DEGREE, WIDTH),
    (WIDTH, WIDTH / DEGREE),
    (4 * WIDTH / DEGREE, WIDTH),
    (WIDTH, 4 * WIDTH / DEGREE),
];

fn products(pass: Pass) -> Vec<Work> {
    let of = |(output, input)| match pass {
        Pass::Forward => vec![gemm(TOKENS, output, input)],
        Pass::Backward => vec![gemm(TOKENS, input, output), gemm(output, input, TOKENS)],
    };
    LINEAR.into_iter().flat_map(of).collect()
}

fn core(pass: Pass) -> Work {
    Work::Attention(Attention {
        batch: 4,
        heads: 64 / DEGREE,
        queries: 2048,
        keys: 2048,
        head_dim: 96,
        value_dim: 96,
        causal: true,
        dropout: true,
        kernel: AttentionKernel::Unfused,
        dtype: Dtype::Fp16,
        pass,
    })
}

/// Memory-bound kernels; `shard` divides what sequence parallelism divides.
fn kernels(pass: Pass, shard: u64) -> Vec<Work> {
    let (whole, local) = (TOKENS * WIDTH / shard, TOKENS * WIDTH / DEGREE);
    let residual = PointwiseKind::Residual { dropout: true };
    let activation = PointwiseKind::Activation { gated: false };
    let parts = [
        (PointwiseKind::LayerNorm, whole),
        (PointwiseKind::LayerNorm, whole),
        (residual, whole),
        (residual, whole),
        (activation, 4 * local),
        (PointwiseKind::Relayout, local),
        (PointwiseKind::Bias, 3 * local),
        (PointwiseKind::Bias, whole),
        (PointwiseKind::Bias, 4 * local),
        (PointwiseKind::Bias, whole),
    ];
    let dtype = Dtype::Fp16;
    parts.map(|(kind, elements)| Work::Pointwise(Pointwise { kind, elements, dtype, pass })).into()
}

fn tensor_parallel(ops: &[CollectiveOp]) -> Vec<Work> {
    let bytes = Bytes::new((TOKENS * WIDTH * 2) as f64);
    let group = Group { size: 8, nodes: 1 };
    ops.iter().map(|op| Work::Collective(Collective { op: *op, bytes, group })).collect()
}

fn total(work: &[Work], profile: &Profile) -> Seconds {
    work.iter().map(|item| price(item, profile).value).sum()
}

fn close(part: &str, time: Seconds, milliseconds: f64, tolerance: f64) {
    let error = (time.get() * 1e3 / milliseconds - 1.0).abs();
    assert!(error < tolerance, "{part}: {} ms against {milliseconds}", time.get() * 1e3);
}

/// Parts in ms from a second, independent implementation of the same formulas. Attention differs
/// by less than 0.1 %: that program scales the gap of its score kernels with their bandwidth.
#[test]
fn a_layer_matches_an_independent_program() {
    let profile = fixtures::a100();
    let (forward, backward) = (Pass::Forward, Pass::Backward);
    close("products", total(&products(forward), &profile), 3.946_743_386_971_631_7, 1e-9);
    close("gradients", total(&products(backward), &profile), 7.828_875_485_737_661, 1e-9);
    close("core", total(&[core(forward)], &profile), 1.231_242_258_597_239_1, 1e-3);
    close("core gradient", total(&[core(backward)], &profile), 1.780_047_901_783_232_7, 1e-3);
    for (shard, ahead, back) in [
        (1, 0.749_523_999_090_898_2, 1.566_779_794_016_674_8),
        (DEGREE, 0.170_040_856_948_049_63, 0.355_133_224_081_627_73),
    ] {
        close("kernels", total(&kernels(forward, shard), &profile), ahead, 1e-9);
        close("kernel gradients", total(&kernels(backward, shard), &profile), back, 1e-9);
    }
}

/// All-reduces without sequence parallelism, gathers and scatters with it; the parts of them that
/// the backward pass hides come from the stack.
#[test]
fn its_collectives_match_an_independent_program() {
    let profile = fixtures::a100();
    let overlap = &profile.stack().overlap;
    let (reduce, gather) = (CollectiveOp::AllReduce, CollectiveOp::AllGather);
    let scatter = CollectiveOp::ReduceScatter;
    let plain = total(&tensor_parallel(&[reduce; 2]), &profile);
    close("plain", plain, 1.884_740_328_101_500_5, 1e-9);
    let hidden = exposed(plain, overlap.tensor_backward.value);
    close("plain, backward", hidden, 0.942_370_164_050_750_2, 1e-9);
    let sequence = [gather, scatter, gather, scatter];
    let sequence = total(&tensor_parallel(&sequence), &profile);
    close("sequence", sequence, 1.975_962_931_652_835, 1e-9);
    let again = [gather, scatter, gather, scatter, gather, gather];
    let again = total(&tensor_parallel(&again), &profile);
    let hidden = exposed(again, overlap.tensor_backward_sequence.value);
    close("sequence, backward", hidden, 1.985_842_746_311_099, 1e-9);
}
