//! Everything that a plan decides, one by one, so that no trainer is told less than there is
//! without a word.

use super::recipe::{Recipe, Repeated};
use plan::exchange::Exchange;
use plan::schedule::ScheduleKind;

/// One decision of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// Data-parallel degree.
    Data,
    /// Tensor-parallel degree.
    Tensor,
    /// Sequence parallelism.
    Sequence,
    /// Context-parallel degree.
    Context,
    /// Expert-parallel degree.
    Expert,
    /// Pipeline-parallel degree.
    Pipeline,
    /// Pipeline schedule, with its virtual stages.
    Schedule,
    /// Layers of each stage.
    Stages,
    /// What is sharded over data-parallel ranks.
    Zero,
    /// What is repeated in the backward pass.
    Recompute,
    /// Whether activations wait in host memory.
    Offload,
    /// Sequences per step, micro-batch, accumulation.
    Batch,
    /// Tokens per sequence.
    Length,
    /// Pieces of a recurrent model's sequence.
    TimeChunks,
    /// Exchange of the embedding's gradients.
    Exchange,
    /// Stages that share the storage of the table.
    Pieces,
    /// Format of products.
    Compute,
    /// Bytes per parameter.
    Formats,
    /// Update rule.
    Optimizer,
    /// Replicas that train apart.
    LocalSteps,
}

impl Topic {
    /// All of them, in the order in which files state them.
    pub const ALL: [Self; 20] = [
        Self::Data,
        Self::Tensor,
        Self::Sequence,
        Self::Context,
        Self::Expert,
        Self::Pipeline,
        Self::Schedule,
        Self::Stages,
        Self::Zero,
        Self::Recompute,
        Self::Offload,
        Self::Batch,
        Self::Length,
        Self::TimeChunks,
        Self::Exchange,
        Self::Pieces,
        Self::Compute,
        Self::Formats,
        Self::Optimizer,
        Self::LocalSteps,
    ];

    /// Whether there is nothing to decide here: the axis has one rank, the model no such part.
    pub fn is_plain(self, r: &Recipe<'_>) -> bool {
        let d = r.decision;
        match self {
            Self::Data => d.degrees.dp == 1,
            Self::Tensor => d.degrees.tp == 1,
            Self::Sequence => !d.sequence_parallel && d.degrees.tp == 1,
            Self::Context => d.degrees.cp == 1,
            Self::Expert => d.degrees.ep == 1,
            Self::Pipeline | Self::Stages | Self::Schedule => d.degrees.pp == 1,
            Self::Offload => !d.offload,
            Self::TimeChunks => d.batch.time_chunks <= 1,
            Self::Exchange => d.embedding.is_none_or(|e| e.exchange == Exchange::Dense),
            Self::Pieces => d.embedding.is_none_or(|e| e.pieces <= 1),
            Self::LocalSteps => d.local_steps.is_none(),
            // What trainers do of themselves differs here, so all are told.
            Self::Zero | Self::Recompute => false,
            Self::Batch | Self::Length | Self::Compute | Self::Formats | Self::Optimizer => false,
        }
    }

    /// The decision in words.
    pub fn words(self, r: &Recipe<'_>) -> String {
        let d = r.decision;
        match self {
            Self::Data => format!("data parallel {}", d.degrees.dp),
            Self::Tensor => format!("tensor parallel {}", d.degrees.tp),
            Self::Sequence if d.sequence_parallel => "sequence parallelism".into(),
            Self::Sequence => "no sequence parallelism".into(),
            Self::Context => format!("context parallel {}", d.degrees.cp),
            Self::Expert => format!("expert parallel {}", d.degrees.ep),
            Self::Pipeline => format!("pipeline parallel {}", d.degrees.pp),
            Self::Schedule => schedule(d.schedule, d.chunks),
            Self::Stages => format!("stages of {} layers", listed(&r.layers())),
            Self::Zero if r.zero().1 => format!("ZeRO {}", r.zero().0),
            Self::Zero => "ZeRO that differs between stages".into(),
            Self::Recompute => repeated(r),
            Self::Offload => "activations in host memory".into(),
            Self::Batch => {
                let b = &d.batch;
                let (all, micro) = (b.global_sequences, b.micro_sequences);
                format!("{all} sequences a step in {} micro-batches of {micro}", b.micro_batches)
            }
            Self::Length => format!("{} tokens per sequence", d.batch.tokens_per_sequence),
            Self::TimeChunks => format!("{} chunks of time", d.batch.time_chunks),
            Self::Exchange => {
                let name = d.embedding.map_or("dense", |e| e.exchange.name());
                format!("embedding gradients by {name}")
            }
            Self::Pieces => format!("the table in {} pieces", d.embedding.map_or(1, |e| e.pieces)),
            Self::Compute => d.precision.compute.name().to_string(),
            Self::Formats => r.formats().words(),
            Self::Optimizer => d.precision.optimizer.name().to_string(),
            Self::LocalSteps => {
                let every = d.local_steps.map_or(0, |l| l.every);
                format!("replicas that meet every {every} steps")
            }
        }
    }
}

fn schedule(kind: ScheduleKind, chunks: u32) -> String {
    match chunks {
        0 | 1 => kind.name().to_string(),
        chunks => format!("{} with {chunks} chunks", kind.name()),
    }
}

fn repeated(r: &Recipe<'_>) -> String {
    match r.repeated() {
        Repeated::Nothing => "no recomputation".into(),
        Repeated::Selective if r.alternates => "recomputation of every other product".into(),
        Repeated::Selective => "recomputation of the attention core".into(),
        Repeated::Full => "full recomputation".into(),
        Repeated::Some { layers } => format!("full recomputation of {layers} layers per stage"),
        Repeated::Mixed { .. } => "recomputation that differs between layers or stages".into(),
    }
}

/// `4, 5, 5, 4`, or `4` where all are equal.
fn listed(layers: &[u32]) -> String {
    match layers.iter().all(|n| n == &layers[0]) {
        true => layers[0].to_string(),
        false => layers.iter().map(u32::to_string).collect::<Vec<_>>().join(", "),
    }
}
