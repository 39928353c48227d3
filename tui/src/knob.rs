//! Knobs: what can be changed about a question, one by one.

mod choices;
mod typed;

pub use choices::{Choice, choices};
pub use typed::typed;

use crate::ask::{Ask, trimmed};
use crate::host::Recipe;
use plan::model::Batch;

/// Something that can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Knob {
    /// Devices.
    Gpus,
    /// Cluster.
    Cluster,
    /// Sequences per step.
    Batch,
    /// Tokens per sequence.
    Sequence,
    /// Format of products.
    Dtype,
    /// Tensor-parallel degree.
    Tp,
    /// Pipeline-parallel degree.
    Pp,
    /// Data-parallel degree.
    Dp,
    /// Context-parallel degree.
    Cp,
    /// Expert-parallel degree.
    Ep,
    /// ZeRO stage.
    Zero,
    /// Sequences per micro-batch.
    MicroBatch,
    /// Recomputation.
    Recompute,
    /// Pipeline schedule.
    Schedule,
    /// Virtual stages per rank.
    Chunks,
    /// Sequence parallelism.
    SequenceParallel,
    /// Exchange of embedding gradients.
    Embedding,
    /// Format of that exchange.
    EmbeddingWire,
    /// Activations in host memory.
    Offload,
    /// Replicas that train apart.
    LocalSteps,
    /// Share of memory that a plan may fill.
    MaxMemory,
    /// What best means.
    Objective,
}

impl Knob {
    /// All knobs, in the order of the screen.
    pub const ALL: [Self; 22] = [
        Self::Gpus,
        Self::Cluster,
        Self::Batch,
        Self::Sequence,
        Self::Dtype,
        Self::Tp,
        Self::Pp,
        Self::Dp,
        Self::Cp,
        Self::Ep,
        Self::Zero,
        Self::MicroBatch,
        Self::Recompute,
        Self::Schedule,
        Self::Chunks,
        Self::SequenceParallel,
        Self::Embedding,
        Self::EmbeddingWire,
        Self::Offload,
        Self::LocalSteps,
        Self::MaxMemory,
        Self::Objective,
    ];

    /// Its name: that of the flag.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gpus => "gpus",
            Self::Cluster => "cluster",
            Self::Batch => "batch",
            Self::Sequence => "seq",
            Self::Dtype => "dtype",
            Self::Tp => "tp",
            Self::Pp => "pp",
            Self::Dp => "dp",
            Self::Cp => "cp",
            Self::Ep => "ep",
            Self::Zero => "zero",
            Self::MicroBatch => "micro-batch",
            Self::Recompute => "recompute",
            Self::Schedule => "schedule",
            Self::Chunks => "chunks",
            Self::SequenceParallel => "sequence-parallel",
            Self::Embedding => "embedding",
            Self::EmbeddingWire => "embedding-wire",
            Self::Offload => "offload",
            Self::LocalSteps => "local-steps",
            Self::MaxMemory => "max-memory",
            Self::Objective => "objective",
        }
    }

    /// The knob of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|knob| knob.name() == name)
    }

    /// What it does, in a sentence.
    #[must_use]
    pub fn does(self) -> &'static str {
        match self {
            Self::Gpus => "Devices to train on.",
            Self::Cluster => "The machine: devices and links.",
            Self::Batch => {
                "Sequences per step. Whether a larger batch learns as well is not asked."
            }
            Self::Sequence => "Tokens per sequence.",
            Self::Dtype => "Number format of activations and products.",
            Self::Tp => "Ranks that share every matrix of a layer.",
            Self::Pp => "Ranks that hold different layers.",
            Self::Dp => "Replicas that see different sequences.",
            Self::Cp => "Ranks that share a sequence.",
            Self::Ep => "Ranks that hold different experts.",
            Self::Zero => "What replicas share: 1 optimizer, 2 and gradients, 3 and parameters.",
            Self::MicroBatch => "Sequences that a rank computes at once.",
            Self::Recompute => "Activations that are computed again instead of kept.",
            Self::Schedule => "Order of forward and backward passes.",
            Self::Chunks => "Virtual stages per pipeline rank.",
            Self::SequenceParallel => "Norms split along the sequence in a tensor-parallel group.",
            Self::Embedding => "How gradients of the token table are exchanged.",
            Self::EmbeddingWire => "Number format of that exchange.",
            Self::Offload => "Activations wait for their backward pass in host memory.",
            Self::LocalSteps => "Steps that replicas train apart. It changes what is learned.",
            Self::MaxMemory => "Share of each device that a plan may fill.",
            Self::Objective => "What best means.",
        }
    }

    /// Whether its value can be left to the planner, or to the recipe.
    #[must_use]
    pub fn is_free(self, ask: &Ask) -> bool {
        let p = &ask.pins;
        match self {
            Self::Gpus | Self::Cluster => true,
            Self::Batch => ask.batch.is_none(),
            Self::Sequence => ask.sequence.is_none(),
            Self::Dtype => ask.dtype.is_none(),
            Self::Tp => p.tp.is_none(),
            Self::Pp => p.pp.is_none(),
            Self::Dp => p.dp.is_none(),
            Self::Cp => p.cp.is_none(),
            Self::Ep => p.ep.is_none(),
            Self::Zero => p.zero.is_none(),
            Self::MicroBatch => p.micro_sequences.is_none(),
            Self::Recompute => p.recompute.is_none(),
            Self::Schedule => p.schedule.is_none(),
            Self::Chunks => p.chunks.is_none(),
            Self::SequenceParallel => p.sequence_parallel.is_none(),
            Self::Embedding => p.exchange.is_none(),
            Self::EmbeddingWire => p.exchange_wire.is_none(),
            Self::Offload => p.offload.is_none(),
            Self::LocalSteps => p.local_steps.is_none(),
            Self::MaxMemory => ask.max_memory.is_none(),
            Self::Objective => ask.objective == planner::request::Objective::StepTime,
        }
    }

    /// The question with this knob left to planner or recipe.
    #[must_use]
    pub fn freed(self, ask: &Ask) -> Ask {
        let mut free = ask.clone();
        let p = &mut free.pins;
        match self {
            Self::Gpus | Self::Cluster => {}
            Self::Batch => free.batch = None,
            Self::Sequence => free.sequence = None,
            Self::Dtype => free.dtype = None,
            Self::Tp => p.tp = None,
            Self::Pp => p.pp = None,
            Self::Dp => p.dp = None,
            Self::Cp => p.cp = None,
            Self::Ep => p.ep = None,
            Self::Zero => p.zero = None,
            Self::MicroBatch => p.micro_sequences = None,
            Self::Recompute => p.recompute = None,
            Self::Schedule => p.schedule = None,
            Self::Chunks => p.chunks = None,
            Self::SequenceParallel => p.sequence_parallel = None,
            Self::Embedding => p.exchange = None,
            Self::EmbeddingWire => p.exchange_wire = None,
            Self::Offload => p.offload = None,
            Self::LocalSteps => p.local_steps = None,
            Self::MaxMemory => free.max_memory = None,
            Self::Objective => free.objective = planner::request::Objective::StepTime,
        }
        free
    }

    /// Its value in a question, as it is typed.
    #[must_use]
    pub fn word(self, ask: &Ask, recipe: &Recipe) -> String {
        if self.is_free(ask) && !matches!(self, Self::Gpus | Self::Cluster | Self::Objective) {
            return self.free_word(recipe);
        }
        let flags = ask.flags();
        let of = |name: &str| {
            let prefix = format!("{name} ");
            flags.iter().find_map(|f| f.strip_prefix(prefix.as_str())).map(str::to_string)
        };
        let word = match self {
            Self::Gpus => Some(ask.gpus.to_string()),
            Self::Cluster => Some(ask.cluster.clone()),
            Self::Batch => ask.batch.map(batch_word),
            Self::Objective => Some(ask.objective.name().to_string()),
            Self::MaxMemory => ask.max_memory.map(|share| format!("{}%", trimmed(share * 100.0))),
            other => of(&format!("--{}", other.name())),
        };
        word.unwrap_or_default()
    }

    /// What stands where nothing is fixed.
    #[must_use]
    pub fn free_word(self, recipe: &Recipe) -> String {
        match self {
            Self::Batch => format!("recipe: {}", batch_word(recipe.batch)),
            Self::Sequence => format!("recipe: {}", recipe.sequence),
            Self::Dtype => format!("recipe: {}", recipe.dtype),
            Self::LocalSteps => "off".into(),
            Self::MaxMemory => "default".into(),
            Self::Objective => "step-time".into(),
            _ => "auto".into(),
        }
    }
}

/// A batch as it is typed: `256/gpu`, or `49152`.
#[must_use]
pub fn batch_word(batch: Batch) -> String {
    match batch {
        Batch::Global(n) => n.to_string(),
        Batch::PerDevice(n) => format!("{n}/gpu"),
    }
}
