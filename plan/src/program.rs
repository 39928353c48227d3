//! The program of a plan: per rank, straight-line typed actions with buffers, versions, lanes and
//! tokens. The same program is checked, priced, drawn and run.
//!
//! ```text
//! Program
//!  ├─ communicators, channels   who talks to whom: tables that are complete before anything runs
//!  ├─ charges                   what actions cost: lists of `Work`, each listed once
//!  └─ classes                   ranks that differ only by their peers share one list
//!      ├─ buffers               kind, size, home, versions, place in the arena
//!      └─ actions               in the order in which the host issues them
//! ```
//!
//! **Order.** The list of a class is the order of issue. Actions of one [`Lane`] run one after the
//! other in that order; actions of different lanes run at the same time unless one [waits](Token)
//! for the other. Ranks meet only in collectives and in messages on channels: the n-th send of a
//! channel is taken by its n-th receive. When a step ends, all lanes but [`Lane::Outer`] have run
//! dry.
//!
//! **Versions.** Every write makes a new version of its buffer, and every read says which version
//! it means. Version 0 is what a buffer holds when the step begins: what an earlier step left
//! there. A buffer that keeps several versions is a ring: its reads of version `1 − s` mean what
//! this program wrote `s` steps ago (stale gradients). That makes "who reads what" checkable
//! without running anything.
//!
//! **Classes.** Ranks are numbered as in [`Mesh`](crate::mesh::Mesh): tensor innermost, pipeline
//! stages outermost. All ranks of a pipeline stage do the same with other peers, so a class is a
//! pipeline stage, its peers are found by arithmetic ([`Communicator::members`],
//! [`Channel::receiver`]), and a program for 16,384 ranks costs as much as one for its stages.

mod action;
mod buffer;
mod charge;
mod digest;
mod error;
mod lower;
mod passes;
mod peers;
mod text;
pub mod validate;

pub use action::{Action, ActionId, At, Cadence, Cause, Lane, LayerSpan, Op, Token};
pub use buffer::{Access, Buffer, BufferId, BufferKind, Element, Home, Size};
pub use charge::{Charge, ChargeId, LayerWork};
pub use digest::Digest;
pub use error::LowerError;
pub use lower::{DifferentTokens, Facts, Granularity, Settings, lower};
pub use peers::{
    Channel, ChannelId, Communicator, CommunicatorId, LedgerEntry, Payload, Peers, Purpose, Traffic,
};
pub use validate::{Flaw, Place, validate};

use crate::units::Bytes;

/// A plan, lowered.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// Ranks in total.
    pub ranks: u32,
    /// Micro-batches per step and replica; pieces along time count as micro-batches.
    pub micro_batches: u32,
    /// Pieces along time into which each batch of sequences is cut.
    pub time_chunks: u32,
    /// Messages that may be under way from a rank at once.
    pub send_budget: u32,
    /// Memory that a device has for tensors, where it is known.
    pub capacity: Option<Bytes>,
    /// Groups of ranks, by [`CommunicatorId`].
    pub communicators: Vec<Communicator>,
    /// Point-to-point connections, by [`ChannelId`].
    pub channels: Vec<Channel>,
    /// What actions cost, by [`ChargeId`]. No two are equal, so equal ids mean equal work.
    pub charges: Vec<Charge>,
    /// Ranks that share a list of actions, in the order of their ranks.
    pub classes: Vec<Class>,
}

impl Program {
    /// The class of a rank and its place in it. `None` beyond the last rank.
    #[must_use]
    pub fn class_of(&self, rank: u32) -> Option<(usize, u32)> {
        let class = self.classes.iter().position(|class| class.holds(rank))?;
        Some((class, rank - self.classes[class].first_rank))
    }

    /// Actions listed; ranks of a class share theirs.
    #[must_use]
    pub fn listed_actions(&self) -> usize {
        self.classes.iter().map(|class| class.actions.len()).sum()
    }

    /// Actions that all ranks together run in a step.
    #[must_use]
    pub fn actions(&self) -> u64 {
        self.classes.iter().map(|c| c.actions.len() as u64 * u64::from(c.ranks)).sum()
    }

    /// Age of the oldest gradient or activation that a pass works on, in steps: 0 is training in
    /// step. Anything else trains differently, whatever it saves.
    #[must_use]
    pub fn staleness(&self) -> u32 {
        let is_kept = |b: &&Buffer| matches!(b.kind, BufferKind::Saved | BufferKind::Input);
        let buffers = self.classes.iter().flat_map(|class| &class.buffers).filter(is_kept);
        buffers.map(|buffer| buffer.versions - 1).max().unwrap_or(0)
    }

    /// What an action costs.
    #[must_use]
    pub fn charge(&self, action: &Action) -> &Charge {
        self.charges.get(action.charge.0 as usize).unwrap_or(&Charge::Free)
    }
}

/// Ranks that do the same with different peers: the ranks of one pipeline stage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Class {
    /// Its lowest rank; the others follow without a gap.
    pub first_rank: u32,
    /// How many there are.
    pub ranks: u32,
    /// Virtual stages that it holds, rising.
    pub stages: Vec<u32>,
    /// What it holds, by [`BufferId`].
    pub buffers: Vec<Buffer>,
    /// What it does, in the order of issue; an [`ActionId`] is a place in this list.
    pub actions: Vec<Action>,
    /// Device memory that the buffers take: the end of the arena.
    pub arena: Bytes,
    /// Traffic that it has to have, from closed forms; the actions have to add up to it.
    pub ledger: Vec<LedgerEntry>,
}

impl Class {
    /// Whether a rank belongs to the class.
    #[must_use]
    pub fn holds(&self, rank: u32) -> bool {
        rank.checked_sub(self.first_rank).is_some_and(|place| place < self.ranks)
    }

    /// A buffer.
    #[must_use]
    pub fn buffer(&self, id: BufferId) -> Option<&Buffer> {
        self.buffers.get(id.0 as usize)
    }

    /// Most bytes that live at once on the device, in the order of the list: no arena is smaller.
    #[must_use]
    pub fn live_peak(&self) -> Bytes {
        let class = self;
        let mut first: Vec<Option<usize>> = vec![None; class.buffers.len()];
        let mut last = vec![0; class.buffers.len()];
        for (i, action) in class.actions.iter().enumerate() {
            for access in action.accesses() {
                first[access.buffer.0 as usize].get_or_insert(i);
                last[access.buffer.0 as usize] = i;
            }
        }
        let mut change = vec![0.0; class.actions.len() + 1];
        let mut kept = 0.0;
        for (i, buffer) in class.buffers.iter().enumerate().filter(|(_, b)| b.home == Home::Device)
        {
            let bytes = buffer.footprint().get();
            match first[i] {
                _ if buffer.is_carried => kept += bytes,
                Some(first) => {
                    change[first] += bytes;
                    change[last[i] + 1] -= bytes;
                }
                None => {}
            }
        }
        let mut live: f64 = kept;
        let mut most = live;
        for bytes in change {
            live += bytes;
            most = most.max(live);
        }
        Bytes::new(most)
    }
}
