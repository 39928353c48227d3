//! Lowering one layer: operator graph × layout × micro-batch → the work of one rank.
//!
//! Letters of local shapes follow the graph's dimension names. Everything here is structure; no
//! time appears.

mod collectives;
mod compute;
mod halves;
mod memory;

pub use halves::{Half, half};

use crate::dtype::Dtype;
use crate::graph::{Dim, OpGraph, Region, Sizes};
use crate::layout::Layout;
use crate::mesh::{Axis, Mesh};
use crate::units::Bytes;
use crate::work::{AttentionKernel, Work};

/// Traits of the software stack that change structure, not speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Traits {
    /// Attention implementation.
    pub attention: AttentionKernel,
    /// Full recomputation stops once the last tensor it needs exists: the last product of a layer
    /// is not repeated.
    pub early_stop: bool,
    /// Operators run one by one, and each keeps its own operands.
    pub eager: bool,
    /// Values are a view of the product that made queries, keys and values at once, which keeps all
    /// of it beside rotated copies.
    pub views: bool,
    /// Bytes per logit that a loss keeps besides the logits: 0 where it works in their place, 4 for
    /// one copy in 32 bit, 8 where probabilities do not take that copy's place.
    pub loss_bytes: u64,
    /// Norms, sums and softmaxes work in 32 bit and keep what they read or made in it (automatic
    /// mixed precision).
    pub wide: bool,
    /// Selective recomputation repeats every other product and everything between products, not
    /// the attention core.
    pub alternates: bool,
}

impl Traits {
    /// Fused kernels with this attention, nothing special.
    #[must_use]
    pub fn fused(attention: AttentionKernel) -> Self {
        Self {
            attention,
            early_stop: false,
            eager: false,
            views: false,
            loss_bytes: 4,
            wide: false,
            alternates: false,
        }
    }
}

/// How much of a layer is computed twice to save memory.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Recompute {
    /// Nothing.
    None,
    /// The attention core; or, in stacks that choose by operator, every other product and what
    /// lies between products.
    Selective,
    /// The whole layer; only its input is kept.
    Full,
}

impl Recompute {
    /// All levels, least first.
    pub const ALL: [Self; 3] = [Self::None, Self::Selective, Self::Full];

    /// The word used in files and on screens.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Selective => "selective",
            Self::Full => "full",
        }
    }
}

/// Why a step is there, for breakdowns and overlap rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepRole {
    /// Arithmetic and memory traffic.
    Compute,
    /// Collective of a mesh axis.
    Communication(Axis),
}

/// One piece of work with the operator that asks for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Operator or tensor that causes it.
    pub op: &'static str,
    /// Compute or communication.
    pub role: StepRole,
    /// The work.
    pub work: Work,
}

/// A step and whether it happens in every step of a scan.
struct Placed {
    step: Step,
    in_scan: bool,
}

/// Parameters of one layer on one rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalParameters {
    /// Parameters whose gradients are summed over all replicas.
    pub replicated: u64,
    /// Expert parameters, summed over the replicas of each expert only.
    pub expert: u64,
    /// Token tables, input or output.
    pub table: u64,
    /// Tensors that the replicated parameters are stored as.
    pub tensors: u64,
}

impl LocalParameters {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.replicated + self.expert + self.table
    }
}

/// A layer as one rank runs it on one micro-batch.
#[derive(Clone, Debug, PartialEq)]
pub struct LoweredLayer {
    /// Forward pass.
    pub forward: Vec<Step>,
    /// Backward pass without recomputation.
    pub backward: Vec<Step>,
    /// What is computed again before the backward pass.
    pub recompute: Vec<Step>,
    /// Activations kept per micro-batch.
    pub saved: Bytes,
    /// Activations that exist only while the layer is recomputed.
    pub transient: Bytes,
    /// Its input, put together from the parts of a tensor-parallel group; zero where ranks have it
    /// whole.
    pub gathered: Bytes,
    /// Activation handed to the next layer, per micro-batch.
    pub border: Bytes,
    /// Parameters of this rank.
    pub parameters: LocalParameters,
}

/// What lowering needs besides the graph.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Global sizes of all dimensions (batch: all sequences of one micro-batch step).
    pub sizes: &'a Sizes,
    /// Layout.
    pub layout: Layout,
    /// Mesh.
    pub mesh: Mesh,
    /// Format of activations and products.
    pub compute: Dtype,
    /// Software stack.
    pub traits: Traits,
}

impl Context<'_> {
    /// Local size of a dimension in a region: divided by every axis that splits it, rounded up.
    fn local(&self, region: Region, dim: Dim) -> u64 {
        let parts: u64 = Axis::ALL
            .iter()
            .filter(|&&axis| self.layout.dims(region, axis).contains(dim))
            .map(|&axis| u64::from(self.mesh.degrees.size(axis)))
            .product();
        self.sizes.get(dim).div_ceil(parts.max(1))
    }

    fn local_product(&self, region: Region, dims: impl IntoIterator<Item = Dim>) -> u64 {
        dims.into_iter().map(|d| self.local(region, d)).fold(1, u64::saturating_mul)
    }
}

/// Whether every dimension divides evenly over the axes that split it.
///
/// # Errors
/// The first dimension that does not divide, with its size and the number of parts.
pub fn check_divisible(graph: &OpGraph, context: &Context<'_>) -> Result<(), Indivisible> {
    for op in graph.ops() {
        for dim in graph.iteration(op).iter() {
            for axis in Axis::ALL {
                let parts = u64::from(context.mesh.degrees.size(axis));
                let splits = context.layout.dims(op.region, axis).contains(dim);
                let size = context.sizes.get(dim);
                if splits && !is_padded(dim) && !size.is_multiple_of(parts) {
                    return Err(Indivisible { dim, size, parts });
                }
            }
        }
    }
    Ok(())
}

/// Vocabularies are padded to divide, and tokens per expert are a mean.
fn is_padded(dim: Dim) -> bool {
    matches!(dim, Dim::Vocab | Dim::Scored | Dim::Capacity)
}

/// A dimension that an axis cannot split evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{dim} = {size} does not divide by {parts}")]
pub struct Indivisible {
    /// The dimension.
    pub dim: Dim,
    /// Its size.
    pub size: u64,
    /// Ranks that would share it.
    pub parts: u64,
}

/// Lowers one layer.
#[must_use]
pub fn lower(graph: &OpGraph, context: &Context<'_>, recompute: Recompute) -> LoweredLayer {
    let forward = compute::forward(graph, context);
    let backward = compute::backward(graph, context);
    let again = match recompute {
        Recompute::None => Vec::new(),
        Recompute::Selective if context.traits.alternates => compute::alternate(graph, context),
        Recompute::Selective => compute::attention_only(graph, context),
        Recompute::Full => compute::full_recompute(graph, context, &forward),
    };
    let saved_all = memory::saved(graph, context, Recompute::None);
    let saved = memory::saved(graph, context, recompute);
    LoweredLayer {
        forward,
        backward,
        recompute: again,
        saved,
        transient: memory::repeated(saved_all, saved, context, recompute),
        gathered: memory::gathered(graph, context),
        border: memory::border(graph, context),
        parameters: memory::parameters(graph, context),
    }
}
