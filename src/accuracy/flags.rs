//! What makes a prediction doubtful, read off the row and its breakdown.

use crate::published::{Prediction, Scored};

/// A reason to doubt a prediction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flag {
    /// Work per kernel so small that the host decides.
    LaunchBound,
    /// Memory above 95 % of what tensors may take.
    Full,
    /// Heads whose width is no multiple of 8, without a fused kernel.
    Misaligned,
    /// Tensor parallelism across nodes.
    CrossNodeTensor,
    /// A mixture of experts.
    Experts,
    /// Fewer than 256 tokens per expert and rank.
    FewTokens,
    /// A recurrent model.
    Recurrent,
    /// Recomputation is not stated.
    RecomputeUnknown,
    /// Micro-batch or interleaving are not stated.
    ScheduleUnknown,
    /// The software is not named.
    SoftwareUnknown,
    /// The device or format is a stand-in.
    StandIn,
    /// States on the host.
    Offload,
}

impl Flag {
    /// All flags, the most likely cause of an error first.
    pub const ALL: [Self; 12] = [
        Self::Offload,
        Self::StandIn,
        Self::CrossNodeTensor,
        Self::FewTokens,
        Self::Experts,
        Self::Recurrent,
        Self::LaunchBound,
        Self::Misaligned,
        Self::Full,
        Self::RecomputeUnknown,
        Self::ScheduleUnknown,
        Self::SoftwareUnknown,
    ];

    /// The reason in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::LaunchBound => "launch bound: little work per kernel",
            Self::Full => "memory above 95 %",
            Self::Misaligned => "head width no multiple of 8",
            Self::CrossNodeTensor => "tensor parallel across nodes",
            Self::Experts => "mixture of experts",
            Self::FewTokens => "fewer than 256 tokens per expert",
            Self::Recurrent => "recurrent",
            Self::RecomputeUnknown => "recomputation not stated",
            Self::ScheduleUnknown => "micro-batch or interleaving not stated",
            Self::SoftwareUnknown => "software not named",
            Self::StandIn => "device or format is a stand-in",
            Self::Offload => "states on the host",
        }
    }

    /// Whether the flag holds for a row and its prediction.
    #[must_use]
    pub fn holds(self, scored: &Scored, prediction: &Prediction) -> bool {
        let row = &scored.row;
        let assumes =
            |word: &str| prediction.assumed.0.iter().any(|a| a.to_string().starts_with(word));
        match self {
            Self::LaunchBound => is_launch_bound(scored, prediction),
            Self::Full => prediction.fill > FULL,
            Self::Misaligned => {
                !scored.head_dim.is_multiple_of(8) && row.attention.starts_with("unfused")
            }
            Self::CrossNodeTensor => {
                row.run.tp.zip(row.run.per_node).is_some_and(|(tp, node)| tp > node)
            }
            Self::Experts => row.shape.experts.is_some_and(|n| n > 1),
            Self::FewTokens => tokens_per_expert(scored, prediction).is_some_and(|t| t < 256.0),
            Self::Recurrent => is_recurrent(scored),
            Self::RecomputeUnknown => row.recompute.is_empty(),
            Self::ScheduleUnknown => assumes("micro-batch") || assumes("virtual stages"),
            Self::SoftwareUnknown => !scored.is_named,
            Self::StandIn => {
                assumes("mixed devices") || assumes("4-bit") || assumes("fp16 on a device")
            }
            Self::Offload => assumes("offload"),
        }
    }
}

/// From which part of the memory on allocators struggle.
pub const FULL: f64 = planner::ranking::FULL;
/// Part of the step that waits for the host.
const WAITING: f64 = 0.2;
/// A pass of one layer below this many seconds leaves the host no time to launch its kernels.
const SHORT_PASS: f64 = 1e-3;

/// Whether a model is recurrent.
#[must_use]
pub fn is_recurrent(scored: &Scored) -> bool {
    ["lstm", "mlstm", "rhn", "gru"].contains(&scored.row.family.as_str())
}

/// The flags of a row, the most likely cause first.
#[must_use]
pub fn flags(scored: &Scored) -> Vec<Flag> {
    match &scored.prediction {
        Ok(p) => Flag::ALL.into_iter().filter(|flag| flag.holds(scored, p)).collect(),
        Err(_) => Vec::new(),
    }
}

/// Waiting shows in the breakdown, or forward and backward of one layer on one micro-batch are
/// shorter than the host needs to launch them.
fn is_launch_bound(scored: &Scored, prediction: &Prediction) -> bool {
    let step = prediction.step.get();
    if prediction.parts.launch > WAITING * step {
        return true;
    }
    let run = &scored.row.run;
    let layers = scored.row.shape.layers.unwrap_or(1) as f64 / run.pp.unwrap_or(1).max(1) as f64;
    let model = run.tp.unwrap_or(1) * run.pp.unwrap_or(1) * run.cp.unwrap_or(1);
    let replicas = run.gpus.unwrap_or(1) as f64 / model.max(1) as f64;
    let batches = run.global_batch.unwrap_or(1) as f64 / replicas / prediction.micro_batch as f64;
    let passes = (layers * batches).max(1.0);
    prediction.parts.compute / passes < SHORT_PASS
}

/// Tokens of one micro-batch that an expert sees, with balanced routing.
fn tokens_per_expert(scored: &Scored, prediction: &Prediction) -> Option<f64> {
    let shape = &scored.row.shape;
    let experts = shape.experts.filter(|n| *n > 1)? as f64;
    let tokens = (prediction.micro_batch * shape.seq?) as f64;
    let ranks = scored.row.run.ep.unwrap_or(1).max(1) as f64;
    Some(tokens * ranks * shape.top_k.unwrap_or(1) as f64 / experts)
}
