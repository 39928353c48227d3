//! Where the step goes, on the rank that is busy longest. The parts add up to the step.

use super::operators::{Cause, by_operator};
use crate::answer::Planned;
use crate::evaluate::RankDetail;
use crate::request::Request;
use plan::Estimate;
use plan::Grade;
use plan::quantity::Value;
use plan::report::TimePart;
use plan::units::Seconds;

/// Parts of the step, largest first; the bubble is always there, because people look for it.
#[must_use]
pub fn time_parts(planned: &Planned) -> Vec<TimePart> {
    sorted(planned, all(&planned.detail.ranks[planned.detail.busiest]))
}

/// [`time_parts`] with what the layers' time consists of, operator by operator.
#[must_use]
pub(super) fn time_tree(request: &Request<'_>, planned: &Planned) -> Vec<TimePart> {
    let mut parts = time_parts(planned);
    for part in &mut parts {
        part.parts = match part.id.as_str() {
            "compute" => by_operator(request, planned, Cause::Compute),
            "tensor" => by_operator(request, planned, Cause::Tensor),
            _ => Vec::new(),
        };
    }
    parts
}

fn sorted(planned: &Planned, mut parts: Vec<TimePart>) -> Vec<TimePart> {
    parts.push(plain("stragglers", "straggler wait", planned.detail.jitter));
    // Differences of sums leave crumbs that are no part of anything.
    let crumb = planned.detail.step.value.get() * 1e-9;
    parts.retain(|p| p.time.value > crumb || p.id == "bubble");
    parts.sort_by(|a, b| b.time.value.total_cmp(&a.time.value));
    parts
}

fn all(rank: &RankDetail) -> Vec<TimePart> {
    let layers = &rank.layers;
    let tensor_total = layers.tensor_total + rank.recompute.tensor_total;
    vec![
        part("compute", "forward, backward", layers.compute),
        of_total(
            part("tensor", "tensor parallel", layers.tensor),
            layers.tensor_total,
            tensor_total,
        ),
        part("context", "context parallel", layers.context),
        part("expert", "expert parallel", layers.expert),
        part("launch", "kernel launches", layers.launch),
        part("recompute", "recompute", rank.recompute.total()),
        plain("sharding", "sharded weights, accumulation", rank.sharding),
        plain("messages", "messages between stages", rank.messages),
        with_total(plain("gradients", "gradients", rank.sync.gradients), rank.sync.gradients_total),
        plain("exchange", "embedding exchange", rank.sync.exchange),
        plain("optimizer", "optimizer", rank.sync.optimizer),
        plain("bubble", "pipeline bubble", rank.idle),
    ]
}

fn part(id: &str, label: &str, time: Estimate<Seconds>) -> TimePart {
    let time: Value = time.into();
    let formula = formula_behind(id).into();
    let (id, label, note) = (id.into(), label.into(), String::new());
    TimePart { id, label, time, total_seconds: None, formula, note, parts: Vec::new() }
}

/// The formula of a part that is one formula.
fn formula_behind(id: &str) -> &'static str {
    match id {
        "launch" => "host.launch",
        "sharding" => "overlap.sharded",
        "messages" => "comm.send",
        "gradients" => "overlap.data",
        "exchange" => "exchange.wire",
        "optimizer" => "optimizer.update",
        _ => "",
    }
}

fn plain(id: &str, label: &str, time: Seconds) -> TimePart {
    part(id, label, Estimate::spread(time, 0.0, 0.0, Grade::Derived))
}

fn with_total(part: TimePart, total: Seconds) -> TimePart {
    TimePart { total_seconds: Some(total.get()), ..part }
}

/// Communication of forward and backward passes; that of recomputation is part of its own row.
fn of_total(part: TimePart, own: Seconds, with_recompute: Seconds) -> TimePart {
    let note = match with_recompute > own {
        true => format!("{} more in recomputation", with_recompute - own),
        false => String::new(),
    };
    TimePart { note, ..with_total(part, own) }
}
