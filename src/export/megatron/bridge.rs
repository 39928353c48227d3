//! Megatron-Bridge: a recipe in Python.

use super::{say, shape};
use crate::export::form::{Setting, Value, comments, python};
use crate::export::recipe::Recipe;
use crate::export::said::{Said, Trainer};
use crate::export::topic::Topic;
use plan::dtype::Dtype;
use std::fmt::Write as _;

/// Megatron-Bridge.
pub struct MegatronBridge;

impl Trainer for MegatronBridge {
    fn name(&self) -> &'static str {
        "Megatron-Bridge"
    }

    fn version(&self) -> &'static str {
        "0.3.1"
    }

    fn say(&self, topic: Topic, recipe: &Recipe<'_>) -> Said {
        say(topic, recipe)
    }

    fn model(&self, recipe: &Recipe<'_>) -> Said {
        shape::model(recipe)
    }

    fn write(&self, r: &Recipe<'_>, settings: &[Setting], remarks: &[String]) -> String {
        let is_latent = r.transformer().is_some_and(|t| t.latent.is_some());
        let provider = if is_latent { "MLAModelProvider" } else { "GPTModelProvider" };
        let module = if is_latent { "mla_provider" } else { "gpt_provider" };
        let mut text = comments(remarks);
        let (nodes, each) = r.nodes();
        let _ = writeln!(
            text,
            "#\n# torchrun --nnodes {nodes} --nproc-per-node {each} <this file>, on every node.\n"
        );
        text.push_str("import torch.nn.functional as F\n\n");
        let mut imports = [
            format!("from megatron.bridge.models.{module} import {provider}"),
            "from megatron.bridge.recipes.common import _pretrain_common".into(),
            "from megatron.bridge.training.config import ConfigContainer".into(),
            format!("from megatron.bridge.training.mixed_precision import {}", mixed(r.compute())),
        ];
        imports.sort();
        text.push_str(&imports.join("\n"));
        text.push_str("\n\n\ndef pretrain_config() -> ConfigContainer:\n    \"\"\"The plan; ");
        text.push_str(
            "data, tokenizer and learning rate are those of the library's examples.\"\"\"\n",
        );
        text.push_str("    cfg = _pretrain_common()\n");
        let _ = writeln!(text, "    cfg.model = {provider}(");
        for line in model(settings) {
            let _ = writeln!(text, "        {line},");
        }
        text.push_str("    )\n");
        for line in python(&others(r, settings), "cfg") {
            let _ = writeln!(text, "    {line}");
        }
        text.push_str(MAIN);
        text
    }
}

const MAIN: &str = r#"    return cfg


if __name__ == "__main__":
    from megatron.bridge.training.gpt_step import forward_step
    from megatron.bridge.training.pretrain import pretrain

    pretrain(pretrain_config(), forward_step)
"#;

/// The library's mixed precision.
fn mixed(compute: Dtype) -> &'static str {
    match compute {
        Dtype::Fp16 => "fp16_mixed",
        Dtype::Fp8 => "bf16_with_fp8_current_scaling_mixed",
        Dtype::Fp32 | Dtype::Bf16 => "bf16_mixed",
    }
}

/// Arguments of the model.
fn model(settings: &[Setting]) -> Vec<String> {
    let inner = |s: &Setting| {
        let key = s.key.strip_prefix("model.")?;
        match key {
            "multi_latent_attention" | "max_position_embeddings" => None,
            "gated_linear_unit" => {
                Some(vec!["gated_linear_unit=True".to_string(), "activation_func=F.silu".into()])
            }
            _ => {
                let own = Setting { key: key.into(), value: s.value.clone() };
                let line = python(&[own], "").remove(0);
                Some(vec![line.trim_start_matches('.').replacen(" = ", "=", 1)])
            }
        }
    };
    settings.iter().filter_map(inner).flatten().collect()
}

/// Everything else.
fn others(r: &Recipe<'_>, settings: &[Setting]) -> Vec<Setting> {
    let named = |key: &str, value: Value| Setting { key: key.into(), value };
    let vocab = r.transformer().map_or(0, |t| t.vocab);
    let mut all = vec![
        named("tokenizer.tokenizer_type", "NullTokenizer".into()),
        named("tokenizer.vocab_size", vocab.saturating_sub(1).into()),
        named("dataset.seq_length", r.decision.batch.tokens_per_sequence.into()),
        named("mixed_precision", Value::Raw(format!("{}()", mixed(r.compute())))),
        named("ddp.use_distributed_optimizer", false.into()),
        named("ddp.overlap_param_gather", false.into()),
        named("optimizer.use_distributed_optimizer", false.into()),
    ];
    if r.decision.degrees.pp > 1 {
        all.push(named(
            "model.pipeline_dtype",
            Value::Raw("cfg.mixed_precision.pipeline_dtype".into()),
        ));
    }
    for setting in settings.iter().filter(|s| !s.key.starts_with("model.")) {
        match setting.key.as_str() {
            "ddp.grad_reduce_in_fp32" => {
                all.push(named("mixed_precision.grad_reduce_in_fp32", setting.value.clone()));
            }
            "ddp.use_distributed_optimizer" => {
                all.push(named("optimizer.use_distributed_optimizer", setting.value.clone()));
            }
            "ddp.use_megatron_fsdp" => {
                all.push(named("dist.use_megatron_fsdp", setting.value.clone()));
            }
            _ => {}
        }
        // Later lines win; those of before say what holds without them.
        all.retain(|other| other.key != setting.key);
        all.push(setting.clone());
    }
    dedup(all)
}

/// Of settings of one key, the last.
fn dedup(all: Vec<Setting>) -> Vec<Setting> {
    let mut kept: Vec<Setting> = Vec::new();
    for setting in all {
        match kept.iter_mut().find(|s| s.key == setting.key) {
            Some(known) => known.value = setting.value,
            None => kept.push(setting),
        }
    }
    kept
}
