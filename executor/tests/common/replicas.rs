//! Plans that only replicate, for tests and benchmarks.

use plan::document::{
    BatchDecision, Decision, EmbeddingDecision, LayerRange, PrecisionDecision, RecomputeCount,
    StageDecision,
};
use plan::exchange::Exchange;
use plan::lower::Recompute;
use plan::mesh::Degrees;
use plan::model::Model;
use plan::schedule::ScheduleKind;

/// Replicas with some sequences each, everything in one stage.
pub fn decision(
    model: &Model,
    (replicas, micro_sequences): (u32, u64),
    tokens: u64,
    exchange: Exchange,
) -> Decision {
    let training = &model.spec.training;
    let recompute = model.chain.iter().map(|run| RecomputeCount {
        kind: model.kinds[run.kind].name.to_string(),
        level: Recompute::None,
        layers: run.layers,
    });
    let stage = StageDecision {
        layers: LayerRange { first: 0, last: model.layers() - 1 },
        pipeline_rank: 0,
        zero: 0,
        recompute: recompute.collect(),
    };
    Decision {
        local_steps: None,
        offload: false,
        world_size: replicas,
        degrees: Degrees { dp: replicas, tp: 1, pp: 1, cp: 1, ep: 1 },
        sequence_parallel: false,
        batch: BatchDecision {
            global_sequences: u64::from(replicas) * micro_sequences,
            tokens_per_sequence: tokens,
            micro_sequences,
            micro_batches: 1,
            time_chunks: 1,
        },
        schedule: ScheduleKind::OneForwardOneBackward,
        chunks: 1,
        stages: vec![stage],
        embedding: Some(EmbeddingDecision { exchange, wire_bytes: 4, pieces: 1 }),
        precision: PrecisionDecision {
            compute: plan::Dtype::Fp32,
            weight_bytes: 4,
            gradient_bytes: 4,
            optimizer_bytes: 8,
            wire_bytes: 4,
            optimizer: training.optimizer,
        },
    }
}
