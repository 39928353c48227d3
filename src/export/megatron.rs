//! Megatron: what Megatron-LM's flags and Megatron-Bridge's configuration have in common, by the
//! names of the latter.

mod bridge;
mod flags;
mod shape;

pub use bridge::MegatronBridge;
pub use flags::MegatronLm;

use super::form::Value;
use super::recipe::{Formats, Recipe, Repeated};
use super::said::Said;
use super::topic::Topic;
use plan::dtype::Dtype;
use plan::schedule::ScheduleKind;
use plan::work::OptimizerRule;

/// How Megatron states a decision.
fn say(topic: Topic, r: &Recipe<'_>) -> Said {
    let degrees = &r.decision.degrees;
    match topic {
        // What is left of the ranks is data parallel.
        Topic::Data => Said::same(),
        Topic::Tensor => Said::keys([("model.tensor_model_parallel_size", degrees.tp.into())]),
        Topic::Sequence if r.decision.sequence_parallel => {
            Said::keys([("model.sequence_parallel", true.into())])
        }
        Topic::Sequence => Said::same(),
        Topic::Context => Said::keys([("model.context_parallel_size", degrees.cp.into())]),
        Topic::Expert => Said::keys([
            ("model.expert_model_parallel_size", degrees.ep.into()),
            ("model.expert_tensor_parallel_size", degrees.tp.into()),
        ]),
        Topic::Pipeline => Said::keys([("model.pipeline_model_parallel_size", degrees.pp.into())]),
        Topic::Schedule => schedule(r),
        Topic::Stages if r.is_even() => Said::same(),
        Topic::Stages => {
            Said::keys([("model.pipeline_model_parallel_layout", layout(&r.layers()).into())])
        }
        Topic::Zero => zero(r),
        Topic::Recompute => recompute(r),
        Topic::Offload => offload(r),
        Topic::Batch => Said::keys([
            ("train.micro_batch_size", r.decision.batch.micro_sequences.into()),
            ("train.global_batch_size", r.decision.batch.global_sequences.into()),
        ]),
        Topic::Length => {
            Said::keys([("model.seq_length", r.decision.batch.tokens_per_sequence.into())])
        }
        Topic::TimeChunks => Said::never("it has no recurrent models", None),
        Topic::Exchange => Said::instead("the whole table is summed (dense)"),
        Topic::Pieces => Said::instead("the first and the last stage hold the whole table"),
        Topic::Compute => Said::same(),
        Topic::Formats => formats(r),
        Topic::Optimizer => optimizer(r.optimizer()),
        Topic::LocalSteps => Said::never("its replicas agree after every step", None),
    }
}

fn schedule(r: &Recipe<'_>) -> Said {
    let chunks = r.decision.chunks;
    let keys = match chunks > 1 && r.is_even() {
        true => Said::keys([("model.virtual_pipeline_model_parallel_size", chunks.into())]),
        false => Said::same(),
    };
    match r.decision.schedule {
        ScheduleKind::OneForwardOneBackward | ScheduleKind::Interleaved => keys,
        ScheduleKind::Ouroboros => Said::never("its pipelines wait for every gradient", None),
        ScheduleKind::ZeroBubbleV => keys.but(
            "interleaved 1F1B runs, and the second chunk of a rank follows on the first rank, not \
             on the last",
        ),
        _ if chunks > 1 => keys.but("interleaved 1F1B runs"),
        _ => keys.but("1F1B runs"),
    }
}

/// `Ettt|tttt|tttL`: embedding, layers, output of every virtual stage, in model order.
fn layout(layers: &[u32]) -> String {
    let stages = layers.iter().map(|n| "t".repeat(*n as usize));
    let mut stages: Vec<String> = stages.collect();
    if let Some(first) = stages.first_mut() {
        first.insert(0, 'E');
    }
    if let Some(last) = stages.last_mut() {
        last.push('L');
    }
    stages.join("|")
}

/// The distributed optimizer is ZeRO 1; the rest is Megatron's FSDP, which keeps its checkpoints in
/// a format of its own.
fn zero(r: &Recipe<'_>) -> Said {
    let (stage, is_equal) = r.zero();
    let summed = Said::keys([("ddp.overlap_grad_reduce", Value::from(true))]);
    if r.decision.degrees.dp == 1 {
        return Said::same();
    }
    let sharded = summed.clone().and([
        ("ddp.use_distributed_optimizer", true.into()),
        ("ddp.overlap_param_gather", true.into()),
    ]);
    let fsdp = |strategy: &str| {
        sharded.clone().and([
            ("ddp.use_megatron_fsdp", true.into()),
            ("ddp.data_parallel_sharding_strategy", Value::from(strategy)),
            ("checkpoint.ckpt_format", Value::from("fsdp_dtensor")),
        ])
    };
    let said = match stage {
        0 => summed,
        1 => sharded.clone(),
        2 => fsdp("optim_grads"),
        _ => fsdp("optim_grads_params"),
    };
    match is_equal {
        true => said,
        false => said.but(format!("every stage has ZeRO {stage}")),
    }
}

fn recompute(r: &Recipe<'_>) -> Said {
    let granularity = |word: &str| ("model.recompute_granularity", Value::from(word));
    let full = |method: &str, layers: u32| {
        Said::keys([
            granularity("full"),
            ("model.recompute_method", method.into()),
            ("model.recompute_num_layers", layers.into()),
        ])
    };
    match r.repeated() {
        Repeated::Nothing => Said::same(),
        Repeated::Selective if r.alternates => {
            Said::keys([granularity("selective")]).but("the attention core is repeated")
        }
        Repeated::Selective => Said::keys([granularity("selective")]),
        Repeated::Full => full("uniform", 1),
        Repeated::Some { layers } => full("block", layers),
        Repeated::Mixed { most: 0 } => {
            Said::keys([granularity("selective")]).but("every layer repeats its attention core")
        }
        Repeated::Mixed { most } => full("block", most)
            .but(format!("the first {most} layers of every stage are repeated whole, no others")),
    }
}

/// Transformer Engine offloads all layers but the last, outside of pipelines.
fn offload(r: &Recipe<'_>) -> Said {
    let layers: u32 = r.layers().iter().sum();
    match r.decision.degrees.pp {
        1 if layers > 1 => Said::keys([
            ("model.cpu_offloading", true.into()),
            ("model.cpu_offloading_num_layers", (layers - 1).into()),
        ])
        .but("activations of the last layer stay on the device"),
        _ => Said::never("it moves no activations to the host in pipelines", Some("--offload off")),
    }
}

/// Half-precision weights with a master copy in 32 bit; gradients in 16 or 32.
fn formats(r: &Recipe<'_>) -> Said {
    let formats = r.formats();
    let sums = |in_full: bool| Said::keys([("ddp.grad_reduce_in_fp32", in_full.into())]);
    if r.compute() == Dtype::Fp32 {
        let own = Formats { weight: 4, gradient: 4, wire: 4, ..formats };
        return Said::same().keeping(own, formats);
    }
    let in_full = formats.gradient == 4;
    let width = if in_full { 4 } else { 2 };
    let state = if r.optimizer() == OptimizerRule::Adam { 12 } else { formats.optimizer };
    let own = Formats { weight: 2, gradient: width, optimizer: state, wire: width };
    sums(in_full).keeping(own, formats)
}

fn optimizer(rule: OptimizerRule) -> Said {
    let named = |name: &str| Said::keys([("optimizer.optimizer", name.into())]);
    match rule {
        OptimizerRule::Adam => named("adam"),
        OptimizerRule::Sgd | OptimizerRule::Momentum => named("sgd"),
        other => named("adam").but(format!("Adam updates the weights, not {}", other.name())),
    }
}
