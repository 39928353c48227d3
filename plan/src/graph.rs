//! Operator graphs over named dimensions: what one layer computes, before anybody splits it.
//!
//! Nodes are operators, edges are tensors whose dimensions have names. A layout assigns names to
//! mesh axes (Mesh-TensorFlow, arXiv:1811.02084); local shapes and collectives follow from it.

mod builder;
mod dim;

pub use builder::GraphBuilder;
pub use dim::{Dim, DimSet, Sizes};

use crate::work::PointwiseKind;
use petgraph::graph::DiGraph;

/// Index of a tensor in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TensorId(pub(crate) usize);

/// What a tensor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorRole {
    /// Comes from the previous layer.
    Input,
    /// Learned.
    Parameter,
    /// Computed here.
    Activation,
}

/// A tensor with named dimensions.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Name, unique in the graph.
    pub name: &'static str,
    /// Dimensions.
    pub dims: Vec<Dim>,
    /// What it is.
    pub role: TensorRole,
    /// Bytes per element where it is not the compute format (dropout masks: 1; fp32 copies: 4).
    pub element_bytes: Option<u64>,
}

impl Tensor {
    /// The dimensions as a set.
    #[must_use]
    pub fn set(&self) -> DimSet {
        self.dims.iter().copied().collect()
    }
}

/// Which part of the layout an operator follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Region {
    /// Works on each token alone: normalisation, residual, dropout.
    Token,
    /// Inside a block: products, attention, activation functions.
    Inner,
    /// Moves tokens to experts and back.
    Route,
}

/// What an operator does.
#[derive(Clone, Debug, PartialEq)]
pub enum OpKind {
    /// Product of an activation and a parameter, summed over the dimensions the result lacks.
    Einsum,
    /// The attention core.
    Attention {
        /// Whether later positions are masked.
        causal: bool,
        /// Whether probabilities pass through dropout.
        dropout: bool,
        /// Dimension of the keys (the sequence itself, or another one).
        keys: Dim,
    },
    /// A memory-bound kernel over `share` of the elements of its first output.
    Pointwise {
        /// Which.
        kind: PointwiseKind,
        /// Share of the elements it touches.
        share: f64,
    },
    /// Lookup of rows in a table: a product with one-hot rows.
    Lookup,
    /// The same values under other dimension names: the state of a step as input of the next one,
    /// or a result that becomes the contracted operand of another product.
    Rename,
}

/// When a tensor must be kept for the backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaveWhen {
    /// Always.
    Always,
    /// Only if attention materialises its scores.
    Unfused,
    /// Only if attention is a flash kernel.
    Flash,
    /// Only if operators run one by one, each keeping its own operands.
    Eager,
    /// As often as losses keep copies of their own: the bytes per element are the stack's.
    Losses,
    /// Only if values stay a part of the product that made queries, keys and values at once.
    Views,
}

/// An operator.
#[derive(Clone, Debug, PartialEq)]
pub struct Op {
    /// Name, unique in the graph.
    pub name: &'static str,
    /// What it does.
    pub kind: OpKind,
    /// Which part of the layout it follows.
    pub region: Region,
    /// Operands; a parameter comes last.
    pub inputs: Vec<TensorId>,
    /// Result.
    pub output: TensorId,
    /// Tensors its backward pass reads.
    pub saves: Vec<(TensorId, SaveWhen)>,
    /// Whether it runs once per time step of a scan.
    pub in_scan: bool,
}

/// The graph of one layer.
#[derive(Clone, Debug)]
pub struct OpGraph {
    tensors: Vec<Tensor>,
    /// Operators in execution order; an edge carries the tensor that flows along it. A recurrent
    /// layer has a cycle through an [`OpKind::Rename`].
    graph: DiGraph<Op, TensorId>,
    input: TensorId,
    output: TensorId,
}

impl OpGraph {
    /// Operators in execution order.
    pub fn ops(&self) -> impl DoubleEndedIterator<Item = &Op> + Clone {
        self.graph.raw_nodes().iter().map(|node| &node.weight)
    }

    /// The tensor with this index.
    #[must_use]
    pub fn tensor(&self, id: TensorId) -> &Tensor {
        &self.tensors[id.0]
    }

    /// All tensors with their indices.
    pub fn tensors(&self) -> impl Iterator<Item = (TensorId, &Tensor)> {
        self.tensors.iter().enumerate().map(|(i, t)| (TensorId(i), t))
    }

    /// Parameters.
    pub fn parameters(&self) -> impl Iterator<Item = (TensorId, &Tensor)> {
        self.tensors().filter(|(_, t)| t.role == TensorRole::Parameter)
    }

    /// Activation that comes from the previous layer.
    #[must_use]
    pub fn input(&self) -> TensorId {
        self.input
    }

    /// Activation handed to the next layer.
    #[must_use]
    pub fn output(&self) -> TensorId {
        self.output
    }

    /// The graph itself, for traversals.
    #[must_use]
    pub fn petgraph(&self) -> &DiGraph<Op, TensorId> {
        &self.graph
    }

    /// Operators that read `tensor`.
    pub fn consumers(&self, tensor: TensorId) -> impl Iterator<Item = &Op> {
        self.ops().filter(move |op| op.inputs.contains(&tensor))
    }

    /// Operator that writes `tensor`, if it is computed here.
    #[must_use]
    pub fn producer(&self, tensor: TensorId) -> Option<&Op> {
        self.ops().find(|op| op.output == tensor)
    }

    /// All dimensions that an operator iterates over.
    #[must_use]
    pub fn iteration(&self, op: &Op) -> DimSet {
        op.inputs.iter().fold(self.tensor(op.output).set(), |s, &t| s | self.tensor(t).set())
    }

    /// Dimensions that an operator sums over.
    #[must_use]
    pub fn contracted(&self, op: &Op) -> DimSet {
        match op.kind {
            OpKind::Einsum | OpKind::Lookup => self.iteration(op) - self.tensor(op.output).set(),
            _ => DimSet::EMPTY,
        }
    }

    /// Number of parameters for the given sizes.
    #[must_use]
    pub fn parameter_count(&self, sizes: &Sizes) -> u64 {
        self.parameters().map(|(_, t)| sizes.product(t.set())).sum()
    }
}
