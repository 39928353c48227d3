//! Software stacks: what kernels and communication libraries add to the hardware, as data.
//!
//! Two programs on the same device differ by 5–20 %; a [`Stack`] holds the constants that make
//! the difference, each with its origin. Stacks are read from `scenarios/profiles/*.toml` by
//! [`load_stack`]; a file may extend another and then states only what differs.

mod parse;

pub use parse::{StackError, load_stack, parse_stack};

use plan::machine::RecurrentLaw;
use plan::schedule::ScheduleKind;
use plan::units::{Bytes, Seconds};
use plan::work::{AttentionKernel, OptimizerRule, PointwiseKind};
use plan::{Estimate, Sourced};
use std::collections::BTreeMap;

/// A pair of values, one per pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Passes {
    /// Forward.
    pub forward: f64,
    /// Backward.
    pub backward: f64,
}

/// A software stack: everything about time and memory that is neither device nor link.
#[derive(Clone, Debug, PartialEq)]
pub struct Stack {
    /// Name that people type.
    pub name: String,
    /// Name that people read.
    pub label: String,
    /// Matrix products.
    pub compute: ComputeStack,
    /// Attention.
    pub attention: AttentionStack,
    /// Whether bias, dropout, activation and residual run as few fused kernels.
    pub fused: Sourced<bool>,
    /// Cost of each memory-bound kernel.
    pub pointwise: BTreeMap<PointwiseKind, Sourced<PointwiseCost>>,
    /// Recurrent layers.
    pub recurrent: RecurrentStack,
    /// Optimizer and gradient accumulation.
    pub optimizer: OptimizerStack,
    /// Laws of the communication library.
    pub collective: CollectiveStack,
    /// How much communication hides behind computation.
    pub overlap: OverlapStack,
    /// Pipelines.
    pub pipeline: PipelineStack,
    /// What the host costs.
    pub host: HostStack,
    /// Memory besides the model's own.
    pub memory: MemoryStack,
    /// Relative uncertainty of each class of constants.
    pub spread: SpreadStack,
    /// Where whole step times of this stack lie relative to the prediction.
    pub residual: ResidualBand,
    /// What differs on devices whose names start with the key: the whole stack as it is there.
    pub on: BTreeMap<String, Stack>,
}

impl Stack {
    /// The stack as it is on a device: that of the longest beginning of its name, else the plain
    /// one. Checked by `a_device_has_its_own_constants`.
    #[must_use]
    pub fn on(&self, device: &str) -> &Self {
        let matching = self.on.iter().filter(|(start, _)| device.starts_with(start.as_str()));
        matching.max_by_key(|(start, _)| start.len()).map_or(self, |(_, stack)| stack)
    }
}

/// Which law prices a matrix product.
#[derive(Clone, Debug, PartialEq)]
pub enum ComputeModel {
    /// Tiles, waves and split-K with the device's constants.
    Tiles,
    /// One thread that packs its operands into a cache and multiplies blocks of them.
    Blocks,
    /// `max(FLOPs/(compute·peak), bytes/(memory·bandwidth))`; no tiles, no gaps between kernels.
    Roofline {
        /// Fraction of the peak.
        compute: Sourced<f64>,
        /// Fraction of the memory bandwidth.
        memory: Sourced<f64>,
    },
}

/// Matrix products of a stack.
#[derive(Clone, Debug, PartialEq)]
pub struct ComputeStack {
    /// The law.
    pub model: ComputeModel,
    /// Sustained efficiency in training relative to the device's own (power, layouts).
    pub derate: Sourced<f64>,
    /// Bandwidth of memory-bound kernels relative to what the device streams.
    pub stream_derate: Sourced<f64>,
    /// Efficiency of 8-bit products relative to 16-bit ones.
    pub fp8_relative: Sourced<f64>,
    /// Whether recompute stops before the last product of a layer (its output is not needed).
    pub recompute_early_stop: Sourced<bool>,
}

/// Attention of a stack.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionStack {
    /// The kernel the stack runs.
    pub kernel: Sourced<AttentionKernel>,
    /// Speed of flash kernels relative to the device's own.
    pub derate: Sourced<f64>,
    /// Bytes per score of an unfused softmax at 16 bit.
    pub softmax_bytes: Sourced<Passes>,
    /// Bytes per score of an unfused dropout at 16 bit.
    pub dropout_bytes: Sourced<Passes>,
    /// Fraction of the memory bandwidth that softmax and dropout over scores reach.
    pub score_efficiency: Sourced<f64>,
    /// Fraction of the peak of unfused products whose head width is not a multiple of 8.
    pub misaligned_fraction: Sourced<f64>,
    /// Key positions at which a flash kernel reaches half of its speed.
    pub half_sequence: Sourced<f64>,
    /// Speed at head width 64 relative to 128, per kernel (absent: 1).
    pub narrow_head: BTreeMap<AttentionKernel, Sourced<f64>>,
    /// Speed at head widths below 64 relative to 64.
    pub tiny_head: Sourced<f64>,
    /// Devices (by name) whose occupancy follows `tiles/(tiles + half)` instead of waves.
    pub half_tiles: BTreeMap<String, Sourced<f64>>,
}

/// Cost of one memory-bound kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PointwiseCost {
    /// Bytes moved per element at 16 bit.
    pub bytes: Passes,
    /// Bytes moved per element at 32 bit, where that is not twice as much: mixed precision works
    /// on 32-bit tensors in some kernels either way.
    pub wide: Option<Passes>,
    /// Kernels launched.
    pub kernels: Passes,
}

/// Recurrent layers of a stack.
#[derive(Clone, Debug, PartialEq)]
pub struct RecurrentStack {
    /// Whether weight gradients are one product over all steps.
    pub batched_weight_gradient: Sourced<bool>,
    /// Reads and writes of the gradient per unrolled step, in passes over it.
    pub accumulation_passes: Sourced<f64>,
    /// Bandwidth of those passes at 16 bit relative to streaming kernels, where a thread adds one
    /// element per load.
    pub narrow_accumulation: Sourced<f64>,
    /// Time of one step in a loop of the host, on top of the device's own: waiting for a value that
    /// decides what comes next, and starting over with an empty queue.
    pub step_host: Sourced<Seconds>,
    /// Law used for devices that state none.
    pub fallback: Option<RecurrentLaw>,
}

/// Optimizer of a stack.
#[derive(Clone, Debug, PartialEq)]
pub struct OptimizerStack {
    /// Bytes moved per local parameter and rule, with unscaling, clipping and casts.
    pub bytes: BTreeMap<OptimizerRule, Sourced<f64>>,
    /// Kernels of one update.
    pub kernels: Sourced<f64>,
    /// Time of a step that depends on nothing: loops over parameters, norms, logging, loading.
    pub fixed: Sourced<Seconds>,
    /// Bytes per parameter and micro-batch of unfused gradient accumulation.
    pub accumulation_bytes: Sourced<f64>,
    /// Bytes per parameter and micro-batch of casting 32-bit weights to 16 bit and gradients back,
    /// where a framework casts at every use.
    pub cast_bytes: Sourced<f64>,
    /// Bytes per parameter and micro-batch of casts and copies when parameters are sharded.
    pub shard_copy_bytes: Sourced<f64>,
}

/// Laws of the communication library.
#[derive(Clone, Debug, PartialEq)]
pub struct CollectiveStack {
    /// Whether sharded weights reach every device over its own card, not once per node.
    pub flat_shards: Sourced<bool>,
    /// Latency base of all-gather and reduce-scatter relative to all-reduce, inside a node.
    pub shard_base: Sourced<f64>,
    /// Latency ramp of all-gather and reduce-scatter relative to all-reduce, inside a node.
    pub shard_ramp: Sourced<f64>,
    /// Whether one device of a node holds the variables and sums the gradients of all.
    pub central: Sourced<bool>,
    /// Bytes of gradients that are summed at once.
    pub bucket: Sourced<Bytes>,
    /// Time that each bucket holds computation up, per doubling of the nodes that sum it.
    pub bucket_wait: Sourced<Seconds>,
    /// Whether the library knows no trees between nodes.
    pub rings_only: Sourced<bool>,
    /// Fixed time of a ring across nodes.
    pub ring_base: Sourced<Seconds>,
    /// Time that every node of a ring adds besides the hops of its links: threads of the library
    /// that pass data on and have to be scheduled.
    pub ring_node: Sourced<Seconds>,
    /// Fixed time of a tree.
    pub tree_base: Sourced<Seconds>,
    /// Time per rank of a tree inside a node.
    pub tree_hop_intra: Sourced<Seconds>,
    /// Time per level of a tree between nodes.
    pub tree_hop_inter: Sourced<Seconds>,
    /// Bandwidth of a tree relative to a ring.
    pub tree_efficiency: Sourced<f64>,
    /// Bandwidth of an all-to-all inside a node relative to an all-reduce.
    pub all_to_all_efficiency: Sourced<f64>,
    /// Whether rows for several experts of one place travel there once.
    pub deduplicates: Sourced<bool>,
    /// Fixed time of an all-to-all.
    pub all_to_all_base: Sourced<Seconds>,
    /// Fixed time of a point-to-point message.
    pub send_base: Sourced<Seconds>,
    /// Bandwidth of a message inside a node relative to an all-reduce.
    pub send_efficiency: Sourced<f64>,
}

/// How much communication hides behind computation.
#[derive(Clone, Debug, PartialEq)]
pub struct OverlapStack {
    /// Hidden part of tensor-parallel communication, forward, without sequence parallelism.
    pub tensor_forward: Sourced<f64>,
    /// The same with sequence parallelism.
    pub tensor_forward_sequence: Sourced<f64>,
    /// Hidden part of tensor-parallel communication, backward, without sequence parallelism.
    pub tensor_backward: Sourced<f64>,
    /// The same with sequence parallelism.
    pub tensor_backward_sequence: Sourced<f64>,
    /// Hidden part of the exchanges of tokens between experts.
    pub expert: Sourced<f64>,
    /// Whether gradients are reduced while the backward pass still runs.
    pub data: Sourced<bool>,
    /// Whether that holds for gradients that are summed to where they are needed (ZeRO 1).
    pub scattered: Sourced<bool>,
    /// Whether updated weights are gathered while the next forward pass runs.
    pub gather: Sourced<bool>,
    /// Part of gradient communication that is exposed even where it overlaps (the last bucket).
    pub data_tail: Sourced<f64>,
    /// Hidden part of messages between pipeline stages.
    pub send: Sourced<f64>,
    /// γ: part of hidden communication that still costs, because both share the device.
    pub contention: Sourced<f64>,
    /// Exposed part of gathering and scattering the root unit of sharded parameters.
    pub root_unit_exposed: Sourced<f64>,
}

/// Pipelines of a stack.
#[derive(Clone, Debug, PartialEq)]
pub struct PipelineStack {
    /// Schedules that the stack runs as it is.
    pub schedules: Sourced<Vec<ScheduleKind>>,
    /// Layers that the first and the last of otherwise equal stages may have less than others,
    /// each, because they hold the embedding and the output.
    pub shorter_ends: Sourced<f64>,
}

/// What the host costs.
#[derive(Clone, Debug, PartialEq)]
pub struct HostStack {
    /// Processor time to launch one kernel.
    pub launch: Sourced<Seconds>,
    /// Processor time of one operator besides its launches: modules, differentiation, hooks.
    pub operator: Sourced<Seconds>,
    /// Processor time of one collective inside a layer besides its launch.
    pub collective: Sourced<Seconds>,
    /// What such a collective takes on top, per rank of its group, while stages of a pipeline on
    /// different nodes keep the processor busy with messages.
    pub staged_collective: Sourced<Seconds>,
    /// Processor time per tensor and replica where sharded states (ZeRO 1) are summed and gathered
    /// as lists of pieces, each copied by a call of its own.
    pub piece: Sourced<Seconds>,
    /// Time of a step outside of its passes: data, clipping, bookkeeping, and waiting for them.
    pub step: Sourced<Seconds>,
    /// Relative slowdown per doubling of the number of nodes.
    pub jitter: Sourced<f64>,
    /// What every kernel costs on top where the host waits for its end.
    pub blocking: Sourced<Seconds>,
    /// Host time per expert of the rank and product.
    pub expert: Sourced<Seconds>,
    /// What a step on several nodes takes longer because their hosts arrive apart.
    pub skew: Sourced<Seconds>,
}

/// Memory besides the model's own.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryStack {
    /// Context and library workspaces of a process.
    pub context: Sourced<Bytes>,
    /// Buffers of communicators.
    pub communicators: Sourced<Bytes>,
    /// Whether values stay a view of the product that made queries, keys and values at once.
    pub qkv_views: Sourced<bool>,
    /// Bytes per logit that a loss keeps besides the logits.
    pub loss_bytes: Sourced<f64>,
    /// Whether norms, sums and softmaxes work in 32 bit and keep what they made in it.
    pub wide: Sourced<bool>,
    /// Whether selective recomputation chooses by operator: every other product is repeated, and
    /// what lies between products.
    pub alternates: Sourced<bool>,
    /// Copies of a layer's input, gathered from the parts of sequence parallelism, that exist at
    /// once: the input itself, its gradient, and what waits to be collected.
    pub gathered: Sourced<f64>,
    /// Bytes per parameter of a rank's largest layer that gradients take before they are added.
    pub layer_gradient: Sourced<f64>,
    /// Bytes per parameter that a rank updates which exist only during the update.
    pub update: Sourced<f64>,
    /// Parameters that a bucket of gradients or gathered weights holds at most; a rank has one of
    /// each.
    pub bucket: Sourced<f64>,
    /// Tensors of every rank that belong to no layer: tables of positions, library workspaces.
    pub workspace: Sourced<Bytes>,
    /// What the allocator reserves beyond what is allocated, as a fraction.
    pub fragmentation: Sourced<f64>,
}

/// Relative uncertainty (one side) of each class of constants.
#[derive(Clone, Debug, PartialEq)]
pub struct SpreadStack {
    /// Sustained efficiency of matrix products.
    pub gemm: Sourced<f64>,
    /// Sustained memory bandwidth.
    pub memory: Sourced<f64>,
    /// Attention kernels.
    pub attention: Sourced<f64>,
    /// Links inside a node.
    pub intra: Sourced<f64>,
    /// Links between nodes.
    pub inter: Sourced<f64>,
    /// Latencies of all kinds.
    pub latency: Sourced<f64>,
}

/// Where measured step times lie: between `(1 − below)` and `(1 + above)` times the prediction.
#[derive(Clone, Debug, PartialEq)]
pub struct ResidualBand {
    /// How much faster than predicted.
    pub below: Sourced<f64>,
    /// How much slower than predicted.
    pub above: Sourced<f64>,
}

impl ResidualBand {
    /// A whole step with the wider of two intervals: the one its constants give, and the band in
    /// which measured steps of this stack lie. Checked by `the_wider_interval_wins`.
    #[must_use]
    pub fn around(&self, step: Estimate<Seconds>) -> Estimate<Seconds> {
        Estimate {
            low: step.low.min(step.value * (1.0 - self.below.value)),
            high: step.high.max(step.value * (1.0 + self.above.value)),
            ..step
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plan::Grade;

    /// 10 s, 8–11 s from the constants; a band of −10…+30 % widens it to 8–13 s.
    #[test]
    fn the_wider_interval_wins() {
        let of = |value| Sourced::new(value, Grade::Assumed, "a round number for this test");
        let band = ResidualBand { below: of(0.1), above: of(0.3) };
        let step = Estimate::spread(Seconds::new(10.0), 0.2, 0.1, Grade::Fitted);
        let wide = band.around(step);
        assert_eq!(
            (wide.low, wide.value, wide.high),
            (Seconds::new(8.0), Seconds::new(10.0), Seconds::new(13.0))
        );
        assert_eq!(wide.grade, Grade::Fitted);
    }
}
