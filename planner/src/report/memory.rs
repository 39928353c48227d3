//! Memory per pipeline rank, part by part, up to what the device would show as used.

use crate::answer::Planned;
use crate::evaluate::RankDetail;
use crate::ranking::FULL;
use crate::request::Request;
use plan::Sourced;
use plan::report::{MemoryPart, MemoryReport, StageMemory};
use plan::units::{Bytes, percent};

pub(super) fn memory(request: &Request<'_>, planned: &Planned) -> MemoryReport {
    let stages = planned.detail.ranks.iter().zip(0u32..);
    MemoryReport {
        capacity_bytes: request.profile.memory().get(),
        limit_bytes: request.limit().get(),
        reserve: reserve(request),
        stages: stages.map(|(rank, stage)| of_rank(request, rank, stage)).collect(),
    }
}

/// What is kept free, and why: by the limit, for the allocator, for the runtime; and from where on
/// a plan counts as crowded.
fn reserve(request: &Request<'_>) -> Vec<String> {
    let stack = &request.profile.stack().memory;
    let from = |s: &Sourced<_>| format!("{}: {}", s.grade.word(), s.source);
    let fragmentation = &stack.fragmentation;
    let mut lines = vec![
        format!("{} of each device stays free (--max-memory)", percent(1.0 - request.max_memory)),
        format!(
            "{} of the tensors for fragmentation ({}: {})",
            percent(fragmentation.value),
            fragmentation.grade.word(),
            fragmentation.source
        ),
        format!("{} for the context ({})", stack.context.value, from(&stack.context)),
    ];
    if request.gpus > 1 {
        let each = &stack.communicators;
        lines.push(format!("{} for communicators ({})", each.value, from(each)));
    }
    lines.push(format!(
        "above {} of what tensors may take, steps are slower than predicted: such a plan is \
             taken only where it is surely faster (--quantile)",
        percent(FULL)
    ));
    lines
}

/// One rank; the parts add up to the total.
pub(super) fn of_rank(request: &Request<'_>, rank: &RankDetail, stage: u32) -> StageMemory {
    let total = request.occupied(rank.tensors);
    let runtime = request.occupied(Bytes::ZERO);
    let states = &rank.sync.states;
    let part = |id: &str, bytes: Bytes| MemoryPart { id: id.into(), bytes: bytes.get() };
    let parts = vec![
        part("activations", rank.activations + rank.transient),
        part("weights", states.weights),
        part("gradients", states.gradients),
        part("optimizer", states.optimizer),
        part("exchange", rank.sync.exchange_buffer),
        part("buffers", rank.sync.shard_buffer),
        part("reserve", total - rank.tensors - runtime),
        part("runtime", runtime),
    ];
    StageMemory { stage, in_flight: rank.in_flight, parts, total_bytes: total.get() }
}
