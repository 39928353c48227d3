//! How ranks talk.
//!
//! ```text
//! Communicator   collectives and messages of a group       Group, Delay (slower on purpose), Fake
//! Transport      messages between two ranks, by tag         Threads (in process), Tcp (processes)
//! Mailbox        what has arrived, and the first fault
//! ```
//!
//! Groups and tags are declared before anything runs. Sums are taken in the order of the ranks, so
//! that every transport gives the same bits. Every call has a limit; whatever goes wrong on one
//! rank ends all of them with the same [`Fault`].

mod delay;
mod fake;
mod fault;
mod group;
mod launch;
mod mailbox;
mod tcp;
mod threads;

pub use delay::{Delay, LinkPrice};
pub use fake::Fake;
pub use fault::{Fault, Problem, Task};
pub use group::Group;
pub use launch::{LaunchError, Place};
pub use mailbox::Mailbox;
pub use tcp::{Endpoint, Tcp};
pub use threads::Threads;

use std::ops::Range;
use std::time::Duration;

/// Numbers that are reduced or copied.
#[derive(Debug)]
pub enum Elements<'a> {
    /// Single precision.
    F32(&'a mut [f32]),
    /// Double precision.
    F64(&'a mut [f64]),
}

/// What a reduction does with two elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// Adds them, those of lower ranks first.
    Sum,
    /// Keeps the larger.
    Max,
}

/// What a rank is doing when it calls, and how long it may wait.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// What it is doing, for messages.
    pub task: Task,
    /// How long until the call gives up and ends all ranks.
    pub limit: Duration,
}

/// Tells the queues of a transport apart: one per communicator or channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub u32);

/// Bytes and calls of a rank on one communicator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Bytes that left this rank.
    pub sent: u64,
    /// Calls.
    pub calls: u64,
    /// What a pretended network charged for them; nothing where there is none.
    pub network: Duration,
}

/// A group of ranks, seen from one of them. Members are counted from 0 inside the group.
pub trait Communicator: Send + Sync {
    /// This member.
    fn place(&self) -> usize;

    /// Members.
    fn size(&self) -> usize;

    /// The rank of a member.
    fn rank(&self, member: usize) -> u32;

    /// Every member gets the reduction of all.
    ///
    /// # Errors
    /// Any rank failed, or a member did not come in time.
    fn all_reduce(&self, data: Elements<'_>, op: Reduction, call: &Call) -> Result<(), Fault>;

    /// Member `i` gets the sum of all in part `i` of its data (see [`part`]); the rest is left as
    /// it was.
    ///
    /// # Errors
    /// As [`Self::all_reduce`].
    fn reduce_scatter(&self, data: Elements<'_>, call: &Call) -> Result<(), Fault>;

    /// Part `i` of every member's data becomes what it is at member `i`.
    ///
    /// # Errors
    /// As [`Self::all_reduce`].
    fn all_gather(&self, data: Elements<'_>, call: &Call) -> Result<(), Fault>;

    /// Every member gets the data of member `root`.
    ///
    /// # Errors
    /// As [`Self::all_reduce`].
    fn broadcast(&self, data: Elements<'_>, root: usize, call: &Call) -> Result<(), Fault>;

    /// Message `i` goes to member `i`; returns what came from each, of any size.
    ///
    /// # Errors
    /// As [`Self::all_reduce`].
    fn all_to_all(&self, messages: Vec<Vec<u8>>, call: &Call) -> Result<Vec<Vec<u8>>, Fault>;

    /// Hands a message to another member. Returns before it has arrived.
    ///
    /// # Errors
    /// As [`Self::all_reduce`].
    fn send(&self, to: usize, message: Vec<u8>, call: &Call) -> Result<(), Fault>;

    /// The next message of another member, which must have this many bytes.
    ///
    /// # Errors
    /// As [`Self::all_reduce`]; a message of another size.
    fn receive(&self, from: usize, bytes: usize, call: &Call) -> Result<Vec<u8>, Fault>;

    /// What this rank sent so far.
    fn ledger(&self) -> Ledger;
}

/// Messages between two ranks.
pub trait Transport: Send + Sync {
    /// This rank.
    fn rank(&self) -> u32;

    /// Hands a message over. Does not wait for the receiver.
    ///
    /// # Errors
    /// Some rank failed.
    fn send(&self, to: u32, tag: Tag, message: Vec<u8>, call: &Call) -> Result<(), Fault>;

    /// The next message of `from` with this tag.
    ///
    /// # Errors
    /// Some rank failed, or nothing came in time.
    fn receive(&self, from: u32, tag: Tag, call: &Call) -> Result<Vec<u8>, Fault>;

    /// Ends all ranks. The first fault stays.
    fn abort(&self, fault: Fault);

    /// The fault that ended all ranks, if there is one.
    fn fault(&self) -> Option<Fault>;
}

/// Part `i` of `n` of so many elements: consecutive, and as equal as can be.
#[must_use]
pub fn part(elements: usize, n: usize, i: usize) -> Range<usize> {
    i * elements / n..(i + 1) * elements / n
}

impl Elements<'_> {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::F32(v) => v.len(),
            Self::F64(v) => v.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of one.
    #[must_use]
    pub fn width(&self) -> usize {
        match self {
            Self::F32(_) => 4,
            Self::F64(_) => 8,
        }
    }
}

#[cfg(test)]
mod tests;
