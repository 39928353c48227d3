//! nanotron: its YAML, for models that are Llamas.

use super::form::{Setting, Tree, Value, comments};
use super::recipe::{Formats, Recipe, Repeated};
use super::said::{Said, Trainer};
use super::topic::Topic;
use plan::dtype::Dtype;
use plan::model::{Norm, Positions, Stacks, Transformer};
use plan::schedule::ScheduleKind;
use plan::work::OptimizerRule;
use std::fmt::Write as _;

/// nanotron.
pub struct Nanotron;

impl Trainer for Nanotron {
    fn name(&self) -> &'static str {
        "nanotron"
    }

    fn version(&self) -> &'static str {
        "0.4"
    }

    fn say(&self, topic: Topic, r: &Recipe<'_>) -> Said {
        let degrees = &r.decision.degrees;
        match topic {
            // Every degree has to be there: see `frame`.
            Topic::Data | Topic::Tensor | Topic::Pipeline => Said::same(),
            Topic::Sequence => Said::keys([(
                "parallelism.tp_mode",
                if r.decision.sequence_parallel { "REDUCE_SCATTER" } else { "ALL_REDUCE" }.into(),
            )]),
            Topic::Context => Said::never("it has no context parallelism", Some("--cp 1")),
            Topic::Expert => Said::keys([("parallelism.expert_parallel_size", degrees.ep.into())]),
            Topic::Schedule => schedule(r),
            Topic::Stages => Said::instead("stages are balanced by the cost of their blocks"),
            Topic::Zero => zero(r),
            Topic::Recompute if r.repeated() == Repeated::Nothing => Said::same(),
            Topic::Recompute => Said::instead("nothing is repeated"),
            Topic::Offload => {
                Said::never("it moves no activations to the host", Some("--offload off"))
            }
            Topic::Batch => Said::keys([
                ("tokens.micro_batch_size", Value::from(r.decision.batch.micro_sequences)),
                ("tokens.batch_accumulation_per_replica", r.decision.batch.micro_batches.into()),
            ]),
            Topic::Length => Said::keys([(
                "tokens.sequence_length",
                r.decision.batch.tokens_per_sequence.into(),
            )]),
            Topic::TimeChunks => Said::never("it has no recurrent models", None),
            Topic::Exchange => Said::instead("the whole table is summed (dense)"),
            Topic::Pieces => Said::instead("the first stage holds the whole table"),
            Topic::Compute => compute(r.compute()),
            Topic::Formats => formats(r),
            Topic::Optimizer => optimizer(r.optimizer()),
            Topic::LocalSteps => Said::never("its replicas agree after every step", None),
        }
    }

    fn model(&self, r: &Recipe<'_>) -> Said {
        let Some(t) = r.transformer().filter(|t| is_llama(t)) else {
            return Said::never("its models are Llamas (RMSNorm, rotary, gated, no biases)", None);
        };
        let key = |name: &str| format!("model.model_config.{name}");
        let longest = r.decision.batch.tokens_per_sequence;
        Said::keys([
            (key("is_llama_config"), true.into()),
            (key("hidden_size"), t.d_model.into()),
            (key("intermediate_size"), t.d_ff.into()),
            (key("num_hidden_layers"), t.layers.into()),
            (key("num_attention_heads"), t.heads.into()),
            (key("num_key_value_heads"), t.kv_heads.into()),
            (key("max_position_embeddings"), longest.into()),
            (key("tie_word_embeddings"), t.tied.into()),
            (key("vocab_size"), t.vocab.into()),
        ])
    }

    fn write(&self, r: &Recipe<'_>, settings: &[Setting], remarks: &[String]) -> String {
        let mut text = comments(remarks);
        let (nodes, each) = r.nodes();
        let _ = writeln!(
            text,
            "#\n# CUDA_DEVICE_MAX_CONNECTIONS=1 torchrun --nnodes {nodes} \\\n\
             #   --nproc_per_node {each} --rdzv_backend c10d \\\n\
             #   --rdzv_endpoint $MASTER_ADDR:29500 run_train.py \\\n\
             #   --config-file <this file>\n# Data, tokenizer and learning rate are yours."
        );
        let mut all = frame(r);
        all.extend(settings.iter().cloned());
        all.extend(yours(r));
        text.push_str(&Tree::of(&all).yaml());
        text
    }
}

fn is_llama(t: &Transformer) -> bool {
    let is_plain = t.stacks == Stacks::Decoder
        && t.positions == Positions::Rope
        && t.norm == Norm::RmsNorm
        && t.gated
        && !t.bias
        && !t.qkv_bias;
    is_plain && t.experts.is_none() && t.latent.is_none() && t.heads * t.head_dim == t.d_model
}

/// What every file has.
fn frame(r: &Recipe<'_>) -> Vec<Setting> {
    let degrees = &r.decision.degrees;
    let name = Value::from(r.spec.name.as_str());
    Said::keys([
        ("general.project", Value::from("meshwright")),
        ("general.run", name),
        ("general.seed", 42u32.into()),
        ("parallelism.dp", degrees.dp.into()),
        ("parallelism.pp", degrees.pp.into()),
        ("parallelism.tp", degrees.tp.into()),
        ("parallelism.expert_parallel_size", 1u32.into()),
        ("optimizer.zero_stage", 0u32.into()),
    ])
    .settings
}

/// What no plan decides and every file needs.
fn yours(r: &Recipe<'_>) -> Vec<Setting> {
    Said::keys([
        ("model.init_method.std", Value::from(0.02)),
        ("model.make_vocab_size_divisible_by", 1u32.into()),
        ("optimizer.weight_decay", 0.1.into()),
        ("optimizer.clip_grad", 1.0.into()),
        ("optimizer.learning_rate_scheduler.learning_rate", 3e-4.into()),
        ("optimizer.learning_rate_scheduler.lr_warmup_steps", 2u32.into()),
        ("optimizer.learning_rate_scheduler.lr_warmup_style", "linear".into()),
        ("optimizer.learning_rate_scheduler.lr_decay_style", "cosine".into()),
        ("optimizer.learning_rate_scheduler.min_decay_lr", 3e-5.into()),
        ("tokens.train_steps", 100u32.into()),
        ("tokenizer.tokenizer_name_or_path", r.spec.name.as_str().into()),
        ("checkpoints.checkpoints_path", "checkpoints".into()),
        ("checkpoints.checkpoint_interval", 1000u32.into()),
    ])
    .settings
}

fn schedule(r: &Recipe<'_>) -> Said {
    let engine = |name: &str| Said::keys([("parallelism.pp_engine", name.into())]);
    match r.decision.schedule {
        ScheduleKind::GPipe => engine("afab"),
        ScheduleKind::OneForwardOneBackward => engine("1f1b"),
        ScheduleKind::Ouroboros => Said::never("its pipelines wait for every gradient", None),
        _ => engine("1f1b").but("1F1B runs, one stage per rank"),
    }
}

/// Stages 0 and 1 exist.
fn zero(r: &Recipe<'_>) -> Said {
    let (stage, is_equal) = r.zero();
    let said = Said::keys([("optimizer.zero_stage", u32::from(stage.min(1)).into())]);
    match (stage, is_equal) {
        (0 | 1, true) => said,
        (0 | 1, false) => said.but("every stage has ZeRO 1"),
        _ => said.but("it shards no more than ZeRO 1 does"),
    }
}

fn compute(format: Dtype) -> Said {
    let named = |name: &str| Said::keys([("model.dtype", name.into())]);
    match format {
        Dtype::Fp32 => named("float32"),
        Dtype::Fp16 => named("float16"),
        Dtype::Bf16 => named("bfloat16"),
        Dtype::Fp8 => named("bfloat16").but("products are in 16 bit"),
    }
}

/// Half-precision weights; where sums are in 32 bit, a master copy as well.
fn formats(r: &Recipe<'_>) -> Said {
    let formats = r.formats();
    let in_full = formats.optimizer >= 12 || r.compute() == Dtype::Fp32;
    let said = Said::keys([("optimizer.accumulate_grad_in_fp32", in_full.into())]);
    let own = match (r.compute(), in_full) {
        (Dtype::Fp32, _) => Formats { weight: 4, gradient: 4, optimizer: 8, wire: 4 },
        // 16-bit gradients stay beside their 32-bit sums.
        (_, true) => Formats { weight: 2, gradient: 6, optimizer: 12, wire: 4 },
        (_, false) => Formats { weight: 2, gradient: 2, optimizer: 4, wire: 2 },
    };
    said.keeping(own, formats)
}

fn optimizer(rule: OptimizerRule) -> Said {
    let adam = Said::keys([
        ("optimizer.adam_beta1", Value::from(0.9)),
        ("optimizer.adam_beta2", 0.95.into()),
        ("optimizer.adam_eps", 1e-8.into()),
        ("optimizer.torch_adam_is_fused", true.into()),
    ]);
    match rule {
        OptimizerRule::Adam => adam,
        other => adam.but(format!("AdamW updates the weights, not {}", other.name())),
    }
}
