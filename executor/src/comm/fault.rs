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
                write!(f, "action {} ({op:?}, stage {}", id.0, at.stage)?;
                at.micro_batch.map_or(Ok(()), |m| write!(f, ", micro-batch {m}"))?;
                f.write_str(")")
            }
            Self::Other(what) => f.write_str(what),
        }
    }
}

/// Why training cannot go on: the first thing that went wrong on any rank. All ranks end with the
/// same one.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("rank {rank}, in {task}: {problem}")]
pub struct Fault {
    /// The rank that noticed.
    pub rank: u32,
    /// What it was doing.
    pub task: String,
    /// What happened.
    pub problem: Problem,
}

/// What happened to a rank.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Problem {
    /// A message did not come in time.
    #[error(
        "nothing came from rank {from} within {} s, it is slow, stuck or gone{}",
        *.waited_ms as f64 / 1e3,
        seen(.its_task)
    )]
    Late {
        /// Who should have sent.
        from: u32,
        /// How long was waited.
        waited_ms: u64,
        /// What the other was last seen doing, if that is known.
        its_task: Option<String>,
    },
    /// The other end closed the connection.
    #[error("the connection to rank {peer} broke; it has ended or its node is down")]
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
    #[error("rank {from} sent {got} bytes where {expected} are expected; do the plans differ?")]
    Mismatch {
        /// Who sent it.
        from: u32,
        /// Bytes expected.
        expected: usize,
        /// Bytes that came.
        got: usize,
    },
    /// Another rank has another plan.
    #[error(
        "rank {peer} runs another program ({theirs:016x} there, {ours:016x} here); give all ranks \
         the same plan and data"
    )]
    OtherProgram {
        /// The other rank.
        peer: u32,
        /// Digest of this rank's program.
        ours: u64,
        /// Digest of the other's.
        theirs: u64,
    },
    /// The code of the rank panicked.
    #[error("it stopped on an internal error: {0}")]
    Panicked(String),
    /// The operating system refused something.
    #[error("{0}")]
    System(String),
    /// The rank was asked to do something that it cannot.
    #[error("{0}")]
    Unsupported(String),
    /// What another rank reported.
    #[error("{0}")]
    Told(String),
}

fn seen(task: &Option<String>) -> String {
    task.as_ref().map_or_else(String::new, |task| format!("; it was last seen in {task}"))
}

impl Fault {
    /// A fault of a rank.
    #[must_use]
    pub fn new(rank: u32, task: Task, problem: Problem) -> Self {
        Self { rank, task: task.to_string(), problem }
    }
}
