//! Questions without a plan, and ways out of them that were tried.

use crate::cli::read_pins;
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::question::Question;
use crate::render::number::signed_percent;
use planner::answer::{Answer, Impossible, plan};
use planner::request::{Effort, Objective, Pins, Request};

/// GPU counts that are tried on either side.
const MOST_TRIES: u32 = 4096;

/// The message for a question that has no plan.
pub fn failure(question: &Question, request: &Request<'_>, why: &Impossible) -> Failure {
    let failure = Failure::new(Exit::NoPlan, why.to_string());
    match why {
        Impossible::Batch { global, replicas } => {
            let each = *global as f64 / f64::from(*replicas);
            let failure =
                failure.evidence(format!("{global} / {replicas} = {each:.2} sequences per rank"));
            let ways = batch_ways(question, request, *global, *replicas);
            if ways.is_empty() { failure } else { failure.ways_out(ways) }
        }
        Impossible::MicroBatch { micro, .. } => {
            let ways = micro_ways(request, *micro);
            if ways.is_empty() { failure } else { failure.ways_out(ways) }
        }
        Impossible::Pins { .. } => {
            let failure = pins_ways(request, failure);
            failure.hint("degrees multiply to the number of GPUs: dp × tp × pp × cp")
        }
        Impossible::Divisibility(_) => {
            failure.hint("another number of GPUs may divide it: `-g 8,16,32,64` tries several")
        }
        Impossible::Exchange { .. } => {
            failure.hint("leave --embedding out, or try `--embedding dense`, which always works")
        }
        Impossible::Schedule { .. } => failure.hint(
            "--stack names another one: torchtitan-eager and megatron-zero-bubble run zero-bubble \
             schedules; a stack of your own may extend any and say which it runs",
        ),
        Impossible::Combination { .. } => {
            failure.hint("leave one of the two to the planner: without it there may be a plan")
        }
        Impossible::LocalSteps { .. } => {
            failure.hint("take --zero 0 and --cp 1, or leave them out")
        }
        Impossible::Devices { .. } => {
            failure.hint("`meshwright scenarios list` shows how many devices a cluster has")
        }
        Impossible::Zero { .. } | Impossible::Sequences { .. } => {
            Failure::new(Exit::Usage, why.to_string())
        }
        Impossible::Unsupported(_) => Failure::new(Exit::InvalidInput, why.to_string())
            .hint("--stack names another software stack, --dtype another number format"),
    }
}

/// Whether something fits; the first plan found is proof enough.
fn works(request: &Request<'_>) -> bool {
    let asked = Request { stop: &|| true, effort: Effort::Labels, ..*request };
    matches!(plan(&asked, Objective::StepTime), Answer::Plan(_))
}

/// Batches that divide over the ranks, and GPU counts that divide the batch.
fn batch_ways(
    question: &Question,
    request: &Request<'_>,
    global: u64,
    replicas: u32,
) -> Vec<(String, String)> {
    let keep_gpus = format!("keep {} GPUs", request.gpus);
    let ranks = u64::from(replicas);
    let below = global / ranks * ranks;
    let batches = [below, below + ranks]
        .into_iter()
        .filter(|&n| n > 0 && works(&Request { global_sequences: n, ..*request }));
    let mut ways: Vec<(String, String)> = batches
        .map(|n| {
            let change = signed_percent(n as f64 / global as f64 - 1.0);
            (keep_gpus.clone(), format!("--global-batch {n:<8} {} per rank, {change}", n / ranks))
        })
        .collect();
    let counts: Vec<String> =
        counts(question, request, global).iter().map(|n| format!("--gpus {n}")).collect();
    if !counts.is_empty() {
        ways.push(("keep the batch".into(), counts.join("   or   ")));
    }
    ways
}

/// The nearest smaller and larger micro-batches with a plan.
fn micro_ways(request: &Request<'_>, micro: u64) -> Vec<(String, String)> {
    let fits = |n: &u64| {
        let pins = Pins { micro_sequences: Some(*n), ..request.pins };
        works(&Request { pins, ..*request })
    };
    let above = micro.saturating_add(1)..micro.saturating_add(MOST_TRIES.into());
    let both = [(1..micro).rev().find(&fits), above.into_iter().find(&fits)];
    let way = |n: u64| ("another micro-batch".to_string(), format!("--micro-batch {n}"));
    both.into_iter().flatten().map(way).collect()
}

/// The nearest GPU counts below and above that divide the batch and have a plan; whole nodes where
/// there is more than one.
fn counts(question: &Question, request: &Request<'_>, global: u64) -> Vec<u32> {
    let node = if request.gpus > request.per_node() { request.per_node() } else { 1 };
    let most = question.cluster.capacity().unwrap_or(u32::MAX);
    let base = request.gpus / node;
    let is_good = |n: u32| {
        let gpus = n.checked_mul(node).filter(|g| *g > 0 && *g <= most)?;
        let divides = global.is_multiple_of(u64::from(gpus));
        (divides && works(&Request { gpus, ..*request })).then_some(gpus)
    };
    let below = (1..base).rev().take(MOST_TRIES as usize).find_map(is_good);
    let above = (base + 1..base.saturating_add(MOST_TRIES)).find_map(is_good);
    [below, above].into_iter().flatten().collect()
}

/// Which single pin is to blame.
fn pins_ways(request: &Request<'_>, failure: Failure) -> Failure {
    let flags = request.pins.flags();
    let mut ways = Vec::new();
    for (i, flag) in flags.iter().enumerate() {
        let rest: Vec<String> = flags
            .iter()
            .enumerate()
            .filter(|(j, _)| *j != i)
            .flat_map(|(_, f)| f.split(' ').map(str::to_string))
            .collect();
        let Ok(pins) = read_pins(&rest) else { continue };
        if pins != Pins::default() && works(&Request { pins, ..*request }) {
            ways.push((format!("without {flag}"), rest.join(" ")));
        }
    }
    if ways.is_empty() && works(&Request { pins: Pins::default(), ..*request }) {
        ways.push(("without any pin".into(), "there is a plan".into()));
    }
    if ways.is_empty() { failure } else { failure.ways_out(ways) }
}
