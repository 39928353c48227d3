//! The planner's front door: a question in, an answer out.

use crate::combinations::Combination;
use crate::evaluate::{Detail, detail};
use crate::inner::Inner;
use crate::prices::{PriceBook, Split, Unpriced};
use crate::request::{Objective, Pins, Request};
use crate::search::{Found, search};
use crate::setting::applies;
use crate::solution::Solution;
use crate::space::{MAX_SEQUENCES, configurations, meshes, refusals};
use cost_model::ProfileError;
use cost_model::memory::Zero;
use plan::document::Certificate;
use plan::exchange::Exchange;
use plan::lower::Indivisible;
use plan::schedule::ScheduleKind;
use plan::units::Bytes;
use std::collections::BTreeSet;
use thiserror::Error;

/// A plan with everything known about it.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The plan.
    pub solution: Solution,
    /// Where its time and memory go.
    pub detail: Detail,
    /// Other plans met on the way, fastest first.
    pub others: Vec<Solution>,
    /// Why nothing better exists.
    pub certificate: Certificate,
}

impl Planned {
    /// Largest memory over all ranks, in tensors.
    #[must_use]
    pub fn tensors(&self) -> Bytes {
        self.detail.ranks.iter().map(|r| r.tensors).fold(Bytes::ZERO, Bytes::max)
    }
}

/// What the planner answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The best plan.
    Plan(Box<Planned>),
    /// Nothing fits into memory.
    Infeasible(Box<Found>),
    /// The question has no plan at all.
    Impossible(Impossible),
}

/// Why a question has no plan.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Impossible {
    /// The batch does not divide over the replicas of any mesh.
    #[error("global batch {global} does not divide over {replicas} data-parallel ranks")]
    Batch {
        /// Sequences per step.
        global: u64,
        /// Replicas of the mesh with the fewest model splits.
        replicas: u32,
    },
    /// The micro-batch divides no replica's sequences.
    #[error(
        "--micro-batch {micro} divides the sequences of no replica: a batch of {global} over \
         {} data-parallel ranks leaves {} each", list(replicas), list_each(*global, replicas)
    )]
    MicroBatch {
        /// Sequences per micro-batch.
        micro: u64,
        /// Sequences per step.
        global: u64,
        /// Replicas of the meshes that divide the batch, fewest first.
        replicas: Vec<u32>,
    },
    /// The pins leave no mesh.
    #[error("no mesh of {gpus} GPUs has {}", pins.join(" "))]
    Pins {
        /// Devices.
        gpus: u32,
        /// The pins, as flags.
        pins: Vec<String>,
    },
    /// No mesh divides the model.
    #[error("no mesh splits the model evenly: {0}")]
    Divisibility(Indivisible),
    /// The machine lacks something.
    #[error(transparent)]
    Unsupported(ProfileError),
    /// The pinned exchange does not suit the model's token table.
    #[error("the token table cannot be exchanged by {}: {why}", exchange.name())]
    Exchange {
        /// The pinned exchange.
        exchange: Exchange,
        /// Why not.
        why: &'static str,
    },
    /// The stack has no such schedule.
    #[error("the stack {stack} does not run {}; it runs {}", pinned.word(), list_words(runs))]
    Schedule {
        /// The pinned schedule.
        pinned: ScheduleKind,
        /// The stack.
        stack: String,
        /// What it runs.
        runs: Vec<ScheduleKind>,
    },
    /// The stack does not run what is pinned together.
    #[error("the stack {stack} does not run {}", all_words(combinations))]
    Combination {
        /// The stack.
        stack: String,
        /// What it does not run together.
        combinations: Vec<Combination>,
    },
    /// Replicas that train apart share nothing.
    #[error(
        "replicas that train apart cannot share states or sequences: not with {}", pins.join(" ")
    )]
    LocalSteps {
        /// The pins that ask for it, as flags.
        pins: Vec<String>,
    },
    /// Nothing to plan.
    #[error("{what} is 0: there is nothing to plan")]
    Zero {
        /// What there is none of.
        what: &'static str,
    },
    /// More devices than there are.
    #[error("{gpus} GPUs asked for, {capacity} there")]
    Devices {
        /// Devices asked for.
        gpus: u32,
        /// Devices of the cluster.
        capacity: u32,
    },
    /// More sequences than can be planned.
    #[error("global batch {global}: at most {MAX_SEQUENCES} sequences can be planned")]
    Sequences {
        /// Sequences per step.
        global: u64,
    },
}

/// Relative width at which the search for the least memory stops.
const MEMORY_STEP: f64 = 0.005;

/// Answers a question.
#[must_use]
pub fn plan(request: &Request<'_>, objective: Objective) -> Answer {
    if let Some(why) = impossible(request) {
        return Answer::Impossible(why);
    }
    match objective {
        Objective::Memory => least_memory(request),
        _ => fastest(request),
    }
}

fn fastest(request: &Request<'_>) -> Answer {
    let found = search(request);
    match found.best.clone().and_then(|s| planned(request, s, &found)) {
        Some(planned) => Answer::Plan(Box::new(planned)),
        None => nothing(found),
    }
}

fn nothing(found: Found) -> Answer {
    match (&found.closest, &found.unpriced) {
        (None, Some(Unpriced::Divisibility(why))) => {
            Answer::Impossible(Impossible::Divisibility(*why))
        }
        (None, Some(Unpriced::Profile(why))) => {
            Answer::Impossible(Impossible::Unsupported(why.clone()))
        }
        _ => Answer::Infeasible(Box::new(found)),
    }
}

/// The details of a solution.
#[must_use]
pub fn planned(request: &Request<'_>, solution: Solution, found: &Found) -> Option<Planned> {
    let detail = detail_of(request, &solution)?;
    let (others, certificate) = (found.others.clone(), found.certificate.clone());
    Some(Planned { solution, detail, others, certificate })
}

/// Where a solution's time and memory go.
#[must_use]
pub fn detail_of(request: &Request<'_>, solution: &Solution) -> Option<Detail> {
    let mut book = PriceBook::new(request);
    let kinds = book.get(Split::of(request, &solution.configuration)).as_ref().ok()?;
    let inner = Inner::new(request, solution.configuration, kinds);
    detail(request, &inner, kinds, solution)
}

/// The smallest memory limit under which something fits, by bisection; then the fastest plan
/// within it.
fn least_memory(request: &Request<'_>) -> Answer {
    let mut best = match fastest(request) {
        Answer::Plan(planned) => planned,
        other => return other,
    };
    let (mut low, mut high) = (0.0, request.max_memory);
    while high - low > MEMORY_STEP * high {
        let limit = f64::midpoint(low, high);
        match fastest(&Request { max_memory: limit, ..*request }) {
            Answer::Plan(planned) => (best, high) = (planned, limit),
            _ => low = limit,
        }
    }
    Answer::Plan(best)
}

/// Numbers as words: the first few of many.
fn list<T: ToString>(numbers: &[T]) -> String {
    const SHOWN: usize = 4;
    let words: Vec<String> = numbers.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = if numbers.len() > SHOWN { ", …" } else { "" };
    words.join(", ") + more
}

fn list_words(schedules: &[ScheduleKind]) -> String {
    let words: Vec<&str> = schedules.iter().map(|kind| kind.word()).collect();
    words.join(", ")
}

fn all_words(combinations: &[Combination]) -> String {
    let words: Vec<&str> = combinations.iter().map(|one| one.words()).collect();
    words.join(", nor ")
}

fn list_each(global: u64, replicas: &[u32]) -> String {
    let each: Vec<u64> = replicas.iter().map(|dp| global / u64::from(*dp)).collect();
    list(&each)
}

/// ZeRO and context parallelism have replicas share what those that train apart each have.
fn shared_by_local_steps(pins: &Pins) -> Option<Impossible> {
    pins.local_steps?;
    let zero = pins.zero.filter(|&zero| zero != Zero::Off);
    let cp = pins.cp.filter(|&cp| cp > 1);
    let shared = Pins { zero, cp, ..Pins::default() }.flags();
    (!shared.is_empty()).then_some(Impossible::LocalSteps { pins: shared })
}

/// What the stack refuses, where everything else is refused by the pins.
fn refused(request: &Request<'_>) -> Option<Impossible> {
    let combinations: Vec<Combination> = refusals(request).into_iter().collect();
    let stack = request.profile.stack().name.clone();
    (!combinations.is_empty()).then_some(Impossible::Combination { stack, combinations })
}

/// Questions that have no plan whatever the memory.
fn impossible(request: &Request<'_>) -> Option<Impossible> {
    let global = request.global_sequences;
    let counts = [("the number of GPUs", u64::from(request.gpus)), ("the global batch", global)];
    if let Some(&(what, _)) = counts.iter().find(|(_, count)| *count == 0) {
        return Some(Impossible::Zero { what });
    }
    let (gpus, capacity) = (request.gpus, request.cluster.capacity().unwrap_or(u32::MAX));
    if gpus > capacity {
        return Some(Impossible::Devices { gpus, capacity });
    }
    if global > MAX_SEQUENCES {
        return Some(Impossible::Sequences { global });
    }
    if let (Some(exchange), Some(table)) = (request.pins.exchange, request.model.table)
        && let Some(why) = applies(table, exchange)
    {
        return Some(Impossible::Exchange { exchange, why });
    }
    if let Some(pinned) = request.pins.schedule.filter(|&kind| !request.allows(kind)) {
        let stack = request.profile.stack();
        let (stack, runs) = (stack.name.clone(), stack.pipeline.schedules.value.clone());
        return Some(Impossible::Schedule { pinned, stack, runs });
    }
    if let Some(why) = shared_by_local_steps(&request.pins) {
        return Some(why);
    }
    let all = meshes(request);
    if all.is_empty() {
        return Some(Impossible::Pins { gpus: request.gpus, pins: request.pins.flags() });
    }
    if configurations(request).is_empty() {
        if let Some(why) = refused(request) {
            return Some(why);
        }
        let replicas = all.iter().map(|d| d.dp).max().unwrap_or(request.gpus);
        let divides = all.iter().any(|d| global.is_multiple_of(u64::from(d.dp)));
        let micro = request.pins.micro_sequences.filter(|_| {
            let pins = Pins { micro_sequences: None, ..request.pins };
            !configurations(&Request { pins, ..*request }).is_empty()
        });
        if let Some(micro) = micro {
            let replicas: BTreeSet<u32> = all.iter().map(|d| d.dp).collect();
            let divides = |dp: &u32| global.is_multiple_of(u64::from(*dp));
            let replicas = replicas.into_iter().filter(divides).collect();
            return Some(Impossible::MicroBatch { micro, global, replicas });
        }
        return Some(match divides {
            true => Impossible::Pins { gpus: request.gpus, pins: request.pins.flags() },
            false => Impossible::Batch { global, replicas },
        });
    }
    None
}
