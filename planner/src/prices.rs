//! Prices of layers: lowered once per way of splitting a layer, kept for all configurations that
//! share it.

use crate::evaluate::flops_of;
use crate::request::Request;
use crate::space::Configuration;
use cost_model::layer::{LayerTime, PassTime, Surroundings, layer_time, pass_time};
use cost_model::{Profile, ProfileError};
use plan::Dtype;
use plan::layout::Layout;
use plan::lower::{
    Context, Half, Indivisible, LocalParameters, LoweredLayer, Recompute, Traits, check_divisible,
    half, lower,
};
use plan::mesh::{Degrees, Mesh};
use plan::model::{LayerKind, LayerRole};
use plan::units::{Bytes, Flops, Seconds};
use plan::work::{AttentionKernel, Pass, Work};
use std::collections::BTreeMap;

/// What decides the local shapes of a layer. Replicas beyond the expert-parallel ones do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Split {
    tp: u32,
    cp: u32,
    ep: u32,
    sequence_parallel: bool,
    micro_sequences: u64,
    time_chunks: u32,
    /// Whether messages between nodes keep the host busy, where the stack minds.
    staged: bool,
}

impl Split {
    /// The split of a configuration.
    #[must_use]
    pub fn of(request: &Request<'_>, c: &Configuration) -> Self {
        let minds = request.profile.stack().host.staged_collective.value > Seconds::ZERO;
        Self {
            staged: minds && mesh_of(request, c.degrees).stages_cross_nodes(),
            tp: c.degrees.tp,
            cp: c.degrees.cp,
            ep: c.degrees.ep,
            sequence_parallel: c.sequence_parallel,
            micro_sequences: c.micro_sequences,
            time_chunks: c.time_chunks,
        }
    }
}

/// One recomputation level of a layer.
#[derive(Clone, Debug)]
pub struct Level {
    /// The level.
    pub recompute: Recompute,
    /// Time of one micro-batch.
    pub time: LayerTime,
    /// The part of the backward pass that gradients of weights take, computed apart.
    pub weight: Seconds,
    /// Activations kept per micro-batch.
    pub saved: Bytes,
    /// Activations that exist only while the layer runs: what is recomputed, and inputs gathered
    /// from the parts of sequence parallelism.
    pub transient: Bytes,
    /// FLOPs that one rank computes again per micro-batch.
    pub recomputed: Flops,
}

/// A kind of layer under one split.
#[derive(Clone, Debug)]
pub struct PricedKind {
    /// Levels that do not cost more memory and time than another.
    pub levels: Vec<Level>,
    /// Parameters of one rank.
    pub parameters: LocalParameters,
    /// Activation handed to the next layer, per micro-batch.
    pub border: Bytes,
}

/// All kinds of layers under one split.
pub type PricedKinds = Vec<PricedKind>;

/// Why a split has no prices.
#[derive(Clone, Debug, PartialEq)]
pub enum Unpriced {
    /// A dimension does not divide.
    Divisibility(Indivisible),
    /// The machine lacks something.
    Profile(ProfileError),
}

/// Prices by split.
pub struct PriceBook<'a> {
    request: &'a Request<'a>,
    traits: Traits,
    pages: BTreeMap<Split, Result<PricedKinds, Unpriced>>,
}

impl<'a> PriceBook<'a> {
    /// An empty book.
    #[must_use]
    pub fn new(request: &'a Request<'a>) -> Self {
        Self { request, traits: traits(request.profile, compute(request)), pages: BTreeMap::new() }
    }

    /// The prices of a split.
    ///
    /// # Errors
    /// [`Unpriced`] where the split does not divide or the machine lacks what it needs.
    pub fn get(&mut self, split: Split) -> &Result<PricedKinds, Unpriced> {
        let (request, traits) = (self.request, self.traits);
        self.pages.entry(split).or_insert_with(|| price_split(request, traits, split))
    }
}

/// Format of activations and products.
#[must_use]
pub fn compute(request: &Request<'_>) -> Dtype {
    request.model.spec.training.precision.compute
}

/// Layers between embedding and head may run in 8 bit; the ends stay in 16.
fn format_of(request: &Request<'_>, kind: &LayerKind) -> Dtype {
    match kind.role {
        LayerRole::Body => compute(request),
        LayerRole::Embedding | LayerRole::Head => compute(request).between_products(),
    }
}

/// Structural traits of a software stack. Single precision has no flash kernels.
#[must_use]
pub fn traits(profile: &Profile, compute: Dtype) -> Traits {
    let stack = profile.stack();
    let kernel = stack.attention.kernel.value;
    let attention = if compute == Dtype::Fp32 { AttentionKernel::Unfused } else { kernel };
    Traits {
        attention,
        early_stop: stack.compute.recompute_early_stop.value,
        eager: !stack.fused.value,
        views: stack.memory.qkv_views.value,
        loss_bytes: stack.memory.loss_bytes.value as u64,
        wide: stack.memory.wide.value,
        alternates: stack.memory.alternates.value,
    }
}

fn price_split(
    request: &Request<'_>,
    traits: Traits,
    split: Split,
) -> Result<PricedKinds, Unpriced> {
    request.model.kinds.iter().map(|kind| price_kind(request, traits, split, kind)).collect()
}

fn price_kind(
    request: &Request<'_>,
    traits: Traits,
    split: Split,
    kind: &LayerKind,
) -> Result<PricedKind, Unpriced> {
    let layers = lower_kind(request, traits, split, kind).map_err(Unpriced::Divisibility)?;
    let (sequence_parallel, staged) = (split.sequence_parallel, split.staged);
    let around = Surroundings { sequence_parallel, staged };
    let copies = request.profile.stack().memory.gathered.value;
    let splits = request.splits_backward();
    let mut levels = Vec::new();
    for (recompute, layer) in &layers {
        let steps = layer.forward.iter().chain(&layer.backward);
        request.profile.check(steps.map(|s| &s.work)).map_err(Unpriced::Profile)?;
        if request.pins.offload == Some(true) {
            let copy = Work::HostCopy(layer.saved);
            request.profile.check([&copy]).map_err(Unpriced::Profile)?;
        }
        let time = layer_time(layer, around, request.profile);
        let weight = match splits {
            true => pass_time(
                &half(&layer.backward, Half::Weight),
                Pass::Backward,
                around,
                request.profile,
            ),
            false => PassTime::zero(),
        };
        levels.push(Level {
            recompute: *recompute,
            time,
            weight: weight.total().value.min(time.backward.total().value),
            saved: layer.saved,
            transient: layer.transient + layer.gathered * copies,
            recomputed: flops_of(layer.recompute.iter().map(|s| &s.work)),
        });
    }
    let first = &layers[0].1;
    let (parameters, border) = (first.parameters, first.border);
    Ok(PricedKind { levels: useful(levels), parameters, border })
}

/// A kind of layer as one rank of a configuration runs it.
pub(crate) fn lowered(
    request: &Request<'_>,
    configuration: &Configuration,
    kind: &LayerKind,
    recompute: Recompute,
) -> Option<LoweredLayer> {
    let traits = traits(request.profile, compute(request));
    let all = lower_kind(request, traits, Split::of(request, configuration), kind).ok()?;
    all.into_iter().find(|(level, _)| *level == recompute).map(|(_, layer)| layer)
}

/// The layer at each recomputation level that makes sense for it.
fn lower_kind(
    request: &Request<'_>,
    traits: Traits,
    split: Split,
    kind: &LayerKind,
) -> Result<Vec<(Recompute, LoweredLayer)>, Indivisible> {
    let t = &request.model.spec.training;
    let pieces = u64::from(split.time_chunks);
    let sequences = split.micro_sequences * u64::from(split.ep);
    let (target, source) = (t.sequence / pieces, t.source_or_target() / pieces);
    let sizes = request.model.sizes_for(kind, sequences, target, source);
    let (tp, cp, ep) = (split.tp, split.cp, split.ep);
    let context = Context {
        sizes: &sizes,
        layout: Layout::new(split.sequence_parallel),
        mesh: Mesh { degrees: Degrees { dp: ep, tp, pp: 1, cp, ep }, per_node: request.per_node() },
        compute: format_of(request, kind),
        traits,
    };
    check_divisible(&kind.graph, &context)?;
    let pinned = request.pins.recompute;
    let wanted = |r: &Recompute| match kind.role {
        // The ends are never recomputed: there is nothing to gain.
        LayerRole::Embedding | LayerRole::Head => *r == Recompute::None,
        LayerRole::Body => pinned.is_none_or(|pin| pin == *r),
    };
    let levels = Recompute::ALL.into_iter().filter(wanted);
    Ok(levels.map(|r| (r, lower(&kind.graph, &context, r))).collect())
}

/// Drops levels that save nothing over one that costs no more.
fn useful(levels: Vec<Level>) -> Vec<Level> {
    let mut kept: Vec<Level> = Vec::new();
    for level in levels {
        let saves = kept.iter().all(|k| {
            let less = level.saved < k.saved;
            less || level.time.backward_total().value < k.time.backward_total().value
        });
        if saves {
            kept.push(level);
        }
    }
    kept
}

/// Whether a configuration's tensors travel between nodes within a layer.
#[must_use]
pub fn mesh_of(request: &Request<'_>, degrees: Degrees) -> Mesh {
    Mesh { degrees, per_node: request.per_node() }
}
