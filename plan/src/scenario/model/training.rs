//! Training recipes.

use crate::dtype::Dtype;
use crate::model::{Batch, Precision, Training};
use crate::scenario::reader::{Item, Table};
use crate::work::OptimizerRule;

/// A named precision recipe: bytes per parameter of weights, gradients, optimizer state (with the
/// master copy), and bytes per gradient element on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// Name used in files.
    pub name: &'static str,
    /// Formats and bytes.
    pub precision: Precision,
    /// The update rule whose state is counted; `None`: any with two moments.
    pub rule: Option<OptimizerRule>,
}

const fn recipe(
    name: &'static str,
    compute: Dtype,
    bytes: [u64; 4],
    rule: Option<OptimizerRule>,
) -> Recipe {
    let [weight_bytes, gradient_bytes, optimizer_bytes, wire_bytes] = bytes;
    let precision =
        Precision { compute, weight_bytes, gradient_bytes, optimizer_bytes, wire_bytes };
    Recipe { name, precision, rule }
}

/// The known precision recipes.
///
/// Mixed precision with Adam keeps 2 + 2 + 12 bytes (ZeRO, arXiv:1910.02054 §3.1: 16-bit weights
/// and gradients; 32-bit master copy, momentum and variance). Megatron accumulates bf16 gradients
/// in fp32: 2 + 4 + 12 (NVIDIA/Megatron-LM, distributed optimizer documentation). FSDP keeps fp32
/// shards and casts while computing: 4 + 4 + 8. Adafactor's factored second moment is negligible.
pub const RECIPES: [Recipe; 10] = [
    recipe("fp32-adam", Dtype::Fp32, [4, 4, 8, 4], Some(OptimizerRule::Adam)),
    recipe("fp32-sgd", Dtype::Fp32, [4, 4, 0, 4], Some(OptimizerRule::Sgd)),
    recipe("fp32-momentum", Dtype::Fp32, [4, 4, 4, 4], Some(OptimizerRule::Momentum)),
    recipe("fp32-adagrad", Dtype::Fp32, [4, 4, 4, 4], Some(OptimizerRule::Adagrad)),
    recipe("amp-o1", Dtype::Fp16, [4, 4, 8, 4], None),
    recipe("amp-o2", Dtype::Fp16, [2, 2, 12, 2], None),
    recipe("megatron-fp16", Dtype::Fp16, [2, 2, 12, 2], None),
    recipe("megatron-bf16", Dtype::Bf16, [2, 4, 12, 4], None),
    recipe("fsdp-bf16", Dtype::Bf16, [4, 4, 8, 4], None),
    recipe("adafactor", Dtype::Bf16, [4, 4, 0, 4], Some(OptimizerRule::Adafactor)),
];

const RULES: [(&str, OptimizerRule); 6] = [
    ("sgd", OptimizerRule::Sgd),
    ("momentum", OptimizerRule::Momentum),
    ("adagrad", OptimizerRule::Adagrad),
    ("adam", OptimizerRule::Adam),
    ("adafactor", OptimizerRule::Adafactor),
    ("lamb", OptimizerRule::Lamb),
];

pub(super) fn training(table: &Table<'_>) -> Option<Training> {
    let sequence = table.required("sequence", |item| item.count_of("tokens"));
    let source_sequence = table.optional("source_sequence", |item| item.count_of("tokens"));
    let batch = table.required("batch", |item| item.table(|inner| batch(item, inner)));
    let optimizer = table.required("optimizer", |item| item.choice(&RULES));
    let precision = table.required("precision", |item| precision(item, optimizer));
    let wire = table.optional("wire", |item| dtype(item, &Dtype::ALL[..3]));
    let default_cluster = table.required("default_cluster", Item::text);
    let default_stack = table.optional("default_stack", Item::text);
    let corpus = table.optional("corpus", Item::text);
    let epoch_tokens = table.optional("epoch_tokens", |item| item.number(1.0..=1e18));
    let precision = precision?;
    let wire_bytes = wire.map_or(precision.wire_bytes, Dtype::size);
    Some(Training {
        sequence: sequence?,
        source_sequence: source_sequence.unwrap_or(0),
        batch: batch?,
        precision: Precision { wire_bytes, ..precision },
        optimizer: optimizer?,
        default_cluster: default_cluster?,
        default_stack,
        corpus,
        epoch_tokens,
    })
}

/// `{ per_device = 256 }` or `{ global = 1536 }`, in sequences.
fn batch(item: &Item<'_>, table: &Table<'_>) -> Option<Batch> {
    let per_device = table.optional("per_device", |i| i.count_of("sequences"));
    let global = table.optional("global", |i| i.count_of("sequences"));
    match (table.has("per_device"), table.has("global")) {
        (true, false) => per_device.map(Batch::PerDevice),
        (false, true) => global.map(Batch::Global),
        _ => item.refuse("expected either `per_device` or `global`, in sequences"),
    }
}

/// A recipe's name, or the bytes themselves.
fn precision(item: &Item<'_>, optimizer: Option<OptimizerRule>) -> Option<Precision> {
    if item.is_table() {
        return item.table(custom);
    }
    let names = RECIPES.map(|recipe| (recipe.name, recipe));
    let recipe = item.choice(&names)?;
    match (recipe.rule, optimizer) {
        (Some(rule), Some(chosen)) if rule != chosen => {
            let (counted, chosen) = (rule.name(), chosen.name());
            item.refuse(&format!("this recipe counts the state of {counted}, not of {chosen}"))
        }
        _ => Some(recipe.precision),
    }
}

fn custom(table: &Table<'_>) -> Option<Precision> {
    let compute = table.required("compute", |item| dtype(item, &Dtype::ALL));
    let weight_bytes = table.required("weight_bytes", |item| item.count(1));
    let gradient_bytes = table.required("gradient_bytes", |item| item.count(0));
    let optimizer_bytes = table.required("optimizer_bytes", |item| item.count(0));
    let wire_bytes = table.required("wire_bytes", |item| item.count(1));
    Some(Precision {
        compute: compute?,
        weight_bytes: weight_bytes?,
        gradient_bytes: gradient_bytes?,
        optimizer_bytes: optimizer_bytes?,
        wire_bytes: wire_bytes?,
    })
}

fn dtype(item: &Item<'_>, formats: &[Dtype]) -> Option<Dtype> {
    let names: Vec<(&str, Dtype)> = formats.iter().map(|d| (d.name(), *d)).collect();
    item.choice(&names)
}
