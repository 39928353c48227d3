//! What went wrong, on which rank, in which action.

use plan::program::{ActionId, At, Op};
use std::fmt;
use thiserror::Error;

/// What a rank is doing, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// An action of its program.
    Action(ActionId, Op, At),
    /// Something outside of the program.
    Other(&'static str),
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Action(id, op, at) => {
                write!(f, "action {}, {op:?} of stage {}", id.0, at.stage)?;
                at.micro_batch.map_or(Ok(()), |m| write!(f, ", micro-batch {m}"))
            }
            Self::Other(what) => f.write_str(what),
        }
    }
}

/// Why training cannot go on: the first thing that went wrong on any rank.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("rank {rank} in {task}: {problem}")]
pub struct Fault {
    /// The rank that noticed.
    pub rank: u32,
    /// What it was doing.
    pub task: Task,
    /// What happened.
    pub problem: Problem,
}

/// What happened to a rank.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Problem {
    /// A message did not come in time.
    #[error(
        "nothing came from rank {from} within {waited_ms} ms{}; it is slow, stuck or gone",
        seen(*.its_task)
    )]
    Late {
        /// Who should have sent.
        from: u32,
        /// How long was waited.
        waited_ms: u64,
        /// What the other was last seen doing, if that is known.
        its_task: Option<Task>,
    },
    /// The other end closed the connection.
    #[error("rank {peer} is gone: its connection closed")]
    Gone {
        /// The other end.
        peer: u32,
    },
    /// A message arrived damaged.
    #[error("a message of rank {from} arrived damaged: {what}")]
    Damaged {
        /// Who sent it.
        from: u32,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A message has another size than the receiver expects.
    #[error("rank {from} sent {got} bytes where {expected} were expected; do the plans differ?")]
    Mismatch {
        /// Who sent it.
        from: u32,
        /// Bytes expected.
        expected: usize,
        /// Bytes that came.
        got: usize,
    },
    /// Another rank has another plan.
    #[error("rank {peer} has another program ({theirs:#018x}, not {ours:#018x}): same plan file?")]
    OtherProgram {
        /// The other rank.
        peer: u32,
        /// Digest of this rank's program.
        ours: u64,
        /// Digest of the other's.
        theirs: u64,
    },
    /// The rank's thread panicked.
    #[error("it stopped on an internal error: {0}")]
    Panicked(String),
    /// The operating system refused something.
    #[error("{0}")]
    System(String),
    /// The rank was asked to do something that it cannot.
    #[error("{0}")]
    Unsupported(String),
}

fn seen(task: Option<Task>) -> String {
    task.map_or_else(String::new, |task| format!(", last seen in {task}"))
}

impl Fault {
    /// A fault of a rank.
    #[must_use]
    pub fn new(rank: u32, task: Task, problem: Problem) -> Self {
        Self { rank, task, problem }
    }
}
