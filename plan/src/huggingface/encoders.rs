//! BERT and its relatives.

use super::Draft;
use super::config::Config;
use super::families::plain;
use crate::model::{Positions, Stacks, Transformer};
use serde_json::Value;

/// Share of positions that masked training predicts (Devlin et al. 2018).
const MASKED: f64 = 0.15;

pub(super) fn bert(c: &Config) -> Option<Draft> {
    c.must("is_decoder", false, false, "an encoder that is used as a decoder");
    let layers = c.layers(&["num_hidden_layers"]);
    let d_model = c.count(&["hidden_size"]);
    let heads = c.count(&["num_attention_heads"]);
    let d_ff = c.count(&["intermediate_size"]);
    let vocab = c.count(&["vocab_size"]);
    let positions = c.count(&["max_position_embeddings"]);
    let segments = c.count(&["type_vocab_size"]);
    let (layers, d_model, heads) = (layers?, d_model?, heads?);
    let head_dim = c.divides("num_attention_heads", d_model, heads, "hidden_size")?;
    let mlm_head = is_masked(c);
    let shape = Transformer {
        stacks: Stacks::Encoder,
        d_ff: d_ff?,
        vocab: vocab?,
        positions: Positions::Learned(positions?),
        final_norm: false,
        embedding_norm: true,
        dropout: c.drops(&["hidden_dropout_prob", "attention_probs_dropout_prob"]),
        segments: segments?,
        pooler: !mlm_head,
        mlm_head,
        loss_fraction: MASKED,
        ..plain(layers, d_model, heads, head_dim)
    };
    let mut notes = vec!["masked training: the loss is over 15 % of positions".to_string()];
    if !mlm_head {
        notes.push("no masked-language head is named: encoder and pooler are counted".into());
    }
    Some(Draft { shape, notes })
}

pub(super) fn roberta(c: &Config) -> Option<Draft> {
    bert(c)
}

fn is_masked(c: &Config) -> bool {
    let names = c.get("architectures").and_then(Value::as_array);
    let is_masked = |name: &Value| name.as_str().is_some_and(|n| n.ends_with("ForMaskedLM"));
    names.is_some_and(|names| names.iter().any(is_masked))
}
