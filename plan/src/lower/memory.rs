//! What a layer keeps: activations for its backward pass, parameters.

use super::{Context, LocalParameters, Recompute, Traits};
use crate::dtype::Dtype;
use crate::graph::{Dim, Op, OpGraph, OpKind, Region, SaveWhen, TensorId, TensorRole};
use crate::layout::State;
use crate::mesh::Axis;
use crate::units::Bytes;
use crate::work::{AttentionKernel, PointwiseKind};
use std::collections::BTreeMap;

/// Activations kept per micro-batch. A tensor that two operators keep is kept once.
pub(super) fn saved(graph: &OpGraph, context: &Context<'_>, recompute: Recompute) -> Bytes {
    if recompute == Recompute::Full {
        let format = context.compute.between_products();
        return bytes(graph, context, (graph.input(), format), Region::Token);
    }
    if recompute == Recompute::Selective && context.traits.alternates {
        return alternating(graph, context);
    }
    let mut kept: BTreeMap<TensorId, (Region, Dtype)> = BTreeMap::new();
    let mut wide = Bytes::ZERO;
    for op in graph.ops() {
        // Products keep their operands as they read them, all others what lies between products.
        let format = match op.kind {
            OpKind::Einsum => context.compute,
            _ => context.compute.between_products(),
        };
        wide += in_32_bit(graph, context, op, recompute);
        for &(tensor, when) in &op.saves {
            if is_kept(when, context.traits, recompute) {
                let made = (region(graph, context, op, tensor), format);
                let entry = kept.entry(tensor).or_insert(made);
                entry.1 = entry.1.min(format);
            }
        }
    }
    let size = |(tensor, (region, format))| bytes(graph, context, (tensor, format), region);
    kept.into_iter().map(size).sum::<Bytes>() + wide
}

/// What is kept in 32 bit. Losses keep what the stack says. With automatic mixed precision norms
/// keep their input so, and softmaxes over scores their result beside the 16-bit copy that products
/// read.
///
/// Source: PyTorch documentation, automatic mixed precision, operations that autocast to float32.
fn in_32_bit(graph: &OpGraph, context: &Context<'_>, op: &Op, recompute: Recompute) -> Bytes {
    let is_wide = context.traits.wide && context.compute != Dtype::Fp32;
    let more = op.saves.iter().map(|&(tensor, when)| {
        let scores = when == SaveWhen::Unfused && is_kept(when, context.traits, recompute);
        let is_norm = matches!(
            op.kind,
            OpKind::Pointwise { kind: PointwiseKind::LayerNorm | PointwiseKind::RmsNorm, .. }
        );
        let dims = graph.tensor(tensor).dims.iter().copied();
        let elements = context.local_product(op.region, dims);
        let each = match when {
            SaveWhen::Losses => context.traits.loss_bytes,
            _ if is_wide && scores => 4,
            _ if is_wide && is_norm => 2,
            _ => 0,
        };
        Bytes::from_count(elements.saturating_mul(each))
    });
    more.sum()
}

/// What is kept where every other product is repeated: the layer's input, half of what products
/// put out, what the attention core did, and masks and the like, which nothing can repeat.
///
/// Source: pytorch/torchtitan, selective activation checkpointing by operator: of the products
/// every second one is saved, of attention all.
fn alternating(graph: &OpGraph, context: &Context<'_>) -> Bytes {
    let format = context.compute.between_products();
    let of = |tensor, region| bytes(graph, context, (tensor, format), region);
    let mut sum = of(graph.input(), Region::Token);
    for op in graph.ops() {
        let by_itself = op.saves.iter().filter(|(tensor, when)| {
            let is_own = graph.tensor(*tensor).element_bytes.is_some();
            is_own && is_kept(*when, context.traits, Recompute::None)
        });
        sum += by_itself.map(|(tensor, _)| of(*tensor, op.region)).sum();
        match op.kind {
            OpKind::Einsum => sum += of(op.output, op.region) * 0.5,
            OpKind::Attention { .. } => sum += of(op.output, op.region),
            _ => {}
        }
    }
    sum
}

/// What exists only while a layer is repeated: all of it, beside its input; or what was not kept.
pub(super) fn repeated(
    all: Bytes,
    kept: Bytes,
    context: &Context<'_>,
    recompute: Recompute,
) -> Bytes {
    match recompute {
        Recompute::Full => all,
        Recompute::Selective if context.traits.alternates => (all - kept).max(Bytes::ZERO),
        Recompute::Selective | Recompute::None => Bytes::ZERO,
    }
}

/// The layer's input as products read it: with sequence parallelism a rank keeps its part between
/// products and gathers the rest before them (Korthikanti et al. 2022, arXiv:2205.05198, 4.2.2).
pub(super) fn gathered(graph: &OpGraph, context: &Context<'_>) -> Bytes {
    let parts = context.mesh.degrees.size(Axis::Tensor);
    let in_parts = context.layout.dims(Region::Token, Axis::Tensor).contains(Dim::Seq);
    if parts == 1 || !in_parts {
        return Bytes::ZERO;
    }
    let format = context.compute.between_products();
    bytes(graph, context, (graph.input(), format), Region::Token) * f64::from(parts)
}

fn is_kept(when: SaveWhen, traits: Traits, recompute: Recompute) -> bool {
    let is_unfused = traits.attention == AttentionKernel::Unfused;
    match when {
        SaveWhen::Always => true,
        SaveWhen::Flash => !is_unfused,
        SaveWhen::Eager => traits.eager,
        SaveWhen::Views => traits.views,
        SaveWhen::Losses => false,
        SaveWhen::Unfused => is_unfused && recompute == Recompute::None,
    }
}

/// The region in whose layout a tensor is kept: where it was made, unless it was made as partial
/// sums, which are only useful once they are added up.
fn region(graph: &OpGraph, context: &Context<'_>, keeper: &Op, tensor: TensorId) -> Region {
    match graph.producer(tensor) {
        Some(op) => {
            let is_partial = |&axis: &Axis| context.layout.left(graph, op, axis) == State::Partial;
            if Axis::ALL.iter().any(is_partial) { keeper.region } else { op.region }
        }
        None if graph.tensor(tensor).role == TensorRole::Input => Region::Token,
        None => keeper.region,
    }
}

fn bytes(
    graph: &OpGraph,
    context: &Context<'_>,
    (tensor, format): (TensorId, Dtype),
    region: Region,
) -> Bytes {
    let data = graph.tensor(tensor);
    let elements = context.local_product(region, data.dims.iter().copied());
    let size = data.element_bytes.unwrap_or(format.size());
    Bytes::from_count(elements.saturating_mul(size))
}

/// Activation handed to the next layer.
pub(super) fn border(graph: &OpGraph, context: &Context<'_>) -> Bytes {
    bytes(graph, context, (graph.output(), context.compute.between_products()), Region::Token)
}

/// Parameters of this rank, by how their gradients are summed. Token tables, input or output, are
/// matrices over the vocabulary.
pub(super) fn parameters(graph: &OpGraph, context: &Context<'_>) -> LocalParameters {
    let mut local = LocalParameters::default();
    for (id, tensor) in graph.parameters() {
        let region = graph.consumers(id).next().map_or(Region::Inner, |op| op.region);
        let count = context.local_product(region, tensor.dims.iter().copied());
        let over_words = |d: &Dim| matches!(d, Dim::Vocab | Dim::Scored);
        if tensor.dims.contains(&Dim::Experts) {
            local.expert += count;
        } else if tensor.dims.len() > 1 && tensor.dims.iter().any(over_words) {
            local.table += count;
        } else {
            local.replicated += count;
            local.tensors += 1;
        }
    }
    local
}
