//! Models: a chain of layers, each of a kind that is an operator graph over named dimensions.

mod latent;
mod recurrent;
mod spec;
mod transformer;

pub use spec::*;

use crate::graph::{Dim, DimSet, OpGraph, OpKind, Sizes};
use crate::units::Flops;
use thiserror::Error;

/// What a layer is in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerRole {
    /// Token table (and what comes with it) at the start.
    Embedding,
    /// Ordinary layer.
    Body,
    /// Output distribution and loss at the end.
    Head,
}

/// A kind of layer.
#[derive(Clone, Debug)]
pub struct LayerKind {
    /// Name on screens: `decoder layer`.
    pub name: &'static str,
    /// What it is in the chain.
    pub role: LayerRole,
    /// What it computes.
    pub graph: OpGraph,
    /// Whether its sequence is the source side of an encoder–decoder.
    pub on_source: bool,
}

/// A run of identical layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Index into [`Model::kinds`].
    pub kind: usize,
    /// How many.
    pub layers: u32,
}

/// A model that can be planned.
#[derive(Clone, Debug)]
pub struct Model {
    /// What the person wrote.
    pub spec: ModelSpec,
    /// Kinds of layers.
    pub kinds: Vec<LayerKind>,
    /// The chain, in order.
    pub chain: Vec<Run>,
    /// Sizes of all dimensions but batch and positions.
    pub sizes: Sizes,
    /// Token table, if there is one.
    pub table: Option<Table>,
    /// Whether one layer must finish all time steps of a chunk before the next chunk: the layers
    /// are recurrent, and micro-batches may be cut along time.
    pub is_recurrent: bool,
}

/// The token table whose gradients are sparse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Rows.
    pub vocab: u64,
    /// Width of a row.
    pub width: u64,
    /// Whether the output projection is the same table.
    pub tied: bool,
    /// Rows of the output table that a step samples, where the softmax is sampled.
    pub sampled: Option<u64>,
}

/// Why a model cannot be built.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ModelError {
    /// A size that must be positive is zero.
    #[error("{what} is 0; a model needs at least one")]
    Zero {
        /// Which size.
        what: &'static str,
    },
    /// Two sizes that must agree do not.
    #[error("{left} = {left_value} does not divide by {right} = {right_value}")]
    Uneven {
        /// The dividend.
        left: &'static str,
        /// Its value.
        left_value: u64,
        /// The divisor.
        right: &'static str,
        /// Its value.
        right_value: u64,
    },
    /// More micro-steps than are modelled.
    #[error("a recurrence depth of {depth} is beyond the {most} micro-steps that are modelled")]
    TooDeep {
        /// What was asked for.
        depth: u32,
        /// What is modelled.
        most: usize,
    },
    /// Adaptive softmax whose clusters are empty.
    #[error(
        "adaptive softmax needs rising cut-offs below the vocabulary and a divisor that leaves \
         every cluster a width"
    )]
    Adaptive,
    /// Latent attention beside parts that it is not defined with.
    #[error(
        "latent attention needs a decoder with as many key heads as heads, rotary positions, no \
         biases, no cached positions, and heads at least as wide as their rotary part"
    )]
    Latent,
    /// The model is a free graph, which has no chain of layers.
    #[error("a free einsum graph has no chain of layers")]
    NoChain,
}

impl Model {
    /// Builds the chain of operator graphs.
    ///
    /// # Errors
    /// Sizes that are zero or do not divide; free einsum graphs.
    pub fn build(spec: &ModelSpec) -> Result<Self, ModelError> {
        match &spec.family {
            Family::Transformer(shape) => transformer::build(spec, shape),
            Family::Lstm(shape) => recurrent::lstm(spec, shape),
            Family::Mlstm(shape) => recurrent::mlstm(spec, shape),
            Family::Rhn(shape) => recurrent::rhn(spec, shape),
            Family::Einsum(_) => Err(ModelError::NoChain),
        }
    }

    /// Layers that pipeline stages may separate, embedding and head included.
    #[must_use]
    pub fn layers(&self) -> u32 {
        self.chain.iter().map(|run| run.layers).sum()
    }

    /// Parameters; a tied table counts once.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        let all: u64 = self
            .chain
            .iter()
            .map(|run| {
                self.kinds[run.kind].graph.parameter_count(&self.sizes) * u64::from(run.layers)
            })
            .sum();
        let twice = self.table.filter(|t| t.tied).map_or(0, |t| t.vocab * t.width);
        all - twice
    }

    /// Sizes for `sequences` sequences of `target` tokens (and `source` tokens on the source side).
    #[must_use]
    pub fn sizes_for(&self, kind: &LayerKind, sequences: u64, target: u64, source: u64) -> Sizes {
        let seq = if kind.on_source { source } else { target };
        let memory = match &self.spec.family {
            Family::Transformer(t) => t.memory_length,
            _ => 0,
        };
        let keys = if kind.on_source || memory == 0 { source.max(1) } else { seq + memory };
        let sizes = self.sizes.clone().with(Dim::Batch, sequences).with(Dim::Seq, seq);
        let sizes = sizes.with(Dim::SelfKeys, seq);
        let sizes = sizes.with(Dim::Keys, keys).with(Dim::Predicted, self.predicted(seq));
        sizes.with(Dim::Capacity, self.tokens_per_expert(sequences * seq))
    }

    fn predicted(&self, seq: u64) -> u64 {
        match &self.spec.family {
            Family::Transformer(t) => ((seq as f64 * t.loss_fraction).round() as u64).max(1),
            _ => seq,
        }
    }

    fn tokens_per_expert(&self, tokens: u64) -> u64 {
        match &self.spec.family {
            Family::Transformer(Transformer { experts: Some(e), .. }) => {
                let mean = (tokens * e.top_k) as f64 / e.count as f64;
                (mean * e.imbalance).ceil() as u64
            }
            _ => 1,
        }
    }

    /// Model FLOPs of one sequence, forward and backward, without recomputation: twice the
    /// products and attention of the forward pass for the backward pass (PaLM's definition of what
    /// MFU counts; causal attention counts half the square).
    #[must_use]
    pub fn flops_per_sequence(&self, target: u64, source: u64) -> Flops {
        let runs = self.chain.iter().map(|run| {
            let kind = &self.kinds[run.kind];
            let sizes = self.sizes_for(kind, 1, target, source);
            forward_flops(&kind.graph, &sizes) * f64::from(run.layers)
        });
        runs.sum::<Flops>() * 3.0
    }

    /// Model FLOPs of one token of the target sequence.
    #[must_use]
    pub fn flops_per_token(&self) -> Flops {
        let t = &self.spec.training;
        self.flops_per_sequence(t.sequence, t.source_or_target()) / t.sequence as f64
    }
}

impl Training {
    /// Tokens per sequence on the source side.
    #[must_use]
    pub fn source_or_target(&self) -> u64 {
        if self.source_sequence == 0 { self.sequence } else { self.source_sequence }
    }
}

fn forward_flops(graph: &OpGraph, sizes: &Sizes) -> Flops {
    graph
        .ops()
        .map(|op| {
            let iteration = sizes.product(graph.iteration(op)) as f64;
            match op.kind {
                OpKind::Einsum => Flops::new(2.0 * iteration),
                OpKind::Attention { causal, keys, .. } => {
                    // Scores take a product over the width of keys, their use one over values'.
                    let out = graph.tensor(op.output).set();
                    let wide =
                        if out.contains(Dim::ValueDim) { Dim::ValueDim } else { Dim::HeadDim };
                    let squares = sizes.product(out - DimSet::of(&[wide])) as f64;
                    let widths = (sizes.get(Dim::HeadDim) + sizes.get(wide)) as f64;
                    let half = if causal { 0.5 } else { 1.0 };
                    Flops::new(2.0 * half * squares * widths * sizes.get(keys) as f64)
                }
                _ => Flops::ZERO,
            }
        })
        .sum()
}

/// Refuses sizes that are zero.
fn positive(sizes: &[(&'static str, u64)]) -> Result<(), ModelError> {
    match sizes.iter().find(|(_, value)| *value == 0) {
        Some(&(what, _)) => Err(ModelError::Zero { what }),
        None => Ok(()),
    }
}
