//! The nearest other plans, each solved, with a reason to prefer it.

use crate::answer::{Planned, detail_of};
use crate::label::label;
use crate::ranking::{Rule, Traits};
use crate::request::{Effort, Pins, Request};
use crate::search::search;
use crate::solution::Solution;
use cost_model::memory::Zero;
use plan::document::Reason;
use plan::report::RunnerUp;
use plan::units::{Bytes, Seconds};

/// Meshes beside the winner's that are solved for the list.
const OTHER_MESHES: usize = 2;

/// The nearest other plans: other ZeRO stages of the same configuration, plans met during the
/// search, and the meshes whose bounds came closest.
pub(super) fn runners_up(
    request: &Request<'_>,
    planned: &Planned,
    (top, rule): (usize, Option<&Rule>),
) -> Vec<RunnerUp> {
    if top == 0 {
        return Vec::new();
    }
    let least = planned
        .certificate
        .fastest
        .as_ref()
        .map_or(planned.solution.step, |f| Seconds::new(f.seconds));
    let mut all = zero_variants(request, planned);
    all.extend(best_of_other_meshes(request, planned));
    all.extend(planned.others.iter().cloned());
    all.retain(|s| s.step >= least && *s != planned.solution);
    all.sort_by(|a, b| a.step.total_cmp(&b.step));
    let mut shown: Vec<RunnerUp> = Vec::new();
    for s in all {
        let runner = runner(request, planned, &s, rule);
        let is_new = shown.iter().all(|r| r.label != runner.label);
        if shown.len() < top && is_new {
            shown.push(runner);
        }
    }
    shown
}

fn zero_variants(request: &Request<'_>, planned: &Planned) -> Vec<Solution> {
    let zeros = Zero::ALL.into_iter().filter(|z| *z != planned.solution.setting.zero);
    zeros.filter_map(|zero| pinned(request, &planned.solution, Some(zero))).collect()
}

/// The best plan with the degrees of `s`, and its micro-batch if a ZeRO stage is given.
fn pinned(request: &Request<'_>, s: &Solution, zero: Option<Zero>) -> Option<Solution> {
    let (c, d) = (&s.configuration, s.configuration.degrees);
    let pins = Pins {
        zero: zero.or(request.pins.zero),
        micro_sequences: zero.map(|_| c.micro_sequences).or(request.pins.micro_sequences),
        schedule: zero.map(|_| c.schedule).or(request.pins.schedule),
        chunks: zero.map(|_| c.chunks).or(request.pins.chunks),
        ..request.pins.on_mesh(d)
    };
    search(&Request { pins, effort: Effort::Labels, ..*request }).best
}

fn best_of_other_meshes(request: &Request<'_>, planned: &Planned) -> Vec<Solution> {
    let mut meshes: Vec<_> = planned
        .certificate
        .meshes
        .iter()
        .filter(|m| m.reason != Reason::Winner)
        .filter_map(|m| Some((m.bound_seconds?, m.degrees)))
        .collect();
    meshes.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let like = |degrees| {
        let mut s = planned.solution.clone();
        s.configuration.degrees = degrees;
        pinned(request, &s, None)
    };
    meshes.into_iter().take(OTHER_MESHES).filter_map(|(_, degrees)| like(degrees)).collect()
}

fn runner(request: &Request<'_>, planned: &Planned, s: &Solution, rule: Option<&Rule>) -> RunnerUp {
    let best = planned.solution.step;
    let memory = memory(request, s);
    let saved = request.occupied(planned.tensors()) - memory;
    let slower = s.step / best - 1.0;
    let traits = |s: &Solution| Traits::of(&s.configuration, request.per_node());
    let (other, winner) = (traits(s), traits(&planned.solution));
    let faster = rule.map(|r| r.particular.faster((s.step.get(), &other), (best.get(), &winner)));
    RunnerUp {
        label: difference(request, planned, s),
        seconds: s.step.get(),
        slower,
        memory_bytes: memory.get(),
        faster,
        note: note(saved),
    }
}

fn memory(request: &Request<'_>, s: &Solution) -> Bytes {
    let ranks = detail_of(request, s).map_or(Vec::new(), |d| d.ranks);
    let tensors = ranks.iter().map(|r| r.tensors).fold(Bytes::ZERO, Bytes::max);
    request.occupied(tensors)
}

/// What differs from the winner: ZeRO stage and exchange alone, or the whole line.
fn difference(request: &Request<'_>, planned: &Planned, s: &Solution) -> String {
    let (own, winners) = (s.setting, planned.solution.setting);
    if s.configuration != planned.solution.configuration || own == winners {
        return label(request, s);
    }
    let zero = (own.zero != winners.zero).then(|| format!("ZeRO {}", own.zero.stage()));
    let exchange = own.exchange.filter(|_| own.exchange != winners.exchange);
    let exchange = exchange.map(|e| format!("embedding {}", e.name()));
    zero.into_iter().chain(exchange).collect::<Vec<_>>().join(" · ")
}

/// Savings worth a remark.
const NOTABLE: f64 = 256.0 * 1024.0 * 1024.0;

fn note(saved: Bytes) -> String {
    match saved.get() {
        s if s > NOTABLE => format!("frees {saved}"),
        s if s < -NOTABLE => format!("needs {} more", -saved),
        _ => "same memory".into(),
    }
}
