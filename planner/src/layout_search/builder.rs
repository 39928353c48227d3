//! From the graph as people write it to checked indices.

use super::Scope;
use super::error::LayoutError;
use super::graph::{Dim, Graph, OpKind, Tensor};
use plan::model::{EinsumGraph, EinsumInput, EinsumOp};
use std::collections::{BTreeMap, BTreeSet};

/// Checks `spec` and lowers its names to indices; every input becomes an operation too.
pub(super) fn build(spec: &EinsumGraph, scope: Scope) -> Result<Graph, LayoutError> {
    let mut builder = Builder::new(spec, scope)?;
    for input in &spec.inputs {
        builder.add_input(input)?;
    }
    for op in &spec.ops {
        builder.add_op(op)?;
    }
    Ok(builder.graph)
}

/// The position of a name among those that exist.
pub(super) fn find(
    user: &str,
    what: &'static str,
    known: &[&str],
    name: &str,
) -> Result<usize, LayoutError> {
    known.iter().position(|k| *k == name).ok_or_else(|| LayoutError::Unknown {
        user: user.to_owned(),
        what,
        name: name.to_owned(),
        known: known.join(", "),
    })
}

struct Builder {
    graph: Graph,
    scope: Scope,
    dims: BTreeMap<String, usize>,
    tensors: BTreeMap<String, usize>,
}

impl Builder {
    fn new(spec: &EinsumGraph, scope: Scope) -> Result<Self, LayoutError> {
        let dtype = match scope {
            Scope::Forward { dtype } => dtype,
            Scope::Training { precision, .. } => precision.compute,
        };
        let graph = Graph { dims: Vec::new(), tensors: Vec::new(), ops: Vec::new(), dtype };
        let mut builder = Self { graph, scope, dims: BTreeMap::new(), tensors: BTreeMap::new() };
        for (name, size) in &spec.dims {
            builder.add_dim(name, *size)?;
        }
        Ok(builder)
    }

    fn add_dim(&mut self, name: &str, size: u64) -> Result<(), LayoutError> {
        if size == 0 {
            return Err(LayoutError::Empty { what: "dimension", name: name.to_owned() });
        }
        if self.dims.insert(name.to_owned(), self.graph.dims.len()).is_some() {
            return Err(LayoutError::Duplicate { what: "dimension", name: name.to_owned() });
        }
        let splittable = !is_anonymous(name);
        self.graph.dims.push(Dim { name: name.to_owned(), size, splittable });
        Ok(())
    }

    fn add_input(&mut self, input: &EinsumInput) -> Result<(), LayoutError> {
        let compute = self.graph.dtype.size();
        let stored = match self.scope {
            Scope::Training { precision, .. } if input.is_parameter => {
                precision.weight_bytes + precision.optimizer_bytes
            }
            _ => compute,
        };
        let tensor = Tensor {
            dims: self.tensor_dims(&input.name, &input.dims)?,
            name: input.name.clone(),
            element: stored,
            wire: compute,
            kept: input.is_parameter,
            resident: input.is_parameter,
        };
        self.define(tensor, OpKind::Source, Vec::new())
    }

    fn add_op(&mut self, op: &EinsumOp) -> Result<(), LayoutError> {
        let kind = match op.operands.len() {
            1 => OpKind::Pointwise,
            2 => OpKind::Product,
            count => return Err(LayoutError::Operands { op: op.output.clone(), count }),
        };
        let inputs = self.operands(op)?;
        let dims = self.tensor_dims(&op.output, &op.dims)?;
        if kind == OpKind::Product {
            self.check_result(op, &inputs, &dims)?;
        }
        for name in &op.unsplittable {
            let dim = self.dim(&op.output, name)?;
            self.graph.dims[dim].splittable = false;
        }
        let size = self.graph.dtype.size();
        let tensor = Tensor {
            name: op.output.clone(),
            dims,
            element: size,
            wire: size,
            kept: false,
            resident: false,
        };
        self.define(tensor, kind, inputs)
    }

    fn operands(&self, op: &EinsumOp) -> Result<Vec<usize>, LayoutError> {
        let known: Vec<&str> = self.graph.tensors.iter().map(|t| t.name.as_str()).collect();
        let user = format!("the product {:?}", op.output);
        op.operands.iter().map(|name| find(&user, "earlier tensor", &known, name)).collect()
    }

    fn check_result(
        &self,
        op: &EinsumOp,
        inputs: &[usize],
        dims: &[usize],
    ) -> Result<(), LayoutError> {
        let had = |d: &usize| inputs.iter().any(|&t| self.graph.tensors[t].dims.contains(d));
        match dims.iter().find(|d| !had(d)) {
            None => Ok(()),
            Some(&d) => Err(LayoutError::NewDim {
                op: op.output.clone(),
                dim: self.graph.dims[d].name.clone(),
            }),
        }
    }

    fn define(
        &mut self,
        tensor: Tensor,
        kind: OpKind,
        inputs: Vec<usize>,
    ) -> Result<(), LayoutError> {
        let name = tensor.name.clone();
        let index = self.graph.push(tensor, kind, inputs);
        match self.tensors.insert(name.clone(), index) {
            None => Ok(()),
            Some(_) => Err(LayoutError::Duplicate { what: "tensor", name }),
        }
    }

    fn tensor_dims(&self, tensor: &str, names: &[String]) -> Result<Vec<usize>, LayoutError> {
        let mut dims = BTreeSet::new();
        for name in names {
            if !dims.insert(self.dim(tensor, name)?) {
                let (tensor, dim) = (tensor.to_owned(), name.clone());
                return Err(LayoutError::RepeatedDim { tensor, dim });
            }
        }
        Ok(dims.into_iter().collect())
    }

    fn dim(&self, tensor: &str, name: &str) -> Result<usize, LayoutError> {
        let known: Vec<&str> = self.graph.dims.iter().map(|d| d.name.as_str()).collect();
        find(&format!("tensor {tensor:?}"), "dimension", &known, name)
    }
}

/// Mesh-TensorFlow's name for dimensions that nobody named: `_anonymous_` and a number.
fn is_anonymous(name: &str) -> bool {
    name.starts_with("_anonymous_")
}
