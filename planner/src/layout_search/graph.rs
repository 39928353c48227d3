//! The graph as the search sees it: indices instead of names, sources as operations, sizes
//! checked.

use super::error::LayoutError;
use super::mesh::MeshShape;
use super::{Scope, builder, training};
use plan::Dtype;
use plan::model::EinsumGraph;
use std::collections::{BTreeMap, BTreeSet};

/// Most elements or bytes of one tensor or product: doubles count exactly up to here.
const EXACT: u64 = 1 << 53;

/// Dimension index → axis index, or `None` where it is not split.
pub(super) type Placement = Vec<Option<usize>>;

/// A dimension.
#[derive(Clone, Debug)]
pub(super) struct Dim {
    pub name: String,
    pub size: u64,
    pub splittable: bool,
}

/// A tensor.
#[derive(Clone, Debug)]
pub(super) struct Tensor {
    pub name: String,
    /// Sorted indices of its dimensions.
    pub dims: Vec<usize>,
    /// Bytes per element in memory.
    pub element: u64,
    /// Bytes per element in a collective.
    pub wire: u64,
    /// Never freed.
    pub kept: bool,
    /// In memory before the first operation.
    pub resident: bool,
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OpKind {
    /// Brings a tensor in from outside: no time.
    Source,
    /// A product of two operands.
    Product,
    /// Element-wise work, with a sum or a broadcast where dimensions differ.
    Pointwise,
    /// The gradient of a result nobody reads, from the loss outside the graph: no time here.
    Loss,
}

/// An operation.
#[derive(Clone, Debug)]
pub(super) struct Op {
    pub name: String,
    pub kind: OpKind,
    pub inputs: Vec<usize>,
    pub output: usize,
}

/// The checked graph.
#[derive(Clone, Debug)]
pub(super) struct Graph {
    pub dims: Vec<Dim>,
    pub tensors: Vec<Tensor>,
    pub ops: Vec<Op>,
    /// Format of products.
    pub dtype: Dtype,
}

impl Graph {
    /// Checks `spec` and adds sources and, in training, gradients.
    pub fn build(spec: &EinsumGraph, scope: Scope) -> Result<Self, LayoutError> {
        let mut graph = builder::build(spec, scope)?;
        match scope {
            Scope::Forward { .. } => graph.keep_unread_results(),
            Scope::Training { precision, input_gradients } => {
                training::add_gradients(&mut graph, &precision, input_gradients);
            }
        }
        graph.check_sizes()?;
        Ok(graph)
    }

    /// Sorted union of the dimensions of an operation's operands and result.
    pub fn op_dims(&self, op: &Op) -> Vec<usize> {
        let tensors = op.inputs.iter().chain([&op.output]);
        let dims: BTreeSet<usize> =
            tensors.flat_map(|&t| self.tensors[t].dims.iter().copied()).collect();
        dims.into_iter().collect()
    }

    /// Those of `dims` that may be split.
    pub fn splittable(&self, dims: &[usize]) -> Vec<usize> {
        dims.iter().copied().filter(|&d| self.dims[d].splittable).collect()
    }

    /// Adds a tensor and the operation that makes it.
    pub fn push(&mut self, tensor: Tensor, kind: OpKind, inputs: Vec<usize>) -> usize {
        let output = self.tensors.len();
        self.ops.push(Op { name: tensor.name.clone(), kind, inputs, output });
        self.tensors.push(tensor);
        output
    }

    /// Bytes of the unsplit tensor.
    pub fn full_bytes(&self, tensor: usize) -> u64 {
        let t = &self.tensors[tensor];
        t.dims.iter().map(|&d| self.dims[d].size).product::<u64>() * t.element
    }

    /// How many operations read each tensor.
    pub fn readers(&self) -> Vec<usize> {
        let mut readers = vec![0; self.tensors.len()];
        for op in &self.ops {
            for input in op.inputs.iter().collect::<BTreeSet<_>>() {
                readers[*input] += 1;
            }
        }
        readers
    }

    /// The layout in indices.
    pub fn placement(
        &self,
        mesh: &MeshShape,
        layout: &BTreeMap<String, String>,
    ) -> Result<Placement, LayoutError> {
        let dims: Vec<&str> = self.dims.iter().map(|d| d.name.as_str()).collect();
        let axes: Vec<&str> = mesh.axes().iter().map(|a| a.name.as_str()).collect();
        let mut placement = vec![None; dims.len()];
        for (dim, axis) in layout {
            let dim = builder::find("the layout", "dimension", &dims, dim)?;
            placement[dim] = Some(builder::find("the layout", "mesh axis", &axes, axis)?);
        }
        Ok(placement)
    }

    /// The layout in names.
    pub fn layout(&self, mesh: &MeshShape, placement: &Placement) -> BTreeMap<String, String> {
        let named = |(d, axis): (usize, &Option<usize>)| {
            axis.map(|a| (self.dims[d].name.clone(), mesh.axes()[a].name.clone()))
        };
        placement.iter().enumerate().filter_map(named).collect()
    }

    fn keep_unread_results(&mut self) {
        let readers = self.readers();
        for op in &self.ops {
            if op.kind != OpKind::Source && readers[op.output] == 0 {
                self.tensors[op.output].kept = true;
            }
        }
    }

    fn check_sizes(&self) -> Result<(), LayoutError> {
        for op in &self.ops {
            let element = self.tensors[op.output].element.max(1);
            let sizes = self.op_dims(op).into_iter().map(|d| self.dims[d].size);
            let product = sizes.chain([element]).try_fold(1u64, u64::checked_mul);
            if product.is_none_or(|p| p > EXACT) {
                return Err(LayoutError::TooBig { name: op.name.clone() });
            }
        }
        Ok(())
    }
}
