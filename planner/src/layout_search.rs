//! The best layout of a free graph of einsums on a mesh of ranks.
//!
//! A layout maps tensor dimensions to mesh axes, at most one axis each, and no two dimensions
//! of one operation to the same axis (Mesh-TensorFlow, Shazeer et al. 2018). Everything else
//! follows: local shapes, the collectives of split contracted dimensions, peak memory. The
//! search is an integer program after the layout optimizer of Mesh-TensorFlow
//! (`tensorflow/mesh@37553191`, `mesh_tensorflow/auto_mtf`), which knows memory only; time and
//! communication are added here. `layout_search/formulation.rs` opens with the program in
//! mathematics, each line with the function that writes it.
//!
//! Not modelled, as in the original: buffers of collectives, temporaries inside operations, and a
//! change of layout within the graph (a dimension lies on the same axis everywhere). Compute and
//! communication do not overlap; [`Weights`] can discount either.

mod assignment;
mod builder;
mod cost;
mod error;
mod formulation;
mod graph;
mod mesh;
mod program;
mod schedule;
mod solution;
mod solve;
mod training;

#[cfg(test)]
mod tests;

pub use cost::{CollectiveUse, Prices, StepTime};
pub use error::LayoutError;
pub use mesh::{MeshAxis, MeshShape, MeshSpace};
pub use solution::{Evaluation, LayoutSolution, Status};

use plan::Dtype;
use plan::model::{EinsumGraph, Precision};
use plan::units::Bytes;
use std::collections::BTreeMap;

/// Which part of a training step the graph is searched for, and in which formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The products as written; a tensor is freed after its last reader, results that nobody
    /// reads and parameters stay.
    Forward {
        /// Format of every tensor.
        dtype: Dtype,
    },
    /// The products and the gradients of both operands of each. Parameters stay with their
    /// optimizer state, their gradients stay, activations stay until the last gradient that
    /// needs them.
    Training {
        /// Formats and bytes per parameter.
        precision: Precision,
        /// Whether inputs that are no parameters need gradients too: true where the graph is a
        /// part of a larger model and hands gradients back, false where its inputs are data.
        input_gradients: bool,
    },
}

/// How much compute and communication count in the time that is minimised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights {
    /// Factor of compute time.
    pub compute: f64,
    /// Factor of communication time.
    pub communication: f64,
}

impl Weights {
    /// Time as it is: nothing overlaps.
    pub const PLAIN: Self = Self { compute: 1.0, communication: 1.0 };
}

/// What is minimised. Ties go to less peak memory, then to more split dimensions.
#[derive(Clone, Copy)]
pub enum Objective<'a> {
    /// Peak memory per rank.
    Memory,
    /// Compute and communication time of the scope on one rank.
    Time {
        /// What work costs.
        prices: &'a dyn Prices,
        /// What counts how much; both zero gives the memory optimum.
        weights: Weights,
        /// Memory per rank that must suffice, if limited.
        budget: Option<Bytes>,
    },
}

/// Finds the best layout of `graph` on `mesh`.
///
/// # Errors
/// The graph is malformed, the program too large, no layout fits the budget (with the least
/// memory any layout needs), a price is no time, or the solver failed.
pub fn search(
    graph: &EinsumGraph,
    scope: Scope,
    mesh: &MeshShape,
    objective: &Objective<'_>,
) -> Result<LayoutSolution, LayoutError> {
    let graph = graph::Graph::build(graph, scope)?;
    solve::search(&graph, mesh, objective)
}

/// Finds the best mesh of `space` and the best layout on it; of equals, the first in the order
/// of [`MeshSpace::shapes`], which starts with the fewest axes of the largest size.
///
/// # Errors
/// As [`search`]. A mesh on which no layout fits is skipped; that is an error where it holds for
/// every mesh, and then the one that needs least memory is named.
pub fn search_meshes(
    graph: &EinsumGraph,
    scope: Scope,
    space: &MeshSpace,
    objective: &Objective<'_>,
) -> Result<LayoutSolution, LayoutError> {
    let graph = graph::Graph::build(graph, scope)?;
    solve::search_meshes(&graph, space, objective)
}

/// What a given layout costs; it need not divide evenly, and need not be valid for the search.
///
/// # Errors
/// The graph is malformed, or the layout names what does not exist.
pub fn evaluate(
    graph: &EinsumGraph,
    scope: Scope,
    mesh: &MeshShape,
    layout: &BTreeMap<String, String>,
    prices: Option<&dyn Prices>,
) -> Result<Evaluation, LayoutError> {
    let graph = graph::Graph::build(graph, scope)?;
    let placement = graph.placement(mesh, layout)?;
    solution::evaluate(&graph, mesh, &placement, prices)
}
