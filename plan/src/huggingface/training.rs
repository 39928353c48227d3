//! The training that a configuration does not describe.

use super::config::Config;
use crate::model::{Batch, Positions, Stacks, Training, Transformer};
use crate::scenario::model::RECIPES;
use crate::work::OptimizerRule;
use serde_json::Value;

/// Tokens of an assumed step: 2^20, as of GPT-2's and Llama's class.
const STEP_TOKENS: u64 = 1 << 20;
/// Assumed tokens of a sequence, where positions reach that far.
const SEQUENCE: u64 = 4096;
const CLUSTER: &str = "hgx-h100";
const STACK: &str = "megatron-core";
const RECIPE: &str = "megatron-bf16";

/// An assumed recipe, and the words that say so.
pub(super) fn assumed(c: &Config, t: &Transformer) -> (Training, Vec<String>) {
    let most = limit(c, t);
    let sequence = most.map_or(SEQUENCE, |most| most.min(SEQUENCE)).max(1);
    let sequences = STEP_TOKENS.div_ceil(sequence);
    let recipe = RECIPES.iter().find(|r| r.name == RECIPE).unwrap_or(&RECIPES[0]);
    let training = Training {
        sequence,
        source_sequence: 0,
        batch: Batch::Global(sequences),
        precision: recipe.precision,
        optimizer: OptimizerRule::Adam,
        default_cluster: CLUSTER.into(),
        default_stack: Some(STACK.into()),
        corpus: None,
        epoch_tokens: None,
    };
    let reach = most.map_or(String::new(), |most| format!(" (positions reach {most})"));
    let mut notes = vec![format!(
        "a configuration says nothing of training; assumed: sequences of {sequence} tokens{reach}, \
         {sequences} a step, {} with Adam, {CLUSTER}, {STACK}; --seq, --global-batch, --cluster \
         and --stack say otherwise",
        recipe.name
    )];
    if t.experts.is_some() {
        notes.push("experts are assumed to be evenly loaded".into());
    }
    (training, notes)
}

/// The longest sequence that the configuration allows; an upper bound, not what was trained.
fn limit(c: &Config, t: &Transformer) -> Option<u64> {
    // RoBERTa's first two rows pad; OPT's are an offset.
    let spare = if c.word("model_type") == Some("roberta") { 2 } else { 0 };
    let stated = ["max_position_embeddings", "n_positions", "seq_length"];
    let stated = stated.iter().find_map(|key| c.get(key).and_then(Value::as_u64));
    match (t.stacks, t.positions) {
        (Stacks::Encoder, Positions::Learned(rows)) => Some(rows.saturating_sub(spare)),
        _ => stated,
    }
}
