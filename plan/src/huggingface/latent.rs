//! DeepSeek and its relatives: latent attention, shared experts, some layers without experts.

use super::Draft;
use super::config::Config;
use super::llama::{Defaults, usual};
use super::mixtures::experts;
use crate::model::{Experts, Latent, Transformer};

pub(super) fn deepseek_v2(c: &Config) -> Option<Draft> {
    imported(c, false)
}

/// Scores of experts have a bias unless the selection says otherwise.
pub(super) fn deepseek_v3(c: &Config) -> Option<Draft> {
    imported(c, true)
}

fn imported(c: &Config, biased: bool) -> Option<Draft> {
    c.must("attention_bias", false, false, "biases on attention alone");
    let router_bias = c.word("topk_method").map_or(biased, |method| method == "noaux_tc");
    let (latent, head_dim) = widths(c)?;
    let mixture = mixture(c, router_bias);
    let shape = usual(c, &Defaults { tied: false, all_heads: true })?;
    // Every head has keys of its own, whatever the configuration repeats of other families.
    let (heads, experts) = (shape.heads, Some(mixture?));
    let latent = Some(latent);
    let mut draft = Draft::of(Transformer { latent, head_dim, kv_heads: heads, experts, ..shape });
    let ahead = c.how_many("num_nextn_predict_layers")?;
    if ahead > 0 {
        draft.notes.push(format!(
            "layers that predict further tokens ({ahead}) are left out of parameters, memory and \
             time"
        ));
    }
    Some(draft)
}

/// Widths of latent attention, and of one head's key.
fn widths(c: &Config) -> Option<(Latent, u64)> {
    let query = c.get("q_lora_rank").map(|_| c.count(&["q_lora_rank"]));
    let key_value = c.count(&["kv_lora_rank"]);
    let (plain, rotary) = (c.count(&["qk_nope_head_dim"]), c.count(&["qk_rope_head_dim"]));
    let value = c.count(&["v_head_dim"]);
    let query = match query {
        Some(width) => Some(width?),
        None => None,
    };
    let latent = Latent { query, key_value: key_value?, rotary: rotary?, value: value? };
    Some((latent, plain? + latent.rotary))
}

fn mixture(c: &Config, router_bias: bool) -> Option<Experts> {
    let routed = experts(c, "n_routed_experts", "moe_intermediate_size");
    let shared = c.how_many("n_shared_experts");
    let dense = c.how_many("first_k_dense_replace");
    let every = c.count_or("moe_layer_freq", Some(1));
    let routed = routed?;
    Some(Experts {
        d_shared: shared? * routed.d_expert,
        dense_layers: u32::try_from(dense?).ok()?,
        every: u32::try_from(every?).ok()?,
        router_bias,
        ..routed
    })
}
