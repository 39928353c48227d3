//! Short ways to write graphs, and prices whose arithmetic can be done by hand.

use super::super::{LayoutSolution, MeshShape, Objective, Scope, search};
use plan::Dtype;
use plan::model::{EinsumGraph, EinsumInput, EinsumOp, Precision};
use std::collections::BTreeMap;

pub const FORWARD: Scope = Scope::Forward { dtype: Dtype::Fp32 };

/// fp32 throughout and no optimizer state: every element is four bytes.
pub const PLAIN: Precision = Precision {
    compute: Dtype::Fp32,
    weight_bytes: 4,
    gradient_bytes: 4,
    optimizer_bytes: 0,
    wire_bytes: 4,
};

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// `dims("a:10 b:5")`.
pub fn graph(dims: &str) -> EinsumGraph {
    let pair = |word: &str| {
        let (name, size) = word.split_once(':').unwrap();
        (name.to_owned(), size.parse().unwrap())
    };
    let dims = dims.split_whitespace().map(pair).collect();
    EinsumGraph { dims, inputs: Vec::new(), ops: Vec::new() }
}

pub trait Write: Sized {
    fn input(self, name: &str, dims: &str) -> Self;
    fn parameter(self, name: &str, dims: &str) -> Self;
    fn op(self, output: &str, dims: &str, operands: &str) -> Self;
    fn unsplittable(self, dims: &str) -> Self;
}

impl Write for EinsumGraph {
    fn input(mut self, name: &str, dims: &str) -> Self {
        let (name, dims) = (name.to_owned(), words(dims));
        self.inputs.push(EinsumInput { name, dims, is_parameter: false });
        self
    }

    fn parameter(mut self, name: &str, dims: &str) -> Self {
        let (name, dims) = (name.to_owned(), words(dims));
        self.inputs.push(EinsumInput { name, dims, is_parameter: true });
        self
    }

    fn op(mut self, output: &str, dims: &str, operands: &str) -> Self {
        self.ops.push(EinsumOp {
            output: output.to_owned(),
            operands: words(operands),
            dims: words(dims),
            unsplittable: Vec::new(),
        });
        self
    }

    fn unsplittable(mut self, dims: &str) -> Self {
        self.ops.last_mut().unwrap().unsplittable = words(dims);
        self
    }
}

/// `mesh("m1:4 m2:2")`.
pub fn mesh(text: &str) -> MeshShape {
    let pair = |word: &'_ str| {
        let (name, size) = word.split_once(':').unwrap();
        (name.to_owned(), size.parse().unwrap())
    };
    MeshShape::new(text.split_whitespace().map(pair)).unwrap()
}

/// `layout("a:m2;c:m1")`.
pub fn layout(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split(';').filter(|p| !p.is_empty());
    pairs
        .map(|p| {
            let (dim, axis) = p.split_once(':').unwrap();
            (dim.to_owned(), axis.to_owned())
        })
        .collect()
}

pub fn least_memory(graph: &EinsumGraph, axes: &str) -> LayoutSolution {
    search(graph, FORWARD, &mesh(axes), &Objective::Memory).unwrap()
}
