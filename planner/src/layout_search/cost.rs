//! What an operation does on one rank under a placement, and what that costs.

use super::error::LayoutError;
use super::graph::{Graph, Op, OpKind, Placement};
use super::mesh::MeshShape;
use plan::units::{Bytes, Flops, Seconds};
use plan::work::{Collective, CollectiveOp, Gemm, Work};

/// What work costs. The search asks for [`Work::Gemm`], [`Work::Traffic`] and
/// [`Work::Collective`] only.
pub trait Prices {
    /// The time of one piece of work on one rank.
    fn price(&self, work: &Work) -> Seconds;
}

impl<F: Fn(&Work) -> Seconds> Prices for F {
    fn price(&self, work: &Work) -> Seconds {
        self(work)
    }
}

/// Time of the scope on one rank, nothing overlapped.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepTime {
    /// Products and element-wise work.
    pub compute: Seconds,
    /// Collectives.
    pub communication: Seconds,
}

impl StepTime {
    /// Both together.
    #[must_use]
    pub fn total(&self) -> Seconds {
        self.compute + self.communication
    }
}

/// A collective that follows from the layout.
#[derive(Clone, Debug, PartialEq)]
pub struct CollectiveUse {
    /// The tensor whose partial sums are added up.
    pub tensor: String,
    /// The mesh axes over which they lie.
    pub axes: Vec<String>,
    /// The collective.
    pub collective: Collective,
}

/// What one operation does on one rank.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LocalWork {
    /// The product, if it is one.
    pub gemm: Option<Gemm>,
    /// Bytes read and written.
    pub traffic: Bytes,
    /// The axes over which the result is a partial sum, and the collective that completes it.
    pub reduce: Option<(Vec<usize>, Collective)>,
}

/// `⌈size / axis⌉` for a split dimension, else its size.
fn extent(graph: &Graph, mesh: &MeshShape, placement: &Placement, dim: usize) -> u64 {
    let size = graph.dims[dim].size;
    placement[dim].map_or(size, |axis| size.div_ceil(u64::from(mesh.axes()[axis].size)))
}

/// Elements of a tensor on one rank.
pub(super) fn elements(
    graph: &Graph,
    mesh: &MeshShape,
    placement: &Placement,
    tensor: usize,
) -> u64 {
    graph.tensors[tensor].dims.iter().map(|&d| extent(graph, mesh, placement, d)).product()
}

/// Bytes of a tensor on one rank: `element · Π ⌈size_d / axis(d)⌉`.
pub(super) fn bytes(graph: &Graph, mesh: &MeshShape, placement: &Placement, tensor: usize) -> u64 {
    graph.tensors[tensor].element * elements(graph, mesh, placement, tensor)
}

/// The work of `op` on one rank, `None` where it takes no time.
///
/// A dimension that an operand has and the result has not is summed over; where it is split, each
/// rank holds a partial sum and an all-reduce of the local result over its axis follows.
pub(super) fn local_work(
    graph: &Graph,
    mesh: &MeshShape,
    placement: &Placement,
    op: &Op,
) -> Option<LocalWork> {
    if matches!(op.kind, OpKind::Source | OpKind::Loss) {
        return None;
    }
    let compute = |t: usize| elements(graph, mesh, placement, t) * graph.dtype.size();
    let touched: u64 = op.inputs.iter().map(|&t| compute(t)).sum();
    Some(LocalWork {
        gemm: gemm(graph, mesh, placement, op),
        traffic: Bytes::from_count(touched + compute(op.output)),
        reduce: reduce(graph, mesh, placement, op),
    })
}

/// Dimensions by where they occur: in both operands and the result `batch`, in one operand and
/// the result `m` or `n`, not in the result `k`. Without any `k` it is no matrix product.
fn gemm(graph: &Graph, mesh: &MeshShape, placement: &Placement, op: &Op) -> Option<Gemm> {
    let &[a, b] = op.inputs.as_slice() else { return None };
    if op.kind != OpKind::Product {
        return None;
    }
    let has = |t: usize, d: usize| graph.tensors[t].dims.contains(&d);
    let mut gemm = Gemm { batch: 1, m: 1, n: 1, k: 1, dtype: graph.dtype };
    let mut contracts = false;
    for d in graph.op_dims(op) {
        let extent = extent(graph, mesh, placement, d);
        match (has(a, d), has(b, d), has(op.output, d)) {
            (_, _, false) => {
                gemm.k *= extent;
                contracts = true;
            }
            (true, true, true) => gemm.batch *= extent,
            (false, true, true) => gemm.n *= extent,
            (_, false, true) => gemm.m *= extent,
        }
    }
    contracts.then_some(gemm)
}

fn reduce(
    graph: &Graph,
    mesh: &MeshShape,
    placement: &Placement,
    op: &Op,
) -> Option<(Vec<usize>, Collective)> {
    let output = &graph.tensors[op.output];
    let summed = graph.op_dims(op).into_iter().filter(|d| !output.dims.contains(d));
    let mut axes: Vec<usize> =
        summed.filter_map(|d| placement[d]).filter(|&a| mesh.axes()[a].size > 1).collect();
    if axes.is_empty() {
        return None;
    }
    axes.sort_unstable();
    let bytes = Bytes::from_count(elements(graph, mesh, placement, op.output) * output.wire);
    let collective = Collective { op: CollectiveOp::AllReduce, bytes, group: mesh.group(&axes) };
    Some((axes, collective))
}

/// `max(product, memory traffic)` and the collective, each priced.
pub(super) fn time(work: &LocalWork, prices: &dyn Prices) -> Result<StepTime, LayoutError> {
    let traffic = checked(prices, &Work::Traffic(work.traffic))?;
    let product = match work.gemm {
        Some(gemm) => checked(prices, &Work::Gemm(gemm))?,
        None => Seconds::ZERO,
    };
    let communication = match &work.reduce {
        Some((_, collective)) => checked(prices, &Work::Collective(*collective))?,
        None => Seconds::ZERO,
    };
    Ok(StepTime { compute: product.max(traffic), communication })
}

/// FLOPs of the product.
pub(super) fn flops(work: &LocalWork) -> Flops {
    work.gemm.map_or(Flops::ZERO, |g| g.flops())
}

fn checked(prices: &dyn Prices, work: &Work) -> Result<Seconds, LayoutError> {
    let price = prices.price(work);
    let seconds = price.get();
    if seconds.is_finite() && seconds >= 0.0 {
        return Ok(price);
    }
    Err(LayoutError::Price { work: format!("{work:?}"), seconds })
}
