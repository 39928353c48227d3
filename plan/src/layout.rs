//! Layouts: which named dimensions are split over which mesh axis.
//!
//! A layout has one assignment per [`Region`] of a layer, because "sequence parallel" means that
//! tokens are split over the tensor axis *between* blocks and heads or `d_ff` inside them. From the
//! assignment follow the state of each tensor on each axis (whole, split, or partial sums) and,
//! where producer and consumer disagree, a collective. No strategy lists its collectives by hand.

use crate::graph::{Dim, DimSet, Op, OpGraph, OpKind, Region, TensorId};
use crate::mesh::Axis;
use crate::work::CollectiveOp;

/// Dimensions that each axis splits, per region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Layout {
    split: [[DimSet; Axis::ALL.len()]; 3],
}

/// How a tensor lies on one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Every rank has all of it.
    Whole,
    /// Every rank has its part along a dimension.
    Split(Dim),
    /// Every rank has a summand.
    Partial,
}

/// Dimensions inside a block that tensor parallelism splits.
const TENSOR_DIMS: DimSet = DimSet::of(&[
    Dim::Heads,
    Dim::QkvHeads,
    Dim::KvHeads,
    Dim::DFf,
    Dim::DFfUp,
    Dim::DExpert,
    Dim::DExpertUp,
    Dim::DShared,
    Dim::DSharedUp,
    Dim::Vocab,
    Dim::Scored,
    Dim::Hidden,
]);
const BATCH_DIMS: DimSet = DimSet::of(&[Dim::Batch, Dim::Capacity]);
const SEQUENCE_DIMS: DimSet = DimSet::of(&[Dim::Seq, Dim::Predicted]);

impl Layout {
    /// Data, context and expert parallelism as always; tensor parallelism inside blocks
    /// (Shoeybi et al. 2019, arXiv:1909.08053), and between them if `sequence_parallel`
    /// (Korthikanti et al. 2022, arXiv:2205.05198).
    #[must_use]
    pub fn new(sequence_parallel: bool) -> Self {
        let data = BATCH_DIMS;
        let context = SEQUENCE_DIMS | DimSet::of(&[Dim::Capacity]);
        let between = if sequence_parallel { SEQUENCE_DIMS } else { DimSet::EMPTY };
        let experts = DimSet::of(&[Dim::Batch, Dim::Experts]);
        // Between the exchanges of tokens, each tensor rank keeps those that it has anyway.
        let routed = if sequence_parallel { context } else { DimSet::EMPTY };
        Self {
            split: [
                [between, context, BATCH_DIMS, data],
                [TENSOR_DIMS, context, experts, data],
                [routed, context, BATCH_DIMS, data],
            ],
        }
    }

    /// Dimensions that `axis` splits in `region`.
    #[must_use]
    pub fn dims(&self, region: Region, axis: Axis) -> DimSet {
        self.split[region as usize][axis as usize]
    }

    /// State on `axis` in which `region` holds a tensor with these dimensions.
    fn held(&self, region: Region, axis: Axis, dims: DimSet) -> State {
        (self.dims(region, axis) & dims).iter().next().map_or(State::Whole, State::Split)
    }

    /// State in which `op` needs `tensor`.
    #[must_use]
    pub fn needed(&self, graph: &OpGraph, op: &Op, tensor: TensorId, axis: Axis) -> State {
        // A renamed tensor is needed as its new names are held.
        let seen = if op.kind == OpKind::Rename { op.output } else { tensor };
        self.held(op.region, axis, graph.tensor(seen).set())
    }

    /// State in which `op` leaves its output.
    #[must_use]
    pub fn left(&self, graph: &OpGraph, op: &Op, axis: Axis) -> State {
        let split = self.dims(op.region, axis);
        if (split & graph.contracted(op)).is_empty() {
            self.held(op.region, axis, graph.tensor(op.output).set())
        } else {
            State::Partial
        }
    }

    /// State in which `op` needs the gradient of its output.
    #[must_use]
    pub fn gradient_needed(&self, graph: &OpGraph, op: &Op, axis: Axis) -> State {
        if op.kind == OpKind::Rename {
            let input = op.inputs.first().map_or(DimSet::EMPTY, |&t| graph.tensor(t).set());
            return self.held(op.region, axis, input);
        }
        match self.left(graph, op, axis) {
            State::Partial => State::Whole,
            state => state,
        }
    }

    /// State in which `op` leaves the gradient of its input `tensor`.
    #[must_use]
    pub fn gradient_left(&self, graph: &OpGraph, op: &Op, tensor: TensorId, axis: Axis) -> State {
        let split = self.dims(op.region, axis);
        match self.held(op.region, axis, graph.tensor(tensor).set()) {
            State::Whole if !(split & graph.iteration(op)).is_empty() => State::Partial,
            state => state,
        }
    }

    /// State at the border between layers.
    #[must_use]
    pub fn border(&self, graph: &OpGraph, tensor: TensorId, axis: Axis) -> State {
        self.held(Region::Token, axis, graph.tensor(tensor).set())
    }
}

/// The collective that turns `from` into `to`, if one is needed.
#[must_use]
pub fn transition(from: State, to: State) -> Option<CollectiveOp> {
    match (from, to) {
        (State::Partial, State::Whole) => Some(CollectiveOp::AllReduce),
        (State::Partial, State::Split(_)) => Some(CollectiveOp::ReduceScatter),
        (State::Split(_), State::Whole) => Some(CollectiveOp::AllGather),
        (State::Split(a), State::Split(b)) if a != b && !same_rows(a, b) => {
            Some(CollectiveOp::AllToAll)
        }
        _ => None,
    }
}

/// Names of the same rows at different points of a layer: renaming moves no data.
fn same_rows(a: Dim, b: Dim) -> bool {
    BATCH_DIMS.contains(a) && BATCH_DIMS.contains(b)
        || SEQUENCE_DIMS.contains(a) && SEQUENCE_DIMS.contains(b)
}
