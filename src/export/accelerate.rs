//! Hugging Face Accelerate: the file of `accelerate launch`; the model is the script's.

use super::form::{Setting, Tree, Value, comments};
use super::recipe::{Formats, Recipe, Repeated};
use super::said::{Said, Trainer};
use super::topic::Topic;
use plan::dtype::Dtype;

/// Accelerate.
pub struct Accelerate;

impl Trainer for Accelerate {
    fn name(&self) -> &'static str {
        "Accelerate"
    }

    fn version(&self) -> &'static str {
        "1.15.0"
    }

    fn say(&self, topic: Topic, r: &Recipe<'_>) -> Said {
        let degrees = &r.decision.degrees;
        let mesh = |key: &str, n: u32| {
            Said::keys([(format!("parallelism_config.parallelism_config_{key}"), Value::from(n))])
        };
        match topic {
            Topic::Data => match is_sharded(r) {
                true => mesh("dp_shard_size", degrees.dp).and([(
                    "parallelism_config.parallelism_config_dp_replicate_size".to_string(),
                    Value::from(1u32),
                )]),
                false => Said::same(),
            },
            Topic::Tensor => mesh("tp_size", degrees.tp),
            Topic::Sequence if r.decision.sequence_parallel => {
                Said::instead("what lies between layers is as the model's own plan of TP says")
            }
            Topic::Sequence => Said::same(),
            Topic::Context => mesh("cp_size", degrees.cp),
            Topic::Expert => Said::never("it does not split experts", Some("--ep 1")),
            Topic::Pipeline => Said::never("it trains no pipelines", Some("--pp 1")),
            Topic::Schedule | Topic::Stages => Said::same(),
            Topic::Zero => zero(r),
            Topic::Recompute => recompute(r),
            Topic::Offload => {
                Said::never("it moves no activations to the host", Some("--offload off"))
            }
            Topic::Batch => batch(r),
            Topic::Length => Said::instead("the script cuts its text"),
            Topic::TimeChunks => Said::never("it knows nothing of time", Some("--time-chunks 1")),
            Topic::Exchange => Said::instead("the whole table is summed (dense)"),
            Topic::Pieces => Said::instead("the table is one piece"),
            Topic::Compute => compute(r.compute()),
            Topic::Formats => formats(r),
            Topic::Optimizer => Said::instead("the script makes its optimizer"),
            Topic::LocalSteps => Said::never("its replicas agree after every step", None),
        }
    }

    fn model(&self, _: &Recipe<'_>) -> Said {
        Said::instead("the script builds it")
    }

    fn write(&self, r: &Recipe<'_>, settings: &[Setting], remarks: &[String]) -> String {
        let mut text = comments(remarks);
        text.push_str("#\n# accelerate launch --config_file <this file> your_script.py\n");
        let mut all = frame(r);
        all.extend(settings.iter().cloned());
        text.push_str(&Tree::of(&all).yaml());
        text
    }
}

/// Whether a mesh is needed: FSDP, or anything besides data parallelism.
fn is_sharded(r: &Recipe<'_>) -> bool {
    r.zero().0 > 0 || r.decision.world_size != r.decision.degrees.dp
}

/// What every file has.
fn frame(r: &Recipe<'_>) -> Vec<Setting> {
    let (nodes, _) = r.nodes();
    let kind = match (is_sharded(r), r.decision.world_size) {
        (_, 1) => "NO",
        (true, _) => "FSDP",
        (false, _) => "MULTI_GPU",
    };
    let mut said = Said::keys([
        ("compute_environment", Value::from("LOCAL_MACHINE")),
        ("distributed_type", kind.into()),
        ("num_machines", nodes.into()),
        ("num_processes", r.decision.world_size.into()),
        ("machine_rank", 0u32.into()),
        ("main_training_function", "main".into()),
        ("rdzv_backend", if nodes > 1 { "c10d" } else { "static" }.into()),
    ]);
    if kind == "FSDP" {
        said = said.and([
            ("fsdp_config.fsdp_version", Value::from(2u32)),
            ("fsdp_config.fsdp_reshard_after_forward", true.into()),
            ("fsdp_config.fsdp_auto_wrap_policy", "TRANSFORMER_BASED_WRAP".into()),
            ("fsdp_config.fsdp_offload_params", false.into()),
            ("fsdp_config.fsdp_state_dict_type", "SHARDED_STATE_DICT".into()),
            ("fsdp_config.fsdp_cpu_ram_efficient_loading", true.into()),
        ]);
    }
    said.settings
}

fn zero(r: &Recipe<'_>) -> Said {
    let reshard =
        |after: bool| Said::keys([("fsdp_config.fsdp_reshard_after_forward", after.into())]);
    match r.zero().0 {
        0 if !is_sharded(r) => Said::same(),
        0 => {
            reshard(false).but("states are sharded: it replicates only where nothing else is split")
        }
        3 => reshard(true),
        2 => reshard(false),
        _ => reshard(false).but(
            "weights and gradients are sharded as well, weights are whole \
                                 between forward and backward pass",
        ),
    }
}

fn recompute(r: &Recipe<'_>) -> Said {
    let all = Said::keys([("fsdp_config.fsdp_activation_checkpointing", Value::from(true))]);
    match (r.repeated(), is_sharded(r)) {
        (Repeated::Nothing, _) => Said::same(),
        (_, false) => Said::instead("the script calls model.gradient_checkpointing_enable()"),
        (Repeated::Full, true) => all,
        (_, true) => all.but("every layer is repeated whole"),
    }
}

/// The file has no key for either.
fn batch(r: &Recipe<'_>) -> Said {
    let b = &r.decision.batch;
    Said::instead(format!(
        "the script loads {} sequences per device and makes its Accelerator with \
         gradient_accumulation_steps={}",
        b.micro_sequences, b.micro_batches
    ))
}

fn compute(format: Dtype) -> Said {
    let mixed = match format {
        Dtype::Fp32 => "no",
        Dtype::Fp16 => "fp16",
        Dtype::Bf16 => "bf16",
        Dtype::Fp8 => "fp8",
    };
    Said::keys([("mixed_precision", mixed.into())])
}

/// 32-bit weights, gradients and moments; FSDP sends gradients in the format of products.
fn formats(r: &Recipe<'_>) -> Said {
    let wire = match (r.compute(), is_sharded(r)) {
        (Dtype::Fp32, _) | (_, false) => 4,
        _ => 2,
    };
    let own = Formats { weight: 4, gradient: 4, optimizer: 8, wire };
    Said::same().keeping(own, r.formats())
}
