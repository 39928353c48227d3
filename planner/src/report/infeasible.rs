//! Nothing fits: which stage binds, what would make it fit, what would not.

use super::memory::of_rank;
use super::{machine_line, model_line};
use crate::answer::{Answer, Planned, plan};
use crate::label::label;
use crate::request::{Effort, Objective, Pins, Request};
use crate::search::{Found, Shortfall, search};
use cost_model::memory::Zero;
use plan::lower::Recompute;
use plan::report::{ClosestPlan, INFEASIBLE_SCHEMA, InfeasibleReport, WayOut};
use plan::units::Bytes;

/// Counts of devices that are tried when looking for the fewest that fit: up to this many times
/// what was asked for.
const MOST_DEVICES: u32 = 1024;

/// The report.
#[must_use]
pub fn infeasible(request: &Request<'_>, found: &Found) -> InfeasibleReport {
    let closest = closest(request, found.closest);
    InfeasibleReport {
        schema: INFEASIBLE_SCHEMA.into(),
        model: model_line(request),
        machine: machine_line(request),
        configurations: found.certificate.configurations,
        binding: binding(&closest),
        closest,
        ways_out: ways_out(request),
        dead_ends: dead_ends(request),
    }
}

/// The closest plan, worked out by solving its configuration with as much memory as it lacks.
fn closest(request: &Request<'_>, shortfall: Option<Shortfall>) -> ClosestPlan {
    let empty = ClosestPlan {
        label: String::new(),
        stage: 0,
        needs_bytes: f64::INFINITY,
        limit_bytes: request.limit().get(),
        capacity_bytes: request.profile.memory().get(),
        parts: Vec::new(),
    };
    let Some(shortfall) = shortfall else { return empty };
    match enlarged(request, shortfall) {
        Some(planned) => {
            let stage = worst(&planned);
            let number = u32::try_from(stage).unwrap_or(u32::MAX);
            let memory = of_rank(request, &planned.detail.ranks[stage], number);
            ClosestPlan {
                label: label(request, &planned.solution),
                stage: memory.stage,
                needs_bytes: memory.total_bytes,
                parts: memory.parts,
                ..empty
            }
        }
        None => empty,
    }
}

fn worst(planned: &Planned) -> usize {
    let ranks = &planned.detail.ranks;
    (0..ranks.len()).fold(0, |w, r| if ranks[r].tensors > ranks[w].tensors { r } else { w })
}

fn enlarged(request: &Request<'_>, shortfall: Shortfall) -> Option<Box<Planned>> {
    let c = shortfall.configuration;
    let d = c.degrees;
    let pins = Pins {
        micro_sequences: Some(c.micro_sequences),
        schedule: Some(c.schedule),
        chunks: Some(c.chunks),
        sequence_parallel: Some(c.sequence_parallel),
        ..request.pins.on_mesh(d)
    };
    // What is missing counts tensors; the limit counts what the device shows.
    let needed = request.limit() + request.occupied(shortfall.missing) * 1.001;
    let max_memory = needed / request.profile.memory();
    match plan(&Request { pins, max_memory, ..*request }, Objective::StepTime) {
        Answer::Plan(planned) => Some(planned),
        _ => None,
    }
}

fn binding(closest: &ClosestPlan) -> String {
    let total: f64 = closest.parts.iter().map(|p| p.bytes).sum();
    let bytes = |ids: &[&str]| -> f64 {
        closest.parts.iter().filter(|p| ids.contains(&p.id.as_str())).map(|p| p.bytes).sum()
    };
    let states = bytes(&["weights", "gradients", "optimizer"]);
    let activations = bytes(&["activations"]);
    let (name, most) = match states > activations {
        true => ("training state", states),
        false => ("activations", activations),
    };
    let share = if total > 0.0 { most / total * 100.0 } else { 0.0 };
    format!("{name}: {} on the worst GPU, {share:.0} % of what it needs", Bytes::new(most))
}

fn ways_out(request: &Request<'_>) -> Vec<WayOut> {
    let mut ways: Vec<WayOut> = fewest_devices(request).into_iter().collect();
    ways.extend(free_pins(request));
    ways.extend(whole_memory(request));
    ways
}

/// Whether weights and optimizer state, however they are shared out, are more than the memory of
/// all devices: then nothing fits, and nothing has to be searched to see it.
fn cannot_hold(request: &Request<'_>) -> bool {
    let p = &request.model.spec.training.precision;
    let each = p.weight_bytes.saturating_add(p.optimizer_bytes);
    let all = request.model.parameters() as f64 * each as f64;
    all > request.usable(request.limit()).get() * f64::from(request.gpus)
}

fn way(request: &Request<'_>, change: String, note: &str) -> Option<WayOut> {
    if cannot_hold(request) {
        return None;
    }
    let Answer::Plan(planned) = plan(request, Objective::StepTime) else { return None };
    Some(WayOut {
        change,
        label: label(request, &planned.solution),
        memory_bytes: request.occupied(planned.tensors()).get(),
        seconds: planned.solution.step.get(),
        note: note.into(),
    })
}

/// Doubles the devices until something fits, then looks for the fewest whole nodes.
fn fewest_devices(request: &Request<'_>) -> Option<WayOut> {
    let node = request.per_node().max(1);
    let capacity = request.cluster.capacity().unwrap_or(u32::MAX);
    let with = |gpus: u32| Request { gpus, pins: Pins::default(), ..*request };
    let fits = |gpus: u32| anything_fits(&with(gpus));
    let most = request.gpus.saturating_mul(MOST_DEVICES).min(capacity);
    let mut high = request.gpus.next_multiple_of(node).max(node);
    while high < most && !fits(high) {
        high = high.saturating_mul(2).min(most);
    }
    if !fits(high) {
        return None;
    }
    let (mut low, mut high) = (high / 2 / node, high / node);
    while low + 1 < high {
        let middle = u32::midpoint(low, high);
        if fits(middle * node) { high = middle } else { low = middle }
    }
    let gpus = high * node;
    way(&with(gpus), format!("--gpus {gpus}"), "fewest whole nodes found")
}

fn free_pins(request: &Request<'_>) -> Option<WayOut> {
    let pins = request.pins.flags();
    if pins.is_empty() {
        return None;
    }
    let free = Request { pins: Pins::default(), ..*request };
    way(&free, format!("without {}", pins.join(" ")), "")
}

fn whole_memory(request: &Request<'_>) -> Option<WayOut> {
    if request.max_memory >= 0.99 {
        return None;
    }
    let all = Request { max_memory: 0.99, ..*request };
    way(&all, "--max-memory 99%".into(), "close to the edge: expect slow-downs")
}

/// Whether there is any plan: the search ends with the first.
fn anything_fits(request: &Request<'_>) -> bool {
    let (effort, stop) = (Effort::Labels, &|| true);
    !cannot_hold(request) && search(&Request { effort, stop, ..*request }).best.is_some()
}

/// What people try first, each with what its closest plan still lacks.
fn dead_ends(request: &Request<'_>) -> Vec<String> {
    let own = request.pins;
    let (zero, recompute) = (Some(Zero::Parameters), Some(Recompute::Full));
    let tried = [
        ("ZeRO 3", own.zero.is_none(), Pins { zero, ..own }),
        ("full recomputation", own.recompute.is_none(), Pins { recompute, ..own }),
        (
            "micro-batches of one sequence",
            own.micro_sequences.is_none(),
            Pins { micro_sequences: Some(1), ..own },
        ),
    ];
    let tried = tried.into_iter().filter(|(_, is_free, _)| *is_free);
    tried.filter_map(|(what, _, pins)| dead_end(request, what, pins)).collect()
}

fn dead_end(request: &Request<'_>, what: &str, pins: Pins) -> Option<String> {
    let found = search(&Request { pins, effort: Effort::Labels, ..*request });
    let missing = found.closest?.missing;
    let lacks = request.occupied(missing) - request.occupied(Bytes::ZERO);
    Some(format!("{what}: the closest plan still lacks {lacks} per GPU"))
}
