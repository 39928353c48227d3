//! MaxText: a file to put on top of its `base.yml`.

use super::form::{Setting, Tree, Value, comments};
use super::recipe::{Formats, Recipe, Repeated};
use super::said::{Said, Trainer};
use super::topic::Topic;
use plan::dtype::Dtype;
use plan::model::{Experts, Norm, Positions, Stacks, Transformer};
use plan::schedule::ScheduleKind;
use plan::work::OptimizerRule;

/// MaxText.
pub struct MaxText;

impl Trainer for MaxText {
    fn name(&self) -> &'static str {
        "MaxText"
    }

    fn version(&self) -> &'static str {
        "0.2.5"
    }

    fn say(&self, topic: Topic, r: &Recipe<'_>) -> Said {
        match topic {
            // All axes are there, inside of a node and between nodes: see `mesh`.
            Topic::Data | Topic::Tensor | Topic::Context | Topic::Pipeline => Said::same(),
            Topic::Expert if r.decision.degrees.tp > 1 => {
                Said::instead("tensor-parallel ranks split the experts' widths")
            }
            Topic::Expert => Said::same(),
            Topic::Sequence if r.decision.sequence_parallel => {
                Said::instead("what lies between layers is split as the compiler decides")
            }
            Topic::Sequence => Said::same(),
            Topic::Schedule => schedule(r),
            Topic::Stages => stages(r),
            Topic::Zero => zero(r),
            Topic::Recompute => recompute(r),
            Topic::Offload => Said::keys([("remat_policy", "minimal_offloaded".into())])
                .but("results of products wait in host memory, the rest is repeated"),
            Topic::Batch => batch(r),
            Topic::Length => {
                Said::keys([("max_target_length", r.decision.batch.tokens_per_sequence.into())])
            }
            Topic::TimeChunks => Said::never("it has no recurrent models", None),
            Topic::Exchange => Said::instead("the whole table is summed (dense)"),
            Topic::Pieces => Said::instead("the table is split as the compiler decides"),
            Topic::Compute => compute(r.compute()),
            Topic::Formats => formats(r),
            Topic::Optimizer => optimizer(r.optimizer()),
            Topic::LocalSteps => Said::never("replicas of this kind need its DiLoCo loop", None),
        }
    }

    fn model(&self, r: &Recipe<'_>) -> Said {
        let Some(t) = r.transformer() else {
            return Said::never("it has no recurrent models and no free graphs", None);
        };
        match block(t) {
            Some(block) => shape(t, block),
            None => Said::never("none of its decoder blocks is this model's", None),
        }
    }

    fn write(&self, r: &Recipe<'_>, settings: &[Setting], remarks: &[String]) -> String {
        let mut text = comments(remarks);
        text.push_str(
            "#\n# python3 -m maxtext.trainers.pre_train.train <this file> run_name=… \
             base_output_directory=…\n# Data, tokenizer and learning rate are yours: it trains on \
             made-up tokens.\n",
        );
        let hardware = if r.device.starts_with("tpu") { "tpu" } else { "gpu_multiprocess" };
        let mut all = Said::keys([
            ("base_config", Value::from("base.yml")),
            ("hardware", hardware.into()),
            ("dataset_type", "synthetic".into()),
        ])
        .settings;
        all.extend(mesh(r));
        all.extend(settings.iter().cloned());
        text.push_str(&Tree::of(&all).yaml());
        text
    }
}

/// Its axes and how much of each is inside a node; on TPUs all are in one slice. Between nodes
/// goes first what sends least: stages, then replicas.
fn mesh(r: &Recipe<'_>) -> Vec<Setting> {
    let d = &r.decision.degrees;
    let shards = if r.zero().0 >= 2 { "fsdp" } else { "data" };
    let axes = [
        ("pipeline", d.pp),
        (shards, d.dp / d.ep.max(1)),
        ("expert", d.ep),
        ("context", d.cp),
        ("tensor", d.tp),
    ];
    let mut between = if r.device.starts_with("tpu") { 1 } else { r.nodes().0 };
    let mut settings = Vec::new();
    let mut add = |scope: &str, axis: &str, n: u32| {
        let key = format!("{scope}_{axis}_parallelism");
        settings.push(Setting { key, value: n.into() });
    };
    // Of themselves these take what is left.
    for (scope, axis) in [("ici", "fsdp"), ("dcn", "data")] {
        add(scope, axis, 1);
    }
    for (axis, degree) in axes {
        let outer = gcd(degree, between);
        between /= outer;
        add("dcn", axis, outer);
        add("ici", axis, degree / outer);
    }
    settings
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a.max(1) } else { gcd(b, a % b) }
}

/// Pipelines are loops that are differentiated: all forward passes, then all backward passes, over
/// one or several rounds of the ranks.
fn schedule(r: &Recipe<'_>) -> Said {
    let rounds = Said::keys([
        ("num_pipeline_microbatches", Value::from(r.decision.batch.micro_batches)),
        ("num_pipeline_repeats", r.decision.chunks.max(1).into()),
    ]);
    match r.decision.schedule {
        ScheduleKind::GPipe | ScheduleKind::BreadthFirst => rounds,
        ScheduleKind::Ouroboros => Said::never("its pipelines wait for every gradient", None),
        _ => rounds.but("all forward passes run before the backward passes"),
    }
}

fn stages(r: &Recipe<'_>) -> Said {
    let layers = r.layers();
    let said = |n: u32| Said::keys([("num_layers_per_pipeline_stage", Value::from(n))]);
    match r.is_even() {
        true => said(layers[0]),
        false => Said::never(
            format!("its stages have equally many layers, the plan's {layers:?}"),
            Some("--pp 1"),
        ),
    }
}

/// 2 and 3 are one axis; where weights are whole between the passes is the compiler's choice.
fn zero(r: &Recipe<'_>) -> Said {
    let (stage, is_equal) = r.zero();
    let said = match stage {
        0 => return Said::same(),
        1 => Said::keys([("shard_optimizer_over_data", Value::from(true))]),
        2 => Said::instead("weights are sharded as well"),
        _ => Said::same(),
    };
    match is_equal {
        true => said,
        false => said.but(format!("every stage has ZeRO {stage}")),
    }
}

fn recompute(r: &Recipe<'_>) -> Said {
    let policy = |name: &str| Said::keys([("remat_policy", name.into())]);
    match r.repeated() {
        Repeated::Nothing => policy("minimal_with_context")
            .but("results of products and attention are kept, what lies between is repeated"),
        Repeated::Full => policy("full"),
        Repeated::Selective => policy("minimal").but(
            "results of products are kept; attention and what lies between products is repeated",
        ),
        _ => policy("full").but("every layer is repeated whole"),
    }
}

/// Sequences per device, of all axes: a fraction where a replica has several devices.
fn batch(r: &Recipe<'_>) -> Said {
    let b = &r.decision.batch;
    let world = f64::from(r.decision.world_size);
    let per_device =
        |sequences: u64| ("per_device_batch_size", Value::from(sequences as f64 / world));
    match r.decision.degrees.pp {
        1 => Said::keys([
            per_device(b.global_sequences / u64::from(b.micro_batches.max(1))),
            ("gradient_accumulation_steps", b.micro_batches.into()),
        ]),
        _ => Said::keys([per_device(b.global_sequences)]),
    }
}

fn compute(format: Dtype) -> Said {
    let named = |name: &str| Said::keys([("dtype", name.into())]);
    match format {
        Dtype::Fp32 => named("float32"),
        Dtype::Fp16 => named("float16"),
        Dtype::Bf16 => named("bfloat16"),
        Dtype::Fp8 => named("bfloat16").and([("quantization", "fp8".into())]),
    }
}

fn formats(r: &Recipe<'_>) -> Said {
    let own = Formats { weight: 4, gradient: 4, optimizer: 8, wire: 4 };
    Said::keys([("weight_dtype", "float32".into())]).keeping(own, r.formats())
}

fn optimizer(rule: OptimizerRule) -> Said {
    let named = |name: &str| Said::keys([("opt_type", name.into())]);
    match rule {
        OptimizerRule::Adam => named("adamw"),
        OptimizerRule::Sgd => named("sgd"),
        other => named("adamw").but(format!("AdamW updates the weights, not {}", other.name())),
    }
}

/// The decoder block of its own that this model has.
fn block(t: &Transformer) -> Option<&'static str> {
    let is_modern = t.norm == Norm::RmsNorm && t.gated && !t.bias;
    let is_gpt3 = t.norm == Norm::LayerNorm && !t.gated && t.bias;
    let has_experts = t.experts.is_some();
    let every = |e: &Experts| e.every == 1 && e.dense_layers == 0 && e.d_shared == 0;
    if t.stacks != Stacks::Decoder || t.adaptive.is_some() || t.memory_length > 0 {
        return None;
    }
    match t.positions {
        Positions::Rope if t.latent.is_some() && is_modern && has_experts => Some("deepseek"),
        _ if t.latent.is_some() => None,
        Positions::Rope if t.experts.as_ref().is_some_and(every) && is_modern && !t.qkv_bias => {
            Some("mixtral")
        }
        _ if has_experts => None,
        Positions::Rope if is_modern && t.qkv_bias => Some("qwen2"),
        Positions::Rope if is_modern => Some("llama2"),
        Positions::NormedRope if is_modern => Some("qwen3"),
        Positions::Learned(_) if is_gpt3 && t.tied => Some("gpt3"),
        _ => None,
    }
}

fn shape(t: &Transformer, block: &'static str) -> Said {
    let mut said = Said::keys([
        ("decoder_block", Value::from(block)),
        ("base_emb_dim", t.d_model.into()),
        ("base_num_query_heads", t.heads.into()),
        ("base_num_kv_heads", t.kv_heads.into()),
        ("head_dim", t.head_dim.into()),
        ("base_mlp_dim", t.d_ff.into()),
        ("base_num_decoder_layers", t.layers.into()),
        ("vocab_size", t.vocab.into()),
        ("logits_via_embedding", t.tied.into()),
        ("enable_dropout", t.dropout.into()),
    ]);
    if let Positions::Learned(rows) = t.positions {
        said = said.and([
            ("trainable_position_size", Value::from(rows)),
            ("mlp_activations", Value::List(vec!["gelu".into()])),
        ]);
    }
    if t.positions == Positions::NormedRope {
        said = said.and([("use_qk_norm", true.into())]);
    }
    if let Some(e) = &t.experts {
        said = said.and(mixture(e));
    }
    if let Some(l) = &t.latent {
        said = said.and([
            ("attention_type", Value::from("mla")),
            ("q_lora_rank", l.query.unwrap_or(0).into()),
            ("kv_lora_rank", l.key_value.into()),
            ("qk_nope_head_dim", (t.head_dim - l.rotary).into()),
            ("qk_rope_head_dim", l.rotary.into()),
            ("v_head_dim", l.value.into()),
        ]);
    }
    said
}

fn mixture(e: &Experts) -> [(&'static str, Value); 5] {
    [
        ("num_experts", e.count.into()),
        ("num_experts_per_tok", e.top_k.into()),
        ("base_moe_mlp_dim", e.d_expert.into()),
        ("shared_experts", (e.d_shared / e.d_expert.max(1)).into()),
        ("first_num_dense_layers", e.dense_layers.into()),
    ]
}
