//! Mixtures of experts.

use super::Draft;
use super::config::Config;
use super::llama::{Defaults, normed, usual, windowed};
use crate::model::{Experts, Transformer};
use serde_json::Value;

/// Experts in every layer, evenly loaded: the configuration does not say how well they balance.
pub(super) fn experts(c: &Config, count: &str, width: &str) -> Option<Experts> {
    let (n, top_k) = (c.count(&[count]), c.count(&["num_experts_per_tok"]));
    let d_expert = c.count(&[width]);
    let (count, top_k) = (n?, top_k?);
    if top_k > count {
        let label = format!("a token cannot visit {top_k} of {count} experts");
        return c.refuse("num_experts_per_tok", &label, "at most the number of experts");
    }
    Some(Experts {
        count,
        top_k,
        d_expert: d_expert?,
        d_shared: 0,
        dense_layers: 0,
        every: 1,
        router_bias: false,
        imbalance: 1.0,
    })
}

pub(super) fn mixtral(c: &Config) -> Option<Draft> {
    let experts = experts(c, "num_local_experts", "intermediate_size");
    let shape = usual(c, &Defaults { tied: false, all_heads: false })?;
    Some(windowed(c, Transformer { experts: Some(experts?), ..shape }))
}

pub(super) fn qwen3_moe(c: &Config) -> Option<Draft> {
    let experts = experts(c, "num_experts", "moe_intermediate_size");
    if c.get("mlp_only_layers").and_then(Value::as_array).is_some_and(|list| !list.is_empty()) {
        let why = "some layers have no experts, here and there";
        return c.refuse("mlp_only_layers", why, "an empty list can be imported");
    }
    let every = c.count_or("decoder_sparse_step", Some(1)).and_then(|n| u32::try_from(n).ok());
    let shape = normed(c)?;
    let experts = Experts { every: every?, ..experts? };
    Some(Draft::of(Transformer { experts: Some(experts), ..shape }))
}
