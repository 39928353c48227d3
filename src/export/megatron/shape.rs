//! The shape of a model in Megatron's words.

use crate::export::form::Value;
use crate::export::recipe::Recipe;
use crate::export::said::Said;
use plan::model::{Experts, Norm, Positions, Stacks, Transformer};

/// Keys of `model.`, or why Megatron's decoder is not this model.
pub fn model(r: &Recipe<'_>) -> Said {
    let Some(t) = r.transformer() else {
        return Said::never("it has no recurrent models and no free graphs", None);
    };
    if let Some(why) = lacking(t) {
        return Said::never(why, None);
    }
    let mut said = Said::keys([
        ("model.num_layers", t.layers.into()),
        ("model.hidden_size", t.d_model.into()),
        ("model.ffn_hidden_size", t.d_ff.into()),
        ("model.num_attention_heads", t.heads.into()),
        ("model.vocab_size", t.vocab.into()),
        ("model.normalization", norm(t.norm).into()),
        ("model.add_bias_linear", t.bias.into()),
        ("model.share_embeddings_and_output_weights", t.tied.into()),
    ]);
    let mut add =
        |key: &str, value: Value| said.settings.extend(Said::keys([(key, value)]).settings);
    if t.kv_heads != t.heads && t.latent.is_none() {
        add("model.num_query_groups", t.kv_heads.into());
    }
    if t.gated {
        add("model.gated_linear_unit", true.into());
    }
    if t.qkv_bias && !t.bias {
        add("model.add_qkv_bias", true.into());
    }
    if !t.dropout {
        add("model.attention_dropout", 0.0.into());
        add("model.hidden_dropout", 0.0.into());
    }
    let tokens = r.decision.batch.tokens_per_sequence;
    let (kind, longest) = match t.positions {
        Positions::Learned(rows) => ("learned_absolute", rows.max(tokens)),
        _ => ("rope", tokens),
    };
    add("model.position_embedding_type", kind.into());
    add("model.max_position_embeddings", longest.into());
    if t.positions == Positions::NormedRope || t.latent.is_some() {
        add("model.qk_layernorm", true.into());
    }
    said.settings.extend(attention(t).settings);
    if let Some(experts) = &t.experts {
        said.settings.extend(mixture(t, experts).settings);
    }
    said
}

/// What the model has that Megatron's decoder lacks.
fn lacking(t: &Transformer) -> Option<&'static str> {
    match () {
        () if t.stacks != Stacks::Decoder => Some("only its decoder is described, pretrain_gpt.py"),
        () if t.positions == Positions::Sinusoidal => Some("its decoder has no fixed sinusoids"),
        () if t.positions == Positions::Relative => {
            Some("it has no relative positions of this kind")
        }
        () if t.adaptive.is_some() => Some("it has no adaptive softmax"),
        () if t.memory_length > 0 => Some("it caches no positions between segments"),
        () if t.embedding_norm => Some("its decoder does not normalise the embedding"),
        () if !t.final_norm => Some("its decoder normalises after the last layer"),
        () => None,
    }
}

fn norm(norm: Norm) -> &'static str {
    match norm {
        Norm::LayerNorm => "LayerNorm",
        Norm::RmsNorm => "RMSNorm",
    }
}

/// Widths of heads where they are not `d_model / heads`, or latent.
fn attention(t: &Transformer) -> Said {
    let Some(l) = &t.latent else {
        return match t.head_dim * t.heads == t.d_model {
            true => Said::same(),
            false => Said::keys([("model.kv_channels", t.head_dim.into())]),
        };
    };
    let said = Said::keys([
        ("model.multi_latent_attention", true.into()),
        ("model.kv_lora_rank", l.key_value.into()),
        ("model.qk_head_dim", (t.head_dim - l.rotary).into()),
        ("model.qk_pos_emb_head_dim", l.rotary.into()),
        ("model.v_head_dim", l.value.into()),
    ]);
    // Without it Megatron compresses queries to a width of its own.
    said.and([("model.q_lora_rank", l.query.map_or(Value::Raw("None".into()), Value::from))])
}

fn mixture(t: &Transformer, experts: &Experts) -> Said {
    let mut said = Said::keys([
        ("model.num_moe_experts", experts.count.into()),
        ("model.moe_router_topk", experts.top_k.into()),
        ("model.moe_ffn_hidden_size", experts.d_expert.into()),
        ("model.moe_token_dispatcher_type", "alltoall".into()),
        ("model.moe_grouped_gemm", true.into()),
    ]);
    let mut add =
        |key: &str, value: Value| said.settings.extend(Said::keys([(key, value)]).settings);
    if experts.d_shared > 0 {
        add("model.moe_shared_expert_intermediate_size", experts.d_shared.into());
    }
    if experts.router_bias {
        add("model.moe_router_score_function", "sigmoid".into());
        add("model.moe_router_enable_expert_bias", true.into());
    }
    if experts.dense_layers > 0 {
        let rest = t.layers - experts.dense_layers;
        let frequency = format!("[0]*{}+[1]*{rest}", experts.dense_layers);
        add("model.moe_layer_freq", Value::Raw(frequency));
    } else if experts.every > 1 {
        add("model.moe_layer_freq", experts.every.into());
    }
    said
}
