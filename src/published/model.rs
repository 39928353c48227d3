//! From a row to the model that it trained.
//!
//! Tables state widths and counts, and seldom whether a feed-forward part is gated or a table tied.
//! What is not stated is chosen so that the parameter count is the published one.

mod recurrent;
mod shape;

use super::row::Row;
use super::rules::{Rules, StackRule};
use super::skip::{Assumptions, Skip};
use plan::Dtype;
use plan::model::{Batch, Family, ModelSpec, Precision, Training};
use plan::work::OptimizerRule;

/// The model of a row, with the formats that its stack trains in.
///
/// # Errors
/// A family or part that cannot be described, or missing dimensions.
pub fn model(
    row: &Row,
    rules: &Rules,
    stack: &StackRule,
    compute: Dtype,
    assumed: &mut Assumptions,
) -> Result<ModelSpec, Skip> {
    let words = row.words();
    let family = family(row, rules, &words, assumed)?;
    let training = training(row, stack, compute, assumed)?;
    let (name, source) = (row.model.clone(), row.source.clone());
    Ok(ModelSpec { name, source, published_parameters: None, family, training })
}

fn family(
    row: &Row,
    rules: &Rules,
    words: &str,
    assumed: &mut Assumptions,
) -> Result<Family, Skip> {
    const DECODERS: [&str; 5] = ["decoder", "moe", "transformer", "gpt", "llama"];
    let name = row.family.as_str();
    let transformer = |stacks, assumed: &mut Assumptions| {
        let shape = shape::Hints { row, rule: rules.shape(&row.model), words, stacks };
        shape.build(assumed).map(Family::Transformer)
    };
    match name {
        "" => {
            assumed.add("family: transformer decoder");
            transformer(shape::Kind::Decoder, assumed)
        }
        "mlstm" => recurrent::mlstm(row, assumed).map(Family::Mlstm),
        "rhn" => recurrent::rhn(row, assumed).map(Family::Rhn),
        "lstm" => recurrent::lstm(row, words, assumed).map(Family::Lstm),
        _ if name.contains("encdec") || name.contains("encoder-decoder") || name == "t5" => {
            transformer(shape::Kind::EncoderDecoder, assumed)
        }
        _ if name.contains("encoder") || name.contains("bert") => {
            transformer(shape::Kind::Encoder, assumed)
        }
        _ if DECODERS.iter().any(|word| name.contains(word)) => {
            transformer(shape::Kind::Decoder, assumed)
        }
        other => Err(Skip::Family(other.to_string())),
    }
}

fn training(
    row: &Row,
    stack: &StackRule,
    compute: Dtype,
    assumed: &mut Assumptions,
) -> Result<Training, Skip> {
    let sequence = row.shape.seq.filter(|s| *s > 0).ok_or(Skip::Missing("seq"))?;
    let global = row.run.global_batch.unwrap_or(1);
    if sequence.checked_mul(global).is_none_or(|tokens| tokens >= 1 << 50) {
        return Err(Skip::Large("the batch"));
    }
    let optimizer = optimizer(&row.optimizer, assumed);
    Ok(Training {
        sequence,
        source_sequence: 0,
        // The planner asks the request; a constant here lets rows of all batches share prices.
        batch: Batch::Global(1),
        precision: precision(stack, compute, optimizer),
        optimizer,
        default_cluster: String::new(),
        default_stack: None,
        corpus: None,
        epoch_tokens: None,
    })
}

/// The update rule that words name.
fn optimizer(words: &str, assumed: &mut Assumptions) -> OptimizerRule {
    const RULES: [(&str, OptimizerRule); 8] = [
        ("adagrad", OptimizerRule::Adagrad),
        ("adafactor", OptimizerRule::Adafactor),
        ("lamb", OptimizerRule::Lamb),
        ("adam", OptimizerRule::Adam),
        ("lion", OptimizerRule::Momentum),
        ("muon", OptimizerRule::Momentum),
        ("momentum", OptimizerRule::Momentum),
        ("sgd", OptimizerRule::Sgd),
    ];
    let named = RULES.iter().find(|(word, _)| words.contains(word)).map(|(_, rule)| *rule);
    assumed.or(named, OptimizerRule::Adam, "optimizer: Adam")
}

/// The stack's bytes per parameter; rules with fewer moments than Adam keep less.
fn precision(stack: &StackRule, compute: Dtype, rule: OptimizerRule) -> Precision {
    let is_single = compute == Dtype::Fp32;
    let [weight_bytes, gradient_bytes, state, wire_bytes] =
        if is_single { stack.single } else { stack.half };
    let less = match rule {
        OptimizerRule::Adam | OptimizerRule::Lamb => 0,
        OptimizerRule::Adagrad | OptimizerRule::Momentum => 4,
        OptimizerRule::Sgd | OptimizerRule::Adafactor => 8,
    };
    let optimizer_bytes = state.saturating_sub(less);
    Precision { compute, weight_bytes, gradient_bytes, optimizer_bytes, wire_bytes }
}

#[cfg(test)]
mod tests;
