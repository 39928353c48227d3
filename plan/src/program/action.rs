//! Actions: what a rank does, where in the step, on which lane, with which buffers.

use super::buffer::Access;
use super::charge::ChargeId;
use super::peers::Peers;
use crate::exchange::Exchange;
use crate::lower::Recompute;
use crate::mesh::Axis;
use crate::work::{CollectiveOp, Pass};

/// Place of an action in the list of its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionId(pub u32);

/// An event of a class: an action signals it when it has run, actions on other lanes wait for it.
///
/// Actions of one lane need no tokens. Dense per class, each signalled once per step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u32);

/// One action. Its [`ActionId`] is its place in the list.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// What is done.
    pub op: Op,
    /// Where in the step.
    pub at: At,
    /// In which steps.
    pub cadence: Cadence,
    /// What runs it.
    pub lane: Lane,
    /// With whom.
    pub peers: Peers,
    /// Versions of buffers that it needs.
    pub reads: Vec<Access>,
    /// Versions of buffers that it makes.
    pub writes: Vec<Access>,
    /// Actions of other lanes that have to have run before.
    pub waits: Vec<Token>,
    /// What it announces when it has run, where somebody waits for it.
    pub signals: Option<Token>,
    /// What it costs.
    pub charge: ChargeId,
    /// The decision that asks for it.
    pub cause: Cause,
}

/// What an action does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// Forward pass of layers on a micro-batch; the head includes the loss.
    Forward,
    /// Whole backward pass: gradients of inputs and of weights.
    Backward,
    /// Backward pass, gradients of inputs alone (I).
    BackwardInput,
    /// Backward pass, gradients of weights alone (W).
    BackwardWeight,
    /// Forward pass again, for activations that were not kept.
    Recompute,
    /// A collective inside a layer that its layout asks for.
    Layer(Axis, CollectiveOp),
    /// Hands a border activation (forward) or its gradient (backward) to the neighbouring stage.
    Send(Pass),
    /// Takes one.
    Receive(Pass),
    /// Holds the rank until a message has left, so that its buffer is free and few are under way.
    WaitSend(Pass),
    /// Collects sharded weights.
    Gather,
    /// Gives collected weights up.
    Release,
    /// Sums gradients over replicas: an all-reduce in place, or a reduce-scatter where states are
    /// sharded. A reduce-scatter that also reads the shard adds to what is there.
    Reduce(CollectiveOp),
    /// Sums the two gradients of a table that first and last stage share.
    ReduceTied,
    /// Sorts token ids of a step and adds up the rows of equal ones.
    Deduplicate,
    /// Collects the token ids of all replicas.
    GatherIds,
    /// Merges the ids of all replicas and lines up one row per different one.
    AlignRows,
    /// Collects gradient rows of all replicas.
    GatherRows,
    /// Sums gradient rows over replicas.
    ReduceRows,
    /// Sends ids or rows to the replicas that own them, or back.
    RouteRows(Pass),
    /// Adds rows to the table's gradient.
    AddRows,
    /// Updates weights from gradients.
    Optimizer,
    /// Copies activations to host memory.
    Offload,
    /// Copies them back.
    Reload,
    /// Difference between the weights of the last synchronisation and those of now.
    Delta,
    /// Averages such differences over replicas, beside the steps that follow.
    ReduceDelta,
    /// Outer optimizer: applies the average to the weights of the last synchronisation.
    OuterStep,
    /// Takes the synchronised weights over into those that train.
    Merge,
}

/// Where in the step an action belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At {
    /// Virtual stage.
    pub stage: u32,
    /// Layers of the chain, where the action is about some.
    pub layers: Option<LayerSpan>,
    /// Micro-batch, where the action is about one; `micro_batch mod time_chunks` is its piece
    /// along time.
    pub micro_batch: Option<u32>,
    /// Which piece of its pass, where a pass is listed operator by operator.
    pub part: u32,
}

/// Consecutive layers of the chain, embedding and head counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayerSpan {
    /// First.
    pub first: u32,
    /// Last.
    pub last: u32,
}

/// Steps in which an action runs: those with `step mod every = offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cadence {
    /// Period in steps.
    pub every: u32,
    /// First step of the period in which it runs.
    pub offset: u32,
}

impl Default for Cadence {
    fn default() -> Self {
        Self::EACH_STEP
    }
}

impl Cadence {
    /// Every step.
    pub const EACH_STEP: Self = Self { every: 1, offset: 0 };

    /// Whether the action runs in a step.
    #[must_use]
    pub fn includes(self, step: u64) -> bool {
        step % u64::from(self.every.max(1)) == u64::from(self.offset)
    }
}

/// A queue of a rank: its actions run one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Arithmetic.
    Compute,
    /// Collectives of tensor parallelism.
    Tensor,
    /// Collectives of context parallelism.
    Context,
    /// Collectives of expert parallelism.
    Expert,
    /// Activations to the next stage.
    SendForward,
    /// Gradients to the previous stage.
    SendBackward,
    /// Activations from the previous stage.
    ReceiveForward,
    /// Gradients from the next stage.
    ReceiveBackward,
    /// Collectives over replicas.
    Data,
    /// Device to host.
    CopyOut,
    /// Host to device.
    CopyIn,
    /// Synchronisation of replicas that goes on beside further steps.
    Outer,
}

impl Lane {
    /// All lanes, in the order of the enum.
    pub const ALL: [Self; 12] = [
        Self::Compute,
        Self::Tensor,
        Self::Context,
        Self::Expert,
        Self::SendForward,
        Self::SendBackward,
        Self::ReceiveForward,
        Self::ReceiveBackward,
        Self::Data,
        Self::CopyOut,
        Self::CopyIn,
        Self::Outer,
    ];

    /// The lane of the collectives of an axis.
    #[must_use]
    pub fn of(axis: Axis) -> Self {
        match axis {
            Axis::Tensor => Self::Tensor,
            Axis::Context => Self::Context,
            Axis::Expert => Self::Expert,
            Axis::Data => Self::Data,
        }
    }

    /// The lane of messages that leave.
    #[must_use]
    pub fn sending(pass: Pass) -> Self {
        match pass {
            Pass::Forward => Self::SendForward,
            Pass::Backward => Self::SendBackward,
        }
    }

    /// The lane of messages that arrive.
    #[must_use]
    pub fn receiving(pass: Pass) -> Self {
        match pass {
            Pass::Forward => Self::ReceiveForward,
            Pass::Backward => Self::ReceiveBackward,
        }
    }
}

/// The decision of a plan that asks for an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The model has to be trained at all.
    Model,
    /// The layout of layers over a mesh axis.
    Layout(Axis),
    /// Pipeline stages.
    Pipeline,
    /// Replicas that train in step.
    DataParallel,
    /// Sharded states.
    Zero(u8),
    /// Activations that are not kept.
    Recompute(Recompute),
    /// The exchange of the embedding gradient.
    Exchange(Exchange),
    /// First and last stage share a table.
    TiedTable,
    /// Activations that are kept on the host.
    Offload,
    /// Replicas that train apart and meet now and then.
    LocalSteps,
}

impl Action {
    /// An action that touches nothing yet.
    #[must_use]
    pub fn new(op: Op, at: At, lane: Lane, cause: Cause) -> Self {
        Self {
            op,
            at,
            cadence: Cadence::EACH_STEP,
            lane,
            peers: Peers::Nobody,
            reads: Vec::new(),
            writes: Vec::new(),
            waits: Vec::new(),
            signals: None,
            charge: ChargeId::default(),
            cause,
        }
    }

    /// All buffers that it touches, reads first.
    pub fn accesses(&self) -> impl Iterator<Item = &Access> {
        self.reads.iter().chain(&self.writes)
    }

    /// Whether it is a pass over layers, or a piece of one.
    #[must_use]
    pub fn is_pass(&self) -> bool {
        use Op as O;
        matches!(
            self.op,
            O::Forward | O::Backward | O::BackwardInput | O::BackwardWeight | O::Recompute
        )
    }
}
