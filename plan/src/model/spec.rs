//! What a person writes about a model: family, shape, training recipe. Builders turn this into a
//! [`super::Model`] of operator graphs.

use crate::dtype::Dtype;
use crate::work::OptimizerRule;

/// A model as its scenario file describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSpec {
    /// Name that people type.
    pub name: String,
    /// Where shape and recipe are from.
    pub source: String,
    /// Parameter count that the source states, if it states one: checked at load.
    pub published_parameters: Option<PublishedCount>,
    /// Family and shape.
    pub family: Family,
    /// Training recipe.
    pub training: Training,
}

/// A parameter count that a source states.
#[derive(Clone, Debug, PartialEq)]
pub struct PublishedCount {
    /// Parameters.
    pub parameters: f64,
    /// Relative rounding of the statement: 0 where the source is exact.
    pub tolerance: f64,
    /// The source.
    pub source: String,
}

/// Families of models.
#[derive(Clone, Debug, PartialEq)]
pub enum Family {
    /// Transformers of all shapes.
    Transformer(Transformer),
    /// LSTM language model, with projection and full or sampled softmax.
    Lstm(Lstm),
    /// Multiplicative LSTM (Krause et al. 2016).
    Mlstm(Mlstm),
    /// Recurrent highway network (Zilly et al. 2016).
    Rhn(Rhn),
    /// A free graph of einsums.
    Einsum(EinsumGraph),
}

/// Which stacks of layers a transformer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stacks {
    /// Causal decoder.
    Decoder,
    /// Bidirectional encoder.
    Encoder,
    /// Encoder, and a decoder that attends to it; `encoder_layers` in the encoder.
    EncoderDecoder {
        /// Layers of the encoder.
        encoder_layers: u32,
    },
}

/// How positions enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Positions {
    /// A learned table of this many positions.
    Learned(u64),
    /// Rotary embedding of queries and keys.
    Rope,
    /// The same after an RMS normalisation of every query and key head, with one scale for all
    /// queries and one for all keys (Qwen3).
    NormedRope,
    /// Fixed sinusoids: no parameters.
    Sinusoidal,
    /// Transformer-XL: one projection of relative positions per layer and two bias vectors.
    Relative,
}

/// Which normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// LayerNorm with scale and shift.
    LayerNorm,
    /// RMSNorm with scale.
    RmsNorm,
}

/// A transformer.
#[derive(Clone, Debug, PartialEq)]
pub struct Transformer {
    /// Stacks.
    pub stacks: Stacks,
    /// Decoder layers (encoder layers of an encoder-only model).
    pub layers: u32,
    /// Width of the residual stream.
    pub d_model: u64,
    /// Query heads.
    pub heads: u64,
    /// Key and value heads (fewer than `heads`: grouped-query attention).
    pub kv_heads: u64,
    /// Width of one head; with latent attention, of one query and key.
    pub head_dim: u64,
    /// Latent attention instead of projections of keys and values alone.
    pub latent: Option<Latent>,
    /// Width of the feed-forward part.
    pub d_ff: u64,
    /// Gated feed-forward (three matrices instead of two).
    pub gated: bool,
    /// Vocabulary.
    pub vocab: u64,
    /// Whether the output projection is the embedding.
    pub tied: bool,
    /// Positions.
    pub positions: Positions,
    /// Normalisation.
    pub norm: Norm,
    /// Biases on the linear layers.
    pub bias: bool,
    /// Biases on the query, key and value projections alone (Qwen).
    pub qkv_bias: bool,
    /// Whether there is a normalisation after the last layer.
    pub final_norm: bool,
    /// Whether the embedding is normalised (BERT).
    pub embedding_norm: bool,
    /// Dropout during training.
    pub dropout: bool,
    /// Token-type table of BERT: rows.
    pub segments: u64,
    /// BERT's pooler: one more d × d matrix with bias.
    pub pooler: bool,
    /// BERT's masked-LM head: a d × d transform with normalisation, and an output bias.
    pub mlm_head: bool,
    /// Share of positions whose loss is computed (masked language models), else 1.
    pub loss_fraction: f64,
    /// Cached positions of Transformer-XL, else 0.
    pub memory_length: u64,
    /// Adaptive softmax and embedding: cut-offs and the divisor of widths between clusters.
    pub adaptive: Option<Adaptive>,
    /// Mixture of experts instead of the dense feed-forward part.
    pub experts: Option<Experts>,
}

/// Multi-head latent attention: keys and values of all heads are expanded from one compressed
/// vector per token, and queries, where they are compressed too, from another. Part of each query
/// and key carries positions; that part of the keys is shared by all heads.
///
/// Source: DeepSeek-AI 2024 (arXiv:2405.04434), section 2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latent {
    /// Width of the compressed queries; `None`: queries are projected at once.
    pub query: Option<u64>,
    /// Width of the compressed keys and values.
    pub key_value: u64,
    /// Width of the part of a query or key that carries positions.
    pub rotary: u64,
    /// Width of one head's value.
    pub value: u64,
}

/// Adaptive embedding and softmax (Grave et al. 2016; Baevski and Auli 2018).
#[derive(Clone, Debug, PartialEq)]
pub struct Adaptive {
    /// Vocabulary indices at which the next cluster starts.
    pub cutoffs: Vec<u64>,
    /// Width of cluster `i` is `d_model / divisor^i`.
    pub divisor: u64,
}

/// Mixture of experts.
#[derive(Clone, Debug, PartialEq)]
pub struct Experts {
    /// Experts per layer.
    pub count: u64,
    /// Experts each token visits.
    pub top_k: u64,
    /// Width of one expert.
    pub d_expert: u64,
    /// Width of the shared experts together (0: none).
    pub d_shared: u64,
    /// Leading layers that keep the dense feed-forward part.
    pub dense_layers: u32,
    /// One layer in `every` is a mixture (1: all).
    pub every: u32,
    /// Whether each expert's score has a bias that balances load without a loss of its own
    /// (DeepSeek-AI 2024, arXiv:2412.19437, section 2.1.2).
    pub router_bias: bool,
    /// Most loaded expert relative to the mean, at least 1.
    pub imbalance: f64,
}

/// How the output distribution is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Softmax {
    /// Over the whole vocabulary.
    Full,
    /// Over this many sampled words and the target.
    Sampled(u64),
}

/// LSTM language model.
#[derive(Clone, Debug, PartialEq)]
pub struct Lstm {
    /// Recurrent layers.
    pub layers: u32,
    /// Cells per layer.
    pub hidden: u64,
    /// Projection of the output, if any.
    pub projection: Option<u64>,
    /// Width of the embedding.
    pub embedding: u64,
    /// Vocabulary.
    pub vocab: u64,
    /// Output distribution.
    pub softmax: Softmax,
    /// Whether the output projection is the embedding.
    pub tied: bool,
}

/// Multiplicative LSTM.
#[derive(Clone, Debug, PartialEq)]
pub struct Mlstm {
    /// Cells.
    pub hidden: u64,
    /// Width of the embedding.
    pub embedding: u64,
    /// Vocabulary.
    pub vocab: u64,
    /// Weight normalisation of the four recurrent matrices.
    pub weight_norm: bool,
}

/// Recurrent highway network.
#[derive(Clone, Debug, PartialEq)]
pub struct Rhn {
    /// Micro-steps per time step.
    pub depth: u32,
    /// Cells (and width of the embedding).
    pub hidden: u64,
    /// Vocabulary.
    pub vocab: u64,
    /// Scalars that the source counts besides matrices and biases.
    pub extra_parameters: u64,
}

/// A free graph of einsums over named dimensions.
#[derive(Clone, Debug, PartialEq)]
pub struct EinsumGraph {
    /// Dimensions and their sizes.
    pub dims: Vec<(String, u64)>,
    /// Tensors that come from outside: name, dimensions, whether it is a parameter.
    pub inputs: Vec<EinsumInput>,
    /// Products in order.
    pub ops: Vec<EinsumOp>,
}

/// A tensor that comes from outside.
#[derive(Clone, Debug, PartialEq)]
pub struct EinsumInput {
    /// Name.
    pub name: String,
    /// Dimensions.
    pub dims: Vec<String>,
    /// Whether it is a parameter.
    pub is_parameter: bool,
}

/// One product of a free graph.
#[derive(Clone, Debug, PartialEq)]
pub struct EinsumOp {
    /// Name of the result.
    pub output: String,
    /// Names of the operands (one or two).
    pub operands: Vec<String>,
    /// Dimensions of the result.
    pub dims: Vec<String>,
    /// Dimensions that may not be split here.
    pub unsplittable: Vec<String>,
}

/// How many bytes per parameter training keeps, and in which formats it computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Precision {
    /// Format of activations and matrix products.
    pub compute: Dtype,
    /// Bytes per parameter of the weights.
    pub weight_bytes: u64,
    /// Bytes per parameter of the gradients in memory.
    pub gradient_bytes: u64,
    /// Bytes per parameter of optimizer state, with the master copy where there is one.
    pub optimizer_bytes: u64,
    /// Bytes per gradient element on the wire.
    pub wire_bytes: u64,
}

/// Batch as the recipe states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    /// Sequences per device (weak scaling).
    PerDevice(u64),
    /// Sequences per step over all devices.
    Global(u64),
}

/// Training recipe.
#[derive(Clone, Debug, PartialEq)]
pub struct Training {
    /// Tokens per sequence.
    pub sequence: u64,
    /// Tokens per sequence on the encoder side of an encoder–decoder (0: as `sequence`).
    pub source_sequence: u64,
    /// Batch.
    pub batch: Batch,
    /// Precision recipe.
    pub precision: Precision,
    /// Update rule.
    pub optimizer: OptimizerRule,
    /// Cluster used when none is named.
    pub default_cluster: String,
    /// Software stack used when none is named; else the cluster's.
    pub default_stack: Option<String>,
    /// Corpus whose vocabulary statistics apply, if known.
    pub corpus: Option<String>,
    /// Tokens in one epoch, where the source states it.
    pub epoch_tokens: Option<f64>,
}
