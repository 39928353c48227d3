//! Llama and its relatives: rotary positions, grouped keys, mostly RMSNorm and gated feed-forward.

use super::Draft;
use super::config::{BY_HAND, Config};
use super::families::plain;
use crate::model::{Norm, Positions, Transformer};

/// What a family leaves to its code instead of its configuration.
pub(super) struct Defaults {
    /// Whether the output projection is the embedding, where no key says so.
    pub tied: bool,
    /// Whether key heads are query heads, where no key says so.
    pub all_heads: bool,
}

/// The shape that the usual keys describe: no biases, RMSNorm, gated.
pub(super) fn usual(c: &Config, defaults: &Defaults) -> Option<Transformer> {
    let layers = c.layers(&["num_hidden_layers"]);
    let d_model = c.count(&["hidden_size"]);
    let heads = c.count(&["num_attention_heads"]);
    let d_ff = c.count(&["intermediate_size"]);
    let vocab = c.count(&["vocab_size"]);
    let kv_heads = match c.get("num_key_value_heads") {
        None if defaults.all_heads => heads,
        _ => c.count(&["num_key_value_heads"]),
    };
    let (layers, d_model, heads, kv_heads) = (layers?, d_model?, heads?, kv_heads?);
    c.divides("num_key_value_heads", heads, kv_heads, "num_attention_heads")?;
    let head_dim = match c.get("head_dim") {
        Some(_) => c.count(&["head_dim"]),
        None => c.divides("num_attention_heads", d_model, heads, "hidden_size"),
    }?;
    Some(Transformer {
        kv_heads,
        d_ff: d_ff?,
        vocab: vocab?,
        gated: true,
        tied: c.flag("tie_word_embeddings", defaults.tied),
        positions: Positions::Rope,
        norm: Norm::RmsNorm,
        bias: false,
        dropout: c.drops(&["attention_dropout", "resid_pdrop", "residual_dropout"]),
        ..plain(layers, d_model, heads, head_dim)
    })
}

/// Biases on all of attention come with those of the feed-forward part, or not at all.
fn biases(c: &Config) -> bool {
    let (attention, mlp) = (c.flag("attention_bias", false), c.flag("mlp_bias", false));
    if attention != mlp {
        let key = if attention { "attention_bias" } else { "mlp_bias" };
        let why = "biases on a part of the layer, which the model language cannot express";
        c.refuse::<()>(key, why, BY_HAND);
    }
    attention && mlp
}

/// A note where layers attend to a window only.
pub(super) fn windowed(c: &Config, shape: Transformer) -> Draft {
    let mut draft = Draft::of(shape);
    let window = c.get("sliding_window").and_then(serde_json::Value::as_u64);
    let is_used = c.flag("use_sliding_window", true);
    let most = c.get("max_position_embeddings").and_then(serde_json::Value::as_u64);
    if let Some(window) = window.filter(|w| is_used && most.is_none_or(|most| *w < most)) {
        draft.notes.push(format!(
            "attention is priced over whole sequences; beyond its window of {window} tokens the \
             model computes less"
        ));
    }
    draft
}

const UNTIED: Defaults = Defaults { tied: false, all_heads: true };
const STATED: Defaults = Defaults { tied: false, all_heads: false };

pub(super) fn llama(c: &Config) -> Option<Draft> {
    let bias = biases(c);
    Some(Draft::of(Transformer { bias, ..usual(c, &UNTIED)? }))
}

pub(super) fn granite(c: &Config) -> Option<Draft> {
    llama(c)
}

pub(super) fn mistral(c: &Config) -> Option<Draft> {
    Some(windowed(c, usual(c, &STATED)?))
}

pub(super) fn qwen2(c: &Config) -> Option<Draft> {
    let shape = Transformer { qkv_bias: true, ..usual(c, &STATED)? };
    let mut draft = windowed(c, shape);
    // Qwen2 leaves its window unused unless told otherwise.
    if !c.flag("use_sliding_window", false) {
        draft.notes.clear();
    }
    Some(draft)
}

/// Queries and keys are normalised head by head before the rotary embedding.
pub(super) fn normed(c: &Config) -> Option<Transformer> {
    c.must("attention_bias", false, false, "biases on attention alone");
    // Without the key, heads are 128 wide whatever the other sizes are.
    let head_dim = c.count(&["head_dim"]);
    let shape = usual(c, &STATED)?;
    Some(Transformer { positions: Positions::NormedRope, head_dim: head_dim?, ..shape })
}

pub(super) fn qwen3(c: &Config) -> Option<Draft> {
    Some(Draft::of(normed(c)?))
}

pub(super) fn phi3(c: &Config) -> Option<Draft> {
    c.must("attention_bias", false, false, "biases on attention alone");
    Some(windowed(c, usual(c, &UNTIED)?))
}

/// The width of heads is a size of its own.
pub(super) fn gemma(c: &Config) -> Option<Draft> {
    c.must("attention_bias", false, false, "biases on attention alone");
    let head_dim = c.count(&["head_dim"]);
    let shape = usual(c, &Defaults { tied: true, all_heads: false })?;
    Some(Draft::of(Transformer { head_dim: head_dim?, ..shape }))
}

pub(super) fn stablelm(c: &Config) -> Option<Draft> {
    c.must("use_parallel_residual", false, false, "attention and feed-forward share one norm");
    c.must("qk_layernorm", false, false, "normalised queries and keys with scales per head");
    let qkv_bias = c.flag("use_qkv_bias", false);
    let dropout = c.drops(&["hidden_dropout", "attention_dropout"]);
    let shape = usual(c, &STATED)?;
    Some(Draft::of(Transformer { norm: Norm::LayerNorm, qkv_bias, dropout, ..shape }))
}

pub(super) fn starcoder2(c: &Config) -> Option<Draft> {
    let bias = c.flag("use_bias", true);
    let dropout = c.drops(&["residual_dropout", "attention_dropout", "embedding_dropout"]);
    let shape = usual(c, &Defaults { tied: true, all_heads: false })?;
    let shape = Transformer { norm: Norm::LayerNorm, gated: false, bias, dropout, ..shape };
    Some(windowed(c, shape))
}
