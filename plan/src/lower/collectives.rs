//! Collectives that follow from the layout: wherever the state in which a tensor is left differs
//! from the state in which it is needed.

use super::{Context, Placed, Step, StepRole};
use crate::graph::{Dim, Op, OpGraph, OpKind, Region, TensorId, TensorRole};
use crate::layout::{State, transition};
use crate::mesh::Axis;
use crate::units::Bytes;
use crate::work::{Collective, CollectiveOp, Work};

/// A tensor on its way: who asks for it, and whether that happens in every step of a scan.
#[derive(Clone, Copy)]
struct Move {
    tensor: TensorId,
    region: Region,
    in_scan: bool,
}

/// Collectives that bring the inputs of `op` into the states it needs, forward pass. A state that
/// an earlier operator already asked for is there already.
pub(super) fn before_forward(graph: &OpGraph, context: &Context<'_>, op: &Op) -> Vec<Placed> {
    let mut steps = Vec::new();
    for &tensor in op.inputs.iter().filter(|&&t| is_activation(graph, t)) {
        let what = Move { tensor, region: op.region, in_scan: in_scan(graph, tensor, op) };
        for axis in active(context) {
            if !asked_before(graph, context, op, tensor, axis) {
                let from = left(graph, context, tensor, axis);
                let need = context.layout.needed(graph, op, tensor, axis);
                steps.extend(step(graph, context, what, axis, (from, need)));
            }
        }
    }
    steps
}

/// The last tensor of the layer, brought into the state of the border.
pub(super) fn at_border(graph: &OpGraph, context: &Context<'_>) -> Vec<Placed> {
    let tensor = graph.output();
    let what = Move { tensor, region: Region::Token, in_scan: false };
    active(context)
        .filter_map(|axis| {
            let from = left(graph, context, tensor, axis);
            let to = context.layout.border(graph, tensor, axis);
            step(graph, context, what, axis, (from, to))
        })
        .collect()
}

/// Before the backward pass of `op`: the gradient of its output, summed over its consumers and
/// brought into the state it needs; and its saved input gathered again where it was kept in parts.
pub(super) fn before_backward(graph: &OpGraph, context: &Context<'_>, op: &Op) -> Vec<Placed> {
    let mut steps = gradient_of(graph, context, op.output, Some(op));
    if matches!(op.kind, OpKind::Einsum) {
        steps.extend(gather_again(graph, context, op));
    }
    steps
}

/// The gradient handed to the previous layer.
pub(super) fn gradient_at_border(graph: &OpGraph, context: &Context<'_>) -> Vec<Placed> {
    gradient_of(graph, context, graph.input(), None)
}

fn gradient_of(
    graph: &OpGraph,
    context: &Context<'_>,
    tensor: TensorId,
    producer: Option<&Op>,
) -> Vec<Placed> {
    let region = producer.map_or(Region::Token, |op| op.region);
    let scanned = producer.is_some_and(|op| op.in_scan);
    let in_scan = scanned && graph.consumers(tensor).any(|c| c.in_scan);
    let what = Move { tensor, region, in_scan };
    let mut steps = Vec::new();
    for axis in active(context) {
        let need = match producer {
            Some(op) => context.layout.gradient_needed(graph, op, axis),
            None => context.layout.border(graph, tensor, axis),
        };
        for state in gradient_states(graph, context, tensor, axis) {
            steps.extend(step(graph, context, what, axis, (state, need)));
        }
    }
    steps
}

/// States in which consumers leave the gradient of `tensor`; gradients in the same state are added
/// before they move.
fn gradient_states(
    graph: &OpGraph,
    context: &Context<'_>,
    tensor: TensorId,
    axis: Axis,
) -> Vec<State> {
    let mut states: Vec<State> = graph
        .consumers(tensor)
        .map(|c| context.layout.gradient_left(graph, c, tensor, axis))
        .collect();
    if tensor == graph.output() {
        states.push(context.layout.border(graph, tensor, axis));
    }
    states.sort_unstable();
    states.dedup();
    states
}

/// An input that was kept in parts (sequence parallelism) is gathered once more for the gradient
/// of the weight.
fn gather_again(graph: &OpGraph, context: &Context<'_>, op: &Op) -> Vec<Placed> {
    let Some(&tensor) = op.inputs.first() else { return Vec::new() };
    let what = Move { tensor, region: op.region, in_scan: false };
    active(context)
        .filter(|&axis| !asked_before(graph, context, op, tensor, axis))
        .filter_map(|axis| {
            let kept = left(graph, context, tensor, axis);
            let need = context.layout.needed(graph, op, tensor, axis);
            let is_gather = transition(kept, need) == Some(CollectiveOp::AllGather);
            is_gather.then(|| step(graph, context, what, axis, (kept, need)))?
        })
        .collect()
}

fn active<'a>(context: &'a Context<'_>) -> impl Iterator<Item = Axis> + 'a {
    Axis::ALL.into_iter().filter(|&axis| context.mesh.degrees.size(axis) > 1)
}

fn is_activation(graph: &OpGraph, tensor: TensorId) -> bool {
    graph.tensor(tensor).role != TensorRole::Parameter
}

/// A collective sits inside the scan when both ends do.
fn in_scan(graph: &OpGraph, tensor: TensorId, consumer: &Op) -> bool {
    consumer.in_scan && graph.producer(tensor).is_some_and(|p| p.in_scan)
}

/// State in which a tensor is left by whoever makes it.
fn left(graph: &OpGraph, context: &Context<'_>, tensor: TensorId, axis: Axis) -> State {
    match graph.producer(tensor) {
        Some(op) => context.layout.left(graph, op, axis),
        None => context.layout.border(graph, tensor, axis),
    }
}

/// Whether an operator before `op` already needed `tensor` in the same state.
fn asked_before(
    graph: &OpGraph,
    context: &Context<'_>,
    op: &Op,
    tensor: TensorId,
    axis: Axis,
) -> bool {
    let need = context.layout.needed(graph, op, tensor, axis);
    graph
        .consumers(tensor)
        .take_while(|c| c.name != op.name)
        .any(|c| context.layout.needed(graph, c, tensor, axis) == need)
}

fn step(
    graph: &OpGraph,
    context: &Context<'_>,
    what: Move,
    axis: Axis,
    (from, to): (State, State),
) -> Option<Placed> {
    let op = match transition(from, to)? {
        CollectiveOp::AllToAll if axis == Axis::Expert => {
            CollectiveOp::Dispatch { copies: experts_per_token(context) }
        }
        op => op,
    };
    let data = graph.tensor(what.tensor);
    let dims = data.dims.iter().copied().filter(|&d| !(what.in_scan && d == Dim::Seq));
    // Whole along `axis`, split by all other axes.
    let elements = context.local_product(what.region, dims.clone());
    let parts = u64::from(context.mesh.degrees.size(axis));
    let splits = context.layout.dims(what.region, axis);
    let is_split = dims.clone().any(|d| splits.contains(d));
    let whole = if is_split { elements.saturating_mul(parts) } else { elements };
    // An all-to-all moves what one rank holds.
    let is_exchange = matches!(op, CollectiveOp::AllToAll | CollectiveOp::Dispatch { .. });
    let count = if is_exchange { whole / parts } else { whole };
    let bytes = Bytes::from_count(count.saturating_mul(context.compute.between_products().size()));
    let work = Work::Collective(Collective { op, bytes, group: context.mesh.group(axis) });
    let step = Step { op: data.name, role: StepRole::Communication(axis), work };
    Some(Placed { step, in_scan: what.in_scan })
}

/// Rows of all experts over rows that are routed.
fn experts_per_token(context: &Context<'_>) -> u32 {
    let sizes = context.sizes;
    let routed = sizes.get(Dim::Experts).saturating_mul(sizes.get(Dim::Capacity));
    let tokens = sizes.get(Dim::Batch).saturating_mul(sizes.get(Dim::Seq));
    u32::try_from(routed.div_ceil(tokens.max(1))).unwrap_or(u32::MAX).max(1)
}
