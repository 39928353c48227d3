//! Running the ranks of a job.

use super::job::Job;
use super::links::Links;
use super::rank::{Rank, StepReport, doing};
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::comm::{Fault, Ledger, Problem, Task, Threads, Transport};
use crate::gemm::limit_threads;
use crate::model::Unsupported;
use crate::record::{Held, Recorder, Waited, Watched};
use plan::program::Purpose;
use plan::record::StepSamples;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use thiserror::Error;

/// Is told of every step, by rank 0.
pub type Observer<'a> = &'a (dyn Fn(&StepReport) + Sync);

/// What is left after a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Every step.
    pub steps: Vec<StepReport>,
    /// What the rank sent on each communicator of the program's table.
    pub ledgers: Vec<(Purpose, Ledger)>,
    /// State after the last step; rank 0 alone has it.
    pub checkpoint: Option<Checkpoint>,
    /// What was measured on all ranks, where something was; rank 0 alone has it.
    pub samples: Vec<StepSamples>,
}

/// Why a run did not end well.
#[derive(Debug, Error)]
pub enum RunError {
    /// A rank failed; all ended.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The plan cannot be run.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// The checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

const START: Task = Task::Other("starting");

/// Runs one rank over a transport: until `until` steps are taken, from a checkpoint if there is
/// one.
///
/// # Errors
/// The first thing that went wrong on any rank.
pub fn run_rank(
    job: &Job,
    transport: &Arc<dyn Transport>,
    until: u64,
    from: Option<&Checkpoint>,
    observe: Observer<'_>,
) -> Result<Outcome, RunError> {
    let rank = transport.rank();
    let guarded = catch_unwind(AssertUnwindSafe(|| steps(job, transport, until, from, observe)));
    let result = guarded.unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str);
        let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
        let problem = Problem::Panicked(words.unwrap_or("no message").to_string());
        Err(Fault::new(rank, doing(), problem).into())
    });
    result.map_err(|error| {
        let fault = match &error {
            RunError::Fault(fault) => fault.clone(),
            other => Fault::new(rank, START, Problem::System(other.to_string())),
        };
        // All ranks end, with what went wrong first.
        transport.abort(fault);
        match (error, transport.fault()) {
            (RunError::Fault(_), Some(first)) => RunError::Fault(first),
            (error, _) => error,
        }
    })
}

fn steps(
    job: &Job,
    transport: &Arc<dyn Transport>,
    until: u64,
    from: Option<&Checkpoint>,
    observe: Observer<'_>,
) -> Result<Outcome, RunError> {
    limit_threads(job.recipe.threads);
    let waited = Arc::new(Waited::default());
    let watched = job
        .recording
        .is_on()
        .then(|| Watched::new(transport.clone(), waited.clone(), job.recording.turn()));
    let transport = &match watched {
        Some(watched) => Arc::new(watched) as Arc<dyn Transport>,
        None => transport.clone(),
    };
    let _turn = job.recording.turn().map(Held::take);
    let missing = || Unsupported::Decision {
        what: format!("rank {} of {}", transport.rank(), job.program.ranks),
        instead: "start as many ranks as the plan has",
    };
    let links = Links::new(job, transport).ok_or_else(missing)?;
    let mut rank = Rank::new(job, links, transport.rank())?;
    rank.compare_digests()?;
    if let Some(checkpoint) = from {
        rank.restore(checkpoint)?;
    }
    if job.recording.is_on() {
        rank.recorder = Some(Recorder::new(transport.rank(), job.recording.mode, waited));
    }
    let mut steps = Vec::new();
    while rank.steps() < until {
        let report = rank.run_step()?;
        if transport.rank() == 0 {
            observe(&report);
        }
        steps.push(report);
    }
    let checkpoint = rank.checkpoint()?;
    let ledgers = rank.ledgers();
    let samples = rank.collect_samples()?;
    Ok(Outcome { steps, ledgers, checkpoint, samples })
}

/// Runs all ranks as threads of this process.
///
/// # Errors
/// The first thing that went wrong on any rank.
pub fn run_threads(
    job: &Job,
    until: u64,
    from: Option<&Checkpoint>,
    observe: Observer<'_>,
) -> Result<Outcome, RunError> {
    let all = Threads::all(job.program.ranks, |rank| Links::queues(&job.program, rank));
    let run = |transport: Threads| {
        let transport: Arc<dyn Transport> = Arc::new(transport);
        run_rank(job, &transport, until, from, observe)
    };
    std::thread::scope(|scope| {
        let spawn = |transport| scope.spawn(|| run(transport));
        let handles: Vec<_> = all.into_iter().map(spawn).collect();
        let ends = handles.into_iter().map(|handle| {
            let lost = |_| Problem::Panicked("its thread is gone".to_string());
            handle.join().unwrap_or_else(|e| Err(Fault::new(0, START, lost(e)).into()))
        });
        // Every rank ends with the same fault; the first rank's result stands for all.
        let ends: Result<Vec<Outcome>, RunError> = ends.collect();
        Ok(ends?.into_iter().next().unwrap_or_default())
    })
}
