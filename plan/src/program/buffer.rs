//! Buffers: what a rank holds, how large, where, and in how many versions.

use crate::dtype::Dtype;
use crate::units::Bytes;

/// Place of a buffer in the table of its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BufferId(pub u32);

/// A version of a buffer that an action reads or writes.
///
/// 0 is what the buffer holds when the step begins; each write of a step makes the next one. Of a
/// ring, `1 − s` is what was written `s` steps ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Access {
    /// The buffer.
    pub buffer: BufferId,
    /// The version.
    pub version: i32,
}

/// An amount that may depend on the data.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Size {
    /// Never more than this: what memory is set aside for.
    pub max: Bytes,
    /// What is expected: what time is predicted for.
    pub expected: Bytes,
}

impl Size {
    /// An amount that is known.
    #[must_use]
    pub const fn exact(bytes: Bytes) -> Self {
        Self { max: bytes, expected: bytes }
    }

    /// Nothing.
    pub const ZERO: Self = Self::exact(Bytes::ZERO);

    /// Whether it is known beforehand.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.max == self.expected
    }

    /// Sum, end by end.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { max: self.max + other.max, expected: self.expected + other.expected }
    }
}

/// What the elements of a buffer or message are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Element {
    /// Numbers of one format.
    Number(Dtype),
    /// Token ids, 4 bytes each.
    TokenId,
    /// Rows of a table, each with its token id.
    TaggedRow,
    /// Several tensors together.
    Mixed,
}

/// What a buffer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BufferKind {
    /// Weights that passes read.
    Weights,
    /// A rank's part of sharded weights.
    WeightShard,
    /// Gradients of weights, summed over micro-batches.
    Gradient,
    /// A rank's part of sharded gradients.
    GradientShard,
    /// Optimizer state, master weights included.
    OptimizerState,
    /// Input of layers, kept until their backward pass.
    Input,
    /// Other activations that the backward pass needs.
    Saved,
    /// Activations that exist only while layers are recomputed.
    Recomputed,
    /// Gradient of a border activation.
    BorderGradient,
    /// Border activation or gradient that leaves for another rank.
    Outgoing,
    /// Values between two collectives of one pass.
    Workspace,
    /// Token ids or gradient rows on their way between replicas.
    Exchange,
    /// State that one piece along time hands to the next.
    Carry,
    /// Weights of the last synchronisation and the state of the outer optimizer.
    Outer,
    /// Difference of weights on its way between replicas.
    Delta,
}

/// Where a buffer lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Home {
    /// Memory of the device.
    Device,
    /// Memory of the host that the device can copy from and to.
    Host,
}

/// A buffer of every rank of a class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Buffer {
    /// What it is for.
    pub kind: BufferKind,
    /// Size of one version.
    pub size: Size,
    /// Its elements.
    pub element: Element,
    /// Where it lives.
    pub home: Home,
    /// Versions that are kept at once: 1, or more for a ring that reaches into earlier steps.
    pub versions: u32,
    /// How often it is written in a period of steps: an action that got lost shows here.
    pub writes: u32,
    /// Whether it holds something when a step begins and has to keep it when the step ends.
    pub is_carried: bool,
    /// Where it starts in the arena of its home.
    pub offset: Option<Bytes>,
}

impl Buffer {
    /// What all kept versions take at most.
    #[must_use]
    pub fn footprint(&self) -> Bytes {
        self.size.max * f64::from(self.versions)
    }
}
