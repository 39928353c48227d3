//! Forward, backward and repeated work of one layer.

use super::collectives::{at_border, before_backward, before_forward, gradient_at_border};
use super::{Context, Placed, Step, StepRole};
use crate::graph::{Dim, DimSet, Op, OpGraph, OpKind};
use crate::mesh::Axis;
use crate::units::Bytes;
use crate::work::{
    Attention, AttentionKernel, Collective, CollectiveOp, Gemm, Pass, Pointwise, PointwiseKind,
    RecurrentWeightGradient, Scan, Work,
};

pub(super) fn forward(graph: &OpGraph, context: &Context<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    for op in graph.ops() {
        steps.extend(before_forward(graph, context, op));
        steps.extend(forward_op(graph, context, op));
    }
    steps.extend(at_border(graph, context));
    gather_scans(context, steps)
}

pub(super) fn backward(graph: &OpGraph, context: &Context<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    for op in graph.ops().rev() {
        steps.extend(before_backward(graph, context, op));
        steps.extend(backward_op(graph, context, op));
    }
    steps.extend(gradient_at_border(graph, context));
    gather_scans(context, steps)
}

/// The attention core again, where its scores were not kept.
pub(super) fn attention_only(graph: &OpGraph, context: &Context<'_>) -> Vec<Step> {
    if context.traits.attention != AttentionKernel::Unfused {
        return Vec::new();
    }
    let cores = graph.ops().filter(|op| matches!(op.kind, OpKind::Attention { .. }));
    cores.flat_map(|op| forward_op(graph, context, op)).map(|placed| placed.step).collect()
}

/// Every other product, and what lies between products.
pub(super) fn alternate(graph: &OpGraph, context: &Context<'_>) -> Vec<Step> {
    let mut products = 0;
    let repeats = |op: &&Op| match op.kind {
        OpKind::Einsum => {
            products += 1;
            products % 2 == 0
        }
        OpKind::Attention { .. } => false,
        _ => true,
    };
    let again: Vec<&Op> = graph.ops().filter(repeats).collect();
    again.into_iter().flat_map(|op| forward_op(graph, context, op)).map(|p| p.step).collect()
}

/// The forward pass again; stacks that stop early skip the last product.
pub(super) fn full_recompute(
    graph: &OpGraph,
    context: &Context<'_>,
    forward: &[Step],
) -> Vec<Step> {
    let mut steps = forward.to_vec();
    let has_scan = graph.ops().any(|op| op.in_scan);
    let last = steps.iter().rposition(|s| matches!(s.work, Work::Gemm(_)));
    if let Some(last) = last.filter(|_| context.traits.early_stop && !has_scan) {
        steps.remove(last);
    }
    steps
}

/// Runs of work inside the loop over time become one [`Scan`] each.
fn gather_scans(context: &Context<'_>, placed: Vec<Placed>) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut body: Vec<Work> = Vec::new();
    let mut after = Vec::new();
    for item in placed {
        if item.in_scan {
            body.push(item.step.work);
        } else if body.is_empty() {
            steps.push(item.step);
        } else {
            // Work that does not depend on single steps waits until the loop is over.
            after.push(item.step);
        }
    }
    if !body.is_empty() {
        let work = Work::Scan(Scan { steps: context.sizes.get(Dim::Seq), body });
        steps.push(Step { op: "scan", role: StepRole::Compute, work });
    }
    steps.extend(after);
    steps
}

fn forward_op(graph: &OpGraph, context: &Context<'_>, op: &Op) -> Vec<Placed> {
    let mut steps = ring(graph, context, op, Pass::Forward);
    let work = match &op.kind {
        OpKind::Einsum => Some(Work::Gemm(product(graph, context, op))),
        OpKind::Attention { .. } => attention(graph, context, op, Pass::Forward),
        OpKind::Pointwise { kind: PointwiseKind::Bias, .. } | OpKind::Rename => None,
        OpKind::Pointwise { .. } | OpKind::Lookup => {
            Some(memory_bound(graph, context, op, Pass::Forward))
        }
    };
    steps.extend(
        cast(context, work.as_ref(), Pass::Forward).map(|cast| placed(op, cast, op.in_scan)),
    );
    steps.extend(work.map(|work| placed(op, work, op.in_scan)));
    steps
}

/// An 8-bit product reads operands that somebody cast: its input forward, the gradient of its
/// output backward. Weights are cast once per step, which is not worth counting.
fn cast(context: &Context<'_>, work: Option<&Work>, pass: Pass) -> Option<Work> {
    let Some(Work::Gemm(product)) = work else { return None };
    let columns = if pass == Pass::Forward { product.k } else { product.n };
    let elements = product.batch.saturating_mul(product.m).saturating_mul(columns);
    let dtype = context.compute.between_products();
    let cast = Pointwise { kind: PointwiseKind::Cast, elements, dtype, pass };
    (dtype != context.compute).then_some(Work::Pointwise(cast))
}

fn backward_op(graph: &OpGraph, context: &Context<'_>, op: &Op) -> Vec<Placed> {
    let mut steps = ring(graph, context, op, Pass::Backward);
    match &op.kind {
        OpKind::Einsum => {
            let product = Work::Gemm(product(graph, context, op));
            let cast = cast(context, Some(&product), Pass::Backward);
            steps.extend(cast.map(|cast| placed(op, cast, op.in_scan)));
            steps.extend(product_gradients(graph, context, op));
        }
        OpKind::Attention { .. } => {
            let work = attention(graph, context, op, Pass::Backward);
            steps.extend(work.map(|work| placed(op, work, op.in_scan)));
        }
        OpKind::Rename => {}
        OpKind::Pointwise { .. } | OpKind::Lookup => {
            let work = memory_bound(graph, context, op, Pass::Backward);
            steps.push(placed(op, work, op.in_scan));
        }
    }
    steps
}

fn placed(op: &Op, work: Work, in_scan: bool) -> Placed {
    Placed { step: Step { op: op.name, role: StepRole::Compute, work }, in_scan }
}

/// Dimensions of one run of `op`: a step of a scan sees one position.
fn seen(op: &Op, dims: DimSet) -> DimSet {
    if op.in_scan { dims - DimSet::of(&[Dim::Seq]) } else { dims }
}

/// Local shape of a product. Dimensions of both operands and the result are a batch; of one
/// operand and the result, rows or columns; of both operands alone, contracted.
fn product(graph: &OpGraph, context: &Context<'_>, op: &Op) -> Gemm {
    let dims = |i: usize| op.inputs.get(i).map_or(DimSet::EMPTY, |&t| graph.tensor(t).set());
    let (x, w, out) = (dims(0), dims(1), graph.tensor(op.output).set());
    let size = |set: DimSet| context.local_product(op.region, seen(op, set).iter());
    Gemm {
        batch: size(x & w & out),
        m: size((x & out) - w),
        n: size((w & out) - x),
        k: size((x & w) - out),
        dtype: context.compute,
    }
}

fn product_gradients(graph: &OpGraph, context: &Context<'_>, op: &Op) -> Vec<Placed> {
    let g = product(graph, context, op);
    let input = Gemm { n: g.k, k: g.n, ..g };
    let weight = Gemm { m: g.k, n: g.n, k: g.m, ..g };
    let data = placed(op, Work::Gemm(input), op.in_scan);
    if op.in_scan {
        let steps = context.sizes.get(Dim::Seq);
        let work = Work::RecurrentWeightGradient(RecurrentWeightGradient { steps, step: weight });
        vec![data, placed(op, work, false)]
    } else {
        vec![data, placed(op, Work::Gemm(weight), false)]
    }
}

fn attention(graph: &OpGraph, context: &Context<'_>, op: &Op, pass: Pass) -> Option<Work> {
    let OpKind::Attention { causal, dropout, keys } = op.kind else { return None };
    let out = graph.tensor(op.output).set();
    let queries = if out.contains(Dim::Seq) { Dim::Seq } else { Dim::Predicted };
    Some(Work::Attention(Attention {
        batch: context.local(op.region, Dim::Batch),
        heads: context.local(op.region, Dim::Heads),
        queries: context.local(op.region, queries),
        keys: context.sizes.get(keys),
        head_dim: context.local(op.region, Dim::HeadDim),
        value_dim: context.local(op.region, value_width(graph, op)),
        causal,
        dropout,
        kernel: context.traits.attention,
        dtype: context.compute,
        pass,
    }))
}

/// The dimension of values, which is that of heads unless attention is latent.
fn value_width(graph: &OpGraph, op: &Op) -> Dim {
    let is_latent = graph.tensor(op.output).set().contains(Dim::ValueDim);
    if is_latent { Dim::ValueDim } else { Dim::HeadDim }
}

/// Context parallelism: keys and values of all positions travel around the ring; their gradients
/// travel back.
fn ring(graph: &OpGraph, context: &Context<'_>, op: &Op, pass: Pass) -> Vec<Placed> {
    let OpKind::Attention { .. } = op.kind else { return Vec::new() };
    let group = context.mesh.group(Axis::Context);
    if group.is_alone() {
        return Vec::new();
    }
    let Some(&source) = op.inputs.last() else { return Vec::new() };
    let elements = context.local_product(op.region, graph.tensor(source).dims.iter().copied());
    let (heads, all) = (context.sizes.get(Dim::Heads), context.sizes.get(Dim::QkvHeads));
    let fused = graph.tensor(source).set().contains(Dim::QkvHeads);
    let share = if fused { (all - heads) as f64 / all as f64 } else { 1.0 };
    let local = elements as f64 * share * context.compute.between_products().size() as f64;
    let bytes = Bytes::new(local * f64::from(group.size));
    let collective = |op| Work::Collective(Collective { op, bytes, group });
    let mut works = vec![collective(CollectiveOp::AllGather)];
    if pass == Pass::Backward {
        works.push(collective(CollectiveOp::ReduceScatter));
    }
    let role = StepRole::Communication(Axis::Context);
    let step = |work| Placed { step: Step { op: op.name, role, work }, in_scan: false };
    works.into_iter().map(step).collect()
}

fn memory_bound(graph: &OpGraph, context: &Context<'_>, op: &Op, pass: Pass) -> Work {
    let (kind, share) = match op.kind {
        OpKind::Pointwise { kind, share } => (kind, share),
        _ => (PointwiseKind::Embedding, 1.0),
    };
    let dims = seen(op, graph.tensor(op.output).set());
    let elements = context.local_product(op.region, dims.iter()) as f64 * share;
    let dtype = context.compute.between_products();
    Work::Pointwise(Pointwise { kind, elements: elements as u64, dtype, pass })
}
