//! From a row to the plan that it ran: degrees, batch, schedule, and layers as the trainer cuts
//! them. Nothing is optimised here.

use super::row::Row;
use super::rules::{Cut, Rules};
use super::skip::{Assumptions, Skip};
use cost_model::memory::Zero;
use plan::lower::Recompute;
use plan::mesh::Degrees;
use plan::schedule::ScheduleKind;
use planner::prices::PricedKinds;
use planner::solution::StageUse;
use planner::space::Configuration;

/// Everything about a split but the layers.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// Degrees, batch and schedule. Several where the row leaves the micro-batch open: the first
    /// that fits is what the trainer ran.
    pub configurations: Vec<Configuration>,
    /// Sharding.
    pub zero: Zero,
    /// Recomputation; unknown where the row says nothing.
    pub recompute: Option<Recompute>,
    /// Devices.
    pub gpus: u32,
}

/// Most micro-batches that are simulated.
const MOST_MICRO_BATCHES: u64 = 65_536;
/// Largest micro-batch that is guessed.
const MOST_GUESSED: u64 = 65_536;
/// Most devices of one run.
const MOST_DEVICES: u64 = 1 << 20;

impl Split {
    /// What lies between blocks is split over tensor-parallel ranks, whatever the row says.
    pub fn split_stream(&mut self) {
        for configuration in &mut self.configurations {
            configuration.sequence_parallel = configuration.degrees.tp > 1;
        }
    }
}

/// The split of a row.
///
/// # Errors
/// Degrees and batches that contradict each other.
pub fn split(
    row: &Row,
    layers: u32,
    rules: &Rules,
    assumed: &mut Assumptions,
) -> Result<Split, Skip> {
    let (degrees, gpus) = degrees(row, assumed)?;
    let batches = batches(row, &degrees, assumed)?;
    if degrees.pp > layers {
        return Err(Skip::Stages);
    }
    let sequence_parallel = match row.run.sequence_parallel {
        _ if degrees.tp == 1 => false,
        Some(flag) => flag > 0,
        None => {
            assumed.add("sequence parallelism: off");
            false
        }
    };
    let mut configuration = |(micro_sequences, micro_batches)| {
        let (schedule, chunks) = schedule(row, &degrees, micro_batches, layers, assumed);
        Configuration {
            degrees,
            sequence_parallel,
            micro_sequences,
            micro_batches,
            time_chunks: 1,
            schedule,
            chunks,
            pieces: 1,
        }
    };
    let configurations = batches.into_iter().map(&mut configuration).collect();
    let zero = kept(zero(row, assumed), &degrees, assumed);
    Ok(Split { configurations, zero, recompute: recompute(row, rules, assumed), gpus })
}

fn degrees(row: &Row, assumed: &mut Assumptions) -> Result<(Degrees, u32), Skip> {
    let run = &row.run;
    let or_one = |value: Option<u64>| value.filter(|v| *v > 0).unwrap_or(1);
    let (tp, pp, cp) = (or_one(run.tp), or_one(run.pp), or_one(run.cp));
    let model = [tp, pp, cp].into_iter().try_fold(1u64, u64::checked_mul).ok_or(Skip::Degrees)?;
    let product = run.dp.filter(|n| *n > 0).and_then(|dp| dp.checked_mul(model));
    let gpus = run.gpus.filter(|n| *n > 0).or(product).ok_or(Skip::Missing("gpus"))?;
    if gpus > MOST_DEVICES {
        return Err(Skip::Large("the number of devices"));
    }
    if !gpus.is_multiple_of(model) {
        return Err(Skip::Degrees);
    }
    let dp = gpus / model;
    if run.dp.is_none_or(|stated| stated != dp) {
        assumed.add("data-parallel degree: from the devices");
    }
    let ep = expert_degree(or_one(run.ep), dp, assumed);
    let small = |value: u64| u32::try_from(value).map_err(|_| Skip::Degrees);
    let degrees =
        Degrees { dp: small(dp)?, tp: small(tp)?, pp: small(pp)?, cp: small(cp)?, ep: small(ep)? };
    Ok((degrees, small(gpus)?))
}

/// Expert-parallel ranks are a part of the data-parallel ones here; Megatron also spreads them over
/// tensor ranks.
fn expert_degree(stated: u64, dp: u64, assumed: &mut Assumptions) -> u64 {
    if dp.is_multiple_of(stated) {
        return stated;
    }
    assumed.add("expert parallelism over tensor ranks: over data ranks only");
    let (mut a, mut b) = (stated, dp);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Sequences per micro-batch and micro-batches. Where the row does not say: one sequence in a
/// pipeline, which wants many micro-batches; elsewhere the largest power of two that fits.
fn batches(
    row: &Row,
    degrees: &Degrees,
    assumed: &mut Assumptions,
) -> Result<Vec<(u64, u32)>, Skip> {
    let dp = u64::from(degrees.dp);
    let micro = row.run.micro_batch.filter(|n| *n > 0);
    let global = row.run.global_batch.filter(|n| *n > 0).or_else(|| {
        assumed.add("global batch: one micro-batch per replica");
        micro?.checked_mul(dp)
    });
    let global = global.ok_or(Skip::Missing("global_batch"))?;
    if !global.is_multiple_of(dp) {
        return Err(Skip::Batch);
    }
    let replica = global / dp;
    let divides = |micro: &u64| replica.is_multiple_of(*micro);
    let micro = match micro {
        Some(stated) if divides(&stated) => vec![stated],
        Some(stated) => {
            assumed.add("micro-batch: the largest divisor below the stated one");
            vec![(1..=stated.min(MOST_GUESSED)).rev().find(divides).unwrap_or(1)]
        }
        None if degrees.pp > 1 => {
            assumed.add("micro-batch: 1 sequence");
            vec![1]
        }
        None => {
            assumed.add("micro-batch: the largest that fits");
            (0..=5).rev().map(|k| 1u64 << k).filter(divides).collect()
        }
    };
    let all: Vec<(u64, u32)> = micro
        .into_iter()
        .filter(|micro| replica / micro <= MOST_MICRO_BATCHES)
        .filter_map(|micro| Some((micro, u32::try_from(replica / micro).ok()?)))
        .collect();
    if all.is_empty() { Err(Skip::Large("the number of micro-batches")) } else { Ok(all) }
}

fn schedule(
    row: &Row,
    degrees: &Degrees,
    micro_batches: u32,
    layers: u32,
    assumed: &mut Assumptions,
) -> (ScheduleKind, u32) {
    let plain = (ScheduleKind::OneForwardOneBackward, 1);
    if degrees.pp == 1 {
        return plain;
    }
    let stated = row.run.chunks.and_then(|c| u32::try_from(c).ok()).filter(|c| *c > 0);
    let chunks = stated.unwrap_or_else(|| {
        assumed.add("virtual stages per rank: as many as the layers allow");
        most_chunks(degrees.pp, micro_batches, layers)
    });
    let fits = degrees.pp.checked_mul(chunks).is_some_and(|stages| stages <= layers);
    match chunks {
        1 => plain,
        _ if micro_batches.is_multiple_of(degrees.pp) && fits => {
            (ScheduleKind::Interleaved, chunks)
        }
        _ => {
            assumed.add("interleaving that does not divide: plain 1F1B");
            plain
        }
    }
}

/// Who leaves out how a pipeline was interleaved has usually tuned it.
fn most_chunks(pp: u32, micro_batches: u32, layers: u32) -> u32 {
    let body = layers.saturating_sub(2);
    let even = |n: u32, v: u32| n > 0 && n.is_multiple_of(pp.saturating_mul(v));
    // The first and the last stage may hold a layer less (Llama 3: 126 layers on 16 ranks).
    let divides = |v: &u32| even(body, *v) || even(layers, *v);
    if micro_batches.is_multiple_of(pp) { (1..=8).rev().find(divides).unwrap_or(1) } else { 1 }
}

fn zero(row: &Row, assumed: &mut Assumptions) -> Zero {
    let stated = row.run.zero.and_then(|z| u8::try_from(z).ok()).and_then(Zero::from_stage);
    stated.unwrap_or_else(|| {
        let is_distributed = row.optimizer.contains("distributed");
        assumed.add("sharding of training state: by the optimizer's name");
        if is_distributed { Zero::Optimizer } else { Zero::Off }
    })
}

/// In a pipeline nobody gathers weights or reduces gradients per micro-batch: FSDP keeps both whole
/// until the last one (torchtitan's `reshard_after_forward` and `set_requires_gradient_sync`), and
/// DeepSpeed's pipelines know no more than sharded optimizers. In time that is ZeRO 1.
fn kept(zero: Zero, degrees: &Degrees, assumed: &mut Assumptions) -> Zero {
    if degrees.pp == 1 || zero < Zero::Gradients {
        return zero;
    }
    assumed.add("sharding in a pipeline: gathered and reduced once per step");
    Zero::Optimizer
}

fn recompute(row: &Row, rules: &Rules, assumed: &mut Assumptions) -> Option<Recompute> {
    if let Some(level) = rules.recompute(&row.words()) {
        assumed.add(format!("recomputation: {}, though its column differs", level.name()));
        return Some(level);
    }
    match row.recompute.as_str() {
        "full" | "uniform" | "yes" | "true" | "on" => Some(Recompute::Full),
        "none" | "0" | "no" | "off" | "false" => Some(Recompute::None),
        "" => {
            assumed.add("recomputation: the least that fits");
            None
        }
        // A policy of JAX that keeps queries, keys and values and repeats the rest.
        word if word.contains("selective") && row.notes.contains("(qkv_proj") => {
            assumed.add("recomputation of all but queries, keys and values: full");
            Some(Recompute::Full)
        }
        word if word.contains("selective") => Some(Recompute::Selective),
        word if word.contains("full") => Some(Recompute::Full),
        _ => {
            assumed.add("recomputation: selective, as the word is unknown");
            Some(Recompute::Selective)
        }
    }
}

/// The virtual stages of a split, with layers as the trainer cuts them. Kinds have one column each:
/// recomputation is the same for all layers.
pub fn stages(
    configuration: &Configuration,
    runs: &[plan::model::Run],
    kinds: &PricedKinds,
    cut: Cut,
    assumed: &mut Assumptions,
) -> Vec<StageUse> {
    let parts = (configuration.degrees.pp * configuration.chunks) as usize;
    let chain: Vec<usize> = runs
        .iter()
        .enumerate()
        .flat_map(|(i, r)| std::iter::repeat_n(i, r.layers as usize))
        .collect();
    let ends = match cut {
        Cut::Cost => by_cost(&chain, runs, kinds, parts),
        Cut::Even => even(chain.len(), parts, assumed),
    };
    let mut start = 0;
    let mut all = Vec::with_capacity(parts);
    for (stage, end) in ends.into_iter().enumerate() {
        let mut layers: Vec<Vec<u32>> =
            runs.iter().map(|r| vec![0; kinds[r.kind].levels.len()]).collect();
        for &run in &chain[start..end] {
            layers[run][0] += 1;
        }
        start = end;
        let stage = u32::try_from(stage).unwrap_or(u32::MAX);
        all.push(StageUse { rank: stage % configuration.degrees.pp, layers });
    }
    all
}

/// As many layers per stage; embedding and head join the first and the last. Where that leaves
/// rest and counting the ends as layers does not, the ends are counted (Megatron-DeepSpeed).
fn even(chain: usize, parts: usize, assumed: &mut Assumptions) -> Vec<usize> {
    let body = chain - 2;
    if !body.is_multiple_of(parts) && chain.is_multiple_of(parts) {
        return (1..=parts).map(|i| i * (chain / parts)).collect();
    }
    if !body.is_multiple_of(parts) {
        assumed.add("uneven stages: the first ones hold one layer more");
    }
    let (each, rest) = (body / parts, body % parts);
    let end = |i: usize| 1 + each * i + rest.min(i);
    (1..=parts).map(|i| if i == parts { chain } else { end(i) }).collect()
}

/// Layers go to a stage until it has its share of the work, and the one that exceeds it still does
/// (huggingface/nanotron, `PipelineBlock` placement by `block_compute_costs`).
fn by_cost(
    chain: &[usize],
    runs: &[plan::model::Run],
    kinds: &PricedKinds,
    parts: usize,
) -> Vec<usize> {
    let flops = |run: usize| {
        let kind = &kinds[runs[run].kind];
        // Work is proportional to weights; the lookup of the embedding is none.
        if run == 0 { 0.0 } else { kind.parameters.total() as f64 }
    };
    let total: f64 = chain.iter().map(|&run| flops(run)).sum();
    let mut ends = Vec::with_capacity(parts);
    let mut sum = 0.0;
    for (i, &run) in chain.iter().enumerate() {
        sum += flops(run);
        let share = (ends.len() + 1) as f64 * total / parts as f64;
        // Later stages must not be left empty.
        let left = chain.len() - 1 - i;
        let must = left < parts - ends.len();
        if ends.len() + 1 < parts && (sum > share || must) {
            ends.push(i + 1);
        }
    }
    ends.push(chain.len());
    ends
}

#[cfg(test)]
mod tests;
