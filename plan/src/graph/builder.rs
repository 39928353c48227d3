//! Writes operator graphs down, one operator per line.

use super::{Dim, Op, OpGraph, OpKind, Region, SaveWhen, Tensor, TensorId, TensorRole};
use crate::work::PointwiseKind;
use petgraph::graph::DiGraph;

/// Collects operators in execution order.
#[derive(Debug, Default)]
pub struct GraphBuilder {
    tensors: Vec<Tensor>,
    ops: Vec<Op>,
    in_scan: bool,
}

impl GraphBuilder {
    /// An empty graph.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn tensor(&mut self, name: &'static str, dims: &[Dim], role: TensorRole) -> TensorId {
        self.tensors.push(Tensor { name, dims: dims.to_vec(), role, element_bytes: None });
        TensorId(self.tensors.len() - 1)
    }

    /// An activation from outside.
    pub fn input(&mut self, name: &'static str, dims: &[Dim]) -> TensorId {
        self.tensor(name, dims, TensorRole::Input)
    }

    /// A parameter.
    pub fn parameter(&mut self, name: &'static str, dims: &[Dim]) -> TensorId {
        self.tensor(name, dims, TensorRole::Parameter)
    }

    /// A tensor in the compute format that no listed operator writes (the state before the first
    /// step, the rows of a table that are in use, an intermediate of a fused kernel).
    pub fn local(&mut self, name: &'static str, dims: &[Dim]) -> TensorId {
        self.tensor(name, dims, TensorRole::Activation)
    }

    /// A tensor that exists only to be kept for the backward pass.
    pub fn kept(&mut self, name: &'static str, dims: &[Dim], element_bytes: u64) -> TensorId {
        let id = self.tensor(name, dims, TensorRole::Activation);
        self.tensors[id.0].element_bytes = Some(element_bytes);
        id
    }

    /// Operators from here on run once per time step, until [`Self::end_scan`].
    pub fn begin_scan(&mut self) {
        self.in_scan = true;
    }

    /// Ends the loop over time steps.
    pub fn end_scan(&mut self) {
        self.in_scan = false;
    }

    fn op(
        &mut self,
        name: &'static str,
        kind: OpKind,
        region: Region,
        inputs: &[TensorId],
        dims: &[Dim],
    ) -> TensorId {
        let output = self.tensor(name, dims, TensorRole::Activation);
        let inputs = inputs.to_vec();
        let in_scan = self.in_scan;
        self.ops.push(Op { name, kind, region, inputs, output, saves: Vec::new(), in_scan });
        output
    }

    /// `out[dims] = Σ x·weight`; keeps `x`.
    pub fn einsum(
        &mut self,
        name: &'static str,
        x: TensorId,
        weight: TensorId,
        dims: &[Dim],
    ) -> TensorId {
        self.einsum_in(name, Region::Inner, [x, weight], dims)
    }

    /// The same in a region: products between blocks follow the layout of tokens.
    pub fn einsum_in(
        &mut self,
        name: &'static str,
        region: Region,
        [x, weight]: [TensorId; 2],
        dims: &[Dim],
    ) -> TensorId {
        let out = self.op(name, OpKind::Einsum, region, &[x, weight], dims);
        self.save(&[(x, SaveWhen::Always)]);
        out
    }

    /// Adds a bias to `x`; only its gradient costs something.
    pub fn bias(&mut self, name: &'static str, x: TensorId, bias_dims: &[Dim]) -> TensorId {
        let bias = self.parameter(name, bias_dims);
        let kind = OpKind::Pointwise { kind: PointwiseKind::Bias, share: 1.0 };
        let dims = self.tensors[x.0].dims.clone();
        self.op(name, kind, Region::Inner, &[x, bias], &dims)
    }

    /// A memory-bound kernel from `inputs` to a tensor with `dims`.
    pub fn pointwise(
        &mut self,
        name: &'static str,
        kind: PointwiseKind,
        region: Region,
        inputs: &[TensorId],
        dims: &[Dim],
    ) -> TensorId {
        self.pointwise_share(name, (kind, 1.0), region, inputs, dims)
    }

    /// The same where only a share of the result is touched.
    pub fn pointwise_share(
        &mut self,
        name: &'static str,
        (kind, share): (PointwiseKind, f64),
        region: Region,
        inputs: &[TensorId],
        dims: &[Dim],
    ) -> TensorId {
        self.op(name, OpKind::Pointwise { kind, share }, region, inputs, dims)
    }

    /// The attention core over `inputs` (queries, keys and values, possibly in one tensor).
    pub fn attention(
        &mut self,
        name: &'static str,
        (causal, dropout, keys): (bool, bool, Dim),
        inputs: &[TensorId],
        dims: &[Dim],
    ) -> TensorId {
        self.op(name, OpKind::Attention { causal, dropout, keys }, Region::Inner, inputs, dims)
    }

    /// Rows of `table` selected by the tokens of `like`.
    pub fn lookup(&mut self, name: &'static str, table: TensorId, dims: &[Dim]) -> TensorId {
        self.op(name, OpKind::Lookup, Region::Inner, &[table], dims)
    }

    /// `x` under other dimension names.
    pub fn rename(&mut self, name: &'static str, x: TensorId, dims: &[Dim]) -> TensorId {
        self.op(name, OpKind::Rename, Region::Inner, &[x], dims)
    }

    /// The state `x` of this step becomes `next`, the input of the next step.
    pub fn carry(&mut self, name: &'static str, x: TensorId, next: TensorId) {
        let dims = self.tensors[next.0].dims.clone();
        let made = self.rename(name, x, &dims);
        // The renamed tensor *is* `next`: point the operator at it and drop the duplicate.
        if let Some(op) = self.ops.last_mut() {
            op.output = next;
        }
        self.tensors.truncate(made.0);
        self.tensors[next.0].role = TensorRole::Activation;
    }

    /// The last operator also keeps these tensors.
    pub fn save(&mut self, tensors: &[(TensorId, SaveWhen)]) {
        if let Some(op) = self.ops.last_mut() {
            op.saves.extend_from_slice(tensors);
        }
    }

    /// Finishes the graph.
    #[must_use]
    pub fn build(self, input: TensorId, output: TensorId) -> OpGraph {
        let mut graph = DiGraph::new();
        let nodes: Vec<_> = self.ops.into_iter().map(|op| graph.add_node(op)).collect();
        let mut edges = Vec::new();
        for &to in &nodes {
            for &tensor in &graph[to].inputs {
                let from = nodes.iter().find(|&&n| graph[n].output == tensor);
                edges.extend(from.map(|&from| (from, to, tensor)));
            }
        }
        for (from, to, tensor) in edges {
            graph.add_edge(from, to, tensor);
        }
        OpGraph { tensors: self.tensors, graph, input, output }
    }
}
