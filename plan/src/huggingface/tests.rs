//! Configurations against published counts are in `plan/tests/huggingface.rs`; here is what goes
//! wrong, and that nothing worse does.

use super::{families, import, known_types};
use proptest::prelude::*;

fn said(text: &str) -> String {
    import(text, "x").unwrap_err().render(text)
}

const LLAMA: &str = r#"{
  "model_type": "llama",
  "hidden_size": 64,
  "num_hidden_layers": 2,
  "num_attention_heads": 4,
  "num_key_value_heads": 2,
  "intermediate_size": 128,
  "vocab_size": 100,
  "max_position_embeddings": 512
}"#;

#[test]
fn sequences_are_no_longer_than_positions_and_the_batch_is_a_million_tokens() {
    let imported = import(LLAMA, "x").unwrap();
    assert_eq!(imported.spec.training.sequence, 512);
    // 2^20 / 512.
    assert_eq!(imported.spec.training.batch, crate::model::Batch::Global(2048));
    assert!(imported.notes[0].contains("positions reach 512"), "{:?}", imported.notes);
}

#[test]
fn an_unknown_type_is_met_with_the_nearest_and_all() {
    let text = LLAMA.replace("\"llama\"", "\"lama\"");
    let said = said(&text);
    assert!(said.starts_with("2:17: `model_type`: `lama` is no model type"), "{said}");
    assert!(said.contains("did you mean `llama`? known: bert, bloom"), "{said}");
}

#[test]
fn what_the_language_lacks_is_refused_with_the_reason() {
    let said = said(r#"{"model_type": "gemma2"}"#);
    assert!(said.contains("four normalisations") && said.contains("scenarios new model"), "{said}");
    for (kind, _) in families::refused_types() {
        assert!(!known_types().contains(kind), "{kind} is known and refused");
    }
}

#[test]
fn every_missing_key_is_told_at_once() {
    let said = said(r#"{"model_type": "llama", "hidden_size": 64, "vocab_size": "many"}"#);
    for what in ["`num_hidden_layers`", "`num_attention_heads`", "`intermediate_size`", "1:58"] {
        assert!(said.contains(what), "{what} in {said}");
    }
}

#[test]
fn contradictions_are_refused_where_they_are() {
    let heads = said(&LLAMA.replace("heads\": 4", "heads\": 5"));
    assert!(heads.contains("num_attention_heads 5 does not divide by 2"), "{heads}");
    let groups = said(&LLAMA.replace("_value_heads\": 2", "_value_heads\": 3"));
    assert!(groups.starts_with("6:26: `num_key_value_heads`"), "{groups}");
    let bias = said(&LLAMA.replace("\"vocab", "\"attention_bias\": true, \"vocab"));
    assert!(bias.contains("biases on a part of the layer"), "{bias}");
    assert!(said("{\"a\": 1,}").starts_with("1:9: not a configuration"));
}

proptest! {
    #[test]
    fn no_text_panics(
        at in 0usize..300,
        with in "[\"{}:,0-9a-z\\[\\]é-]{0,4}",
        kind in 0usize..19,
    ) {
        let mut text = LLAMA.replace("\"llama\"", &format!("\"{}\"", known_types()[kind]));
        let mut at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        text.insert_str(at, &with);
        let outcome = import(&text, "x").map_err(|p| p.list.len());
        prop_assert!(outcome.map_or_else(|n| n > 0, |i| !i.notes.is_empty()));
    }
}
