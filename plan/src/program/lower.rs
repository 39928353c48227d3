//! From a plan to its program: the passes of [`passes`], one after the other.

use super::passes::{self, Draft};
use super::{LowerError, Program};
use crate::document::Decision;
use crate::lower::Traits;
use crate::model::Model;
use crate::schedule::{LocalSteps, Order};
use crate::units::Bytes;

/// What lowering needs to know about machine and data besides the plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Facts {
    /// Devices per node.
    pub per_node: u32,
    /// Traits of the software stack that change structure.
    pub traits: Traits,
    /// Different tokens that a step touches, where the corpus is known; else every token may be
    /// different.
    pub different: Option<DifferentTokens>,
    /// Memory that a device has for tensors, where the program has to fit.
    pub capacity: Option<Bytes>,
}

/// Different tokens among those of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DifferentTokens {
    /// Among those of one rank.
    pub own: f64,
    /// Among those of all replicas.
    pub all: f64,
}

/// How finely passes are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Granularity {
    /// One action per stage and micro-batch.
    Stage,
    /// One per layer and micro-batch.
    Layer,
    /// As per layer, with collectives inside layers as actions of their own.
    Operator,
}

/// What a plan leaves open, or may.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How finely passes are listed.
    pub granularity: Granularity,
    /// Layers whose sharded weights are collected ahead of the one in use.
    pub gather_ahead: u32,
    /// Messages that may be under way from a rank at once.
    pub send_budget: u32,
    /// Gradients are reduced together until they are this large.
    pub bucket: Bytes,
    /// Whether activations wait for their backward pass in host memory.
    pub offload: bool,
    /// Replicas that train apart, where they do.
    pub local: Option<LocalSteps>,
    /// Of a token table in pieces, the share of each stage that stores some; equal where empty.
    pub shares: Vec<f64>,
    /// An order of passes instead of the schedule's own.
    pub order: Option<Order>,
}

impl Default for Settings {
    /// Per layer; one layer gathered ahead, as PyTorch FSDP with `limit_all_gathers`; buckets of
    /// 25 MiB, as PyTorch DDP's `bucket_cap_mb`; two messages per direction under way.
    fn default() -> Self {
        Self {
            granularity: Granularity::Layer,
            gather_ahead: 1,
            send_budget: 4,
            bucket: Bytes::from_count(25 << 20),
            offload: false,
            local: None,
            shares: Vec::new(),
            order: None,
        }
    }
}

impl Settings {
    /// These settings, with what a plan decides.
    fn with(&self, decision: &Decision) -> Self {
        let local = decision.local_steps.or(self.local);
        Self { local, offload: self.offload || decision.offload, ..self.clone() }
    }
}

/// Lowers a plan.
///
/// The result is the same to the byte for the same arguments, is linear in time and size in the
/// number of actions, and passes [`validate`](super::validate::validate).
///
/// # Errors
/// [`LowerError`] where the plan contradicts itself or the model, or asks for what has no
/// lowering.
pub fn lower(
    model: &Model,
    decision: &Decision,
    facts: &Facts,
    settings: &Settings,
) -> Result<Program, LowerError> {
    let settings = &settings.with(decision);
    let mut draft = Draft::new(model, decision, facts, settings)?;
    passes::expand(&mut draft);
    passes::messages(&mut draft)?;
    passes::recompute(&mut draft);
    if settings.offload {
        passes::offload(&mut draft);
    }
    if settings.granularity == Granularity::Operator {
        passes::layer_collectives(&mut draft);
    }
    passes::sharding(&mut draft);
    passes::exchange(&mut draft);
    passes::optimizer(&mut draft);
    if let Some(local) = settings.local {
        passes::local_steps(&mut draft, local);
    }
    passes::buckets(&mut draft);
    passes::send_budget(&mut draft);
    passes::versions(&mut draft);
    passes::waits(&mut draft);
    passes::arena(&mut draft);
    passes::tokens(&mut draft);
    passes::ledger(&mut draft);
    Ok(draft.finish())
}
