//! Megatron-LM: a script that starts `pretrain_gpt.py`.

use super::{say, shape};
use crate::export::form::{Setting, Value, comments, flags};
use crate::export::launch;
use crate::export::recipe::Recipe;
use crate::export::said::{Said, Trainer};
use crate::export::topic::Topic;
use plan::dtype::Dtype;
use std::fmt::Write as _;

/// Megatron-LM.
pub struct MegatronLm;

impl Trainer for MegatronLm {
    fn name(&self) -> &'static str {
        "Megatron-LM"
    }

    fn version(&self) -> &'static str {
        "as of commit 000c4ac"
    }

    fn say(&self, topic: Topic, recipe: &Recipe<'_>) -> Said {
        say(topic, recipe)
    }

    fn model(&self, recipe: &Recipe<'_>) -> Said {
        shape::model(recipe)
    }

    fn write(&self, r: &Recipe<'_>, settings: &[Setting], remarks: &[String]) -> String {
        let mut text = format!("#!/bin/bash\n{}", comments(remarks));
        text.push_str("\nset -euo pipefail\n\n");
        text.push_str(&launch::variables(r));
        text.push_str(environment(settings, r));
        let own: Vec<Setting> = settings.iter().flat_map(flag).chain(rest(r)).collect();
        text.push_str("\nARGS=(\n");
        for line in flags(&own) {
            let _ = writeln!(text, "    {line}");
        }
        text.push_str(
            ")\n\n# Data, tokenizer and learning rate are yours: these train on made-up tokens.\n",
        );
        text.push_str("DATA=(\n");
        for line in made_up(r) {
            let _ = writeln!(text, "    {line}");
        }
        text.push_str(")\n\n");
        text.push_str(&launch::torchrun(r, "pretrain_gpt.py \"${ARGS[@]}\" \"${DATA[@]}\" \"$@\""));
        text
    }
}

/// A setting as flags: mostly the name of the key, with some whose flag means the opposite.
fn flag(s: &Setting) -> Vec<Setting> {
    let named = |key: &str, value: Value| Setting { key: key.into(), value };
    let on = |key: &str| vec![named(key, Value::Flag)];
    let key = s.key.split_once('.').map_or(s.key.as_str(), |(_, key)| key);
    match (key, &s.value) {
        ("vocab_size", _) | ("moe_layer_freq", Value::Whole(1)) => Vec::new(),
        ("q_lora_rank", Value::Raw(_)) => Vec::new(),
        ("virtual_pipeline_model_parallel_size", value) => {
            vec![named("num-virtual-stages-per-pipeline-rank", value.clone())]
        }
        ("num_query_groups", value) => {
            vec![
                named("group-query-attention", Value::Flag),
                named("num-query-groups", value.clone()),
            ]
        }
        ("num_moe_experts", value) => vec![named("num-experts", value.clone())],
        ("gated_linear_unit", _) => on("swiglu"),
        ("add_bias_linear", Value::Truth(false)) => on("disable-bias-linear"),
        ("share_embeddings_and_output_weights", Value::Truth(false)) => {
            on("untie-embeddings-and-output-weights")
        }
        ("add_bias_linear" | "share_embeddings_and_output_weights", _) => Vec::new(),
        ("grad_reduce_in_fp32", Value::Truth(true)) => on("accumulate-allreduce-grads-in-fp32"),
        ("grad_reduce_in_fp32", _) => on("grad-reduce-in-bf16"),
        ("cpu_offloading", _) => Vec::new(),
        ("moe_layer_freq", Value::Raw(list)) => {
            vec![named("moe-layer-freq", Value::Text(format!("({list})")))]
        }
        (key, Value::Truth(true)) => on(&key.replace('_', "-")),
        (key, value) => vec![named(&key.replace('_', "-"), value.clone())],
    }
}

/// Formats of products, which Bridge states in a word of its own.
fn rest(r: &Recipe<'_>) -> Vec<Setting> {
    let on = |key: &str, value| Setting { key: key.into(), value };
    match r.compute() {
        Dtype::Fp32 => Vec::new(),
        Dtype::Fp16 => vec![on("fp16", Value::Flag)],
        Dtype::Bf16 => vec![on("bf16", Value::Flag)],
        Dtype::Fp8 => vec![on("bf16", Value::Flag), on("fp8-format", "hybrid".into())],
    }
}

/// One connection keeps collectives in the order of the products they wait for, up to Hopper;
/// FSDP needs more than one.
fn environment(settings: &[Setting], r: &Recipe<'_>) -> &'static str {
    let degrees = &r.decision.degrees;
    let is_fsdp = settings.iter().any(|s| s.key == "ddp.use_megatron_fsdp");
    match degrees.tp * degrees.cp > 1 && !is_fsdp {
        true => "export CUDA_DEVICE_MAX_CONNECTIONS=1\n",
        false => "",
    }
}

fn made_up(r: &Recipe<'_>) -> Vec<String> {
    let vocab = r.transformer().map_or(0, |t| t.vocab);
    let tensor = u64::from(r.decision.degrees.tp);
    // The most that leaves the table as large as it is.
    let divisor = [128, 64, 32, 16, 8, 4, 2].into_iter().find(|d| vocab.is_multiple_of(d * tensor));
    vec![
        "--mock-data".into(),
        "--tokenizer-type NullTokenizer".into(),
        // The tokenizer adds the end of a document.
        format!("--vocab-size {}", vocab.saturating_sub(1)),
        format!("--make-vocab-size-divisible-by {}", divisor.unwrap_or(1)),
        "--train-iters 100".into(),
        "--lr 3.0e-4".into(),
        "--lr-decay-style cosine".into(),
        "--weight-decay 0.1".into(),
        "--clip-grad 1.0".into(),
        "--eval-iters 0".into(),
        "--log-interval 1".into(),
        "--log-throughput".into(),
    ]
}
