//! The small models that ship train on the text that ships, on two ranks.

use executor::data::{Batches, Source, Tokens, Vocabulary};
use executor::optimizer::{LossScale, Rule, Schedule};
use executor::train::{Job, Recipe, run_threads};
use plan::document::{
    BatchDecision, Decision, EmbeddingDecision, LayerRange, PrecisionDecision, RecomputeCount,
    StageDecision,
};
use plan::exchange::{Exchange, SamplingSeeds};
use plan::lower::{Recompute, Traits};
use plan::mesh::Degrees;
use plan::model::Model;
use plan::program::Facts;
use plan::scenario::parse_model;
use plan::schedule::ScheduleKind;
use plan::work::AttentionKernel;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

fn scenario(path: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    std::fs::read(folder.join(path)).unwrap()
}

fn model(name: &str) -> Model {
    let text = String::from_utf8(scenario(&format!("models/{name}.toml"))).unwrap();
    Model::build(&parse_model(&text).unwrap()).unwrap()
}

/// Two replicas with two sequences each, everything in one stage.
fn decision(model: &Model, tokens: u64, exchange: Exchange) -> Decision {
    let training = &model.spec.training;
    let recompute = model.chain.iter().map(|run| RecomputeCount {
        kind: model.kinds[run.kind].name.to_string(),
        level: Recompute::None,
        layers: run.layers,
    });
    let stage = StageDecision {
        layers: LayerRange { first: 0, last: model.layers() - 1 },
        pipeline_rank: 0,
        zero: 0,
        recompute: recompute.collect(),
    };
    Decision {
        local_steps: None,
        offload: false,
        world_size: 2,
        degrees: Degrees { dp: 2, tp: 1, pp: 1, cp: 1, ep: 1 },
        sequence_parallel: false,
        batch: BatchDecision {
            global_sequences: 4,
            tokens_per_sequence: tokens,
            micro_sequences: 2,
            micro_batches: 1,
            time_chunks: 1,
        },
        schedule: ScheduleKind::OneForwardOneBackward,
        chunks: 1,
        stages: vec![stage],
        embedding: Some(EmbeddingDecision { exchange, wire_bytes: 4, pieces: 1 }),
        precision: PrecisionDecision {
            compute: plan::Dtype::Fp32,
            weight_bytes: 4,
            gradient_bytes: 4,
            optimizer_bytes: 8,
            wire_bytes: 4,
            optimizer: training.optimizer,
        },
    }
}

fn losses(name: &str, tokens: Tokens, exchange: Exchange, rate: f64) -> Vec<f64> {
    let model = model(name);
    let text = scenario("text/alice.txt");
    let vocab = model.table.map_or(0, |table| table.vocab);
    let vocabulary = Vocabulary::build(tokens, &text, vocab).unwrap();
    let source = Source::Memory(Arc::new(vocabulary.encode(&text).unwrap()));
    let batches = Batches::new(source, 4, 32, 1).unwrap();
    let recipe = Recipe {
        rule: Rule::of(model.spec.training.optimizer).unwrap(),
        schedule: Schedule::Constant { rate },
        ramp: None,
        clip: Some(1.0),
        scale: LossScale::NONE,
        seed: 1,
        seeds: SamplingSeeds::Shared,
        limit: Duration::from_secs(120),
        threads: 1,
    };
    let attention = AttentionKernel::Flash2;
    let traits = Traits::fused(attention);
    let facts = Facts { per_node: 2, traits, different: None, capacity: None };
    let decision = decision(&model, 32, exchange);
    let job = Job::new(model, decision, &facts, batches, recipe).unwrap();
    let outcome = run_threads(&job, 8, None, &|_| {}).unwrap();
    outcome.steps.iter().map(|step| step.loss).collect()
}

/// Before the first update every byte is about as likely as any other: ln 257 = 5.55.
#[test]
fn byte_models_start_at_the_logarithm_and_fall() {
    for name in ["mlstm-tiny", "rhn-tiny", "gpt-tiny"] {
        let losses = losses(name, Tokens::Bytes, Exchange::Dense, 0.003);
        assert!((losses[0] - 257f64.ln()).abs() < 1.0, "{name}: {losses:?}");
        assert!(losses[7] < losses[0] - 0.3, "{name}: {losses:?}");
    }
}

#[test]
fn the_word_model_learns_over_the_unique_exchange() {
    let losses = losses("word-lm-tiny", Tokens::Words, Exchange::Unique, 0.2);
    assert!(losses.iter().all(|loss| loss.is_finite()), "{losses:?}");
    assert!(losses[7] < losses[0], "{losses:?}");
}
