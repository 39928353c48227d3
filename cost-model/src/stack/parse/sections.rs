//! The sections of a stack file.

use crate::profile::{KERNELS, POINTWISE, RULES};
use crate::stack::{
    AttentionStack, CollectiveStack, ComputeModel, ComputeStack, HostStack, MemoryStack,
    OptimizerStack, OverlapStack, Passes, PipelineStack, PointwiseCost, RecurrentStack,
    ResidualBand, SpreadStack,
};
use plan::Sourced;
use plan::machine::RecurrentLaw;
use plan::scenario::{Item, Table};
use plan::schedule::ScheduleKind;
use plan::units::Quantity;
use plan::work::{AttentionKernel, OptimizerRule, PointwiseKind};
use std::collections::BTreeMap;

type Section<'a, 'b, S> = (&'b Table<'a>, Option<&'b S>);

/// A section: what the file says on top of the base; the base alone where the file is silent.
fn section<S: Clone>(
    file: &Table<'_>,
    key: &str,
    base: Option<&S>,
    parse: impl FnOnce(&Table<'_>) -> Option<S>,
) -> Option<S> {
    match base {
        Some(base) => match file.has(key) {
            true => file.table(key, parse),
            false => silent(file, key, base),
        },
        None => file.table(key, parse),
    }
}

/// The base's value of a key the file leaves out; the key counts as known.
fn silent<T: Clone>(table: &Table<'_>, key: &str, base: &T) -> Option<T> {
    table.optional(key, |_| Some(()));
    Some(base.clone())
}

fn value<T: Clone>(
    table: &Table<'_>,
    key: &str,
    base: Option<&Sourced<T>>,
    parse: impl FnOnce(&Item<'_>) -> Option<T>,
) -> Option<Sourced<T>> {
    match base {
        Some(base) if !table.has(key) => silent(table, key, base),
        _ => table.sourced(key, parse),
    }
}

/// A number from zero up, as most constants are.
fn number<S>(
    (table, base): Section<'_, '_, S>,
    key: &str,
    of: impl Fn(&S) -> &Sourced<f64>,
) -> Option<Sourced<f64>> {
    value(table, key, base.map(of), |item| item.number(0.0..=1e6))
}

/// A fraction from 0 to 1.
fn part<S>(
    (table, base): Section<'_, '_, S>,
    key: &str,
    of: impl Fn(&S) -> &Sourced<f64>,
) -> Option<Sourced<f64>> {
    value(table, key, base.map(of), |item| item.number(0.0..=1.0))
}

/// A fraction above 0 and up to 1.
fn fraction<S>(
    (table, base): Section<'_, '_, S>,
    key: &str,
    of: impl Fn(&S) -> &Sourced<f64>,
) -> Option<Sourced<f64>> {
    value(table, key, base.map(of), |item| item.fraction())
}

fn flag<S>(
    (table, base): Section<'_, '_, S>,
    key: &str,
    of: impl Fn(&S) -> &Sourced<bool>,
) -> Option<Sourced<bool>> {
    value(table, key, base.map(of), |item| item.flag())
}

fn quantity<S, Q: Quantity>(
    (table, base): Section<'_, '_, S>,
    key: &str,
    of: impl Fn(&S) -> &Sourced<Q>,
) -> Option<Sourced<Q>> {
    value(table, key, base.map(of), |item| item.quantity_or_zero())
}

fn passes(item: &Item<'_>) -> Option<Passes> {
    let list = item.list()?;
    let [forward, backward] = list.as_slice() else {
        return item.refuse("expected two numbers: forward, backward");
    };
    let (forward, backward) = (forward.number(0.0..=1e6), backward.number(0.0..=1e6));
    Some(Passes { forward: forward?, backward: backward? })
}

/// `kernel` by its name in files.
pub(super) const KERNEL_NAMES: [(&str, AttentionKernel); 4] = [
    ("unfused", KERNELS[0]),
    ("flash1", KERNELS[1]),
    ("flash2", KERNELS[2]),
    ("flash3", KERNELS[3]),
];

const RULE_NAMES: [(&str, OptimizerRule); 6] = [
    ("sgd", RULES[0]),
    ("momentum", RULES[1]),
    ("adagrad", RULES[2]),
    ("adam", RULES[3]),
    ("adafactor", RULES[4]),
    ("lamb", RULES[5]),
];

/// Names of [`POINTWISE`], in its order.
const POINTWISE_NAMES: [&str; POINTWISE.len()] = [
    "layer-norm",
    "rms-norm",
    "residual",
    "residual-dropout",
    "activation",
    "activation-gated",
    "relayout",
    "rope",
    "bias",
    "embedding",
    "cross-entropy",
    "gate",
    "permute",
    "copy",
    "cast",
    "shift",
    "expert-bias",
];

pub(super) fn compute(file: &Table<'_>, base: Option<&ComputeStack>) -> Option<ComputeStack> {
    section(file, "compute", base, |table| {
        let s = (table, base);
        let model = compute_model(table, base.map(|b| &b.model));
        let derate = fraction(s, "derate", |b| &b.derate);
        let stream = fraction(s, "stream_derate", |b| &b.stream_derate);
        let relative = fraction(s, "fp8_relative", |b| &b.fp8_relative);
        let early = flag(s, "recompute_early_stop", |b| &b.recompute_early_stop);
        Some(ComputeStack {
            model: model?,
            derate: derate?,
            stream_derate: stream?,
            fp8_relative: relative?,
            recompute_early_stop: early?,
        })
    })
}

fn compute_model(table: &Table<'_>, base: Option<&ComputeModel>) -> Option<ComputeModel> {
    if let Some(base) = base.filter(|_| !table.has("model")) {
        return silent(table, "model", base);
    }
    let words = [
        ("tiles", Some(ComputeModel::Tiles)),
        ("blocks", Some(ComputeModel::Blocks)),
        ("roofline", None),
    ];
    if let Some(model) = table.required("model", |item| item.choice(&words))? {
        return Some(model);
    }
    let compute = table.sourced("compute_efficiency", Item::fraction);
    let memory = table.sourced("memory_efficiency", Item::fraction);
    Some(ComputeModel::Roofline { compute: compute?, memory: memory? })
}

pub(super) fn attention(file: &Table<'_>, base: Option<&AttentionStack>) -> Option<AttentionStack> {
    section(file, "attention", base, |table| {
        let s = (table, base);
        let kernel =
            value(table, "kernel", base.map(|b| &b.kernel), |item| item.choice(&KERNEL_NAMES));
        let derate =
            value(table, "derate", base.map(|b| &b.derate), |item| item.number(0.01..=2.0));
        let softmax = value(table, "softmax_bytes", base.map(|b| &b.softmax_bytes), passes);
        let dropout = value(table, "dropout_bytes", base.map(|b| &b.dropout_bytes), passes);
        let score = part(s, "score_efficiency", |b| &b.score_efficiency);
        let misaligned = part(s, "misaligned_fraction", |b| &b.misaligned_fraction);
        let half = number(s, "half_sequence", |b| &b.half_sequence);
        let tiny = part(s, "tiny_head", |b| &b.tiny_head);
        let narrow = narrow_head(table, base.map(|b| &b.narrow_head));
        let tiles = half_tiles(table, base.map(|b| &b.half_tiles));
        Some(AttentionStack {
            kernel: kernel?,
            derate: derate?,
            softmax_bytes: softmax?,
            dropout_bytes: dropout?,
            score_efficiency: score?,
            misaligned_fraction: misaligned?,
            half_sequence: half?,
            narrow_head: narrow?,
            tiny_head: tiny?,
            half_tiles: tiles?,
        })
    })
}

type NarrowHead = BTreeMap<AttentionKernel, Sourced<f64>>;

fn narrow_head(table: &Table<'_>, base: Option<&NarrowHead>) -> Option<NarrowHead> {
    section(table, "narrow_head", base, |table| {
        let mut known = base.cloned().unwrap_or_default();
        for (name, kernel) in KERNEL_NAMES {
            if let Some(factor) = table.sourced_optional(name, Item::fraction) {
                known.insert(kernel, factor);
            }
        }
        Some(known)
    })
}

type HalfTiles = BTreeMap<String, Sourced<f64>>;

fn half_tiles(table: &Table<'_>, base: Option<&HalfTiles>) -> Option<HalfTiles> {
    section(table, "half_tiles", base, |table| {
        let mut known = base.cloned().unwrap_or_default();
        table.each(|item| {
            if let Some(half) = item.sourced(|item| item.number(0.0..=1e6)) {
                known.insert(item.key().to_owned(), half);
            }
        });
        Some(known)
    })
}

type PointwiseTable = BTreeMap<PointwiseKind, Sourced<PointwiseCost>>;

/// Stale gradients change what is trained, so that no stack is said to run them.
pub(super) fn pipeline(file: &Table<'_>, base: Option<&PipelineStack>) -> Option<PipelineStack> {
    let known: Vec<(&str, ScheduleKind)> = ScheduleKind::ALL
        .into_iter()
        .filter(|kind| *kind != ScheduleKind::Ouroboros)
        .map(|kind| (kind.word(), kind))
        .collect();
    section(file, "pipeline", base, |table| {
        let list = |item: &Item<'_>| -> Option<Vec<ScheduleKind>> {
            let all: Vec<_> = item.list()?.iter().map(|i| i.choice(&known)).collect();
            all.into_iter().collect()
        };
        let schedules = value(table, "schedules", base.map(|b| &b.schedules), list);
        let ends = number((table, base), "shorter_ends", |b| &b.shorter_ends);
        Some(PipelineStack { schedules: schedules?, shorter_ends: ends? })
    })
}

pub(super) fn fused(file: &Table<'_>, base: Option<&Sourced<bool>>) -> Option<Sourced<bool>> {
    value(file, "fused", base, |item| item.flag())
}

pub(super) fn pointwise(file: &Table<'_>, base: Option<&PointwiseTable>) -> Option<PointwiseTable> {
    section(file, "pointwise", base, |table| {
        let mut known = BTreeMap::new();
        for (name, kind) in POINTWISE_NAMES.into_iter().zip(POINTWISE) {
            if let Some(cost) = value(table, name, base.and_then(|b| b.get(&kind)), kernel_cost) {
                known.insert(kind, cost);
            }
        }
        Some(known)
    })
}

fn kernel_cost(item: &Item<'_>) -> Option<PointwiseCost> {
    item.table(|table| {
        let bytes = table.required("bytes", passes);
        let wide = table.optional("wide", passes);
        let kernels = table.required("kernels", passes);
        Some(PointwiseCost { bytes: bytes?, wide, kernels: kernels? })
    })
}

pub(super) fn recurrent(file: &Table<'_>, base: Option<&RecurrentStack>) -> Option<RecurrentStack> {
    section(file, "recurrent", base, |table| {
        let s = (table, base);
        let batched = flag(s, "batched_weight_gradient", |b| &b.batched_weight_gradient);
        let accumulation = number(s, "accumulation_passes", |b| &b.accumulation_passes);
        let narrow = fraction(s, "narrow_accumulation", |b| &b.narrow_accumulation);
        let step_host = quantity(s, "step_host", |b| &b.step_host);
        let inherited = base.and_then(|b| b.fallback.clone());
        let fallback = table.table_optional("fallback", fallback).or(inherited);
        Some(RecurrentStack {
            batched_weight_gradient: batched?,
            accumulation_passes: accumulation?,
            narrow_accumulation: narrow?,
            step_host: step_host?,
            fallback,
        })
    })
}

fn fallback(table: &Table<'_>) -> Option<RecurrentLaw> {
    let step = table.sourced("step_overhead", Item::quantity_or_zero);
    let read = table.sourced("weight_read_efficiency", Item::fraction);
    Some(RecurrentLaw { step_overhead: step?, weight_read_efficiency: read? })
}

pub(super) fn optimizer(file: &Table<'_>, base: Option<&OptimizerStack>) -> Option<OptimizerStack> {
    section(file, "optimizer", base, |table| {
        let s = (table, base);
        let kernels = number(s, "kernels", |b| &b.kernels);
        let fixed = quantity(s, "fixed", |b| &b.fixed);
        let accumulation = number(s, "accumulation_bytes", |b| &b.accumulation_bytes);
        let casts = number(s, "cast_bytes", |b| &b.cast_bytes);
        let copies = number(s, "shard_copy_bytes", |b| &b.shard_copy_bytes);
        let mut bytes = base.map(|b| b.bytes.clone()).unwrap_or_default();
        for (name, rule) in RULE_NAMES {
            if let Some(moved) = table.sourced_optional(name, |item| item.number(0.0..=1e6)) {
                bytes.insert(rule, moved);
            }
        }
        Some(OptimizerStack {
            bytes,
            kernels: kernels?,
            fixed: fixed?,
            accumulation_bytes: accumulation?,
            cast_bytes: casts?,
            shard_copy_bytes: copies?,
        })
    })
}

pub(super) fn collective(
    file: &Table<'_>,
    base: Option<&CollectiveStack>,
) -> Option<CollectiveStack> {
    section(file, "collective", base, |table| {
        let s = (table, base);
        let flat_shards = flag(s, "flat_shards", |b| &b.flat_shards);
        let shard_base = part(s, "shard_base", |b| &b.shard_base);
        let shard_ramp = part(s, "shard_ramp", |b| &b.shard_ramp);
        let rings_only = flag(s, "rings_only", |b| &b.rings_only);
        let central = flag(s, "central", |b| &b.central);
        let ring_base = quantity(s, "ring_base", |b| &b.ring_base);
        let ring_node = quantity(s, "ring_node", |b| &b.ring_node);
        let tree_base = quantity(s, "tree_base", |b| &b.tree_base);
        let tree_hop_intra = quantity(s, "tree_hop_intra", |b| &b.tree_hop_intra);
        let tree_hop_inter = quantity(s, "tree_hop_inter", |b| &b.tree_hop_inter);
        let all_to_all_base = quantity(s, "all_to_all_base", |b| &b.all_to_all_base);
        let send_base = quantity(s, "send_base", |b| &b.send_base);
        let tree_efficiency = fraction(s, "tree_efficiency", |b| &b.tree_efficiency);
        let exchange = fraction(s, "all_to_all_efficiency", |b| &b.all_to_all_efficiency);
        let send_efficiency = fraction(s, "send_efficiency", |b| &b.send_efficiency);
        let bucket = quantity(s, "bucket", |b| &b.bucket);
        let bucket_wait = quantity(s, "bucket_wait", |b| &b.bucket_wait);
        let deduplicates = flag(s, "deduplicates", |b| &b.deduplicates);
        Some(CollectiveStack {
            flat_shards: flat_shards?,
            shard_base: shard_base?,
            shard_ramp: shard_ramp?,
            central: central?,
            rings_only: rings_only?,
            ring_base: ring_base?,
            ring_node: ring_node?,
            tree_base: tree_base?,
            tree_hop_intra: tree_hop_intra?,
            tree_hop_inter: tree_hop_inter?,
            tree_efficiency: tree_efficiency?,
            bucket: bucket?,
            bucket_wait: bucket_wait?,
            all_to_all_efficiency: exchange?,
            deduplicates: deduplicates?,
            all_to_all_base: all_to_all_base?,
            send_base: send_base?,
            send_efficiency: send_efficiency?,
        })
    })
}

pub(super) fn overlap(file: &Table<'_>, base: Option<&OverlapStack>) -> Option<OverlapStack> {
    section(file, "overlap", base, |table| {
        let s = (table, base);
        let forward = part(s, "tensor_forward", |b| &b.tensor_forward);
        let forward_sequence = part(s, "tensor_forward_sequence", |b| &b.tensor_forward_sequence);
        let backward = part(s, "tensor_backward", |b| &b.tensor_backward);
        let sequence = part(s, "tensor_backward_sequence", |b| &b.tensor_backward_sequence);
        let expert = part(s, "expert", |b| &b.expert);
        let data = flag(s, "data", |b| &b.data);
        let scattered = flag(s, "scattered", |b| &b.scattered);
        let gather = flag(s, "gather", |b| &b.gather);
        let tail = part(s, "data_tail", |b| &b.data_tail);
        let send = part(s, "send", |b| &b.send);
        let contention = part(s, "contention", |b| &b.contention);
        let root = part(s, "root_unit_exposed", |b| &b.root_unit_exposed);
        Some(OverlapStack {
            tensor_forward: forward?,
            tensor_forward_sequence: forward_sequence?,
            tensor_backward: backward?,
            tensor_backward_sequence: sequence?,
            expert: expert?,
            data: data?,
            scattered: scattered?,
            gather: gather?,
            data_tail: tail?,
            send: send?,
            contention: contention?,
            root_unit_exposed: root?,
        })
    })
}

pub(super) fn host(file: &Table<'_>, base: Option<&HostStack>) -> Option<HostStack> {
    section(file, "host", base, |table| {
        let s = (table, base);
        let launch = quantity(s, "launch", |b| &b.launch);
        let operator = quantity(s, "operator", |b| &b.operator);
        let collective = quantity(s, "collective", |b| &b.collective);
        let staged = quantity(s, "staged_collective", |b| &b.staged_collective);
        let piece = quantity(s, "piece", |b| &b.piece);
        let step = quantity(s, "step", |b| &b.step);
        let jitter = part(s, "jitter", |b| &b.jitter);
        let skew = quantity(s, "skew", |b| &b.skew);
        let blocking = quantity(s, "blocking", |b| &b.blocking);
        let expert = quantity(s, "expert", |b| &b.expert);
        Some(HostStack {
            launch: launch?,
            operator: operator?,
            collective: collective?,
            staged_collective: staged?,
            piece: piece?,
            step: step?,
            jitter: jitter?,
            blocking: blocking?,
            expert: expert?,
            skew: skew?,
        })
    })
}

pub(super) fn memory(file: &Table<'_>, base: Option<&MemoryStack>) -> Option<MemoryStack> {
    section(file, "memory", base, |table| {
        let context = quantity((table, base), "context", |b| &b.context);
        let communicators = quantity((table, base), "communicators", |b| &b.communicators);
        let views = flag((table, base), "qkv_views", |b| &b.qkv_views);
        let losses = number((table, base), "loss_bytes", |b| &b.loss_bytes);
        let wide = flag((table, base), "wide", |b| &b.wide);
        let alternates = flag((table, base), "alternates", |b| &b.alternates);
        let gathered = number((table, base), "gathered", |b| &b.gathered);
        let layer_gradient = number((table, base), "layer_gradient", |b| &b.layer_gradient);
        let update = number((table, base), "update", |b| &b.update);
        let most = |item: &Item<'_>| item.number(0.0..=1e12);
        let bucket = value(table, "bucket", base.map(|b| &b.bucket), most);
        let workspace = quantity((table, base), "workspace", |b| &b.workspace);
        let fragmentation = part((table, base), "fragmentation", |b| &b.fragmentation);
        Some(MemoryStack {
            context: context?,
            communicators: communicators?,
            qkv_views: views?,
            loss_bytes: losses?,
            wide: wide?,
            alternates: alternates?,
            gathered: gathered?,
            layer_gradient: layer_gradient?,
            update: update?,
            bucket: bucket?,
            workspace: workspace?,
            fragmentation: fragmentation?,
        })
    })
}

pub(super) fn spread(file: &Table<'_>, base: Option<&SpreadStack>) -> Option<SpreadStack> {
    section(file, "spread", base, |table| {
        let s = (table, base);
        let gemm = part(s, "gemm", |b| &b.gemm);
        let memory = part(s, "memory", |b| &b.memory);
        let attention = part(s, "attention", |b| &b.attention);
        let intra = part(s, "intra", |b| &b.intra);
        let inter = part(s, "inter", |b| &b.inter);
        let latency = part(s, "latency", |b| &b.latency);
        Some(SpreadStack {
            gemm: gemm?,
            memory: memory?,
            attention: attention?,
            intra: intra?,
            inter: inter?,
            latency: latency?,
        })
    })
}

pub(super) fn residual(file: &Table<'_>, base: Option<&ResidualBand>) -> Option<ResidualBand> {
    section(file, "residual", base, |table| {
        let below = part((table, base), "below", |b| &b.below);
        let above = number((table, base), "above", |b| &b.above);
        Some(ResidualBand { below: below?, above: above? })
    })
}
