//! What a layer keeps: activations for its backward pass, parameters.

use super::{Context, LocalParameters, Recompute, Traits};
use crate::dtype::Dtype;
use crate::graph::{Dim, Op, OpGraph, OpKind, Region, SaveWhen, TensorId, TensorRole};
use crate::layout::State;
use crate::mesh::Axis;
use crate::units::Bytes;
use crate::work::AttentionKernel;
use std::collections::BTreeMap;

/// Activations kept per micro-batch. A tensor that two operators keep is kept once.
pub(super) fn saved(graph: &OpGraph, context: &Context<'_>, recompute: Recompute) -> Bytes {
    if recompute == Recompute::Full {
        let format = context.compute.between_products();
        return bytes(graph, context, (graph.input(), format), Region::Token);
    }
    let mut kept: BTreeMap<TensorId, (Region, Dtype)> = BTreeMap::new();
    for op in graph.ops() {
        // Products keep their operands as they read them, all others what lies between products.
        let format = match op.kind {
            OpKind::Einsum => context.compute,
            _ => context.compute.between_products(),
        };
        for &(tensor, when) in &op.saves {
            if is_kept(when, context.traits, recompute) {
                let made = (region(graph, context, op, tensor), format);
                let entry = kept.entry(tensor).or_insert(made);
                entry.1 = entry.1.min(format);
            }
        }
    }
    let size = |(tensor, (region, format))| bytes(graph, context, (tensor, format), region);
    kept.into_iter().map(size).sum()
}

fn is_kept(when: SaveWhen, traits: Traits, recompute: Recompute) -> bool {
    let is_unfused = traits.attention == AttentionKernel::Unfused;
    match when {
        SaveWhen::Always => true,
        SaveWhen::Flash => !is_unfused,
        SaveWhen::Eager => traits.eager,
        SaveWhen::Views => traits.views,
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
