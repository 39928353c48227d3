//! What a layout costs, exactly; and the answer of the search.

use super::cost::{self, CollectiveUse, Prices, StepTime};
use super::error::LayoutError;
use super::graph::{Graph, Placement};
use super::mesh::MeshShape;
use super::schedule;
use plan::units::{Bytes, Flops};
use std::collections::BTreeMap;
use std::fmt;

/// How far the answer is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// No layout is better, within a billionth of the objective.
    Optimal,
    /// A valid layout; the solver stopped before it had proven that none is better.
    Feasible,
}

/// What one layout costs on one rank.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Peak memory.
    pub peak_memory: Bytes,
    /// Memory of each tensor.
    pub tensors: BTreeMap<String, Bytes>,
    /// Work of the products.
    pub flops: Flops,
    /// Time, where there are prices.
    pub time: Option<StepTime>,
    /// The collectives, in the order of the operations.
    pub communication: Vec<CollectiveUse>,
}

/// The best layout.
#[derive(Clone, Debug, PartialEq)]
pub struct LayoutSolution {
    /// Split dimension → mesh axis.
    pub layout: BTreeMap<String, String>,
    /// The mesh.
    pub mesh: MeshShape,
    /// Peak memory of one rank.
    pub peak_memory: Bytes,
    /// Time on one rank, unweighted, where the objective has prices.
    pub time: Option<StepTime>,
    /// The collectives that follow from the layout, in the order of the operations.
    pub communication: Vec<CollectiveUse>,
    /// Variables of the program.
    pub variables: usize,
    /// How far the answer is proven.
    pub status: Status,
}

/// Mesh-TensorFlow's way to write a layout: `dim:axis;dim:axis`, sorted.
impl fmt::Display for LayoutSolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&layout_text(&self.layout))
    }
}

pub(super) fn layout_text(layout: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = layout.iter().map(|(dim, axis)| format!("{dim}:{axis}")).collect();
    pairs.join(";")
}

/// Costs of `placement`, whether or not the search would allow it.
pub(super) fn evaluate(
    graph: &Graph,
    mesh: &MeshShape,
    placement: &Placement,
    prices: Option<&dyn Prices>,
) -> Result<Evaluation, LayoutError> {
    let bytes = |t: usize| cost::bytes(graph, mesh, placement, t);
    let live = schedule::live(graph, &schedule::order(graph));
    let sizes: Vec<u64> = (0..graph.tensors.len()).map(bytes).collect();
    let peak = live.iter().map(|set| set.iter().map(|&t| sizes[t]).sum()).max().unwrap_or(0);
    let named = graph.tensors.iter().zip(&sizes);
    let mut evaluation = Evaluation {
        peak_memory: Bytes::from_count(peak),
        tensors: named.map(|(t, &size)| (t.name.clone(), Bytes::from_count(size))).collect(),
        flops: Flops::ZERO,
        time: prices.map(|_| StepTime::default()),
        communication: Vec::new(),
    };
    for op in &graph.ops {
        let Some(work) = cost::local_work(graph, mesh, placement, op) else { continue };
        evaluation.flops += cost::flops(&work);
        if let (Some(prices), Some(time)) = (prices, &mut evaluation.time) {
            let priced = cost::time(&work, prices)?;
            time.compute += priced.compute;
            time.communication += priced.communication;
        }
        if let Some((axes, collective)) = work.reduce {
            let axes = axes.iter().map(|&a| mesh.axes()[a].name.clone()).collect();
            let tensor = graph.tensors[op.output].name.clone();
            evaluation.communication.push(CollectiveUse { tensor, axes, collective });
        }
    }
    Ok(evaluation)
}
