//! Flags of Megatron-LM.
//!
//! Names, defaults and implications: NVIDIA/Megatron-LM, megatron/training/arguments.py and
//! megatron/core/transformer/pipeline_parallel_layer_layout.py.

use super::sheet::Sheet;
use super::{Layout, Size, shell};
use crate::diagnostics::Failure;
use crate::exit::Exit;
use cost_model::memory::Zero;
use plan::Dtype;
use plan::exchange::Exchange;
use plan::lower::Recompute;
use plan::schedule::ScheduleKind;
use planner::request::Pins;

/// Reads a script or a list of flags.
///
/// # Errors
/// Degrees that do not divide the ranks.
pub fn read(text: &str, gpus: Option<u32>) -> Result<Layout, Failure> {
    let (entries, remarks) = shell::flags(text);
    let sheet = Sheet::new(entries, remarks);
    let degree = |key: &str| sheet.count(key, 1);
    let (tp, pp) = (degree("tensor-model-parallel-size"), degree("pipeline-model-parallel-size"));
    let (cp, ep) = (degree("context-parallel-size"), degree("expert-model-parallel-size"));
    let launched = ranks(&sheet);
    let ranks = gpus.or(launched);
    let split = tp.saturating_mul(pp).saturating_mul(cp);
    let dp = ranks.map(|ranks| data_parallel(ranks, split)).transpose()?;
    let micro = degree("micro-batch-size");
    let chunks = chunks(&sheet, pp);
    let pins = Pins {
        tp: Some(tp),
        pp: Some(pp),
        dp,
        cp: Some(cp),
        ep: Some(ep),
        zero: zero(&sheet),
        micro_sequences: Some(micro.into()),
        recompute: recompute(&sheet),
        schedule: (pp > 1).then_some(match chunks {
            1 => ScheduleKind::OneForwardOneBackward,
            _ => ScheduleKind::Interleaved,
        }),
        chunks: Some(chunks),
        sequence_parallel: (tp > 1).then(|| sheet.is_on("sequence-parallel")),
        exchange: Some(Exchange::Dense),
        offload: Some(sheet.is_on("cpu-offloading")),
        ..Pins::default()
    };
    experts(&sheet, tp, ep);
    Ok(Layout {
        pins,
        ranks,
        // Without a global batch there is one micro-batch per replica.
        global_sequences: sheet
            .value("global-batch-size")
            .or_else(|| Some(u64::from(micro) * u64::from(dp?))),
        tokens: sheet.value("seq-length"),
        compute: Some(compute(&sheet)),
        stack: "megatron-core",
        stated: sheet.stated([
            ("num-layers", Size::Layers),
            ("hidden-size", Size::Width),
            ("num-attention-heads", Size::Heads),
        ]),
        remarks: sheet.remarks(is_other),
    })
}

/// Nodes and processes of each, as torchrun takes them.
fn ranks(sheet: &Sheet) -> Option<u32> {
    let nodes: u32 = sheet.value("nnodes").unwrap_or(1);
    sheet.value::<u32>("nproc-per-node")?.checked_mul(nodes)
}

fn data_parallel(ranks: u32, split: u32) -> Result<u32, Failure> {
    match ranks.checked_rem(split) {
        Some(0) if ranks > 0 => Ok(ranks / split),
        _ => Err(Failure::new(
            Exit::InvalidInput,
            format!("tensor × pipeline × context parallel = {split} does not divide {ranks} ranks"),
        )
        .hint("--gpus says on how many GPUs the file runs")),
    }
}

/// Virtual stages per rank, in one of the three ways in which they are stated.
fn chunks(sheet: &Sheet, pp: u32) -> u32 {
    let stages = layout(sheet);
    let each = sheet.value::<u32>("num-virtual-stages-per-pipeline-rank");
    let layers = sheet.value::<u32>("num-layers-per-virtual-pipeline-stage");
    let all = sheet.value::<u32>("num-layers");
    let by_layers = layers.zip(all).and_then(|(layers, all)| {
        let split = layers.checked_mul(pp).filter(|split| *split > 0)?;
        Some(all / split)
    });
    for key in ["decoder-first-pipeline-num-layers", "decoder-last-pipeline-num-layers"] {
        if sheet.find(key).is_some() {
            sheet.remark_key(key, format!("{key}: the planner places the layers of stages itself"));
        }
    }
    if let Some(group) = sheet.value::<u32>("microbatch-group-size-per-virtual-pipeline-stage")
        && group != pp
    {
        let key = "microbatch-group-size-per-virtual-pipeline-stage";
        sheet.remark_key(key, format!("{key}: groups of {pp} are priced"));
    }
    let by_layout = stages.filter(|n| n % pp == 0).map(|n| n / pp);
    by_layout.or(each).or(by_layers).unwrap_or(1).max(1)
}

/// Virtual stages of a layout such as `Et*3|(tt|)*29,m|L`; uneven ones are remarked.
fn layout(sheet: &Sheet) -> Option<u32> {
    let key = "pipeline-model-parallel-layout";
    let text = sheet.find(key)?.value.clone();
    let Some(stages) = stages(&text) else {
        sheet.remark_key(key, format!("{key} {text} is not understood"));
        return None;
    };
    let layers: Vec<usize> = stages.iter().map(|s| s.matches('t').count()).collect();
    if layers.windows(2).any(|pair| pair[0] != pair[1]) {
        let listed: Vec<String> = layers.iter().map(usize::to_string).collect();
        sheet.remark_key(
            key,
            format!("stages of {} layers: the planner places layers itself", listed.join(", ")),
        );
    }
    u32::try_from(stages.len()).ok()
}

/// Stages, written out: `x*3` repeats a letter, `(…)*3` a group.
fn stages(text: &str) -> Option<Vec<String>> {
    let plain = written_out(text.trim_matches(['"', '\'']))?;
    Some(plain.split('|').map(str::to_string).collect())
}

fn written_out(text: &str) -> Option<String> {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (unit, after) = match c {
            '(' => {
                let (inner, after) = rest[1..].split_once(')')?;
                (written_out(inner)?, after)
            }
            ',' => (String::new(), &rest[1..]),
            c if c.is_ascii_alphabetic() || c == '|' => (c.to_string(), &rest[1..]),
            _ => return None,
        };
        let (times, after) = match after.strip_prefix('*') {
            Some(digits) => {
                let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
                (digits[..end].parse::<u8>().ok()?, &digits[end..])
            }
            None => (1, after),
        };
        plain.push_str(&unit.repeat(times.into()));
        rest = after;
    }
    Some(plain)
}

fn zero(sheet: &Sheet) -> Option<Zero> {
    let is_sharded = sheet.is_on("use-distributed-optimizer");
    let strategy = sheet.word("data-parallel-sharding-strategy");
    let is_fsdp = sheet.is_on("use-megatron-fsdp") || sheet.is_on("use-custom-fsdp");
    let stage = match strategy.as_deref() {
        _ if sheet.is_on("use-torch-fsdp2") => 3,
        _ if !is_fsdp => u8::from(is_sharded),
        Some("no_shard") | None => 0,
        Some("optim") => 1,
        Some("optim_grads") => 2,
        Some("optim_grads_params") => 3,
        Some(other) => {
            let key = "data-parallel-sharding-strategy";
            sheet.remark_key(key, format!("{key} {other} is not understood"));
            return None;
        }
    };
    if sheet.count("num-distributed-optimizer-instances", 1) > 1 {
        let key = "num-distributed-optimizer-instances";
        sheet.remark_key(key, format!("{key}: one instance over all replicas is priced"));
    }
    Zero::from_stage(stage)
}

fn recompute(sheet: &Sheet) -> Option<Recompute> {
    let said = sheet.word("recompute-granularity");
    let method = sheet.word("recompute-method");
    let layers = sheet.value::<u32>("recompute-num-layers");
    let modules = sheet.word("recompute-modules");
    match said.as_deref() {
        None if sheet.is_on("recompute-activations") => Some(Recompute::Selective),
        None => Some(Recompute::None),
        Some("selective") => {
            if let Some(modules) = modules.filter(|modules| modules != "core_attn") {
                let text = format!("of {modules} only the attention core is priced");
                sheet.remark_key("recompute-modules", text);
            }
            Some(Recompute::Selective)
        }
        Some("full") => match (method.as_deref(), layers) {
            (Some("block"), Some(layers)) => {
                let text = format!(
                    "{layers} layers of every stage are recomputed, the others are not: the \
                     planner chooses layers itself"
                );
                sheet.remark_key("recompute-num-layers", text);
                None
            }
            (_, Some(layers)) if layers > 1 => {
                let text = format!("{layers} layers between checkpoints: 1 is priced");
                sheet.remark_key("recompute-num-layers", text);
                Some(Recompute::Full)
            }
            _ => Some(Recompute::Full),
        },
        Some(other) => {
            let text = format!("recompute-granularity {other} is not understood");
            sheet.remark_key("recompute-granularity", text);
            None
        }
    }
}

/// Experts are split as the rest of a layer.
fn experts(sheet: &Sheet, tp: u32, ep: u32) {
    let split = sheet.value::<u32>("expert-tensor-parallel-size");
    if let Some(split) = split.filter(|split| ep > 1 && *split != tp) {
        let text = format!("experts are split {split} times by tensors: {tp} times is priced");
        sheet.remark_key("expert-tensor-parallel-size", text);
    }
}

fn compute(sheet: &Sheet) -> Dtype {
    let half = [("bf16", Dtype::Bf16), ("fp16", Dtype::Fp16)];
    let half = half.into_iter().find(|(key, _)| sheet.is_on(key)).map(|(_, format)| format);
    let eight = ["fp8-format", "fp8"].iter().any(|key| sheet.word(key).is_some());
    if eight { Dtype::Fp8 } else { half.unwrap_or(Dtype::Fp32) }
}

/// Flags about the shape of the model, data, learning, logs, checkpoints and kernels.
const OTHER: [&str; 62] = [
    "accumulate-allreduce",
    "adam-",
    "add-",
    "apply-",
    "async-",
    "attention-",
    "bert-",
    "calculate-",
    "check-",
    "ckpt-",
    "clip-",
    "cross-entropy",
    "data-",
    "ddp-",
    "decoupled-",
    "disable-",
    "dist",
    "empty-unused",
    "eod-",
    "eval-",
    "exit-",
    "ffn-",
    "fp8-",
    "global-",
    "grad-",
    "group-",
    "hidden-",
    "init",
    "kv-",
    "load",
    "log-",
    "lr",
    "make-",
    "manual-gc",
    "master-",
    "max-",
    "merge-",
    "min-",
    "mock-",
    "moe-",
    "multi-latent",
    "node-rank",
    "norm-",
    "normalization",
    "num-",
    "no-",
    "optimizer",
    "overlap-",
    "position-",
    "profile",
    "q-lora",
    "qk-",
    "rdzv",
    "rotary-",
    "save",
    "seed",
    "split",
    "tensorboard",
    "tiktoken",
    "tokenizer",
    "tp-comm",
    "train-",
];
/// The same by their whole name.
const OTHER_WORDS: [&str; 23] = [
    "bf16",
    "distributed-timeout-minutes",
    "fp16",
    "lr-decay-style",
    "rope-scaling-factor",
    "squared-relu",
    "swiglu",
    "timing-log-level",
    "transformer-impl",
    "untie-embeddings-and-output-weights",
    "use-checkpoint-args",
    "use-cpu-initialization",
    "use-flash-attn",
    "use-mcore-models",
    "use-rope-scaling",
    "use-rotary-position-embeddings",
    "use-tp-pp-dp-mapping",
    "v-head-dim",
    "vocab-file",
    "vocab-size",
    "wandb-project",
    "wandb-exp-name",
    "weight-decay",
];

fn is_other(key: &str) -> bool {
    OTHER_WORDS.contains(&key) || OTHER.iter().any(|start| key.starts_with(start))
}
