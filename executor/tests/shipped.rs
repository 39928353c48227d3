//! The small models that ship train on the text that ships, on two ranks.

#[path = "common/replicas.rs"]
mod replicas;

use executor::comm::LinkPrice;
use executor::data::{Batches, Source, Tokens, Vocabulary};
use executor::optimizer::{LossScale, Rule, Schedule};
use executor::train::{Job, Network, Recipe, run_threads};
use plan::exchange::{Exchange, SamplingSeeds};
use plan::lower::Traits;
use plan::model::Model;
use plan::program::{Facts, Purpose};
use plan::scenario::parse_model;
use plan::units::{BytesPerSecond, Seconds};
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

fn losses(name: &str, tokens: Tokens, exchange: Exchange, rate: f64) -> Vec<f64> {
    let job = job(name, tokens, (2, 2, 32), exchange, rate);
    let outcome = run_threads(&job, 8, None, &|_| {}).unwrap();
    outcome.steps.iter().map(|step| step.loss).collect()
}

/// A job of replicas with so many sequences each, of so many tokens.
fn job(
    name: &str,
    tokens: Tokens,
    (replicas, sequences, length): (u32, u64, usize),
    exchange: Exchange,
    rate: f64,
) -> Job {
    let model = model(name);
    let text = scenario("text/alice.txt");
    let vocab = model.table.map_or(0, |table| table.vocab);
    let vocabulary = Vocabulary::build(tokens, &text, vocab).unwrap();
    let source = Source::Memory(Arc::new(vocabulary.encode(&text).unwrap()));
    let batches = Batches::new(source, u64::from(replicas) * sequences, length, 1).unwrap();
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
    let decision = replicas::decision(&model, (replicas, sequences), length as u64, exchange);
    Job::new(model, decision, &facts, batches, recipe).unwrap()
}

/// One rank on each of 4 nodes, 64 sequences of 20 words each, FDR InfiniBand as 8 neighbours share
/// it: 14 µs and 0.8 GB/s (`scenarios/clusters/titanx-fdr.toml`). Rows have 64 numbers, so
/// gathering sends 3 · 1280 · (256 + 4) bytes in 3 messages: 1.248 ms + 42 µs. Unique rows are
/// 3 · 1280 · 4 bytes of ids in 3 messages, and a ring of 6 with 1.5 rows per different word. What
/// the sampled softmax sends is the same under both.
#[test]
fn unique_rows_are_faster_than_gathered_ones_over_fdr() {
    let link = LinkPrice { latency: Seconds::new(14e-6), bandwidth: BytesPerSecond::new(0.8e9) };
    let charged = |exchange| {
        let mut job = job("word-lm-tiny", Tokens::Words, (4, 64, 20), exchange, 0.1);
        job.network = Some(Network { per_node: 1, inside: link, between: link });
        let outcome = run_threads(&job, 1, None, &|_| {}).unwrap();
        let rows = outcome.ledgers.iter().find(|(p, _)| *p == Purpose::Exchange).unwrap().1;
        (rows.network.as_secs_f64(), rows.sent as f64)
    };
    let (gather, unique) = (charged(Exchange::Gather), charged(Exchange::Unique));
    // Both charge what they send at the rate of the link, and 14 µs per message: 3 against 3 + 6,
    // besides the 3 + 6 of the softmax.
    for ((time, sent), messages) in [(gather, 12.0), (unique, 18.0)] {
        assert!((time - messages * 14e-6 - sent / 0.8e9).abs() < 1e-6, "{time} {sent}");
    }
    let softmax = gather.0 - (3.0 * 14e-6 + 3.0 * 1280.0 * 260.0 / 0.8e9);
    assert!(softmax > 0.0, "{gather:?}");
    assert!(unique.0 - softmax < 0.8 * (gather.0 - softmax), "{unique:?} {gather:?} {softmax}");
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
