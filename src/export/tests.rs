//! No trainer is told less than the plan decides without a word.

use super::recipe::{Recipe, Repeated};
use super::said::{Document, Refusal, Trainer, tell};
use super::topic::Topic;
use super::{deepspeed, trainer};
use crate::cli::Target;
use plan::document::{Decision, EmbeddingDecision, LayerRange, RecomputeCount, StageDecision};
use plan::dtype::Dtype;
use plan::exchange::Exchange;
use plan::lower::Recompute;
use plan::model::{Family, ModelSpec};
use plan::scenario::parse_model;
use plan::schedule::{LocalSteps, ScheduleKind};
use plan::work::OptimizerRule;
use proptest::prelude::*;
use serde_json::{Value, json};
use toml::de::{DeTable, DeValue};

/// A Llama of eight layers: every trainer has a decoder for it.
fn llama() -> ModelSpec {
    let text = include_str!("../../scenarios/models/llama2-7b.toml");
    let mut spec = parse_model(text).expect("a shipped model");
    let Family::Transformer(shape) = &mut spec.family else { panic!("a transformer") };
    shape.layers = 8;
    spec
}

fn stages(count: u32, each: u32, level: Recompute, zero: u8) -> Vec<StageDecision> {
    let stage = |i: u32| {
        let kind = |kind: &str, layers| RecomputeCount { kind: kind.into(), level, layers };
        let mut recompute = vec![kind("decoder layer", each)];
        if i == 0 {
            recompute.insert(0, RecomputeCount { level: Recompute::None, ..kind("embedding", 1) });
        }
        if i + 1 == count {
            recompute.push(RecomputeCount { level: Recompute::None, ..kind("head", 1) });
        }
        let layers = LayerRange { first: i * each, last: (i + 1) * each - 1 };
        StageDecision { layers, pipeline_rank: i, zero, recompute }
    };
    (0..count).map(stage).collect()
}

/// Eight ranks, all of them replicas.
fn decision() -> Decision {
    let mut decision: Decision = serde_json::from_value(json!({
        "world_size": 8,
        "degrees": { "dp": 8, "tp": 1, "pp": 1, "cp": 1, "ep": 1 },
        "sequence_parallel": false,
        "batch": { "global_sequences": 64, "tokens_per_sequence": 4096, "micro_sequences": 2,
                   "micro_batches": 4, "time_chunks": 1 },
        "schedule": "1f1b",
        "chunks": 1,
        "stages": [],
        "precision": { "compute": "bf16", "weight_bytes": 2, "gradient_bytes": 4,
                       "optimizer_bytes": 12, "wire_bytes": 4, "optimizer": "adam" },
    }))
    .expect("a decision");
    decision.stages = stages(1, 8, Recompute::None, 1);
    decision
}

fn recipe<'a>(decision: &'a Decision, spec: &'a ModelSpec) -> Recipe<'a> {
    Recipe::drawn(decision, spec, false)
}

fn trainers() -> impl Iterator<Item = Box<dyn Trainer>> {
    Target::TRAINERS.into_iter().filter_map(trainer)
}

fn told(trainer: &dyn Trainer, decision: &Decision) -> Result<Document, Refusal> {
    tell(trainer, &recipe(decision, &llama()))
}

/// One change of a decision per topic, with what has to change besides for it to make sense.
fn change(topic: Topic, d: &mut Decision) {
    let pipeline = |d: &mut Decision| {
        d.degrees.pp = 2;
        d.degrees.dp = 4;
        d.stages = stages(2, 4, Recompute::None, 1);
        d.batch.micro_batches = 8;
    };
    match topic {
        Topic::Data => {
            d.world_size = 4;
            d.degrees.dp = 4;
            d.batch.micro_batches = 8;
        }
        Topic::Tensor | Topic::Sequence => {
            (d.degrees.tp, d.degrees.dp, d.batch.micro_batches) = (2, 4, 8);
            d.sequence_parallel = topic == Topic::Sequence;
        }
        Topic::Context => (d.degrees.cp, d.degrees.dp, d.batch.micro_batches) = (2, 4, 8),
        Topic::Expert => d.degrees.ep = 2,
        Topic::Pipeline => pipeline(d),
        Topic::Schedule => {
            pipeline(d);
            d.schedule = ScheduleKind::ZeroBubbleH1;
        }
        Topic::Stages => {
            pipeline(d);
            d.stages[0].recompute[1].layers = 3;
            d.stages[1].recompute[0].layers = 5;
        }
        Topic::Zero => d.stages = stages(1, 8, Recompute::None, 3),
        Topic::Recompute => d.stages = stages(1, 8, Recompute::Full, 1),
        Topic::Offload => d.offload = true,
        Topic::Batch => (d.batch.micro_sequences, d.batch.micro_batches) = (1, 8),
        Topic::Length => d.batch.tokens_per_sequence = 2048,
        Topic::TimeChunks => d.batch.time_chunks = 2,
        Topic::Exchange | Topic::Pieces => {
            let exchange =
                if topic == Topic::Exchange { Exchange::Unique } else { Exchange::Dense };
            let pieces = if topic == Topic::Pieces { 2 } else { 1 };
            d.embedding = Some(EmbeddingDecision { exchange, wire_bytes: 4, pieces });
        }
        Topic::Compute => d.precision.compute = Dtype::Fp8,
        Topic::Formats => d.precision.gradient_bytes = 2,
        Topic::Optimizer => d.precision.optimizer = OptimizerRule::Lamb,
        Topic::LocalSteps => {
            d.local_steps = Some(LocalSteps { every: 10, fragments: 1, delay: 0 });
        }
    }
}

/// Head lines name the plan's ranks; what counts is the rest, and what is left out.
fn content(document: &Document) -> (String, Vec<String>) {
    let is_head = |line: &&str| line.contains("of meshwright:");
    let text = document.text.lines().filter(|l| !is_head(l)).collect::<Vec<_>>().join("\n");
    (text, document.unsaid.clone())
}

#[test]
fn every_decision_is_stated_or_named_or_refused() {
    for trainer in trainers() {
        let plain = told(&*trainer, &decision()).expect("replicas run everywhere");
        for topic in Topic::ALL {
            let mut changed = decision();
            change(topic, &mut changed);
            match told(&*trainer, &changed) {
                Err(refusal) => assert!(!refusal.reasons.is_empty()),
                Ok(other) => {
                    let name = trainer.name();
                    assert_ne!(content(&plain), content(&other), "{name} is silent on {topic:?}");
                }
            }
        }
    }
}

/// The change of sequence parallelism alone, where there is tensor parallelism.
#[test]
fn sequence_parallelism_is_told_apart_from_tensor_parallelism() {
    for trainer in trainers() {
        let [mut without, mut with] = [decision(), decision()];
        change(Topic::Tensor, &mut without);
        change(Topic::Sequence, &mut with);
        let [without, with] = [&without, &with].map(|d| told(&*trainer, d).unwrap());
        assert_ne!(content(&without), content(&with), "{}", trainer.name());
    }
}

#[test]
fn what_is_left_out_stands_in_files_with_comments() {
    let mut changed = decision();
    change(Topic::Exchange, &mut changed);
    for target in Target::TRAINERS.into_iter().filter(|t| *t != Target::Deepspeed) {
        let document = told(&*trainer(target).unwrap(), &changed).unwrap();
        for line in &document.unsaid {
            assert!(document.text.contains(line), "{line} is not in\n{}", document.text);
        }
    }
}

#[test]
fn refusals_name_the_flag_that_avoids_them() {
    let mut changed = decision();
    change(Topic::Pipeline, &mut changed);
    let refusal = told(&*trainer(Target::Accelerate).unwrap(), &changed).unwrap_err();
    assert_eq!(refusal.flags, ["--pp 1"]);
    assert!(refusal.reasons[0].contains("pipelines"));
}

#[test]
fn recomputation_of_some_layers_is_recognised() {
    let mut d = decision();
    d.stages = stages(2, 4, Recompute::None, 1);
    for stage in &mut d.stages {
        let all = stage.recompute.iter_mut().find(|c| c.kind == "decoder layer").unwrap();
        all.layers = 3;
        let full = RecomputeCount { level: Recompute::Full, layers: 1, ..all.clone() };
        stage.recompute.push(full);
    }
    let spec = llama();
    assert_eq!(recipe(&d, &spec).repeated(), Repeated::Some { layers: 1 });
    d.stages[0].recompute.retain(|c| c.level == Recompute::None);
    assert_eq!(recipe(&d, &spec).repeated(), Repeated::Mixed { most: 1 });
}

fn json_of(document: &Document) -> Value {
    serde_json::from_str(&document.text).expect("DeepSpeed reads JSON")
}

proptest! {
    /// DeepSpeed's own check: `train_batch_size = micro · accumulation · replicas`, and no more
    /// than ZeRO 1 in pipelines.
    #[test]
    fn deepspeeds_numbers_agree(
        dp in 1u32..9, tp in 1u32..3, pp in 1u32..3, micro in 1u64..5, count in 1u32..5,
        zero in 0u8..4,
    ) {
        let mut d = decision();
        d.world_size = dp * tp * pp;
        (d.degrees.dp, d.degrees.tp, d.degrees.pp) = (dp, tp, pp);
        (d.batch.micro_sequences, d.batch.micro_batches) = (micro, count);
        d.batch.global_sequences = micro * u64::from(count) * u64::from(dp);
        d.stages = stages(pp, 8 / pp, Recompute::None, zero);
        let spec = llama();
        let read = json_of(&tell(&deepspeed::DeepSpeed, &recipe(&d, &spec)).unwrap());
        let number = |key: &str| read[key].as_u64().unwrap();
        let product = number("train_micro_batch_size_per_gpu")
            * number("gradient_accumulation_steps")
            * u64::from(dp);
        prop_assert_eq!(number("train_batch_size"), product);
        let stage = read["zero_optimization"]["stage"].as_u64().unwrap();
        prop_assert!(stage <= 1 || pp == 1);
    }

    /// TOML that reads as TOML, with the layers of the model once each.
    #[test]
    fn torchtitan_gets_every_layer_once(pp in 1u32..5, first in 0u32..3) {
        let mut d = decision();
        d.world_size = 8 * pp;
        d.degrees.pp = pp;
        d.stages = stages(pp, 4, Recompute::None, 3);
        let moved = if pp > 1 { first } else { 0 };
        d.stages[0].recompute[1].layers -= moved;
        let last = d.stages.last_mut().unwrap();
        let inner = last.recompute.iter_mut().find(|c| c.kind == "decoder layer").unwrap();
        inner.layers += moved;
        let document = tell(&*trainer(Target::Torchtitan).unwrap(), &recipe(&d, &llama()));
        let text = document.unwrap().text;
        let read = DeTable::parse(&text).unwrap();
        let table = read.get_ref().get("parallelism").map(|v| v.get_ref());
        let Some(DeValue::Table(parallelism)) = table else {
            panic!("no table of parallelism in\n{text}");
        };
        let Some(parts) = parallelism.get("module_fqns_per_model_part") else {
            prop_assert_eq!(pp, 1);
            return Ok(());
        };
        let parts = parts.get_ref().as_array().unwrap();
        let names = parts.iter().flat_map(|p| p.get_ref().as_array().unwrap().iter());
        let names = names.filter_map(|n| n.get_ref().as_str());
        let layers: Vec<&str> = names.filter(|n| n.starts_with("layers.")).collect();
        let expected: Vec<String> = (0..4 * pp).map(|i| format!("layers.{i}")).collect();
        prop_assert_eq!(layers, expected);
        prop_assert_eq!(parts.len(), pp as usize);
    }
}

#[test]
fn a_registered_llama_has_its_feed_forward_width() {
    let document = told(&*trainer(Target::Torchtitan).unwrap(), &decision()).unwrap();
    let at = document.text.find("ffn_dim_multiplier=").expect("not one of its own models");
    let rest = &document.text[at + "ffn_dim_multiplier=".len()..];
    let multiplier: f64 = rest[..rest.find(',').unwrap()].parse().unwrap();
    // As torchtitan computes it: of four times d_model two thirds, then the multiplier.
    let hidden = (multiplier * f64::from(2 * 4 * 4096 / 3)) as u64;
    assert_eq!(hidden, 11008);
}
