//! The space of plans: everything that is enumerated outside of the integer programme.

use crate::combinations::{Combination, refused};
use crate::even;
use crate::prices::{compute, traits};
use crate::request::{Pins, Request};
use crate::setting::is_large;
use plan::mesh::Degrees;
use plan::model::{Family, Model};
use plan::schedule::ScheduleKind;
use plan::work::AttentionKernel;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// Beyond this tensor-parallel degree no published layout goes.
const MAX_TP: u32 = 64;
/// Context parallelism leaves at least this many tokens per rank.
const MIN_TOKENS_PER_CONTEXT_RANK: u64 = 1024;
/// Most virtual stages per rank.
const MAX_CHUNKS: u32 = 16;
/// Most pieces along time into which a recurrent sequence is cut.
const MAX_TIME_CHUNKS: u32 = 256;

/// Most micro-batches per step: beyond, a pipeline's bubble is nothing and its order of passes
/// only costs memory here.
const MAX_MICRO_BATCHES: u32 = 65_536;
/// Largest global batch whose divisors are looked for.
pub(crate) const MAX_SEQUENCES: u64 = 1 << 40;

/// One outer configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Configuration {
    /// Degrees of parallelism.
    pub degrees: Degrees,
    /// Sequence parallelism.
    pub sequence_parallel: bool,
    /// Sequences per micro-batch and replica.
    pub micro_sequences: u64,
    /// Micro-batches per step: batches of sequences, or pieces along time.
    pub micro_batches: u32,
    /// Pieces along time (1: sequences are whole).
    pub time_chunks: u32,
    /// Schedule.
    pub schedule: ScheduleKind,
    /// Virtual stages per rank.
    pub chunks: u32,
    /// Pipeline stages that share the storage of the token table.
    pub pieces: u32,
}

/// All configurations of a request, in a fixed order.
#[must_use]
pub fn configurations(request: &Request<'_>) -> Vec<Configuration> {
    let mut all = Vec::new();
    for degrees in meshes(request) {
        inner(request, degrees, &mut all);
    }
    all.retain(|c| refused(request, c).is_none());
    all.sort_unstable();
    all
}

/// What the stack refuses in configurations that would otherwise be looked at.
#[must_use]
pub(crate) fn refusals(request: &Request<'_>) -> BTreeSet<Combination> {
    let mut all = Vec::new();
    for degrees in meshes(request) {
        inner(request, degrees, &mut all);
    }
    all.iter().filter_map(|c| refused(request, c)).collect()
}

/// The space in words, for the certificate.
#[must_use]
pub fn describe() -> Vec<String> {
    vec![
        format!(
            "tensor parallel: every divisor of the ranks up to {MAX_TP} that divides heads, \
             feed-forward width or cells"
        ),
        format!(
            "context parallel: powers of two that leave {MIN_TOKENS_PER_CONTEXT_RANK} tokens per \
             rank; expert parallel: divisors of experts and replicas"
        ),
        "pipeline parallel: every divisor of the ranks up to the number of layers; contiguous \
         stages of any size under 1F1B and GPipe"
            .into(),
        format!(
            "interleaved 1F1B and breadth-first: equal chunks, up to {MAX_CHUNKS} per rank; \
             zero-bubble H1, H2 and V: one equal stage per rank, two in V; first and last shorter \
             where the software stack can; one recomputation level each; of all schedules, those \
             that the stack runs"
        ),
        format!("recurrent pipelines: wavefronts of up to {MAX_TIME_CHUNKS} pieces along time"),
        format!(
            "micro-batches: every divisor of a replica's sequences, up to {MAX_MICRO_BATCHES} of \
             them; ZeRO 0 to 3; recomputation per layer"
        ),
        "token table: every exchange of its gradient; recurrent models may also shard it over \
         replicas, and store a large one in pieces on several stages: equally full ones where \
         each is one layer, else equal pieces"
            .into(),
    ]
}

/// Degrees whose product is the number of ranks.
pub(crate) fn meshes(request: &Request<'_>) -> Vec<Degrees> {
    let n = request.gpus;
    let mut all = Vec::new();
    for tp in divisors(n).into_iter().filter(|&tp| allowed(request.pins.tp, tp, tp <= MAX_TP)) {
        for cp in context_degrees(request, n / tp) {
            for pp in divisors(n / tp / cp).into_iter().filter(|&pp| stages_exist(request, pp)) {
                let dp = n / tp / cp / pp;
                if request.pins.dp.is_some_and(|pin| pin != dp) {
                    continue;
                }
                let expert = expert_degrees(request, dp);
                all.extend(expert.into_iter().map(|ep| Degrees { dp, tp, pp, cp, ep }));
            }
        }
    }
    all
}

fn allowed(pin: Option<u32>, value: u32, otherwise: bool) -> bool {
    pin.map_or(otherwise, |pin| pin == value)
}

fn stages_exist(request: &Request<'_>, pp: u32) -> bool {
    allowed(request.pins.pp, pp, true) && pp <= request.model.layers()
}

fn context_degrees(request: &Request<'_>, ranks: u32) -> Vec<u32> {
    let tokens = request.sequence();
    // Keys travel around a ring of ranks, which needs a kernel that sums softmax piece by piece.
    let kernel = traits(request.profile, compute(request)).attention;
    let is_transformer = matches!(request.model.spec.family, Family::Transformer(_));
    let has_attention = is_transformer && kernel != AttentionKernel::Unfused;
    let fits = |cp: u32| {
        let even = ranks.is_multiple_of(cp) && tokens.is_multiple_of(u64::from(cp));
        even && tokens / u64::from(cp) >= MIN_TOKENS_PER_CONTEXT_RANK
    };
    (0..12)
        .map(|k| 1u32 << k)
        .filter(|&cp| cp == 1 || (has_attention && fits(cp)))
        .filter(|&cp| allowed(request.pins.cp, cp, cp == 1 || request.pins.local_steps.is_none()))
        .collect()
}

fn expert_degrees(request: &Request<'_>, dp: u32) -> Vec<u32> {
    let experts = experts(request.model);
    divisors(dp)
        .into_iter()
        .filter(|&ep| experts.is_multiple_of(u64::from(ep)))
        .filter(|&ep| allowed(request.pins.ep, ep, true))
        .collect()
}

fn experts(model: &Model) -> u64 {
    match &model.spec.family {
        Family::Transformer(t) => t.experts.as_ref().map_or(1, |e| e.count),
        _ => 1,
    }
}

/// Micro-batches, schedules and variants on one mesh.
fn inner(request: &Request<'_>, degrees: Degrees, all: &mut Vec<Configuration>) {
    let replica = request.global_sequences / u64::from(degrees.dp);
    if replica == 0 || !request.global_sequences.is_multiple_of(u64::from(degrees.dp)) {
        return;
    }
    for sequence_parallel in sequence_parallel(request, degrees) {
        for (micro_sequences, micro_batches) in micro_batches(&request.pins, replica) {
            let base = Configuration {
                degrees,
                sequence_parallel,
                micro_sequences,
                micro_batches,
                time_chunks: 1,
                schedule: ScheduleKind::OneForwardOneBackward,
                chunks: 1,
                pieces: 1,
            };
            schedules(request, base, all);
        }
    }
}

fn sequence_parallel(request: &Request<'_>, degrees: Degrees) -> Vec<bool> {
    let possible = degrees.tp > 1 && !request.model.is_recurrent;
    let choices: &[bool] = if possible { &[true, false] } else { &[false] };
    let wanted = |on: &bool| request.pins.sequence_parallel.is_none_or(|pin| pin == *on);
    choices.iter().copied().filter(wanted).collect()
}

fn micro_batches(pins: &Pins, replica: u64) -> Vec<(u64, u32)> {
    divisors_u64(replica)
        .into_iter()
        .filter(|&b| pins.micro_sequences.is_none_or(|pin| pin == b))
        .filter_map(|b| Some((b, u32::try_from(replica / b).ok()?)))
        .filter(|&(_, micro_batches)| micro_batches <= MAX_MICRO_BATCHES)
        .collect()
}

fn schedules(request: &Request<'_>, base: Configuration, all: &mut Vec<Configuration>) {
    let pp = base.degrees.pp;
    let wanted = |kind| request.allows(kind);
    if pp == 1 {
        all.push(base);
        return;
    }
    if request.model.is_recurrent && base.micro_batches == 1 && wanted(ScheduleKind::GPipe) {
        wavefronts(request, base, all);
    }
    for schedule in [ScheduleKind::OneForwardOneBackward, ScheduleKind::GPipe] {
        if wanted(schedule) && request.pins.chunks.is_none_or(|pin| pin == 1) {
            pieces(request, Configuration { schedule, ..base }, all);
        }
    }
    for schedule in EVEN.into_iter().filter(|&kind| wanted(kind)) {
        let exists = |chunks: &u32| {
            let shape = Configuration { schedule, chunks: *chunks, ..base };
            let fits = fits_evenly(request, &shape);
            fits && allowed(request.pins.chunks, *chunks, true)
        };
        let chunks = chunks_of(schedule).filter(exists);
        all.extend(chunks.map(|chunks| Configuration { schedule, chunks, ..base }));
    }
}

/// Schedules over equal chunks.
const EVEN: [ScheduleKind; 6] = [
    ScheduleKind::Interleaved,
    ScheduleKind::BreadthFirst,
    ScheduleKind::ZeroBubbleH1,
    ScheduleKind::ZeroBubbleH2,
    ScheduleKind::ZeroBubbleV,
    ScheduleKind::Ouroboros,
];

/// Virtual stages per rank that a schedule over equal chunks is looked at with.
fn chunks_of(schedule: ScheduleKind) -> RangeInclusive<u32> {
    match schedule {
        ScheduleKind::Interleaved => 2..=MAX_CHUNKS,
        ScheduleKind::BreadthFirst => 1..=MAX_CHUNKS,
        ScheduleKind::ZeroBubbleV => 2..=2,
        _ => 1..=1,
    }
}

/// Whether the layers between the ends divide into the chunks of a schedule, and micro-batches into
/// groups of ranks where they advance in such.
fn fits_evenly(request: &Request<'_>, c: &Configuration) -> bool {
    let has_groups = c.schedule == ScheduleKind::Interleaved;
    let fits = !has_groups || c.micro_batches.is_multiple_of(c.degrees.pp);
    fits && !even::splits(request, c).is_empty()
}

/// Recurrent layers as stages that follow each other through time: micro-batches are pieces of the
/// sequence, all forward passes before all backward passes.
fn wavefronts(request: &Request<'_>, base: Configuration, all: &mut Vec<Configuration>) {
    let steps = request.sequence();
    for time_chunks in (1..9).map(|k| 1u32 << k).filter(|&c| c <= MAX_TIME_CHUNKS) {
        if steps.is_multiple_of(u64::from(time_chunks)) {
            let (schedule, micro_batches) = (ScheduleKind::GPipe, time_chunks);
            let wave = Configuration { schedule, time_chunks, micro_batches, ..base };
            pieces(request, wave, all);
        }
    }
}

/// A table that takes a good part of a device may be stored in pieces on several stages.
fn pieces(request: &Request<'_>, base: Configuration, all: &mut Vec<Configuration>) {
    all.push(base);
    let Some(table) = request.model.table.filter(|t| !t.tied) else { return };
    if is_large(request, table) {
        all.extend((2..=base.degrees.pp).map(|pieces| Configuration { pieces, ..base }));
    }
}

/// Divisors in rising order.
#[must_use]
pub fn divisors(n: u32) -> Vec<u32> {
    divisors_u64(u64::from(n)).into_iter().filter_map(|d| u32::try_from(d).ok()).collect()
}

fn divisors_u64(n: u64) -> Vec<u64> {
    let small: Vec<u64> =
        (1..).take_while(|&d| d <= n / d).filter(|&d| n.is_multiple_of(d)).collect();
    let large = small.iter().rev().filter(|&&d| d != n / d).map(|d| n / d);
    small.iter().copied().chain(large).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divisors_rise_and_divide() {
        assert_eq!(divisors(192), [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 192]);
        assert_eq!(divisors(16), [1, 2, 4, 8, 16]);
        assert_eq!(divisors(1), [1]);
    }
}
