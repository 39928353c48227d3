//! Shapes that follow from counts.

use super::*;
use crate::published::fixtures::gpt3;
use crate::published::shipped_rules;
use plan::model::{Model, Positions, Softmax, Transformer};

fn family_of(row: &Row) -> Result<(Family, Assumptions), Skip> {
    let rules = shipped_rules().unwrap();
    let mut assumed = Assumptions::default();
    let family = family(row, &rules, &row.words(), &mut assumed)?;
    Ok((family, assumed))
}

fn transformer(row: &Row) -> Transformer {
    match family_of(row) {
        Ok((Family::Transformer(shape), _)) => shape,
        other => panic!("{other:?}"),
    }
}

/// 96·(4·12288² + 2·12288·49152) + 51200·12288 = 174.6e9: plain and tied.
#[test]
fn a_plain_decoder_follows_from_its_count() {
    let shape = transformer(&gpt3());
    assert!(!shape.gated && shape.tied && shape.bias && shape.dropout);
    assert_eq!((shape.head_dim, shape.positions), (128, Positions::Learned(2048)));
}

/// Llama 3 8B, without its name: 32·(2·4096·128·(32 + 8) + 3·4096·14336) + 2·128256·4096 = 8.03e9.
#[test]
fn a_gated_decoder_is_found_by_its_count() {
    let mut row = gpt3();
    row.model = "a model".into();
    row.shape.parameters = Some(8.03);
    (row.shape.layers, row.shape.hidden, row.shape.heads) = (Some(32), Some(4096), Some(32));
    (row.shape.kv_heads, row.shape.ffn, row.shape.vocab) = (Some(8), Some(14_336), Some(128_256));
    let shape = transformer(&row);
    assert!(shape.gated && !shape.tied, "{shape:?}");
}

/// 24 heads in a width of 2048 do not divide; the count only fits heads 128 wide:
/// 24·(4·2048·24·128 + 2·2048·8192) + 2·16384·2048 = 1.476e9.
#[test]
fn widths_of_heads_follow_from_the_count() {
    let mut row = gpt3();
    row.shape.parameters = Some(1.478_16);
    (row.shape.layers, row.shape.hidden, row.shape.heads) = (Some(24), Some(2048), Some(24));
    (row.shape.kv_heads, row.shape.ffn, row.shape.vocab) = (Some(24), Some(8192), Some(16_384));
    let shape = transformer(&row);
    assert_eq!((shape.head_dim, shape.tied), (128, false));
}

/// Qwen3 30B: (30.5e9 − attention − tables)/(48·128·3·2048) is 768 to the next multiple of 64.
#[test]
fn widths_of_experts_follow_from_the_count() {
    let mut row = gpt3();
    (row.model, row.family) = ("a mixture".into(), "moe".into());
    row.shape.parameters = Some(30.5);
    (row.shape.layers, row.shape.hidden, row.shape.heads) = (Some(48), Some(2048), Some(32));
    (row.shape.kv_heads, row.shape.ffn, row.shape.vocab) = (Some(4), None, Some(151_936));
    (row.shape.experts, row.shape.top_k) = (Some(128), Some(8));
    let experts = transformer(&row).experts.unwrap();
    // The name does not say that it is gated: two matrices of half again the width.
    assert_eq!((experts.count, experts.top_k, experts.d_expert), (128, 8, 1152));
    row.model = "Qwen3_30B_a3B".into();
    assert_eq!(transformer(&row).experts.unwrap().d_expert, 768);
}

#[test]
fn transformer_xl_has_its_memory_and_its_softmax() {
    let mut row = gpt3();
    row.model = "Transformer-XL base".into();
    row.shape.parameters = Some(0.192);
    (row.shape.layers, row.shape.hidden, row.shape.heads) = (Some(16), Some(512), Some(8));
    (row.shape.kv_heads, row.shape.ffn) = (Some(8), Some(2048));
    (row.shape.vocab, row.shape.seq) = (Some(267_735), Some(192));
    let shape = transformer(&row);
    assert_eq!((shape.memory_length, shape.positions), (192, Positions::Relative));
    assert_eq!(shape.adaptive.map(|a| a.divisor), Some(1));
}

#[test]
fn encoders_lose_over_some_positions() {
    for family in ["encoder", "transformer-encoder", "bert"] {
        let mut row = gpt3();
        row.family = family.into();
        let shape = transformer(&row);
        assert!(shape.mlm_head && shape.loss_fraction < 1.0, "{family}");
    }
}

#[test]
fn recurrent_models_read_their_notes() {
    let mut row = gpt3();
    (row.family, row.model) = ("lstm".into(), "BIGLSTM".into());
    row.notes = "LSTM state 8192 projected 1024, emb 1024, sampled softmax 8192 of 793470".into();
    (row.shape.layers, row.shape.hidden, row.shape.vocab) = (Some(2), Some(8192), Some(793_470));
    let Ok((Family::Lstm(lstm), _)) = family_of(&row) else { panic!("no LSTM") };
    assert_eq!((lstm.projection, lstm.embedding), (Some(1024), 1024));
    assert_eq!(lstm.softmax, Softmax::Sampled(8192));
    row.model = "BIG F-LSTM F512".into();
    assert_eq!(family_of(&row).unwrap_err(), Skip::Part("a factorised LSTM"));
}

#[test]
fn what_no_family_describes_is_said() {
    let mut row = gpt3();
    row.family = "diffusion".into();
    assert_eq!(family_of(&row).unwrap_err(), Skip::Family("diffusion".into()));
    row.family = "transformer-decoder".into();
    row.shape.hidden = None;
    assert_eq!(family_of(&row).unwrap_err(), Skip::Missing("hidden"));
}

#[test]
fn odd_shapes_are_refused_and_do_not_panic() {
    for (layers, hidden, heads) in [(0, 64, 1), (1, 0, 1), (1 << 40, 64, 1), (1, 1 << 40, 3)] {
        let mut row = gpt3();
        (row.shape.layers, row.shape.hidden) = (Some(layers), Some(hidden));
        row.shape.heads = Some(heads);
        assert!(family_of(&row).is_err(), "{layers} {hidden}");
    }
    let mut row = gpt3();
    row.shape.heads = Some(7);
    let (family, _) = family_of(&row).unwrap();
    let spec = ModelSpec { family, ..spec() };
    assert!(Model::build(&spec).is_ok());
}

fn spec() -> ModelSpec {
    let rules = shipped_rules().unwrap();
    let mut assumed = Assumptions::default();
    model(&gpt3(), &rules, &rules.stacks[0], Dtype::Fp16, &mut assumed).unwrap()
}

/// LAMB keeps two moments like Adam, SGD none: 12 bytes with the master copy, and 4.
#[test]
fn rules_with_fewer_moments_keep_less() {
    let rules = shipped_rules().unwrap();
    let stack = rules.stacks.last().unwrap();
    let bytes = |rule| precision(stack, Dtype::Bf16, rule).optimizer_bytes;
    assert_eq!(bytes(OptimizerRule::Lamb), bytes(OptimizerRule::Adam));
    assert_eq!(bytes(OptimizerRule::Sgd) + 8, bytes(OptimizerRule::Adam));
    let mut assumed = Assumptions::default();
    assert_eq!(optimizer("lamb/adam", &mut assumed), OptimizerRule::Lamb);
    assert!(assumed.0.is_empty());
    assert_eq!(optimizer("", &mut assumed), OptimizerRule::Adam);
    assert_eq!(assumed.0.len(), 1);
}
