//! One rank's share of a plan, run by itself: arithmetic at true local shapes, the network priced.
//!
//! The other ranks do not exist. Collectives leave data as they are and last as long as the network
//! would need, messages that arrive are zeros; so times and memory are those of the rank, and
//! losses mean nothing.

use super::job::Job;
use super::links::Links;
use super::network::Network;
use super::rank::Rank;
use super::run::{Observer, Outcome, RunError};
use crate::comm::{Call, Communicator, Delay, Fake, Fault, Group, Tag, Transport};
use crate::comm::{Problem, Task};
use crate::gemm::limit_threads;
use crate::record::Recorder;
use plan::record::RecordMode;
use std::sync::Arc;

/// A rank without others.
struct Alone {
    rank: u32,
}

impl Alone {
    fn fault(&self, call: &Call) -> Fault {
        let what = "a message to a rank that does not exist".to_string();
        Fault::new(self.rank, call.task, Problem::Unsupported(what))
    }
}

impl Transport for Alone {
    fn rank(&self) -> u32 {
        self.rank
    }

    fn send(&self, _: u32, _: Tag, _: Vec<u8>, call: &Call) -> Result<(), Fault> {
        Err(self.fault(call))
    }

    fn receive(&self, _: u32, _: Tag, call: &Call) -> Result<Vec<u8>, Fault> {
        Err(self.fault(call))
    }

    fn abort(&self, _: Fault) {}

    fn fault(&self) -> Option<Fault> {
        None
    }
}

/// Runs one rank of a job without the others.
///
/// # Errors
/// A rank that the plan does not have, and what the rank meets.
pub fn run_slice(
    job: &Job,
    rank: u32,
    until: u64,
    network: &Network,
    observe: Observer<'_>,
) -> Result<Outcome, RunError> {
    limit_threads(job.recipe.threads);
    let wrap = |group: Group, _: Tag| -> Arc<dyn Communicator> {
        let price = network.link(group.members());
        let alone = Fake::new(group.place(), group.size());
        Arc::new(Delay::new(Arc::new(alone), price))
    };
    let transport: Arc<dyn Transport> = Arc::new(Alone { rank });
    let missing = || {
        let what = format!("the plan has ranks 0 to {}", job.program.ranks.saturating_sub(1));
        Fault::new(rank, Task::Other("starting"), Problem::Unsupported(what))
    };
    let links = Links::made(job, &transport, &wrap).ok_or_else(missing)?;
    let mut made = Rank::new(job, links, rank)?;
    if job.recording.mode != RecordMode::Off {
        made.recorder = Some(Recorder::new(rank, job.recording.mode, Arc::default()));
    }
    let mut steps = Vec::new();
    while made.steps() < until {
        let report = made.run_step()?;
        observe(&report);
        steps.push(report);
    }
    let samples = made.recorder.as_mut().map(Recorder::take).unwrap_or_default();
    Ok(Outcome { steps, ledgers: made.ledgers(), checkpoint: None, samples })
}
