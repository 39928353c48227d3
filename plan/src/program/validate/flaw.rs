//! What can be wrong with a program.

use crate::program::{ActionId, BufferId, Op, Token, Traffic};
use crate::units::Bytes;
use std::fmt;
use thiserror::Error;

/// An action of a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Lowest rank whose list it is in.
    pub rank: u32,
    /// The action.
    pub action: ActionId,
    /// What it does.
    pub op: Op,
}

/// `rank 3, action 412 (Send F)`
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {}, action {} ({})", self.rank, self.action.0, self.op)
    }
}

/// What is wrong, where, and what would be right.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Flaw {
    /// An id that its table does not have.
    #[error("{place}: {what} {id} does not exist; there are {known}")]
    Unknown {
        /// Where.
        place: Place,
        /// What kind of id.
        what: &'static str,
        /// The id.
        id: u32,
        /// Entries of the table.
        known: usize,
    },
    /// Classes that do not number the ranks.
    #[error(
        "ranks {first} to {last} are no class; classes have {size} ranks each, one after the \
             other"
    )]
    Ranks {
        /// First rank of the class.
        first: u32,
        /// Last one.
        last: u32,
        /// Ranks that it should have.
        size: u32,
    },
    /// A group that reaches beyond the ranks.
    #[error(
        "communicator {communicator} has {size} ranks that lie {stride} apart; there are \
             {ranks} ranks"
    )]
    Group {
        /// Its place in the table.
        communicator: usize,
        /// Ranks of a group.
        size: u32,
        /// Distance between neighbours.
        stride: u32,
        /// Ranks of the program.
        ranks: u32,
    },
    /// An action without whom it is done with, or with the wrong ones.
    #[error("{place}: it names the wrong peers; {instead}")]
    Peers {
        /// Where.
        place: Place,
        /// What would be right.
        instead: &'static str,
    },
    /// An action that is charged for something else than it sends.
    #[error("{place}: it sends {sent} and is charged for {charged}")]
    Charge {
        /// Where.
        place: Place,
        /// What travels.
        sent: Bytes,
        /// What is charged.
        charged: Bytes,
    },
    /// A token that two actions signal.
    #[error("{place}: token {} is signalled before", token.0)]
    SignalledTwice {
        /// Where.
        place: Place,
        /// The token.
        token: Token,
    },
    /// A token that nobody signals before.
    #[error("{place}: it waits for token {}, which no action before it signals", token.0)]
    NeverSignalled {
        /// Where.
        place: Place,
        /// The token.
        token: Token,
    },
    /// A read of a version that is not there.
    #[error("{place}: it reads version {read} of buffer {}, which holds version {held}", buffer.0)]
    Version {
        /// Where.
        place: Place,
        /// The buffer.
        buffer: BufferId,
        /// The version that it means.
        read: i32,
        /// The version that is there.
        held: i32,
    },
    /// A read of what nobody has written.
    #[error("{place}: it reads buffer {}, which holds nothing yet", buffer.0)]
    Empty {
        /// Where.
        place: Place,
        /// The buffer.
        buffer: BufferId,
    },
    /// A write of a version that is not the next.
    #[error("{place}: it writes version {written} of buffer {}; {next} is next", buffer.0)]
    NotNext {
        /// Where.
        place: Place,
        /// The buffer.
        buffer: BufferId,
        /// The version that it makes.
        written: i32,
        /// The version that comes next.
        next: i32,
    },
    /// Two actions that may run at the same time on one buffer.
    #[error("{place}: it has to wait for {before}, which may still use buffer {}", buffer.0)]
    Race {
        /// The later one.
        place: Place,
        /// The earlier one.
        before: Place,
        /// The buffer.
        buffer: BufferId,
    },
    /// A buffer that is written more or less often than it should be.
    #[error("rank {rank}: buffer {} is written {found} times per period; {needed} are needed",
            buffer.0)]
    Writes {
        /// Rank.
        rank: u32,
        /// The buffer.
        buffer: BufferId,
        /// Writes found.
        found: u32,
        /// Writes needed.
        needed: u32,
    },
    /// A pass that runs twice.
    #[error("{place}: this pass of stage {stage}, micro-batch {micro_batch} runs before already")]
    Twice {
        /// Where.
        place: Place,
        /// Virtual stage.
        stage: u32,
        /// Micro-batch.
        micro_batch: u32,
    },
    /// A pass that is missing.
    #[error(
        "rank {rank}: stage {stage} has {found} layers in the {pass} pass of micro-batch \
             {micro_batch}; {needed} are needed"
    )]
    Missing {
        /// Rank.
        rank: u32,
        /// Virtual stage.
        stage: u32,
        /// Which pass.
        pass: &'static str,
        /// Micro-batch.
        micro_batch: u32,
        /// Layers found.
        found: u32,
        /// Layers needed.
        needed: u32,
    },
    /// Collected weights that are not given up, or given up without being there.
    #[error("{place}: buffer {} is {what}; every gather of sharded weights has one release, after \
             the last use", buffer.0)]
    Release {
        /// Where.
        place: Place,
        /// The buffer.
        buffer: BufferId,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A wait for a message that has not left, or another than the oldest.
    #[error("{place}: {what}; every message is waited for once, after it was sent, oldest first")]
    WaitSend {
        /// Where.
        place: Place,
        /// What is wrong.
        what: &'static str,
    },
    /// Too many messages under way.
    #[error("{place}: {found} messages are under way; the budget is {budget}")]
    Budget {
        /// Where.
        place: Place,
        /// Messages under way.
        found: u32,
        /// The budget.
        budget: u32,
    },
    /// A message that is taken for another one.
    #[error(
        "{place}: it meets {other}, which is another message; the n-th send of a channel is \
             its n-th receive"
    )]
    OtherMessage {
        /// One end.
        place: Place,
        /// The other end.
        other: Place,
    },
    /// Ranks that wait for each other.
    #[error("{place}: it waits for ever; {waits_for}")]
    Hangs {
        /// Where.
        place: Place,
        /// What the peer does instead.
        waits_for: String,
    },
    /// Members of a group that do different collectives.
    #[error(
        "{place}: {other} does something else at this place of their sequence; all members \
             of a group do the same"
    )]
    OtherCollective {
        /// One member.
        place: Place,
        /// Another one.
        other: Place,
    },
    /// A collective out of its sequence.
    #[error("{place}: it is number {found} of its group; {next} is next")]
    Sequence {
        /// Where.
        place: Place,
        /// Its number.
        found: u32,
        /// The number that comes next.
        next: u32,
    },
    /// Traffic that is not that of the closed form.
    #[error("rank {rank}: {traffic:?} moves {found}; the closed form says {needed}")]
    Traffic {
        /// Rank.
        rank: u32,
        /// What for.
        traffic: Traffic,
        /// What the actions move.
        found: Bytes,
        /// What they should.
        needed: Bytes,
    },
    /// A buffer without a place, or beyond the arena.
    #[error("rank {rank}: buffer {} has no place in the arena of {arena}", buffer.0)]
    Unplaced {
        /// Rank.
        rank: u32,
        /// The buffer.
        buffer: BufferId,
        /// The arena.
        arena: Bytes,
    },
    /// Two buffers in one place at the same time.
    #[error("{place}: buffer {} takes the place of buffer {}, which may still be in use",
            buffer.0, other.0)]
    Overlap {
        /// Where the later one begins.
        place: Place,
        /// The later one.
        buffer: BufferId,
        /// The earlier one.
        other: BufferId,
    },
    /// An arena that is smaller than what lives in it.
    #[error("rank {rank}: {live} live at once; the arena is {arena}")]
    Arena {
        /// Rank.
        rank: u32,
        /// What lives at once.
        live: Bytes,
        /// The arena.
        arena: Bytes,
    },
    /// More memory than there is.
    #[error("rank {rank}: the arena of {arena} does not fit into {capacity}")]
    Capacity {
        /// Rank.
        rank: u32,
        /// The arena.
        arena: Bytes,
        /// What there is.
        capacity: Bytes,
    },
}
