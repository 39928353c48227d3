//! torchtitan 0.2.2, the last release that is configured by TOML.

use super::form::{Setting, Tree, Value, comments};
use super::recipe::{Formats, Recipe, Repeated};
use super::said::{Said, Trainer};
use super::topic::Topic;
use plan::dtype::Dtype;
use plan::model::{Experts, Latent, Norm, Positions, Stacks, Transformer};
use plan::schedule::ScheduleKind;
use plan::work::OptimizerRule;
use std::fmt::Write as _;

/// torchtitan.
pub struct Torchtitan;

/// Where `--to schedule` is expected to have written.
const SCHEDULE: &str = "schedule.csv";

impl Trainer for Torchtitan {
    fn name(&self) -> &'static str {
        "torchtitan"
    }

    fn version(&self) -> &'static str {
        "0.2.2"
    }

    fn say(&self, topic: Topic, r: &Recipe<'_>) -> Said {
        let degrees = &r.decision.degrees;
        match topic {
            Topic::Data => data(r),
            Topic::Tensor => {
                Said::keys([("parallelism.tensor_parallel_degree", degrees.tp.into())])
            }
            Topic::Sequence if r.decision.sequence_parallel => Said::same(),
            Topic::Sequence => Said::instead("what lies between layers is split by sequence too"),
            Topic::Context => {
                Said::keys([("parallelism.context_parallel_degree", degrees.cp.into())])
            }
            Topic::Expert => Said::keys([
                ("parallelism.expert_parallel_degree", degrees.ep.into()),
                ("parallelism.expert_tensor_parallel_degree", degrees.tp.into()),
            ]),
            Topic::Pipeline => {
                Said::keys([("parallelism.pipeline_parallel_degree", degrees.pp.into())])
            }
            Topic::Schedule => schedule(r),
            Topic::Stages => {
                Said::keys([("parallelism.module_fqns_per_model_part", modules(&r.layers()))])
            }
            Topic::Zero => zero(r),
            Topic::Recompute => recompute(r),
            Topic::Offload => {
                Said::never("it moves no activations to the host", Some("--offload off"))
            }
            Topic::Batch => batch(r),
            Topic::Length => {
                Said::keys([("training.seq_len", r.decision.batch.tokens_per_sequence.into())])
            }
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
        let Some(t) = r.transformer() else {
            return Said::never("it has no recurrent models and no free graphs", None);
        };
        match FLAVORS.iter().find(|f| f.shape == Shape::of(t) && is_plain(t)) {
            Some(flavor) => Said::keys([
                ("model.name", flavor.family.into()),
                ("model.flavor", flavor.name.into()),
            ]),
            None if is_llama(t) => Said::keys([
                ("model.name", Value::from("llama3")),
                ("model.flavor", r.spec.name.clone().into()),
            ]),
            None => Said::never("none of its models has this shape, nor is it a Llama", None),
        }
    }

    fn write(&self, r: &Recipe<'_>, settings: &[Setting], remarks: &[String]) -> String {
        let mut text = comments(remarks);
        let (nodes, each) = r.nodes();
        let _ = writeln!(
            text,
            "#\n# torchrun --nnodes {nodes} --nproc_per_node {each} --rdzv_backend c10d \\\n#   \
             --rdzv_endpoint $MASTER_ADDR:29500 -m torchtitan.train --job.config_file <this file>"
        );
        let is_own = settings.iter().any(|s| s.value == Value::from(r.spec.name.as_str()));
        if let (true, Some(t)) = (is_own, r.transformer()) {
            text.push_str(&register(&r.spec.name, t));
        }
        if settings.iter().any(|s| s.value == Value::from(SCHEDULE)) {
            let _ = writeln!(
                text,
                "#\n# The order of passes: meshwright export plan.json --to schedule -o {SCHEDULE}"
            );
        }
        text.push('\n');
        text.push_str(&Tree::of(settings).toml());
        text
    }
}

/// A shape by which torchtitan's models are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    layers: u32,
    d_model: u64,
    heads: u64,
    kv_heads: u64,
    d_ff: u64,
    experts: u64,
    is_latent: bool,
}

impl Shape {
    fn of(t: &Transformer) -> Self {
        let latent: Option<&Latent> = t.latent.as_ref();
        Self {
            layers: t.layers,
            d_model: t.d_model,
            heads: t.heads,
            kv_heads: if latent.is_some() { t.heads } else { t.kv_heads },
            d_ff: t.d_ff,
            experts: t.experts.as_ref().map_or(0, |e: &Experts| e.count),
            is_latent: latent.is_some(),
        }
    }
}

struct Flavor {
    family: &'static str,
    name: &'static str,
    shape: Shape,
}

const fn dense(
    family: &'static str,
    name: &'static str,
    [layers, d_model, heads, kv_heads, d_ff]: [u64; 5],
) -> Flavor {
    let layers = layers as u32;
    let shape = Shape { layers, d_model, heads, kv_heads, d_ff, experts: 0, is_latent: false };
    Flavor { family, name, shape }
}

const fn deepseek(name: &'static str, [layers, d_model, heads, d_ff, experts]: [u64; 5]) -> Flavor {
    let layers = layers as u32;
    let shape = Shape { layers, d_model, heads, kv_heads: heads, d_ff, experts, is_latent: true };
    Flavor { family: "deepseek_v3", name, shape }
}

/// Its models, by `torchtitan/models/*/__init__.py`.
const FLAVORS: &[Flavor] = &[
    dense("llama3", "8B", [32, 4096, 32, 8, 14336]),
    dense("llama3", "70B", [80, 8192, 64, 8, 28672]),
    dense("llama3", "405B", [126, 16384, 128, 8, 53248]),
    dense("qwen3", "0.6B", [28, 1024, 16, 8, 3072]),
    dense("qwen3", "1.7B", [28, 2048, 16, 8, 6144]),
    dense("qwen3", "4B", [36, 2560, 32, 8, 9728]),
    dense("qwen3", "8B", [36, 4096, 32, 8, 12288]),
    dense("qwen3", "14B", [40, 5120, 40, 8, 17408]),
    dense("qwen3", "32B", [64, 5120, 64, 8, 25600]),
    deepseek("16B", [27, 2048, 16, 10944, 64]),
    deepseek("236B", [60, 5120, 128, 12288, 160]),
    deepseek("671B", [61, 7168, 128, 18432, 256]),
];

/// Decoder, rotary positions, RMSNorm, gated, no biases.
fn is_plain(t: &Transformer) -> bool {
    let has_rope = matches!(t.positions, Positions::Rope | Positions::NormedRope);
    t.stacks == Stacks::Decoder && has_rope && t.norm == Norm::RmsNorm && t.gated && !t.bias
}

fn is_llama(t: &Transformer) -> bool {
    let is_own = t.latent.is_none() && t.experts.is_none() && !t.tied && !t.qkv_bias;
    is_plain(t) && t.positions == Positions::Rope && is_own && t.heads * t.head_dim == t.d_model
}

/// How a model of one's own is made known: the feed-forward width follows from a multiplier that is
/// rounded up.
fn register(name: &str, t: &Transformer) -> String {
    // Its width is that of two thirds of four times d_model, times the multiplier.
    // Half a unit more survives printing and rounding down.
    let multiplier = (t.d_ff as f64 + 0.5) / ((8 * t.d_model / 3) as f64);
    format!(
        "#\n# Not one of its models; add to llama3_args in torchtitan/models/llama3/__init__.py:\n\
         #   \"{name}\": TransformerModelArgs(dim={}, n_layers={}, n_heads={}, n_kv_heads={},\n\
         #       ffn_dim_multiplier={multiplier:.9}, multiple_of=1, rope_theta=500000),\n",
        t.d_model, t.layers, t.heads, t.kv_heads,
    )
}

/// Sharded ranks come out of the data-parallel ones, as ZeRO says.
fn data(r: &Recipe<'_>) -> Said {
    let dp = r.decision.degrees.dp;
    let degrees = |replicate: u32, shard: u32| {
        Said::keys([
            ("parallelism.data_parallel_replicate_degree", replicate.into()),
            ("parallelism.data_parallel_shard_degree", shard.into()),
        ])
    };
    match (r.zero().0, r.decision.world_size == dp) {
        (0, true) => degrees(dp, 1),
        _ => degrees(1, dp),
    }
}

fn zero(r: &Recipe<'_>) -> Said {
    let reshard =
        |word: &str| Said::keys([("parallelism.fsdp_reshard_after_forward", word.into())]);
    let (stage, is_equal) = r.zero();
    let dp = r.decision.degrees.dp;
    let said = match stage {
        // Replicas are whole where nothing else is split.
        0 if dp == 1 || dp == r.decision.world_size => return Said::same(),
        0 => reshard("never")
            .but("states are sharded: it replicates only where nothing else is split"),
        3 => reshard("always"),
        2 => reshard("never"),
        _ => reshard("never").but(
            "weights and gradients are sharded as well, weights are whole \
                                   between forward and backward pass",
        ),
    };
    match is_equal {
        true => said,
        false => said.but(format!("every stage has ZeRO {stage}")),
    }
}

fn schedule(r: &Recipe<'_>) -> Said {
    let named = |name: &str| Said::keys([("parallelism.pipeline_parallel_schedule", name.into())]);
    match r.decision.schedule {
        ScheduleKind::GPipe => named("GPipe"),
        ScheduleKind::OneForwardOneBackward => named("1F1B"),
        ScheduleKind::Interleaved => named("Interleaved1F1B"),
        ScheduleKind::BreadthFirst => named("LoopedBFS"),
        ScheduleKind::ZeroBubbleV => named("ZBVZeroBubble"),
        ScheduleKind::ZeroBubbleH1 | ScheduleKind::ZeroBubbleH2 => named("PipelineScheduleMulti")
            .and([("parallelism.pipeline_parallel_schedule_csv", SCHEDULE.into())]),
        ScheduleKind::Ouroboros => Said::never("its pipelines wait for every gradient", None),
    }
}

/// Names of modules of every virtual stage, in model order.
fn modules(layers: &[u32]) -> Value {
    let mut next = 0;
    let mut stages: Vec<Vec<String>> = Vec::new();
    for count in layers {
        stages.push((next..next + count).map(|layer| format!("layers.{layer}")).collect());
        next += count;
    }
    if let Some(first) = stages.first_mut() {
        first.insert(0, "tok_embeddings".into());
    }
    if let Some(last) = stages.last_mut() {
        last.extend(["norm".to_string(), "output".to_string()]);
    }
    let list = |names: Vec<String>| Value::List(names.into_iter().map(Value::from).collect());
    Value::List(stages.into_iter().map(list).collect())
}

fn recompute(r: &Recipe<'_>) -> Said {
    let mode = |word: &str| Said::keys([("activation_checkpoint.mode", word.into())]);
    let every = |n: u32| {
        mode("selective").and([("activation_checkpoint.selective_ac_option", n.to_string().into())])
    };
    let operators =
        mode("selective").and([("activation_checkpoint.selective_ac_option", "op".into())]);
    let layers: u32 = r.layers().iter().sum();
    match r.repeated() {
        Repeated::Nothing => mode("none"),
        Repeated::Full => mode("full"),
        Repeated::Selective if r.alternates => operators,
        Repeated::Selective => operators.but("every other product is repeated"),
        Repeated::Some { layers: some } if some > 0 => {
            let repeated = some * r.decision.stages.len() as u32;
            let n = (layers / repeated).max(1);
            let said = every(n);
            match layers == n * repeated && r.decision.stages.len() == 1 {
                true => said,
                false => said.but(format!("every layer whose number {n} divides is repeated")),
            }
        }
        _ => mode("full").but("every layer is repeated"),
    }
}

/// Without a pipeline, accumulation is what the global batch is more than the local ones; with one,
/// all micro-batches of a replica are one local batch.
fn batch(r: &Recipe<'_>) -> Said {
    let b = &r.decision.batch;
    let global = ("training.global_batch_size", Value::from(b.global_sequences));
    let local = |n: u64| ("training.local_batch_size", Value::from(n));
    match r.decision.degrees.pp {
        1 => Said::keys([local(b.micro_sequences), global]),
        _ => Said::keys([
            local(b.micro_sequences * u64::from(b.micro_batches)),
            global,
            ("parallelism.pipeline_parallel_microbatch_size", b.micro_sequences.into()),
        ]),
    }
}

fn compute(format: Dtype) -> Said {
    let param = |word: &str| Said::keys([("training.mixed_precision_param", word.into())]);
    match format {
        Dtype::Bf16 => param("bfloat16"),
        Dtype::Fp32 => param("float32"),
        Dtype::Fp16 => param("bfloat16").but("products are in bfloat16"),
        Dtype::Fp8 => param("bfloat16")
            .and([("model.converters", Value::List(vec!["quantize.linear.float8".into()]))]),
    }
}

/// 32-bit weights, gradients and moments; gradients travel in 32 bit.
fn formats(r: &Recipe<'_>) -> Said {
    let own = Formats { weight: 4, gradient: 4, optimizer: 8, wire: 4 };
    Said::same().keeping(own, r.formats())
}

fn optimizer(rule: OptimizerRule) -> Said {
    let adam = Said::keys([("optimizer.name", "AdamW".into())]);
    match rule {
        OptimizerRule::Adam => adam,
        other => adam.but(format!("AdamW updates the weights, not {}", other.name())),
    }
}
