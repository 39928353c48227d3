//! The event simulator: a program in time.
//!
//! ```text
//! start(action) = max( end of the action before it on its lane,
//!                      end of every action whose token it waits for,
//!                      the host has begun to launch it,
//!                      all members of its collective, or both ends of its message, are there )
//! ```
//!
//! From there it runs at a rate that depends on what runs beside it ([`engine`]): computation and
//! collectives slow each other down by the stack's contention constant, transfers share links.
//! Durations alone are prices of [`crate::price()`], one per [`plan::program::ChargeId`], or times
//! of a run ([`Durations::Measured`], [`Durations::Recorded`]). Ranks to which the same happens
//! are simulated once ([`Fold`]).
//!
//! Where [`crate::simulate`] evaluates an order of passes, this evaluates everything that a plan
//! does: the two agree on programs with passes and messages only (checked by
//! `equals_the_recurrence`). It is an event simulation of a schedule, not of a network: no packets,
//! no routes, no topology beyond "inside a node" and "between nodes"; a link is shared by its
//! users in equal parts, latency included.

mod breakdown;
mod compile;
mod engine;
mod failure;
mod fold;
mod gradients;
mod graph;
mod memory;
mod noise;
mod path;
mod prices;
mod queue;
mod timeline;

pub use breakdown::{Breakdown, Exposed};
pub use failure::{Failures, checkpoint_interval, goodput};
pub use fold::Fold;
pub use gradients::{Gradients, LayerGradients};
pub use memory::{MemoryCurve, memory};
pub use noise::{Noise, percentile};
pub use path::{Link, PathAction};
pub use prices::{ChargePrice, Durations, Host, Prices, Recorded};

use compile::{Compiled, compile};
use engine::Run;
use graph::NONE;
use plan::program::{Action, Program};
use plan::units::Seconds;
use std::ops::Range;
use thiserror::Error;

/// When a message moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Messages {
    /// When both ends are there, as NCCL does it.
    Rendezvous,
    /// When the sender is ready; it waits at the receiver.
    Buffered,
}

/// What runs the lanes of a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lanes {
    /// Each runs by itself, as the queues of an accelerator do.
    Parallel,
    /// One thread runs all of them in the order of issue, and all ranks meet before each update to
    /// agree on the norm of the gradients: ranks on processors.
    OneThread,
}

/// How to simulate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// When messages move.
    pub messages: Messages,
    /// What runs the lanes of a rank.
    pub lanes: Lanes,
    /// Whether transfers on the same link of a rank slow each other down.
    pub shares_links: bool,
    /// Whether computation and collectives of the same device slow each other down.
    pub contends: bool,
    /// Which steps, one after the other; what runs only now and then depends on their number.
    pub steps: Range<u64>,
}

impl Options {
    /// As on a cluster: rendezvous, shared links, contention.
    pub const CLUSTER: Self = Self {
        messages: Messages::Rendezvous,
        lanes: Lanes::Parallel,
        shares_links: true,
        contends: true,
        steps: 0..1,
    };
    /// As in closed forms: nothing disturbs anything.
    pub const FREE: Self = Self { shares_links: false, contends: false, ..Self::CLUSTER };
    /// As ranks on processors run: one thread each, messages handed over at once.
    pub const PROCESSORS: Self =
        Self { messages: Messages::Buffered, lanes: Lanes::OneThread, ..Self::FREE };
}

/// Why a program cannot be simulated.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EventError {
    /// No step, no class.
    #[error("there is nothing to simulate")]
    Empty,
    /// No price, or none that is finite.
    #[error(
        "action {action} of class {class} has no time: the profile lacks a constant that its work \
         needs"
    )]
    NoTime {
        /// Class of ranks.
        class: u32,
        /// Place in its list.
        action: u32,
    },
    /// Nobody at the other end.
    #[error("action {action} of rank {rank} is one end of a message that has no other end")]
    NoPeer {
        /// A simulated rank.
        rank: u32,
        /// Place in the list of its class.
        action: u32,
    },
    /// Actions wait for each other in a circle.
    #[error(
        "the program deadlocks: {left} of {all} actions never start, the first is action {action} \
         of rank {rank}"
    )]
    Deadlock {
        /// A simulated rank.
        rank: u32,
        /// Place in the list of its class.
        action: u32,
        /// Actions that never run.
        left: usize,
        /// Actions in all.
        all: usize,
    },
}

/// A program that is ready to be run in time, as often as wanted.
#[derive(Clone, Debug)]
pub struct Prepared<'a> {
    program: &'a Program,
    durations: Durations<'a>,
    fold: Fold,
    compiled: Compiled,
    steps: Range<u64>,
}

/// A step, or several, in time.
#[derive(Clone, Debug)]
pub struct Simulation<'a> {
    prepared: &'a Prepared<'a>,
    run: Run,
    slowdown: Vec<f64>,
    makespan: f64,
}

impl<'a> Prepared<'a> {
    /// Compiles a program: linear in its listed actions.
    ///
    /// # Errors
    /// [`EventError`] where there is nothing to run, an action has no time, or a message has only
    /// one end.
    pub fn new(
        program: &'a Program,
        durations: Durations<'a>,
        fold: Fold,
        options: &Options,
    ) -> Result<Self, EventError> {
        if options.steps.is_empty() || fold.is_empty() {
            return Err(EventError::Empty);
        }
        let compiled = compile(program, &fold, &durations, options)?;
        Ok(Self { program, durations, fold, compiled, steps: options.steps.clone() })
    }

    /// Runs it with no rank slower than its price.
    ///
    /// # Errors
    /// [`EventError::Deadlock`].
    pub fn run(&'a self) -> Result<Simulation<'a>, EventError> {
        self.run_slowed(vec![1.0; self.fold.len()])
    }

    /// Runs it with computation taking a factor longer, per simulated rank.
    ///
    /// # Errors
    /// [`EventError::Deadlock`].
    pub fn run_slowed(&'a self, slowdown: Vec<f64>) -> Result<Simulation<'a>, EventError> {
        let run = engine::run(&self.compiled.graph, &slowdown);
        self.complete(&run)?;
        let makespan = run.ends().fold(0.0, f64::max);
        Ok(Simulation { prepared: self, run, slowdown, makespan })
    }

    fn complete(&self, run: &Run) -> Result<(), EventError> {
        let all = self.compiled.graph.len();
        if run.done == all {
            return Ok(());
        }
        let stuck = |o: &(&graph::Origin, f64)| o.1.is_infinite() && o.0.action != NONE;
        let origins = self.compiled.graph.origins.iter().zip(run.ends()).filter(stuck);
        let first = origins.map(|(o, _)| (o.step, o.action, o.instance)).min();
        let (_, action, instance) = first.unwrap_or((0, 0, 0));
        let rank = self.fold.ranks[instance as usize];
        Err(EventError::Deadlock { rank, action, left: all - run.done, all })
    }

    /// Tasks: actions that are simulated, both ends of a message counted once.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.compiled.graph.len()
    }

    /// The simulated ranks.
    #[must_use]
    pub fn fold(&self) -> &Fold {
        &self.fold
    }
}

impl Simulation<'_> {
    /// From the first start to the last end.
    #[must_use]
    pub fn makespan(&self) -> Seconds {
        Seconds::new(self.makespan)
    }

    /// Length of each step: from the end of the one before on the rank that ends last.
    #[must_use]
    pub fn steps(&self) -> Vec<Seconds> {
        let last = |ends: &Vec<u32>| ends.iter().map(|&t| self.run.end(t)).fold(0.0, f64::max);
        let ends: Vec<f64> = self.prepared.compiled.ends.iter().map(last).collect();
        let starts = std::iter::once(0.0).chain(ends.iter().copied());
        ends.iter().zip(starts).map(|(end, start)| Seconds::new(end - start)).collect()
    }

    /// Start and end of an action of a simulated rank in the n-th simulated step; `None` where it
    /// does not run then.
    #[must_use]
    pub fn span(&self, step: usize, instance: usize, action: usize) -> Option<(Seconds, Seconds)> {
        let task = *self.prepared.compiled.tasks.get(step)?.get(instance)?.get(action)?;
        let runs = task != NONE;
        runs.then(|| (Seconds::new(self.run.start(task)), Seconds::new(self.run.end(task))))
    }

    fn action(&self, task: u32) -> Option<&Action> {
        let origin = self.prepared.compiled.graph.origins.get(task as usize)?;
        let class = self.prepared.fold.classes[origin.instance as usize] as usize;
        self.prepared.program.classes[class].actions.get(origin.action as usize)
    }
}
