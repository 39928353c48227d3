//! Transformers as operator graphs.
//!
//! Letters: b batch, s seq, h d_model, a heads, d d_head, f d_ff, v vocab, e experts.

use super::{
    Experts, Latent, LayerKind, LayerRole, Model, ModelError, ModelSpec, Norm, Positions, Run,
    Stacks, Table, Transformer, latent, positive,
};
use crate::graph::{Dim, GraphBuilder, OpGraph, Region, SaveWhen, Sizes, TensorId};
use crate::work::PointwiseKind;
use Dim::{
    Batch, Capacity, DExpert, DExpertUp, DFf, DFfUp, DModel, DModelOut, DShared, DSharedUp,
    Experts as E, HeadDim, Heads, Keys, KvHeads, Predicted, QkvHeads, Routes, Rows, Scored,
    SelfKeys, Seq, ValueDim, Vocab,
};

const STREAM: [Dim; 3] = [Batch, Seq, DModel];
/// Names of the output of self-attention: product, weight, bias, context laid out for the product.
const OUT: [&str; 4] = ["out", "w_out", "b_out", "relayout"];

pub(super) fn build(spec: &ModelSpec, t: &Transformer) -> Result<Model, ModelError> {
    check(t)?;
    let mut kinds = vec![kind("embedding", LayerRole::Embedding, embedding(t), false)];
    let mut chain = vec![Run { kind: 0, layers: 1 }];
    let mut push = |k: LayerKind, layers: u32| {
        if layers > 0 {
            kinds.push(k);
            chain.push(Run { kind: kinds.len() - 1, layers });
        }
    };
    match t.stacks {
        Stacks::Decoder => body(t, &mut push),
        Stacks::Encoder => push(layer_kind("encoder layer", t, Attend::Both, None), t.layers),
        Stacks::EncoderDecoder { encoder_layers } => {
            let encoder = layer_kind("encoder layer", t, Attend::Both, None);
            push(LayerKind { on_source: true, ..encoder }, encoder_layers);
            push(layer_kind("decoder layer", t, Attend::Cross, None), t.layers);
        }
    }
    push(kind("head", LayerRole::Head, head(t), false), 1);
    let table = Table { vocab: full_width_rows(t), width: t.d_model, tied: t.tied, sampled: None };
    let sizes = sizes(t);
    Ok(Model { spec: spec.clone(), kinds, chain, sizes, table: Some(table), is_recurrent: false })
}

fn check(t: &Transformer) -> Result<(), ModelError> {
    positive(&[
        ("layers", u64::from(t.layers)),
        ("d_model", t.d_model),
        ("heads", t.heads),
        ("kv_heads", t.kv_heads),
        ("head_dim", t.head_dim),
        ("d_ff", t.d_ff),
        ("vocab", t.vocab),
    ])?;
    let suits = |a: &super::Adaptive| {
        let rises = a.cutoffs.windows(2).all(|w| w[0] < w[1]);
        let ends_before = a.cutoffs.last().is_some_and(|&last| last < t.vocab);
        rises && ends_before && a.divisor > 0 && narrowest(t, a) > 0
    };
    if t.adaptive.as_ref().is_some_and(|a| !suits(a)) {
        return Err(ModelError::Adaptive);
    }
    if let Some(l) = &t.latent {
        check_latent(t, l)?;
    }
    if !t.heads.is_multiple_of(t.kv_heads) {
        let (left, right) = ("heads", "kv_heads");
        let (left_value, right_value) = (t.heads, t.kv_heads);
        return Err(ModelError::Uneven { left, left_value, right, right_value });
    }
    Ok(())
}

fn check_latent(t: &Transformer, l: &Latent) -> Result<(), ModelError> {
    positive(&[
        ("query", l.query.unwrap_or(1)),
        ("key_value", l.key_value),
        ("rotary", l.rotary),
        ("value", l.value),
    ])?;
    let is_plain = t.kv_heads == t.heads && t.memory_length == 0 && t.stacks == Stacks::Decoder;
    let has_room = l.rotary <= t.head_dim;
    let is_bare = !t.bias && !t.qkv_bias && t.positions == Positions::Rope;
    if is_plain && has_room && is_bare { Ok(()) } else { Err(ModelError::Latent) }
}

fn sizes(t: &Transformer) -> Sizes {
    let up = if t.gated { 2 } else { 1 };
    let mut sizes = Sizes::default()
        .with(DModel, t.d_model)
        .with(Heads, t.heads)
        .with(QkvHeads, t.heads + 2 * t.kv_heads)
        .with(KvHeads, 2 * t.kv_heads)
        .with(HeadDim, t.head_dim)
        .with(DFf, t.d_ff)
        .with(DFfUp, up * t.d_ff)
        .with(DModelOut, t.d_model)
        .with(Vocab, full_width_rows(t))
        .with(Scored, scored(t));
    if let Some(e) = &t.experts {
        sizes = sizes
            .with(E, e.count)
            .with(Routes, e.count)
            .with(DExpert, e.d_expert)
            .with(DExpertUp, up * e.d_expert)
            .with(DShared, e.d_shared)
            .with(DSharedUp, up * e.d_shared);
    }
    latent::sizes(sizes.with(Rows, rows(t)), t)
}

/// Words scored per token. An adaptive softmax scores its first cluster always and a tail cluster
/// only for its own words; word frequencies are taken as Zipf's, so the share of tokens between two
/// ranks is the difference of their logarithms over `ln V + γ`.
fn scored(t: &Transformer) -> u64 {
    const EULER: f64 = 0.577_215_664_901_532_9;
    let Some(adaptive) = &t.adaptive else { return t.vocab };
    let total = (t.vocab as f64).ln() + EULER;
    let mut ends = adaptive.cutoffs.clone();
    ends.push(t.vocab);
    let first = ends.first().copied().unwrap_or(t.vocab) + adaptive.cutoffs.len() as u64;
    let tails = ends.windows(2).zip(shrinking(adaptive).skip(1)).map(|(w, narrower)| {
        let share = ((w[1] as f64).ln() - (w[0] as f64).ln()) / total;
        share * (w[1] - w[0]) as f64 / narrower as f64
    });
    first + tails.sum::<f64>().ceil() as u64
}

/// How many times narrower than the first cluster each cluster of an adaptive table is.
fn shrinking(a: &super::Adaptive) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(1u64), |n| Some(n.saturating_mul(a.divisor)))
}

/// Width of the last cluster.
fn narrowest(t: &Transformer, a: &super::Adaptive) -> u64 {
    t.d_model / shrinking(a).nth(a.cutoffs.len()).unwrap_or(1)
}

/// Rows of the vocabulary's table. A row of an adaptive cluster that is `n` times narrower counts
/// as the `n`-th part of a row: same parameters, same products.
fn full_width_rows(t: &Transformer) -> u64 {
    let Some(adaptive) = &t.adaptive else { return t.vocab };
    let mut ends = vec![0];
    ends.extend(&adaptive.cutoffs);
    ends.push(t.vocab);
    let clusters = ends.windows(2).zip(shrinking(adaptive));
    clusters.map(|(w, narrower)| (w[1] - w[0]).div_ceil(narrower)).sum()
}

/// Projections from the widths of adaptive clusters to the model's, which come only with clusters
/// of different widths; in rows of the model's width.
fn projection_rows(t: &Transformer) -> u64 {
    match &t.adaptive {
        Some(a) if a.divisor > 1 => {
            shrinking(a).take(a.cutoffs.len() + 1).map(|narrower| t.d_model / narrower).sum()
        }
        _ => 0,
    }
}

/// Rows of learned matrices besides the vocabulary.
fn rows(t: &Transformer) -> u64 {
    let positions = if let Positions::Learned(n) = t.positions { n } else { 0 };
    positions + t.segments + projection_rows(t)
}

fn body(t: &Transformer, push: &mut impl FnMut(LayerKind, u32)) {
    let Some(experts) = &t.experts else {
        push(layer_kind("decoder layer", t, Attend::Causal, None), t.layers);
        return;
    };
    let mixtures = (t.layers - experts.dense_layers.min(t.layers)) / experts.every.max(1);
    push(layer_kind("dense decoder layer", t, Attend::Causal, None), t.layers - mixtures);
    push(layer_kind("mixture decoder layer", t, Attend::Causal, Some(experts)), mixtures);
}

fn kind(name: &'static str, role: LayerRole, graph: OpGraph, on_source: bool) -> LayerKind {
    LayerKind { name, role, graph, on_source }
}

/// Which positions a layer attends to.
#[derive(Clone, Copy, PartialEq)]
enum Attend {
    Causal,
    Both,
    /// Its own past, then the encoder's output.
    Cross,
}

fn layer_kind(
    name: &'static str,
    t: &Transformer,
    attend: Attend,
    experts: Option<&Experts>,
) -> LayerKind {
    kind(name, LayerRole::Body, layer(t, attend, experts), false)
}

fn norm_kind(t: &Transformer) -> PointwiseKind {
    match t.norm {
        Norm::LayerNorm => PointwiseKind::LayerNorm,
        Norm::RmsNorm => PointwiseKind::RmsNorm,
    }
}

/// Normalisation of the residual stream; its parameters are scale and, for LayerNorm, shift.
fn norm(
    g: &mut GraphBuilder,
    t: &Transformer,
    names: [&'static str; 3],
    x: TensorId,
    dims: &[Dim],
) -> TensorId {
    let mut inputs = vec![x, g.parameter(names[1], &[DModel])];
    if t.norm == Norm::LayerNorm {
        inputs.push(g.parameter(names[2], &[DModel]));
    }
    let out = g.pointwise(names[0], norm_kind(t), Region::Token, &inputs, dims);
    g.save(&[(x, SaveWhen::Always)]);
    out
}

fn residual(
    g: &mut GraphBuilder,
    t: &Transformer,
    names: [&'static str; 2],
    x: TensorId,
    y: TensorId,
) -> TensorId {
    let kind = PointwiseKind::Residual { dropout: t.dropout };
    let out = g.pointwise(names[0], kind, Region::Token, &[x, y], &STREAM);
    if t.dropout {
        let mask = g.kept(names[1], &STREAM, 1);
        g.save(&[(mask, SaveWhen::Always)]);
    }
    out
}

fn layer(t: &Transformer, attend: Attend, experts: Option<&Experts>) -> OpGraph {
    let mut g = GraphBuilder::new();
    let x = g.input("x", &STREAM);
    let y = norm(&mut g, t, ["norm 1", "norm 1 scale", "norm 1 shift"], x, &STREAM);
    let y = self_attention(&mut g, t, attend != Attend::Both, y);
    let mut x1 = residual(&mut g, t, ["residual 1", "mask 1"], x, y);
    if attend == Attend::Cross {
        let y = norm(&mut g, t, ["norm x", "norm x scale", "norm x shift"], x1, &STREAM);
        let y = cross_attention(&mut g, t, y);
        x1 = residual(&mut g, t, ["residual x", "mask x"], x1, y);
    }
    let y = norm(&mut g, t, ["norm 2", "norm 2 scale", "norm 2 shift"], x1, &STREAM);
    let y = match experts {
        None => feed_forward(&mut g, t, y),
        Some(e) => mixture(&mut g, t, e, y),
    };
    let out = residual(&mut g, t, ["residual 2", "mask 2"], x1, y);
    g.build(x, out)
}

fn self_attention(g: &mut GraphBuilder, t: &Transformer, causal: bool, x: TensorId) -> TensorId {
    if t.memory_length > 0 {
        return memory_attention(g, t, x);
    }
    if let Some(l) = &t.latent {
        let out = latent::attention(g, t, l, causal, x);
        return project_out(g, t, OUT, (out, ValueDim));
    }
    let qkv_dims = [Batch, Seq, QkvHeads, HeadDim];
    let w = g.parameter("w_qkv", &[DModel, QkvHeads, HeadDim]);
    let mut qkv = g.einsum("qkv", x, w, &qkv_dims);
    if t.bias || t.qkv_bias {
        qkv = g.bias("b_qkv", qkv, &[QkvHeads, HeadDim]);
    }
    if t.positions == Positions::NormedRope {
        qkv = normed_heads(g, t, qkv);
    }
    if matches!(t.positions, Positions::Rope | Positions::NormedRope) {
        let share = (t.heads + t.kv_heads) as f64 / (t.heads + 2 * t.kv_heads) as f64;
        let rope = (PointwiseKind::Rope, share);
        let product = qkv;
        qkv = g.pointwise_share("rope", rope, Region::Inner, &[qkv], &qkv_dims);
        g.save(&[(product, SaveWhen::Views)]);
    }
    let out = core(g, t, ["attention", "probabilities", "lse"], (causal, Seq), (&[qkv], HeadDim));
    project_out(g, t, OUT, (out, HeadDim))
}

/// Queries and keys, each head normalised by itself. What is kept is the whole product, of which
/// values are a part.
fn normed_heads(g: &mut GraphBuilder, t: &Transformer, qkv: TensorId) -> TensorId {
    let share = (t.heads + t.kv_heads) as f64 / (t.heads + 2 * t.kv_heads) as f64;
    let scales = ["query scale", "key scale"].map(|name| g.parameter(name, &[HeadDim]));
    let (kind, inputs) = ((PointwiseKind::RmsNorm, share), [qkv, scales[0], scales[1]]);
    let dims = [Batch, Seq, QkvHeads, HeadDim];
    let out = g.pointwise_share("head norms", kind, Region::Inner, &inputs, &dims);
    g.save(&[(qkv, SaveWhen::Always)]);
    out
}

/// The attention core. It keeps its operands, and either the scores (probabilities, dropout mask,
/// dropped probabilities: 2 + 1 + 2 bytes each, Korthikanti et al. 2022) or, for flash kernels,
/// one log-sum-exp per query.
pub(super) fn core(
    g: &mut GraphBuilder,
    t: &Transformer,
    names: [&'static str; 3],
    (causal, keys): (bool, Dim),
    (inputs, value): (&[TensorId], Dim),
) -> TensorId {
    let dims = [Batch, Seq, Heads, value];
    let out = g.attention(names[0], (causal, t.dropout, keys), inputs, &dims);
    let score_bytes = if t.dropout { 5 } else { 2 };
    let row_of = if keys == Seq { SelfKeys } else { keys };
    let row = g.kept(names[1], &[Batch, Seq, Heads, row_of], score_bytes);
    let lse = g.kept(names[2], &[Batch, Seq, Heads], 4);
    let kept: Vec<_> = inputs.iter().map(|&i| (i, SaveWhen::Always)).collect();
    g.save(&kept);
    g.save(&[(row, SaveWhen::Unfused), (lse, SaveWhen::Flash)]);
    out
}

fn project_out(
    g: &mut GraphBuilder,
    t: &Transformer,
    names: [&'static str; 4],
    (context, value): (TensorId, Dim),
) -> TensorId {
    let dims = [Batch, Seq, Heads, value];
    let context = g.pointwise(names[3], PointwiseKind::Relayout, Region::Inner, &[context], &dims);
    let w = g.parameter(names[1], &[Heads, value, DModel]);
    let y = g.einsum(names[0], context, w, &STREAM);
    if t.bias { bias_after_sum(g, names[2], y) } else { y }
}

/// A bias that is added after the partial sums are.
fn bias_after_sum(g: &mut GraphBuilder, name: &'static str, y: TensorId) -> TensorId {
    let b = g.parameter(name, &[DModel]);
    g.pointwise(name, PointwiseKind::Bias, Region::Token, &[y, b], &STREAM)
}

/// Transformer-XL: keys and values also come from the cached positions, and positions are relative
/// (Dai et al. 2019, arXiv:1901.02860).
fn memory_attention(g: &mut GraphBuilder, t: &Transformer, x: TensorId) -> TensorId {
    let wq = g.parameter("w_q", &[DModel, Heads, HeadDim]);
    let q = g.einsum("q", x, wq, &[Batch, Seq, Heads, HeadDim]);
    let past = g.input("cached positions", &[Batch, Keys, DModel]);
    let wkv = g.parameter("w_kv", &[DModel, KvHeads, HeadDim]);
    let kv = g.einsum("kv", past, wkv, &[Batch, Keys, KvHeads, HeadDim]);
    let positions = g.input("relative positions", &[Keys, DModel]);
    let wr = g.parameter("w_r", &[DModel, Heads, HeadDim]);
    let r = g.einsum("r", positions, wr, &[Keys, Heads, HeadDim]);
    let by_keys = [Batch, Seq, Heads, Keys];
    let scores = g.einsum("position scores", q, r, &by_keys);
    let scores = g.pointwise("shift", PointwiseKind::Shift, Region::Inner, &[scores], &by_keys);
    g.save(&[(r, SaveWhen::Always)]);
    let names = ["attention", "probabilities", "lse"];
    let out = core(g, t, names, (true, Keys), (&[q, scores, kv], HeadDim));
    project_out(g, t, OUT, (out, HeadDim))
}

fn cross_attention(g: &mut GraphBuilder, t: &Transformer, x: TensorId) -> TensorId {
    let wq = g.parameter("w_q x", &[DModel, Heads, HeadDim]);
    let q = g.einsum("q x", x, wq, &[Batch, Seq, Heads, HeadDim]);
    let encoded = g.input("encoded", &[Batch, Keys, DModel]);
    let wkv = g.parameter("w_kv x", &[DModel, KvHeads, HeadDim]);
    let kv = g.einsum("kv x", encoded, wkv, &[Batch, Keys, KvHeads, HeadDim]);
    let names = ["cross attention", "probabilities x", "lse x"];
    let out = core(g, t, names, (false, Keys), (&[q, kv], HeadDim));
    project_out(g, t, ["out x", "w_out x", "b_out x", "relayout x"], (out, HeadDim))
}

fn feed_forward(g: &mut GraphBuilder, t: &Transformer, x: TensorId) -> TensorId {
    let w = g.parameter("w_up", &[DModel, DFfUp]);
    let mut y = g.einsum("up", x, w, &[Batch, Seq, DFfUp]);
    if t.bias {
        y = g.bias("b_up", y, &[DFfUp]);
    }
    let act = PointwiseKind::Activation { gated: t.gated };
    let z = g.pointwise("activation", act, Region::Inner, &[y], &[Batch, Seq, DFf]);
    g.save(&[(y, SaveWhen::Always)]);
    if t.gated {
        let gate = g.local("activated gate", &[Batch, Seq, DFf]);
        g.save(&[(gate, SaveWhen::Eager)]);
    }
    let w = g.parameter("w_down", &[DFf, DModel]);
    let out = g.einsum("down", z, w, &STREAM);
    if t.bias { bias_after_sum(g, "b_down", out) } else { out }
}

/// Tokens go to their experts, through the experts' feed-forward parts, and back.
fn mixture(g: &mut GraphBuilder, t: &Transformer, e: &Experts, x: TensorId) -> TensorId {
    let wr = g.parameter("w_router", &[DModel, Routes]);
    let routes = g.einsum("router", x, wr, &[Batch, Seq, Routes]);
    if e.router_bias || t.bias {
        g.parameter("router bias", &[Routes]);
    }
    let routed = [E, Capacity, DModel];
    let inputs = [x, routes];
    let there = g.pointwise("dispatch", PointwiseKind::Permute, Region::Route, &inputs, &routed);
    let w = g.parameter("expert w_up", &[E, DModel, DExpertUp]);
    let mut y = g.einsum("expert up", there, w, &[E, Capacity, DExpertUp]);
    if t.bias {
        y = g.bias("expert b_up", y, &[E, DExpertUp]);
    }
    let act = PointwiseKind::Activation { gated: t.gated };
    let z = g.pointwise("expert activation", act, Region::Inner, &[y], &[E, Capacity, DExpert]);
    g.save(&[(y, SaveWhen::Always)]);
    let w = g.parameter("expert w_down", &[E, DExpert, DModel]);
    let mut back = g.einsum("expert down", z, w, &routed);
    if t.bias {
        let b = g.parameter("expert b_down", &[E, DModel]);
        let inputs = [back, b, routes];
        let kind = PointwiseKind::ExpertBias;
        back = g.pointwise("expert b_down", kind, Region::Route, &inputs, &routed);
    }
    let out = g.pointwise("combine", PointwiseKind::Copy, Region::Route, &[back], &STREAM);
    g.save(&[(back, SaveWhen::Always), (routes, SaveWhen::Always)]);
    if e.d_shared == 0 { out } else { shared_expert(g, t, x, out) }
}

fn shared_expert(g: &mut GraphBuilder, t: &Transformer, x: TensorId, routed: TensorId) -> TensorId {
    let w = g.parameter("shared w_up", &[DModel, DSharedUp]);
    let y = g.einsum("shared up", x, w, &[Batch, Seq, DSharedUp]);
    let act = PointwiseKind::Activation { gated: t.gated };
    let dims = [Batch, Seq, DShared];
    let z = g.pointwise("shared activation", act, Region::Inner, &[y], &dims);
    g.save(&[(y, SaveWhen::Always)]);
    let w = g.parameter("shared w_down", &[DShared, DModel]);
    let y = g.einsum("shared down", z, w, &STREAM);
    let kind = PointwiseKind::Residual { dropout: false };
    g.pointwise("shared sum", kind, Region::Token, &[routed, y], &STREAM)
}

fn embedding(t: &Transformer) -> OpGraph {
    let mut g = GraphBuilder::new();
    let tokens = g.kept("tokens", &[Batch, Seq], 8);
    let table = g.parameter("table", &[Vocab, DModel]);
    let mut x = g.lookup("lookup", table, &STREAM);
    if rows(t) > 0 {
        let rows = g.parameter("positions", &[Rows, DModel]);
        let kind = PointwiseKind::Residual { dropout: false };
        x = g.pointwise("add positions", kind, Region::Token, &[x, rows], &STREAM);
    }
    if t.positions == Positions::Relative {
        // Content and position biases of the attention scores, shared by all layers.
        g.parameter("content bias", &[Heads, HeadDim]);
        g.parameter("position bias", &[Heads, HeadDim]);
    }
    if t.embedding_norm {
        x = norm(&mut g, t, ["norm 0", "norm 0 scale", "norm 0 shift"], x, &STREAM);
    }
    g.build(tokens, x)
}

fn head(t: &Transformer) -> OpGraph {
    let mut g = GraphBuilder::new();
    let x = g.input("x", &STREAM);
    let mut y = x;
    if t.final_norm {
        y = norm(&mut g, t, ["norm f", "norm f scale", "norm f shift"], y, &STREAM);
    }
    if t.pooler {
        // Counted, but not run: masked-language training does not use it.
        g.parameter("w_pooler", &[DModel, DModelOut]);
        g.parameter("b_pooler", &[DModelOut]);
    }
    let positions = if t.loss_fraction < 1.0 { Predicted } else { Seq };
    if positions == Predicted {
        let dims = [Batch, Predicted, DModel];
        y = g.pointwise("select", PointwiseKind::Copy, Region::Token, &[y], &dims);
    }
    let width = if t.mlm_head { DModelOut } else { DModel };
    if t.mlm_head {
        y = transform(&mut g, y);
    }
    let words = if t.adaptive.is_some() { Scored } else { Vocab };
    let dims = [Batch, positions, words];
    let w = output_table(&mut g, t, width, words);
    let logits = g.einsum("logits", y, w, &dims);
    let loss = g.pointwise("loss", PointwiseKind::CrossEntropy, Region::Inner, &[logits], &dims);
    g.save(&[(logits, SaveWhen::Always), (logits, SaveWhen::Losses)]);
    g.build(x, loss)
}

/// The output table. Where only a part of it is scored, the product reads that part and the table
/// itself is a parameter beside it.
fn output_table(g: &mut GraphBuilder, t: &Transformer, width: Dim, words: Dim) -> TensorId {
    if t.mlm_head {
        g.parameter("b_vocab", &[Vocab]);
    }
    if words == Vocab {
        return g.parameter("w_vocab", &[width, Vocab]);
    }
    g.parameter("w_vocab", &[width, Vocab]);
    g.local("scored rows", &[width, words])
}

/// BERT's transform before the output: square product, GELU, normalisation.
fn transform(g: &mut GraphBuilder, x: TensorId) -> TensorId {
    let dims = [Batch, Predicted, DModelOut];
    let w = g.parameter("w_transform", &[DModel, DModelOut]);
    let y = g.einsum("transform", x, w, &dims);
    let y = g.bias("b_transform", y, &[DModelOut]);
    let act = PointwiseKind::Activation { gated: false };
    let z = g.pointwise("transform activation", act, Region::Inner, &[y], &dims);
    g.save(&[(y, SaveWhen::Always)]);
    let scale = g.parameter("norm t scale", &[DModelOut]);
    let shift = g.parameter("norm t shift", &[DModelOut]);
    let inputs = [z, scale, shift];
    let out = g.pointwise("norm t", PointwiseKind::LayerNorm, Region::Inner, &inputs, &dims);
    g.save(&[(z, SaveWhen::Always)]);
    out
}
