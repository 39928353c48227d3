//! Multi-head latent attention as operators.
//!
//! Letters: as in `transformer.rs`; q, c widths of compressed queries, keys and values; r rotary
//! part; w value. Compression works on each token alone, so sequence parallelism leaves it split
//! and gathers only what is compressed; expansion is split by heads.
//!
//! Source: DeepSeek-AI 2024 (arXiv:2405.04434), section 2.1; the order of operators is that of
//! NVIDIA/Megatron-LM, megatron/core/transformer/multi_latent_attention.py.

use super::transformer::core;
use super::{Latent, Transformer};
use crate::graph::{Dim, GraphBuilder, Region, SaveWhen, Sizes, TensorId};
use crate::work::PointwiseKind;
use Dim::{
    Batch, Compressed, DModel, Expanded, HeadDim, Heads, KeyValue, QueryLatent, Rotary, Seq,
    ValueDim,
};

/// Sizes of the dimensions that only latent attention has.
pub(super) fn sizes(sizes: Sizes, t: &Transformer) -> Sizes {
    let Some(l) = &t.latent else { return sizes };
    sizes
        .with(QueryLatent, l.query.unwrap_or(1))
        .with(Compressed, l.key_value + l.rotary)
        .with(Dim::Latent, l.key_value)
        .with(Rotary, l.rotary)
        .with(Expanded, t.head_dim - l.rotary + l.value)
        .with(KeyValue, t.head_dim + l.value)
        .with(ValueDim, l.value)
}

/// Compression, expansion, attention core and output; returns the context, per head.
pub(super) fn attention(
    g: &mut GraphBuilder,
    t: &Transformer,
    l: &Latent,
    causal: bool,
    x: TensorId,
) -> TensorId {
    let q = queries(g, t, l, x);
    let kv = keys_and_values(g, x);
    let names = ["attention", "probabilities", "lse"];
    core(g, t, names, (causal, Seq), (&[q, kv], ValueDim))
}

/// Queries; the rotary part of each is turned.
fn queries(g: &mut GraphBuilder, t: &Transformer, l: &Latent, x: TensorId) -> TensorId {
    let dims = [Batch, Seq, Heads, HeadDim];
    let q = if l.query.is_some() {
        let w = g.parameter("w_q down", &[DModel, QueryLatent]);
        let down = g.einsum_in("q down", Region::Token, [x, w], &[Batch, Seq, QueryLatent]);
        let latent = norm(g, ["query norm", "query norm scale"], down, QueryLatent);
        let w = g.parameter("w_q up", &[QueryLatent, Heads, HeadDim]);
        g.einsum("q up", latent, w, &dims)
    } else {
        let w = g.parameter("w_q", &[DModel, Heads, HeadDim]);
        g.einsum("q", x, w, &dims)
    };
    let turned = (PointwiseKind::Rope, l.rotary as f64 / t.head_dim as f64);
    g.pointwise_share("query rope", turned, Region::Inner, &[q], &dims)
}

/// Keys and values of all heads side by side, as the attention core reads them.
fn keys_and_values(g: &mut GraphBuilder, x: TensorId) -> TensorId {
    let w = g.parameter("w_kv down", &[DModel, Compressed]);
    let down = g.einsum_in("kv down", Region::Token, [x, w], &[Batch, Seq, Compressed]);
    let latent = norm(g, ["kv norm", "kv norm scale"], down, Dim::Latent);
    let kind = PointwiseKind::Rope;
    let rotary = g.pointwise("key rope", kind, Region::Token, &[down], &[Batch, Seq, Rotary]);
    let w = g.parameter("w_kv up", &[Dim::Latent, Heads, Expanded]);
    let up = g.einsum("kv up", latent, w, &[Batch, Seq, Heads, Expanded]);
    let dims = [Batch, Seq, Heads, KeyValue];
    g.pointwise("keys and values", PointwiseKind::Copy, Region::Inner, &[up, rotary], &dims)
}

/// RMSNorm of what is compressed.
fn norm(g: &mut GraphBuilder, names: [&'static str; 2], x: TensorId, width: Dim) -> TensorId {
    let inputs = [x, g.parameter(names[1], &[width])];
    let dims = [Batch, Seq, width];
    let out = g.pointwise(names[0], PointwiseKind::RmsNorm, Region::Token, &inputs, &dims);
    g.save(&[(x, SaveWhen::Always)]);
    out
}
