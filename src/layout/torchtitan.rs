//! torchtitan's TOML, up to release 0.2.2.
//!
//! Keys and defaults: pytorch/torchtitan v0.2.2, torchtitan/config/job_config.py,
//! torchtitan/distributed/pipeline_parallel.py and models/llama3/infra/parallelize.py.

use super::Layout;
use super::sheet::{Entry, Sheet};
use crate::diagnostics::{Failure, FileProblem};
use cost_model::memory::Zero;
use plan::Dtype;
use plan::exchange::Exchange;
use plan::lower::Recompute;
use plan::scenario::reader::position;
use plan::schedule::ScheduleKind;
use planner::request::Pins;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Tables that decide nothing about the layout.
const OTHER: [&str; 16] = [
    "checkpoint",
    "comm",
    "compile",
    "debug",
    "experimental",
    "fault_tolerance",
    "job",
    "lr_scheduler",
    "memory_estimation",
    "metrics",
    "model",
    "optimizer",
    "profiling",
    "quantize",
    "training",
    "validation",
];

/// Reads a configuration.
///
/// # Errors
/// Text that is no TOML.
pub fn read(name: &str, text: &str, gpus: Option<u32>) -> Result<Layout, Failure> {
    let sheet = Sheet::new(entries(name, text)?, Vec::new());
    let degree = |key: &str| sheet.count(&format!("parallelism.{key}_degree"), 1);
    let (tp, pp) = (degree("tensor_parallel"), degree("pipeline_parallel"));
    let (cp, ep) = (degree("context_parallel"), degree("expert_parallel"));
    let split = tp.saturating_mul(pp).saturating_mul(cp);
    let data = Data::of(&sheet, gpus, split);
    let dp = data.degree();
    let batch = Batch::of(&sheet, pp, dp);
    let (schedule, chunks) = schedule(&sheet, pp);
    let split_experts = degree("expert_tensor_parallel");
    if ep > 1 && split_experts != tp {
        let text = format!("experts are split {split_experts} times by tensors: {tp} is priced");
        sheet.remark_key("parallelism.expert_tensor_parallel_degree", text);
    }
    let pins = Pins {
        tp: Some(tp),
        pp: Some(pp),
        dp,
        cp: Some(cp),
        ep: Some(ep),
        zero: data.zero(&sheet, pp),
        micro_sequences: Some(batch.micro),
        recompute: recompute(&sheet),
        schedule,
        chunks,
        // Tensor parallelism comes with sequence parallelism.
        sequence_parallel: (tp > 1).then_some(true),
        exchange: Some(Exchange::Dense),
        offload: Some(false),
        ..Pins::default()
    };
    Ok(Layout {
        pins,
        ranks: gpus.or_else(|| dp?.checked_mul(split)),
        global_sequences: batch.global,
        tokens: Some(sheet.value("training.seq_len").unwrap_or(2048)),
        compute: compute(&sheet),
        stack: stack(&sheet, tp),
        stated: Vec::new(),
        remarks: sheet.remarks(is_other),
    })
}

/// Tables about other things, and settings of those of ours that change no price.
fn is_other(key: &str) -> bool {
    let table = key.split('.').next().unwrap_or_default();
    let harmless = ["context_parallel_load_balancer", "context_parallel_rotate_method"];
    let kept = ["training.enable_cpu_offload", "training.dtype", "training.mixed_precision_reduce"];
    let tuned = key.starts_with("activation_checkpoint.") && !key.ends_with("mode");
    let inner = key.strip_prefix("parallelism.").is_some_and(|key| harmless.contains(&key));
    (OTHER.contains(&table) && !kept.contains(&key)) || tuned || inner
}

/// All values, by their path.
fn entries(name: &str, text: &str) -> Result<Vec<Entry>, Failure> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let problem = |error: &toml::de::Error| FileProblem {
            span: error.span().unwrap_or(0..1),
            message: error.message().to_string(),
            hint: None,
        };
        return Err(Failure::file(name, text, errors.iter().map(problem).collect()));
    }
    let mut entries = Vec::new();
    flatten(document.get_ref(), "", text, &mut entries);
    entries.sort_by_key(|entry: &Entry| entry.line);
    Ok(entries)
}

fn flatten(table: &DeTable<'_>, path: &str, text: &str, entries: &mut Vec<Entry>) {
    for (key, value) in table {
        let key = match path {
            "" => key.get_ref().to_string(),
            path => format!("{path}.{}", key.get_ref()),
        };
        match value.get_ref() {
            DeValue::Table(inner) => flatten(inner, &key, text, entries),
            other => {
                let (line, _) = position(text, value.span().start);
                let (value, items) = said(other);
                entries.push(Entry { key, value, items, line });
            }
        }
    }
}

/// A value as text, and its members.
fn said(value: &DeValue<'_>) -> (String, usize) {
    match value {
        DeValue::String(text) => (text.to_string(), 1),
        DeValue::Integer(number) => (number.to_string(), 1),
        DeValue::Float(number) => (number.to_string(), 1),
        DeValue::Boolean(truth) => (truth.to_string(), 1),
        DeValue::Array(members) => {
            let inner = |member: &Spanned<DeValue<'_>>| said(member.get_ref()).0;
            let is_nested = members.iter().any(|m| matches!(m.get_ref(), DeValue::Array(_)));
            let between = if is_nested { "|" } else { ";" };
            (members.iter().map(inner).collect::<Vec<_>>().join(between), members.len())
        }
        DeValue::Datetime(time) => (time.to_string(), 1),
        DeValue::Table(_) => (String::new(), 0),
    }
}

/// Replicas, and parts of one.
struct Data {
    replicate: u32,
    shard: Option<u32>,
}

impl Data {
    /// `-1` shards over all ranks that are left.
    fn of(sheet: &Sheet, gpus: Option<u32>, split: u32) -> Self {
        let replicate = sheet.count("parallelism.data_parallel_replicate_degree", 1);
        let said: i64 = sheet.value("parallelism.data_parallel_shard_degree").unwrap_or(-1);
        let left = || gpus?.checked_div(split.checked_mul(replicate)?).filter(|n| *n > 0);
        Self { replicate, shard: u32::try_from(said).ok().filter(|n| *n > 0).or_else(left) }
    }

    fn degree(&self) -> Option<u32> {
        self.shard?.checked_mul(self.replicate)
    }

    fn zero(&self, sheet: &Sheet, pp: u32) -> Option<Zero> {
        let key = "parallelism.fsdp_reshard_after_forward";
        let stage = match sheet.word(key).as_deref() {
            _ if self.shard == Some(1) => 0,
            Some("always") => 3,
            Some("never") => 2,
            // Weights of pipeline stages stay gathered.
            _ if pp > 1 => 2,
            _ => 3,
        };
        if self.replicate > 1 && stage > 0 {
            let text = format!(
                "{} groups of replicas shard among themselves: one group is priced",
                self.replicate
            );
            sheet.remark_key("parallelism.data_parallel_replicate_degree", text);
        }
        Zero::from_stage(stage)
    }
}

/// Sequences of a micro-batch and of a step.
struct Batch {
    micro: u64,
    global: Option<u64>,
}

impl Batch {
    fn of(sheet: &Sheet, pp: u32, dp: Option<u32>) -> Self {
        let local = u64::from(sheet.count("training.local_batch_size", 8));
        let micro_key = "parallelism.pipeline_parallel_microbatch_size";
        let micro = u64::from(sheet.count(micro_key, 1));
        let said: i64 = sheet.value("training.global_batch_size").unwrap_or(-1);
        let all = dp.and_then(|dp| local.checked_mul(dp.into()));
        let global = u64::try_from(said).ok().filter(|n| *n > 0).or(all);
        let passes = all.zip(global).map_or(1, |(all, global)| global / all.max(1));
        if pp > 1 && passes > 1 {
            let text = format!(
                "{passes} pipelines in a row make a step: one with {passes} times the \
                 micro-batches is priced"
            );
            sheet.remark_key("training.global_batch_size", text);
        }
        Self { micro: if pp > 1 { micro } else { local }, global }
    }
}

/// The schedule, and virtual stages per rank where they follow.
fn schedule(sheet: &Sheet, pp: u32) -> (Option<ScheduleKind>, Option<u32>) {
    let key = "parallelism.pipeline_parallel_schedule";
    let said = sheet.word(key).unwrap_or("1f1b".into());
    let csv = sheet.word("parallelism.pipeline_parallel_schedule_csv").filter(|p| !p.is_empty());
    let stages = stages(sheet, pp);
    if pp == 1 {
        return (None, Some(1));
    }
    if let Some(path) = csv {
        let key = "parallelism.pipeline_parallel_schedule_csv";
        sheet.remark_key(key, format!("{path} is not read: the planner chooses a schedule"));
        return (None, stages);
    }
    use ScheduleKind as K;
    let (kind, default) = match said.as_str() {
        "1f1b" => (K::OneForwardOneBackward, 1),
        "gpipe" => (K::GPipe, 1),
        "interleaved1f1b" => (K::Interleaved, 2),
        "loopedbfs" => (K::BreadthFirst, 2),
        "zbvzerobubble" => (K::ZeroBubbleV, 2),
        other => {
            let text = format!("{other} is not priced: the planner chooses a schedule");
            sheet.remark_key(key, text);
            return (None, None);
        }
    };
    (Some(kind), Some(stages.unwrap_or(default)))
}

/// Virtual stages per rank, where the file names their modules.
fn stages(sheet: &Sheet, pp: u32) -> Option<u32> {
    for key in ["layers_per_stage", "first_stage_less_layers", "last_stage_less_layers"] {
        let key = format!("parallelism.pipeline_parallel_{key}");
        if sheet.find(&key).is_some() {
            sheet.remark_key(&key, "the planner places the layers of stages itself");
        }
    }
    let parts = sheet.find("parallelism.module_fqns_per_model_part")?;
    let in_part = |part: &str| part.split(';').filter(|m| m.starts_with("layers.")).count();
    let layers: Vec<usize> = parts.value.split('|').map(in_part).collect();
    let (items, line) = (u32::try_from(parts.items).ok()?, parts.line);
    if layers.windows(2).any(|pair| pair[0] != pair[1]) {
        sheet.remark(line, "stages are uneven: the planner places their layers itself");
    }
    items.checked_div(pp).filter(|n| *n > 0)
}

fn recompute(sheet: &Sheet) -> Option<Recompute> {
    let key = "activation_checkpoint.mode";
    let option = sheet.word("activation_checkpoint.selective_ac_option").unwrap_or("2".into());
    match sheet.word(key).as_deref() {
        // A mode of that name is `none` as a word.
        None if sheet.find(key).is_some() => Some(Recompute::None),
        Some("full") => Some(Recompute::Full),
        Some("selective") | None if option == "op" => Some(Recompute::Selective),
        Some("selective") | None if option == "1" => Some(Recompute::Full),
        Some("selective") | None => {
            let text = format!(
                "every layer whose number {option} divides is recomputed: the planner chooses \
                 layers itself"
            );
            sheet.remark_key("activation_checkpoint.selective_ac_option", text);
            None
        }
        Some(other) => {
            sheet.remark_key(key, format!("{other}: the planner chooses layers itself"));
            None
        }
    }
}

/// Constants are of three ways to run it.
fn stack(sheet: &Sheet, tp: u32) -> &'static str {
    let is_compiled = sheet.word("compile.enable").as_deref() == Some("true");
    let is_async = sheet.is_on("parallelism.enable_async_tensor_parallel") && tp > 1;
    match (is_compiled, is_async) {
        (true, true) => "torchtitan-async",
        (true, false) => "torchtitan-compile",
        (false, _) => "torchtitan-eager",
    }
}

fn compute(sheet: &Sheet) -> Option<Dtype> {
    let is_eight = sheet.word("model.converters").is_some_and(|c| c.contains("float8"));
    match sheet.word("training.mixed_precision_param").as_deref() {
        _ if is_eight => Some(Dtype::Fp8),
        None | Some("bfloat16") => Some(Dtype::Bf16),
        Some("float32") => Some(Dtype::Fp32),
        Some(other) => {
            let text = format!("{other} is no format of torchtitan");
            sheet.remark_key("training.mixed_precision_param", text);
            None
        }
    }
}
