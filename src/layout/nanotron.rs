//! nanotron's YAML.
//!
//! Keys and defaults: huggingface/nanotron, src/nanotron/config/config.py and
//! parallelism_config.py.

use super::sheet::Sheet;
use super::{Layout, Size, yaml};
use crate::diagnostics::Failure;
use cost_model::memory::Zero;
use plan::Dtype;
use plan::exchange::Exchange;
use plan::lower::Recompute;
use plan::schedule::ScheduleKind;
use planner::request::Pins;

/// Sections that decide nothing about the layout.
const OTHER: [&str; 9] = [
    "checkpoints",
    "data_stages",
    "data",
    "general",
    "lighteval",
    "logging",
    "profiler",
    "s3_upload",
    "tokenizer",
];

/// Reads a configuration.
///
/// # Errors
/// A line that is no YAML.
pub fn read(name: &str, text: &str) -> Result<Layout, Failure> {
    let sheet = Sheet::new(yaml::entries(name, text)?, Vec::new());
    let degree = |key: &str| sheet.count(&format!("parallelism.{key}"), 1);
    let (tp, pp, cp) = (degree("tp"), degree("pp"), degree("context_parallel_size"));
    let ep = degree("expert_parallel_size");
    // Ranks of experts are ranks besides those of data parallelism.
    let dp = degree("dp").saturating_mul(ep);
    let micro = sheet.count("tokens.micro_batch_size", 1);
    let accumulation = sheet.count("tokens.batch_accumulation_per_replica", 1);
    let global = [dp, micro, accumulation].map(u64::from).iter().product();
    let pins = Pins {
        tp: Some(tp),
        pp: Some(pp),
        dp: Some(dp),
        cp: Some(cp),
        ep: Some(ep),
        zero: zero(&sheet),
        micro_sequences: Some(micro.into()),
        recompute: Some(recompute(&sheet)),
        schedule: schedule(&sheet, pp),
        chunks: Some(1),
        sequence_parallel: sequence_parallel(&sheet, tp),
        exchange: Some(Exchange::Dense),
        offload: Some(false),
        ..Pins::default()
    };
    Ok(Layout {
        pins,
        ranks: [dp, tp, pp, cp].into_iter().try_fold(1u32, u32::checked_mul),
        global_sequences: Some(global),
        tokens: sheet.value("tokens.sequence_length"),
        compute: compute(&sheet),
        stack: "nanotron",
        stated: sheet.stated([
            ("model.model_config.num_hidden_layers", Size::Layers),
            ("model.model_config.hidden_size", Size::Width),
            ("model.model_config.num_attention_heads", Size::Heads),
        ]),
        remarks: sheet.remarks(is_other),
    })
}

/// Sections and keys that are about data, logs, learning rates and the shape of the model.
fn is_other(key: &str) -> bool {
    let section = key.split('.').next().unwrap_or_default();
    let inner = ["model.", "tokens.", "optimizer."].iter().any(|s| key.starts_with(s));
    OTHER.contains(&section)
        || inner
        || key == "parallelism.tp_linear_async_communication"
        || key == "parallelism.tp_recompute_allgather"
}

fn zero(sheet: &Sheet) -> Option<Zero> {
    let stage: u8 = sheet.value("optimizer.zero_stage").unwrap_or(0);
    if stage > 1 {
        sheet.remark_key("optimizer.zero_stage", "nanotron has ZeRO 0 and 1; 1 is taken");
    }
    Zero::from_stage(stage.min(1))
}

fn recompute(sheet: &Sheet) -> Recompute {
    let of_experts = "parallelism.moe_layer_recompute";
    if sheet.is_on(of_experts) {
        sheet.remark_key(of_experts, "recomputation of experts alone is not priced");
    }
    if sheet.is_on("parallelism.recompute_layer") { Recompute::Full } else { Recompute::None }
}

/// Nothing said means all forward passes before all backward passes.
fn schedule(sheet: &Sheet, pp: u32) -> Option<ScheduleKind> {
    let said = sheet.word("parallelism.pp_engine");
    match said.as_deref() {
        _ if pp == 1 => None,
        Some("1f1b") => Some(ScheduleKind::OneForwardOneBackward),
        Some("afab") | None => Some(ScheduleKind::GPipe),
        Some(other) => {
            sheet
                .remark_key("parallelism.pp_engine", format!("{other} is no schedule of nanotron"));
            None
        }
    }
}

fn sequence_parallel(sheet: &Sheet, tp: u32) -> Option<bool> {
    let mode = sheet.word("parallelism.tp_mode");
    (tp > 1).then(|| mode.as_deref() == Some("reduce_scatter"))
}

fn compute(sheet: &Sheet) -> Option<Dtype> {
    match sheet.word("model.dtype").as_deref() {
        None | Some("bfloat16") => Some(Dtype::Bf16),
        Some("float16") => Some(Dtype::Fp16),
        Some("float32") => Some(Dtype::Fp32),
        Some(other) => {
            sheet.remark_key("model.dtype", format!("{other} is no format of plans"));
            None
        }
    }
}
