//! Where the step goes, on the rank that is busy longest. The parts add up to the step.

use crate::answer::Planned;
use crate::evaluate::RankDetail;
use plan::Estimate;
use plan::Grade;
use plan::quantity::Value;
use plan::report::TimePart;
use plan::units::Seconds;

/// Parts of the step, largest first; the bubble is always there, because people look for it.
#[must_use]
pub fn time_parts(planned: &Planned) -> Vec<TimePart> {
    let rank = &planned.detail.ranks[planned.detail.busiest];
    let mut parts = all(rank);
    parts.push(plain("stragglers", "straggler wait", planned.detail.jitter));
    parts.retain(|p| p.time.value > 0.0 || p.id == "bubble");
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
    let (id, label) = (id.into(), label.into());
    TimePart { id, label, time, total_seconds: None, note: String::new(), parts: Vec::new() }
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
