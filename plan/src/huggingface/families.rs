//! Which model types are imported, and why others are not.

use super::config::{BY_HAND, Config};
use super::{Draft, encoders, gpt, latent, llama, mixtures};
use crate::model::{Norm, Positions, Stacks, Transformer};
use crate::suggest::closest;

type Import = fn(&Config) -> Option<Draft>;

const KNOWN: [(&str, Import); 22] = [
    ("bert", encoders::bert),
    ("bloom", gpt::bloom),
    ("deepseek_v2", latent::deepseek_v2),
    ("deepseek_v3", latent::deepseek_v3),
    ("falcon", gpt::falcon),
    ("gemma", llama::gemma),
    ("gpt2", gpt::gpt2),
    ("gpt_bigcode", gpt::gpt_bigcode),
    ("gpt_neox", gpt::gpt_neox),
    ("granite", llama::granite),
    ("kimi_k2", latent::deepseek_v3),
    ("llama", llama::llama),
    ("mistral", llama::mistral),
    ("mixtral", mixtures::mixtral),
    ("opt", gpt::opt),
    ("phi3", llama::phi3),
    ("qwen2", llama::qwen2),
    ("qwen3", llama::qwen3),
    ("qwen3_moe", mixtures::qwen3_moe),
    ("roberta", encoders::roberta),
    ("stablelm", llama::stablelm),
    ("starcoder2", llama::starcoder2),
];

const ONE_NORM: &str = "attention and feed-forward share one normalisation, and the output has a \
                        bias, which the model language cannot express";
const FOUR_NORMS: &str =
    "layers have four normalisations, and the model language knows layers of two";
const WIDE_NORMS: &str = "queries and keys are normalised over all heads at once, which the model \
                          language cannot express";

const REFUSED: [(&str, &str); 13] = [
    ("gemma2", FOUR_NORMS),
    ("gemma3_text", FOUR_NORMS),
    ("gpt_neo", "biases are on some projections of attention and not on others"),
    ("gpt_oss", "attention has sinks and experts have biases, which the model language lacks"),
    ("gptj", ONE_NORM),
    ("mpt", "LayerNorm has no shift here, and the model language knows it with one"),
    ("mt5", "relative position biases are in buckets, which the model language lacks"),
    ("olmo", "LayerNorm has no parameters here, and the model language knows it with two"),
    ("olmo2", WIDE_NORMS),
    ("olmoe", WIDE_NORMS),
    ("phi", ONE_NORM),
    ("qwen2_moe", "the shared expert has a gate, which the model language lacks"),
    ("t5", "relative position biases are in buckets, which the model language lacks"),
];

/// The model types that can be imported, sorted.
#[must_use]
pub fn known_types() -> Vec<&'static str> {
    KNOWN.iter().map(|(name, _)| *name).collect()
}

/// The model types that are known and cannot be imported, with the reason, sorted.
#[must_use]
pub fn refused_types() -> &'static [(&'static str, &'static str)] {
    &REFUSED
}

pub(super) fn draft(config: &Config) -> Option<Draft> {
    let Some(kind) = config.word("model_type") else {
        let hint = "the config.json of a Hugging Face repository names one, like \"llama\"";
        return config.refuse("model_type", "missing: a text that names the architecture", hint);
    };
    if let Some((_, import)) = KNOWN.iter().find(|(name, _)| *name == kind) {
        return import(config);
    }
    if let Some((_, why)) = REFUSED.iter().find(|(name, _)| *name == kind) {
        let label = format!("`{kind}` cannot be imported exactly: {why}");
        return config.refuse("model_type", &label, BY_HAND);
    }
    let names = known_types();
    let meant = closest(kind, names.iter().copied());
    let meant = meant.map_or(String::new(), |name| format!("did you mean `{name}`? "));
    let label = format!("`{kind}` is no model type that can be imported");
    let hint = format!("{meant}known: {}; {BY_HAND}", names.join(", "));
    config.refuse("model_type", &label, &hint)
}

/// A decoder with LayerNorm and biases, as of GPT-2; families change what differs.
pub(super) fn plain(layers: u32, d_model: u64, heads: u64, head_dim: u64) -> Transformer {
    Transformer {
        stacks: Stacks::Decoder,
        layers,
        d_model,
        heads,
        kv_heads: heads,
        head_dim,
        latent: None,
        d_ff: d_model.saturating_mul(4),
        gated: false,
        vocab: 1,
        tied: true,
        positions: Positions::Sinusoidal,
        norm: Norm::LayerNorm,
        bias: true,
        qkv_bias: false,
        final_norm: true,
        embedding_norm: false,
        dropout: false,
        segments: 0,
        pooler: false,
        mlm_head: false,
        loss_fraction: 1.0,
        memory_length: 0,
        adaptive: None,
        experts: None,
    }
}
