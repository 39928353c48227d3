//! Models of a few elements, one per family and feature.

use crate::model::{MicroBatch, runs_in_time};
use crate::ops::sampled::Sample;
use plan::model::{Family, Model, Positions};
use plan::scenario::parse_model;

pub(crate) const ALL: [&str; 10] =
    ["gpt", "llama", "bert", "txl", "mixture", "experts", "lstm", "sampled", "mlstm", "rhn"];

const TRANSFORMER: &str = "layers = 2\nd_model = 4\nheads = 2\nd_ff = 4\nvocab = 6\n";

fn shape(name: &str) -> (&'static str, String) {
    let transformer = |rest: &str| ("transformer", format!("{TRANSFORMER}{rest}"));
    match name {
        "gpt" => transformer(
            "stacks = \"decoder\"\ntied = true\npositions = \"learned\"\nmax_positions = 8\n\
             norm = \"layer-norm\"\nbias = true",
        ),
        "llama" => transformer(
            "stacks = \"decoder\"\ntied = false\npositions = \"rope\"\nnorm = \"rms-norm\"\n\
             bias = false\ngated = true\nqkv_bias = true\nhead_dim = 4",
        ),
        "bert" => transformer(
            "stacks = \"encoder\"\ntied = true\npositions = \"learned\"\nmax_positions = 4\n\
             norm = \"layer-norm\"\nbias = true\nembedding_norm = true\nsegments = 2\n\
             mlm_head = true\nfinal_norm = false\nloss_fraction = 0.5",
        ),
        "txl" => transformer(
            "stacks = \"decoder\"\ntied = true\npositions = \"relative\"\nmemory_length = 3\n\
             norm = \"layer-norm\"\nbias = true",
        ),
        "mixture" => transformer(
            "stacks = \"decoder\"\ntied = false\npositions = \"sinusoidal\"\nkv_heads = 1\n\
             norm = \"rms-norm\"\nbias = false\ngated = true\n[shape.experts]\ncount = 3\n\
             top_k = 2\nd_expert = 2\nd_shared = 2\ndense_layers = 1\nimbalance = 1.0",
        ),
        "experts" => transformer(
            "stacks = \"decoder\"\ntied = false\npositions = \"learned\"\nmax_positions = 8\n\
             norm = \"layer-norm\"\nbias = false\ngated = true\n[shape.experts]\ncount = 4\n\
             top_k = 2\nd_expert = 2\nd_shared = 2\ndense_layers = 0\nimbalance = 1.0",
        ),
        "lstm" => (
            "lstm",
            "layers = 2\nhidden = 3\nembedding = 3\nvocab = 6\nsoftmax = \"full\"\ntied = true"
                .into(),
        ),
        "sampled" => (
            "lstm",
            "layers = 1\nhidden = 3\nprojection = 2\nembedding = 2\nvocab = 6\n\
             softmax = { sampled = 3 }\ntied = false"
                .into(),
        ),
        "mlstm" => ("mlstm", "hidden = 3\nembedding = 2\nvocab = 6\nweight_norm = true".into()),
        "rhn" => ("rhn", "depth = 2\nhidden = 3\nvocab = 6".into()),
        other => panic!("{other} is no model"),
    }
}

/// An LSTM with a vocabulary as real text has it.
pub(crate) fn words() -> Model {
    let shape = "layers = 1\nhidden = 16\nembedding = 16\nvocab = 3000\nsoftmax = \"full\"\n\
                 tied = false";
    build("words", ("lstm", shape.to_string()))
}

pub(crate) fn model(name: &str) -> Model {
    build(name, shape(name))
}

fn build(name: &str, (family, shape): (&str, String)) -> Model {
    let text = format!(
        "schema = 1\nname = \"{name}\"\nfamily = \"{family}\"\nsource = \"a test\"\n\
         [training]\nsequence = \"4 tokens\"\nbatch = {{ global = 2 }}\nprecision = \
         \"fp32-adam\"\noptimizer = \"adam\"\ndefault_cluster = \"local\"\n[shape]\n{shape}\n"
    );
    let spec = parse_model(&text).unwrap_or_else(|problems| panic!("{name}: {problems:?}"));
    Model::build(&spec).unwrap()
}

/// Two sequences of four tokens; `seed` makes others.
pub fn batch(model: &Model, seed: u32) -> MicroBatch {
    let tokens = |shift: u32| -> Vec<u32> { (0..8).map(|i| (i * i + shift + seed) % 6).collect() };
    let mut batch = MicroBatch::new(&tokens(0), &tokens(3), 2, runs_in_time(model));
    if model.spec.name == "bert" {
        batch.rows = Some(vec![1, 2, 5, 7]);
        batch.targets.truncate(4);
        batch.scale = 0.25;
    }
    if model.spec.name == "sampled" {
        let mut draws = [0.1, 0.7, 0.4, 0.95].into_iter().cycle();
        batch.sample = Some(Sample::draw(6, 3, || draws.next().unwrap_or(0.0)));
    }
    batch
}

/// Transformer-XL's two biases of positions are counted once by the planner, and are every layer's
/// own here.
pub fn untied_biases(model: &Model) -> u64 {
    match &model.spec.family {
        Family::Transformer(t) if t.positions == Positions::Relative => {
            2 * (u64::from(t.layers) - 1) * t.heads * t.head_dim
        }
        _ => 0,
    }
}
