//! Checks a plan again: its structure, its memory, its prediction, and that nothing beats it.

use crate::answer::detail_of;
use crate::even::shape;
use crate::prices::{PriceBook, Split};
use crate::request::Request;
use crate::search::search;
use crate::setting::Setting;
use crate::solution::{Solution, StageUse};
use crate::space::Configuration;
use cost_model::memory::Zero;
use plan::document::{Decision, Plan, StageDecision, Status};
use plan::schedule::ScheduleKind;
use plan::units::{Bytes, Seconds};

/// One check and what it found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was checked.
    pub name: &'static str,
    /// Whether it holds.
    pub ok: bool,
    /// What was found.
    pub detail: String,
}

/// Relative difference that rounding through a file may cause.
const ROUNDING: f64 = 1e-9;

/// Checks a plan against the inputs it names.
#[must_use]
pub fn validate(request: &Request<'_>, plan: &Plan) -> Vec<Check> {
    let mut checks = structure(&plan.decision, request);
    if checks.iter().any(|c| !c.ok) {
        return checks;
    }
    match solution(request, plan) {
        Ok(solution) => checks.extend(numbers(request, plan, &solution)),
        Err(why) => checks.push(check("layers", false, why)),
    }
    checks
}

fn check(name: &'static str, ok: bool, detail: impl Into<String>) -> Check {
    Check { name, ok, detail: detail.into() }
}

fn structure(d: &Decision, request: &Request<'_>) -> Vec<Check> {
    let g = &d.degrees;
    let product = [g.dp, g.tp, g.pp, g.cp].iter().try_fold(1u32, |a, &b| a.checked_mul(b));
    let ranks = product == Some(d.world_size) && g.ep > 0 && g.dp.is_multiple_of(g.ep.max(1));
    let b = &d.batch;
    let pieces = u64::from(b.micro_batches / b.time_chunks.max(1));
    let whole = u64::from(g.dp).checked_mul(b.micro_sequences).and_then(|x| x.checked_mul(pieces));
    let next = d.stages.iter().try_fold(0u32, |next, s| {
        (s.layers.first == next && s.layers.last >= next).then(|| s.layers.last.saturating_add(1))
    });
    let shape = shape(&configuration(d));
    let needed = match d.schedule {
        ScheduleKind::Ouroboros => u64::from(g.pp) + 1,
        _ => u64::from(g.pp) * u64::from(d.chunks),
    };
    let at_home = d.stages.iter().zip(0..).all(|(s, i)| s.pipeline_rank == shape.home(i));
    let stages = d.stages.len() as u64 == needed && at_home;
    let layers = request.model.layers();
    let pins = &request.pins;
    let pinned = d.local_steps == pins.local_steps && d.offload == (pins.offload == Some(true));
    vec![
        check("pins", pinned, "local steps and offloading are what was asked for"),
        check("degrees", ranks, format!("DP × TP × PP × CP = {product:?}, ranks {}", d.world_size)),
        check(
            "batch",
            whole == Some(b.global_sequences),
            format!("{whole:?} of {} sequences", b.global_sequences),
        ),
        check(
            "stages",
            stages && next == Some(layers),
            format!("{} stages cover {next:?} of {layers} layers", d.stages.len()),
        ),
    ]
}

fn numbers(request: &Request<'_>, plan: &Plan, solution: &Solution) -> Vec<Check> {
    let Some(detail) = detail_of(request, solution) else {
        return vec![check("prediction", false, "the plan cannot be priced")];
    };
    let step = detail.step.value;
    let written = Seconds::new(plan.prediction.step.value);
    let same = (step / written - 1.0).abs() <= ROUNDING;
    let capacity = request.usable(request.limit());
    let most = detail.ranks.iter().map(|r| r.tensors).fold(Bytes::ZERO, Bytes::max);
    let fits = most.get() <= capacity.get() * (1.0 + ROUNDING);
    vec![
        check("prediction", same, format!("simulated {step}, written {written}")),
        check("memory", fits, format!("{most} of {capacity} for tensors on the worst rank")),
        certificate(request, plan, step),
    ]
}

/// Searches the space again. Bounds and label programmes decide almost every mesh; the text says
/// how many integer programmes were needed.
fn certificate(request: &Request<'_>, plan: &Plan, step: Seconds) -> Check {
    let found = search(request);
    let best = found.best.map_or(Seconds::new(f64::INFINITY), |b| b.step);
    let c = &found.certificate;
    let claims = plan.certificate.status == Status::Optimal;
    // The proof is about the fastest prediction, which may not be the plan that was taken.
    let fastest = plan.certificate.fastest.as_ref();
    let step = fastest.map_or(step, |f| Seconds::new(f.seconds).min(step));
    let beaten = best < step * (1.0 - ROUNDING);
    let detail = match beaten {
        true => format!("a plan of {best} exists"),
        false => format!(
            "nothing faster in {} configurations on {} meshes ({} integer programmes)",
            c.configurations,
            c.meshes.len(),
            c.programmes
        ),
    };
    check("certificate", !(claims && beaten), detail)
}

/// The outer configuration of a decision.
#[must_use]
pub fn configuration(d: &Decision) -> Configuration {
    Configuration {
        degrees: d.degrees,
        sequence_parallel: d.sequence_parallel,
        micro_sequences: d.batch.micro_sequences,
        micro_batches: d.batch.micro_batches,
        time_chunks: d.batch.time_chunks,
        schedule: d.schedule,
        chunks: d.chunks,
        pieces: d.embedding.map_or(1, |e| e.pieces),
    }
}

/// The plan as the planner's own types.
///
/// # Errors
/// A decision that does not go together, in words.
pub fn solution(request: &Request<'_>, plan: &Plan) -> Result<Solution, String> {
    let d = &plan.decision;
    let configuration = configuration(d);
    let mut book = PriceBook::new(request);
    let kinds = book.get(Split::of(request, &configuration)).as_ref();
    let kinds = kinds.map_err(|why| format!("the configuration has no prices: {why:?}"))?;
    let levels = crate::solution::levels(kinds);
    let zero = d.stages.first().and_then(|s| Zero::from_stage(s.zero)).ok_or("no ZeRO stage")?;
    let exchange = d.embedding.map(|e| e.exchange);
    let stages: Result<Vec<StageUse>, String> =
        d.stages.iter().map(|s| stage(request, s, &levels)).collect();
    let step = Seconds::new(plan.prediction.step.value);
    let setting = Setting { zero, exchange };
    Ok(Solution { configuration, setting, levels, stages: stages?, step })
}

fn stage(
    request: &Request<'_>,
    s: &StageDecision,
    levels: &[Vec<plan::lower::Recompute>],
) -> Result<StageUse, String> {
    let mut layers = Vec::new();
    for run in &request.model.chain {
        let kind = request.model.kinds[run.kind].name;
        let count = |level| {
            let same = |r: &&plan::document::RecomputeCount| r.kind == kind && r.level == level;
            s.recompute.iter().filter(same).map(|r| r.layers).sum::<u32>()
        };
        layers.push(levels[run.kind].iter().map(|&level| count(level)).collect::<Vec<u32>>());
    }
    let counted: u32 = layers.iter().flatten().sum();
    let wanted = s.layers.last - s.layers.first + 1;
    if counted != wanted {
        return Err(format!("stage {} lists {counted} of its {wanted} layers", s.pipeline_rank));
    }
    Ok(StageUse { rank: s.pipeline_rank, layers })
}
