//! Which models can be run, and what is assumed about them.

use plan::model::{Family, Model, Positions, Stacks, Transformer};
use plan::work::OptimizerRule;
use thiserror::Error;

/// Why a plan cannot be run here.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Unsupported {
    /// A kind of model.
    #[error("{model} is {what}, which can be planned but not executed yet; {instead}")]
    Model {
        /// The model.
        model: String,
        /// What it is.
        what: &'static str,
        /// What works.
        instead: &'static str,
    },
    /// Tensor parallelism that does not divide.
    #[error("{what} = {value} does not divide by tp = {tp}; plan with a tp that divides it")]
    Uneven {
        /// What is split.
        what: &'static str,
        /// Its size.
        value: u64,
        /// Tensor-parallel degree.
        tp: usize,
    },
    /// A decision of a plan.
    #[error("{what} cannot be executed yet; {instead}")]
    Decision {
        /// Which decision.
        what: String,
        /// What works.
        instead: &'static str,
    },
}

/// Whether a model can be run with this tensor-parallel degree.
///
/// # Errors
/// What cannot be run, and what can.
pub fn check(model: &Model, tp: usize) -> Result<(), Unsupported> {
    let name = &model.spec.name;
    let refuse = |what, instead| Err(Unsupported::Model { model: name.clone(), what, instead });
    match &model.spec.family {
        Family::Einsum(_) => refuse("a free einsum graph", "write it as a transformer"),
        Family::Transformer(t) => {
            if matches!(t.positions, Positions::Learned(n) if n < model.spec.training.sequence) {
                return refuse("longer than its learned positions", "take shorter sequences");
            }
            transformer(t, tp, refuse)
        }
        Family::Lstm(m) => even("hidden", m.hidden, tp),
        Family::Mlstm(m) => even("hidden", m.hidden, tp),
        Family::Rhn(m) => even("hidden", m.hidden, tp),
    }?;
    match model.spec.training.optimizer {
        OptimizerRule::Adafactor | OptimizerRule::Lamb => {
            refuse("trained with Adafactor or LAMB", "take SGD, momentum, AdaGrad or Adam")
        }
        _ => Ok(()),
    }
}

fn even(what: &'static str, value: u64, tp: usize) -> Result<(), Unsupported> {
    match value.is_multiple_of(tp as u64) {
        true => Ok(()),
        false => Err(Unsupported::Uneven { what, value, tp }),
    }
}

fn transformer(
    t: &Transformer,
    tp: usize,
    refuse: impl Fn(&'static str, &'static str) -> Result<(), Unsupported>,
) -> Result<(), Unsupported> {
    if matches!(t.stacks, Stacks::EncoderDecoder { .. }) {
        return refuse("an encoder–decoder", "decoders and encoders run");
    }
    if t.positions == Positions::NormedRope {
        return refuse("a model with normalised queries and keys", "plain rotary positions run");
    }
    if t.latent.is_some() {
        return refuse("a model with latent attention", "plain and grouped key heads run");
    }
    if t.experts.as_ref().is_some_and(|e| e.router_bias) {
        return refuse("a model whose router has a bias", "a router without one runs");
    }
    if t.experts.is_some() && t.bias {
        return refuse("a model whose experts have biases", "experts without them run");
    }
    if t.adaptive.is_some() {
        return refuse("a model with adaptive softmax", "a full softmax runs");
    }
    if t.stacks == Stacks::Encoder && t.memory_length > 0 {
        return refuse("an encoder with cached positions", "a decoder with them runs");
    }
    if t.positions == Positions::Relative && t.memory_length == 0 {
        return refuse("a model with relative positions but no cache", "give it a memory length");
    }
    if t.memory_length > 0 && t.positions != Positions::Relative {
        return refuse("a model with a cache but no relative positions", "make them relative");
    }
    if t.memory_length > 0 && t.kv_heads != t.heads {
        return refuse("a model with a cache and shared key heads", "give every head its keys");
    }
    let sizes = [("heads", t.heads), ("kv_heads", t.kv_heads), ("d_ff", t.d_ff)];
    sizes.into_iter().try_for_each(|(what, value)| even(what, value, tp))?;
    let Some(e) = &t.experts else { return Ok(()) };
    even("d_expert", e.d_expert, tp)?;
    even("d_shared", e.d_shared, tp)
}

/// What a run assumes that the model's description leaves open; each a sentence for people.
#[must_use]
pub fn assumptions(model: &Model) -> Vec<String> {
    let mut found = Vec::new();
    if let Family::Transformer(t) = &model.spec.family {
        if t.dropout {
            found.push("no dropout: the model file says that there is some, not how much".into());
        }
        if !t.gated {
            found.push("GELU in its tanh form in the feed-forward part".into());
        }
        if t.positions == Positions::Rope {
            found.push("rotary positions turn with base 10000".into());
        }
        if t.positions == Positions::Relative {
            found.push("every layer has position biases of its own".into());
        }
    }
    found
}

/// Whether rows of activations are ordered by time first: recurrent layers step through them.
#[must_use]
pub fn runs_in_time(model: &Model) -> bool {
    model.is_recurrent
}

/// Width of the activations that enter a layer of the chain; 0 for the first.
#[must_use]
pub fn border_width(model: &Model, layer: u32) -> usize {
    let width = match &model.spec.family {
        Family::Transformer(t) => t.d_model,
        Family::Lstm(m) if layer == 1 => m.embedding,
        Family::Lstm(m) => m.projection.unwrap_or(m.hidden),
        Family::Mlstm(m) if layer == 1 => m.embedding,
        Family::Mlstm(m) => m.hidden,
        Family::Rhn(m) => m.hidden,
        Family::Einsum(_) => 0,
    };
    if layer == 0 { 0 } else { width as usize }
}
