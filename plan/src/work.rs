//! Work: what a rank is asked to do, in shapes and bytes, before anybody says how long it takes.
//!
//! A strategy lowers to a list of [`Work`] items with *local* shapes (already divided by the
//! layout). `cost_model::price` turns one item into time; nothing else prices anything.
//!
//! Letters: `m, n, k` matrix extents, `t` time steps.

use crate::dtype::Dtype;
use crate::units::{Bytes, Flops};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Forward or backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pass {
    /// Activations flow towards the loss.
    Forward,
    /// Gradients flow back.
    Backward,
}

/// One piece of work on one rank.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// A (batched) matrix product.
    Gemm(Gemm),
    /// The attention core: scores, softmax, weighted sum.
    Attention(Attention),
    /// A kernel that is bound by memory bandwidth.
    Pointwise(Pointwise),
    /// Steps that must run one after the other, each doing `body` once.
    Scan(Scan),
    /// Weight gradient of a recurrent matrix, accumulated over all steps of a scan.
    RecurrentWeightGradient(RecurrentWeightGradient),
    /// One optimizer update of `parameters` local parameters.
    Optimizer(OptimizerStep),
    /// A collective over a group of ranks.
    Collective(Collective),
    /// A point-to-point message; the receiver's side is the same message.
    Send(Send),
    /// A copy between device and host memory.
    HostCopy(Bytes),
    /// Reads and writes of device memory without arithmetic worth naming (casts, copies, sorts).
    Traffic(Bytes),
}

/// `C[m,n] += A[m,k]·B[k,n]`, `batch` times independently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gemm {
    /// Independent products.
    pub batch: u64,
    /// Rows of the result.
    pub m: u64,
    /// Columns of the result.
    pub n: u64,
    /// Contracted extent.
    pub k: u64,
    /// Type of the operands.
    pub dtype: Dtype,
}

impl Gemm {
    /// `2·batch·m·n·k`.
    #[must_use]
    pub fn flops(&self) -> Flops {
        Flops::new(2.0 * self.batch as f64 * self.m as f64 * self.n as f64 * self.k as f64)
    }
}

/// Attention over `heads` local heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attention {
    /// Sequences.
    pub batch: u64,
    /// Local query heads.
    pub heads: u64,
    /// Query positions per sequence held by this rank.
    pub queries: u64,
    /// Key positions each query may see (before the causal mask).
    pub keys: u64,
    /// Width of one head's query and key.
    pub head_dim: u64,
    /// Width of one head's value.
    pub value_dim: u64,
    /// Whether half of the score square is masked away.
    pub causal: bool,
    /// Whether attention probabilities pass through dropout.
    pub dropout: bool,
    /// Which kernel computes it.
    pub kernel: AttentionKernel,
    /// Type of the operands.
    pub dtype: Dtype,
    /// Forward or backward.
    pub pass: Pass,
}

/// Which implementation of attention the software stack runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AttentionKernel {
    /// Two batched products with the score matrix in device memory.
    Unfused,
    /// FlashAttention 1 and the Triton kernels of 2023.
    Flash1,
    /// FlashAttention 2.
    Flash2,
    /// FlashAttention 3 or cuDNN 9.
    Flash3,
}

/// What a memory-bound kernel does; the profile knows its bytes per element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PointwiseKind {
    /// LayerNorm.
    LayerNorm,
    /// RMSNorm.
    RmsNorm,
    /// Residual addition, with bias and dropout where the model has them.
    Residual {
        /// Whether dropout is applied before the addition.
        dropout: bool,
    },
    /// Activation function of the feed-forward part (per element of `d_ff`).
    Activation {
        /// Whether it is gated (SwiGLU, GeGLU): two inputs, one output.
        gated: bool,
    },
    /// Rearrangement of queries, keys, values or context between layouts.
    Relayout,
    /// Rotary position embedding (per element of queries and keys).
    Rope,
    /// Bias: free in the forward pass (fused), a column sum in the backward pass.
    Bias,
    /// Embedding lookup, and its scatter-add in the backward pass.
    Embedding,
    /// Softmax and cross-entropy over the vocabulary (per logit).
    CrossEntropy,
    /// Gate arithmetic of a recurrent cell (per element of one gate).
    Gate,
    /// Permutation of tokens to experts and back (per routed element): before and after both
    /// exchanges.
    Permute,
    /// Biases of experts added to what they make, each weighted as its token's route (per routed
    /// element): rows are sorted by expert, and every expert adds to its own.
    ExpertBias,
    /// Scores of relative positions, shifted into place, added to the others, scaled and masked
    /// (per score).
    Shift,
    /// A plain copy or addition of one operand.
    Copy,
    /// Operands of 8-bit products, cast from 16 bit and transposed for the gradients.
    Cast,
}

/// A kernel that is bound by memory bandwidth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pointwise {
    /// What it does.
    pub kind: PointwiseKind,
    /// Elements it touches.
    pub elements: u64,
    /// Type of the elements.
    pub dtype: Dtype,
    /// Forward or backward.
    pub pass: Pass,
}

/// A strictly sequential loop.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    /// Time steps.
    pub steps: u64,
    /// What each step does.
    pub body: Vec<Work>,
}

/// `dW[m,n] = Σ_t A_tᵀ·B_t`: one product over all steps where the library batches over time,
/// or `steps` products with read-modify-write of the gradient where the framework unrolls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecurrentWeightGradient {
    /// Time steps.
    pub steps: u64,
    /// The product of one step: `m × n` is the weight, `k` the sequences.
    pub step: Gemm,
}

/// The update rule of an optimizer.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerRule {
    /// Plain stochastic gradient descent.
    Sgd,
    /// SGD with momentum.
    Momentum,
    /// AdaGrad.
    Adagrad,
    /// Adam and AdamW.
    Adam,
    /// Adafactor with a factored second moment.
    Adafactor,
    /// LAMB.
    Lamb,
}

impl OptimizerRule {
    /// The word in files and on screens.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sgd => "sgd",
            Self::Momentum => "momentum",
            Self::Adagrad => "adagrad",
            Self::Adam => "adam",
            Self::Adafactor => "adafactor",
            Self::Lamb => "lamb",
        }
    }
}

/// One optimizer update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OptimizerStep {
    /// The rule.
    pub rule: OptimizerRule,
    /// Parameters updated by this rank.
    pub parameters: u64,
}

/// What a collective does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CollectiveOp {
    /// Every rank gets the sum.
    AllReduce,
    /// Every rank gets all shards.
    AllGather,
    /// Every rank gets its shard of the sum.
    ReduceScatter,
    /// Every rank sends a different part to every other rank.
    AllToAll,
    /// Every rank sends each of its rows to the ranks of `copies` random experts. Rows for several
    /// experts of a node can travel there once; the bytes count every copy.
    Dispatch {
        /// Experts per row.
        copies: u32,
    },
}

/// A collective over one group.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Collective {
    /// What it does.
    pub op: CollectiveOp,
    /// Size of the full (unsharded) tensor, per rank.
    pub bytes: Bytes,
    /// Who takes part.
    pub group: Group,
}

/// Ranks that communicate, and how they lie on nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group {
    /// Ranks in the group.
    pub size: u32,
    /// Nodes the group spans; each holds `size / nodes` of its ranks.
    pub nodes: u32,
}

impl Group {
    /// Ranks of the group on each node.
    #[must_use]
    pub fn per_node(&self) -> u32 {
        (self.size / self.nodes.max(1)).max(1)
    }

    /// Whether there is nobody to talk to.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.size <= 1
    }
}

/// A point-to-point message.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Send {
    /// Payload.
    pub bytes: Bytes,
    /// Whether it leaves the node.
    pub crosses_nodes: bool,
}
