//! GPT-2 and its relatives: LayerNorm, feed-forward parts of two matrices, mostly biases.

use super::Draft;
use super::config::Config;
use super::families::plain;
use crate::model::{Positions, Transformer};

const PARALLEL: &str = "attention and feed-forward of a layer run side by side in this model and \
                        are priced one after the other: one more sum per layer under tensor \
                        parallelism";
const ALIBI: &str = "ALiBi is priced as positions without parameters or work";

/// Layers, width, heads and vocabulary under their two usual names.
fn sizes(c: &Config, heads_by: &[&str]) -> Option<Transformer> {
    let layers = c.layers(&["num_hidden_layers", "n_layer"]);
    let d_model = c.count(&["hidden_size", "n_embd", "n_embed"]);
    let heads = c.count(heads_by);
    let vocab = c.count(&["vocab_size"]);
    let (layers, d_model, heads) = (layers?, d_model?, heads?);
    let key = heads_by.iter().find(|key| c.get(key).is_some())?;
    let head_dim = c.divides(key, d_model, heads, "the width")?;
    let tied = c.flag("tie_word_embeddings", true);
    Some(Transformer { vocab: vocab?, tied, ..plain(layers, d_model, heads, head_dim) })
}

const HEADS: [&str; 2] = ["num_attention_heads", "n_head"];

pub(super) fn gpt2(c: &Config) -> Option<Draft> {
    c.must("add_cross_attention", false, false, "a decoder that attends to an encoder");
    let positions = c.count(&["n_positions", "max_position_embeddings"]);
    let shape = sizes(c, &HEADS)?;
    let d_ff = c.count_or("n_inner", Some(shape.d_ff))?;
    let dropout = c.drops(&["resid_pdrop", "attn_pdrop", "embd_pdrop"]);
    let positions = Positions::Learned(positions?);
    Some(Draft::of(Transformer { d_ff, dropout, positions, ..shape }))
}

pub(super) fn gpt_bigcode(c: &Config) -> Option<Draft> {
    let mut draft = gpt2(c)?;
    if c.flag("multi_query", true) {
        draft.shape.kv_heads = 1;
    }
    Some(draft)
}

pub(super) fn gpt_neox(c: &Config) -> Option<Draft> {
    c.must("attention_bias", true, true, "biases on a part of the layer");
    let d_ff = c.count(&["intermediate_size"]);
    let shape = sizes(c, &HEADS)?;
    let tied = c.flag("tie_word_embeddings", false);
    let dropout = c.drops(&["hidden_dropout", "attention_dropout"]);
    let (positions, d_ff) = (Positions::Rope, d_ff?);
    let mut draft = Draft::of(Transformer { d_ff, tied, positions, dropout, ..shape });
    if c.flag("use_parallel_residual", true) {
        draft.notes.push(PARALLEL.into());
    }
    Some(draft)
}

/// Its table of positions has two rows more than positions.
pub(super) fn opt(c: &Config) -> Option<Draft> {
    let affine = "LayerNorm without parameters";
    c.must("layer_norm_elementwise_affine", true, true, affine);
    c.must("_remove_final_layer_norm", false, false, "an early export without its last norm");
    let (d_ff, positions) = (c.count(&["ffn_dim"]), c.count(&["max_position_embeddings"]));
    let shape = sizes(c, &HEADS)?;
    if c.count_or("word_embed_proj_dim", Some(shape.d_model))? != shape.d_model {
        let why = "the embedding is narrower than the layers";
        let hint = "word_embed_proj_dim = hidden_size can be imported";
        return c.refuse("word_embed_proj_dim", why, hint);
    }
    let dropout = c.drops(&["dropout", "attention_dropout"]);
    let (bias, final_norm) = (c.flag("enable_bias", true), c.flag("do_layer_norm_before", true));
    let positions = Positions::Learned(positions? + 2);
    let d_ff = d_ff?;
    Some(Draft::of(Transformer { d_ff, positions, bias, final_norm, dropout, ..shape }))
}

/// The embedding is normalised; positions are ALiBi's.
pub(super) fn bloom(c: &Config) -> Option<Draft> {
    let dropout = c.drops(&["hidden_dropout", "attention_dropout"]);
    let shape = Transformer { embedding_norm: true, dropout, ..sizes(c, &["n_head", HEADS[0]])? };
    Some(Draft { shape, notes: vec![ALIBI.into()] })
}

/// Falcon's large models have two norms side by side; the first ones have one, but for RW.
pub(super) fn falcon(c: &Config) -> Option<Draft> {
    let (is_new, parallel) =
        (c.flag("new_decoder_architecture", false), c.flag("parallel_attn", true));
    let norms = c.count_or("num_ln_in_parallel_attn", Some(if is_new { 2 } else { 1 }))?;
    if (is_new || parallel) && norms != 2 {
        let why = "attention and feed-forward share one normalisation, which the model language \
                   cannot express";
        return c.refuse("parallel_attn", why, "falcon-40b and falcon-rw-1b can be imported");
    }
    let shape = sizes(c, &HEADS)?;
    let kv_heads = match (is_new, c.flag("multi_query", true)) {
        (true, _) => c.count(&["num_kv_heads"])?,
        (false, true) => 1,
        (false, false) => shape.heads,
    };
    c.divides("num_kv_heads", shape.heads, kv_heads, "num_attention_heads")?;
    let d_ff = c.count_or("ffn_hidden_size", Some(shape.d_ff))?;
    let is_alibi = c.flag("alibi", false);
    let positions = if is_alibi { Positions::Sinusoidal } else { Positions::Rope };
    let bias = c.flag("bias", false);
    let dropout = c.drops(&["hidden_dropout", "attention_dropout"]);
    let mut notes = Vec::new();
    notes.extend(is_alibi.then(|| ALIBI.to_string()));
    notes.extend(is_new.then(|| PARALLEL.to_string()));
    let shape = Transformer { kv_heads, d_ff, positions, bias, dropout, ..shape };
    Some(Draft { shape, notes })
}
