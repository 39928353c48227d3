//! Memory per pipeline rank, part by part, up to what the device would show as used.

use crate::answer::Planned;
use crate::evaluate::RankDetail;
use crate::request::Request;
use plan::report::{MemoryPart, MemoryReport, StageMemory};
use plan::units::Bytes;

pub(super) fn memory(request: &Request<'_>, planned: &Planned) -> MemoryReport {
    let stages = planned.detail.ranks.iter().zip(0u32..);
    MemoryReport {
        capacity_bytes: request.profile.memory().get(),
        limit_bytes: request.limit().get(),
        limit_from: String::new(),
        stages: stages.map(|(rank, stage)| of_rank(request, rank, stage)).collect(),
    }
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
