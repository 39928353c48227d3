//! DeepSpeed: its JSON; the model is the script's.

use super::form::{Setting, Tree, Value};
use super::recipe::{Formats, Recipe, Repeated};
use super::said::{Said, Trainer};
use super::topic::Topic;
use plan::dtype::Dtype;
use plan::exchange::Exchange;
use plan::schedule::ScheduleKind;
use plan::work::OptimizerRule;

/// DeepSpeed.
pub struct DeepSpeed;

impl Trainer for DeepSpeed {
    fn name(&self) -> &'static str {
        "DeepSpeed"
    }

    fn version(&self) -> &'static str {
        "0.19.8"
    }

    fn say(&self, topic: Topic, r: &Recipe<'_>) -> Said {
        let degrees = &r.decision.degrees;
        match topic {
            // What is left of the ranks is data parallel.
            Topic::Data => Said::same(),
            Topic::Tensor => Said::keys([("tensor_parallel.autotp_size", degrees.tp.into())]),
            Topic::Sequence if r.decision.sequence_parallel => {
                Said::instead("what lies between layers is whole on every tensor-parallel rank")
            }
            Topic::Sequence => Said::same(),
            Topic::Context => Said::never("it has no context parallelism", Some("--cp 1")),
            Topic::Expert => Said::instead(format!(
                "the script gives ep_size={} to deepspeed.moe.layer.MoE",
                degrees.ep
            )),
            Topic::Pipeline => Said::keys([("pipeline.stages", degrees.pp.into())])
                .but("the script builds deepspeed.pipe.PipelineModule with as many stages"),
            Topic::Schedule => match r.decision.schedule {
                ScheduleKind::OneForwardOneBackward => Said::same(),
                ScheduleKind::Ouroboros => {
                    Said::never("its pipelines wait for every gradient", None)
                }
                _ => Said::instead("1F1B runs, one stage per rank"),
            },
            Topic::Stages if r.is_even() => Said::keys([("pipeline.partition", "uniform".into())]),
            Topic::Stages => Said::keys([("pipeline.partition", "parameters".into())])
                .but("stages are balanced by parameters"),
            Topic::Zero => zero(r),
            Topic::Recompute => recompute(r),
            Topic::Offload => {
                Said::keys([("activation_checkpointing.cpu_checkpointing", true.into())])
                    .but("only inputs of layers that are repeated wait in host memory")
            }
            Topic::Batch => batch(r),
            Topic::Length => Said::instead("the script cuts its text"),
            Topic::TimeChunks => Said::never("it knows nothing of time", Some("--time-chunks 1")),
            Topic::Exchange => exchange(r),
            Topic::Pieces => Said::instead("the script places the table"),
            Topic::Compute => compute(r.compute()),
            Topic::Formats => formats(r),
            Topic::Optimizer => optimizer(r.optimizer()),
            Topic::LocalSteps => Said::never("its replicas agree after every step", None),
        }
    }

    fn model(&self, _: &Recipe<'_>) -> Said {
        Said::instead("the script builds it")
    }

    fn write(&self, _: &Recipe<'_>, settings: &[Setting], _: &[String]) -> String {
        Tree::of(settings).json()
    }
}

/// All three numbers, which have to agree.
fn batch(r: &Recipe<'_>) -> Said {
    let b = &r.decision.batch;
    Said::keys([
        ("train_batch_size", b.global_sequences.into()),
        ("train_micro_batch_size_per_gpu", b.micro_sequences.into()),
        ("gradient_accumulation_steps", b.micro_batches.into()),
    ])
}

/// The engine of pipelines refuses ZeRO 2 and 3.
fn zero(r: &Recipe<'_>) -> Said {
    let (stage, is_equal) = r.zero();
    let is_limited = r.decision.degrees.pp > 1 && stage > 1;
    if stage == 0 {
        return Said::keys([("zero_optimization.stage", 0u32.into())]);
    }
    let own = if is_limited { 1 } else { stage };
    let said = Said::keys([
        ("zero_optimization.stage", u32::from(own).into()),
        ("zero_optimization.contiguous_gradients", true.into()),
        ("zero_optimization.overlap_comm", true.into()),
    ]);
    match (is_limited, is_equal) {
        (true, _) => said.but("its pipelines allow ZeRO 1 at most"),
        (false, false) => said.but(format!("every stage has ZeRO {stage}")),
        (false, true) => said,
    }
}

fn recompute(r: &Recipe<'_>) -> Said {
    let interval =
        |n: u32| Said::keys([("pipeline.activation_checkpoint_interval", Value::from(n))]);
    match (r.repeated(), r.decision.degrees.pp) {
        (Repeated::Nothing, _) => Said::same(),
        (Repeated::Full, pp) if pp > 1 => interval(1),
        _ => Said::instead("the script wraps layers in deepspeed.checkpointing.checkpoint"),
    }
}

/// Rows instead of the table: of every rank, and of words that it has several times one row.
fn exchange(r: &Recipe<'_>) -> Said {
    let rows = || Said::keys([("sparse_gradients", true.into())]);
    match r.decision.embedding.map(|e| e.exchange) {
        Some(Exchange::DedupGather) => {
            rows().but("the script's table is an nn.Embedding(sparse=True)")
        }
        Some(Exchange::Gather | Exchange::Unique) if r.zero().0 == 0 => {
            rows().but("rows of every rank are gathered (dedup-gather), from a sparse nn.Embedding")
        }
        _ => Said::instead("the whole table is summed (dense)"),
    }
}

fn compute(format: Dtype) -> Said {
    match format {
        Dtype::Fp32 => Said::same(),
        Dtype::Fp16 => Said::keys([("fp16.enabled", true.into())]),
        Dtype::Bf16 => Said::keys([("bf16.enabled", true.into())]),
        Dtype::Fp8 => Said::keys([("bf16.enabled", true.into())]).but("products are in 16 bit"),
    }
}

/// Half-precision weights with a master copy; sums in the format that is asked for.
fn formats(r: &Recipe<'_>) -> Said {
    let formats = r.formats();
    if r.compute() == Dtype::Fp32 {
        let own = Formats { weight: 4, gradient: 4, wire: 4, ..formats };
        return Said::same().keeping(own, formats);
    }
    let is_full = formats.gradient == 4;
    let width = if is_full { 4 } else { 2 };
    let own = Formats { weight: 2, gradient: width, optimizer: 12, wire: width };
    let said = match is_full {
        true => Said::keys([
            ("data_types.grad_accum_dtype", Value::from("fp32")),
            ("communication_data_type", Value::from("fp32")),
        ]),
        false => Said::same(),
    };
    said.keeping(own, formats)
}

fn optimizer(rule: OptimizerRule) -> Said {
    let named = |name: &str| Said::keys([("optimizer.type", name.into())]);
    match rule {
        OptimizerRule::Adam => named("AdamW"),
        OptimizerRule::Lamb => named("Lamb"),
        OptimizerRule::Sgd | OptimizerRule::Momentum => named("SGD"),
        OptimizerRule::Adagrad => named("Adagrad"),
        OptimizerRule::Adafactor => Said::instead("the script makes its optimizer"),
    }
}
