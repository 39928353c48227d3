//! One published measurement, as its table states it.

/// A row of a table of measurements. Texts are trimmed and, where they are words of a fixed
/// vocabulary, in lower case; what is empty is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// Line of the file, from 1.
    pub line: u64,
    /// Name of the row.
    pub id: String,
    /// Group of rows from one source.
    pub group: String,
    /// How complete the row is: A, B or C.
    pub tier: String,
    /// What the row may be used for.
    pub split: String,
    /// Where it is from.
    pub source: String,
    /// Year of the software.
    pub year: Option<u64>,
    /// Name of the model.
    pub model: String,
    /// Family of the model.
    pub family: String,
    /// Accelerator.
    pub gpu: String,
    /// Link inside a node.
    pub intra_link: String,
    /// Number format.
    pub precision: String,
    /// Optimizer.
    pub optimizer: String,
    /// Attention kernels.
    pub attention: String,
    /// Recomputation.
    pub recompute: String,
    /// Everything else that is known.
    pub notes: String,
    /// Whether it ran, in tables of what fits.
    pub outcome: String,
    /// Shape of the model.
    pub shape: ShapeColumns,
    /// Machine and split.
    pub run: RunColumns,
    /// What was measured.
    pub measured: Measured,
}

/// Columns about the model.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ShapeColumns {
    /// Parameters, in 10⁹.
    pub parameters: Option<f64>,
    /// Layers.
    pub layers: Option<u64>,
    /// Width.
    pub hidden: Option<u64>,
    /// Query heads.
    pub heads: Option<u64>,
    /// Key and value heads.
    pub kv_heads: Option<u64>,
    /// Width of the feed-forward part.
    pub ffn: Option<u64>,
    /// Vocabulary.
    pub vocab: Option<u64>,
    /// Tokens per sequence.
    pub seq: Option<u64>,
    /// Experts per layer.
    pub experts: Option<u64>,
    /// Experts per token.
    pub top_k: Option<u64>,
}

/// Columns about machine and split.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RunColumns {
    /// Nominal device memory, GB.
    pub gpu_memory: Option<f64>,
    /// Devices.
    pub gpus: Option<u64>,
    /// Devices per node.
    pub per_node: Option<u64>,
    /// Network of a node, Gbit/s in total.
    pub network: Option<f64>,
    /// Tensor-parallel degree.
    pub tp: Option<u64>,
    /// Pipeline-parallel degree.
    pub pp: Option<u64>,
    /// Virtual stages per rank.
    pub chunks: Option<u64>,
    /// Data-parallel degree.
    pub dp: Option<u64>,
    /// Context-parallel degree.
    pub cp: Option<u64>,
    /// Expert-parallel degree.
    pub ep: Option<u64>,
    /// ZeRO stage.
    pub zero: Option<u64>,
    /// Sequence parallelism.
    pub sequence_parallel: Option<u64>,
    /// Sequences per micro-batch.
    pub micro_batch: Option<u64>,
    /// Sequences per step.
    pub global_batch: Option<u64>,
}

/// What was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    /// Seconds per step.
    pub step: Option<f64>,
    /// Tokens per second and device.
    pub tokens: Option<f64>,
    /// Model TFLOP/s per device.
    pub tflops: Option<f64>,
    /// Memory at the peak, in the unit of its source.
    pub memory: Option<f64>,
}

impl Row {
    /// Everything that words are looked for in, in lower case.
    #[must_use]
    pub fn words(&self) -> String {
        let parts = [&self.group, &self.source, &self.model, &self.notes];
        let more = [&self.optimizer, &self.attention];
        let all: Vec<&str> = parts.into_iter().chain(more).map(String::as_str).collect();
        all.join(" | ").to_lowercase()
    }

    /// Whether the row may be scored: tables mark what is incomplete with tier C.
    #[must_use]
    pub fn is_scored(&self) -> bool {
        self.tier != "C"
    }
}
