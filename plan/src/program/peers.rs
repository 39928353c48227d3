//! Who talks to whom: groups and channels, declared before anything runs.
//!
//! Nothing here is created on first use: a connection that two ranks open in different orders is a
//! deadlock that no test finds twice.

use super::buffer::{Element, Size};
use crate::mesh::Axis;
use crate::work::{CollectiveOp, Pass};

/// Place of a communicator in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommunicatorId(pub u32);

/// Place of a channel in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub u32);

/// What a group of ranks is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Collectives inside layers along an axis.
    Layer(Axis),
    /// Gradients and states of ordinary parameters: data, expert and context ranks together.
    Replicas,
    /// Gradients and states of expert parameters.
    ExpertReplicas,
    /// The exchange of the embedding gradient.
    Exchange,
    /// First and last stage of a tied table.
    TiedTable,
    /// Differences of weights of replicas that train apart.
    Outer,
}

/// Disjoint groups of ranks with one purpose: `size` ranks that lie `stride` apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Communicator {
    /// What for.
    pub purpose: Purpose,
    /// Ranks of each group.
    pub size: u32,
    /// Distance between neighbours in a group.
    pub stride: u32,
    /// Nodes that a group spans.
    pub nodes: u32,
}

impl Communicator {
    /// The group of a rank, rising; the order decides who holds which shard.
    #[must_use]
    pub fn members(&self, rank: u32) -> Vec<u32> {
        let place = self.place(rank);
        let first = rank - place * self.stride;
        (0..self.size).map(|i| first + i * self.stride).collect()
    }

    /// Place of a rank in its group.
    #[must_use]
    pub fn place(&self, rank: u32) -> u32 {
        rank / self.stride.max(1) % self.size.max(1)
    }
}

/// A first-in, first-out connection from every rank of one class to one rank of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Channel {
    /// Virtual stage that sends.
    pub from_stage: u32,
    /// Virtual stage that receives.
    pub to_stage: u32,
    /// Activations or gradients.
    pub pass: Pass,
    /// Class that sends.
    pub from: u32,
    /// Class that receives.
    pub to: u32,
    /// Whether some message leaves its node.
    pub crosses_nodes: bool,
}

impl Channel {
    /// The rank that receives what `rank` sends, where all classes hold `class_ranks` ranks.
    #[must_use]
    pub fn receiver(&self, rank: u32, class_ranks: u32) -> u32 {
        (rank + self.to * class_ranks).wrapping_sub(self.from * class_ranks)
    }

    /// The rank that sends what `rank` receives.
    #[must_use]
    pub fn sender(&self, rank: u32, class_ranks: u32) -> u32 {
        (rank + self.from * class_ranks).wrapping_sub(self.to * class_ranks)
    }
}

/// What travels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Payload {
    /// Collective: the full tensor, per rank, as [`Collective::bytes`](crate::work::Collective);
    /// message: its size.
    pub size: Size,
    /// Its elements.
    pub element: Element,
}

/// With whom an action is done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Peers {
    /// Alone.
    Nobody,
    /// With the group of the rank: all members do the same at the same place of their sequence.
    Group {
        /// Which groups.
        communicator: CommunicatorId,
        /// The how-manieth collective of that communicator in the step.
        sequence: u32,
        /// What is done.
        collective: CollectiveOp,
        /// What travels.
        payload: Payload,
    },
    /// With the other end of a channel.
    Channel {
        /// Which one.
        channel: ChannelId,
        /// What travels.
        payload: Payload,
    },
}

/// Traffic that a class has to have in a step, by purpose, from the closed forms of its plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LedgerEntry {
    /// What the traffic is for.
    pub traffic: Traffic,
    /// Bytes that each rank sends, expected.
    pub bytes: crate::units::Bytes,
}

/// What traffic is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Traffic {
    /// Collectives of one purpose.
    Group(Purpose),
    /// Activations or gradients to neighbouring stages.
    Stage(Pass),
}
