//! Pipeline schedules: which rank computes what, in which order. Compute only.
//!
//! A pipeline of `ranks` ranks holds `ranks × chunks` virtual stages; virtual stage `s` lives on
//! rank `s mod ranks` (Narayanan et al. 2021, arXiv:2104.04473, section 2.2). An order lists, per
//! rank, the forward and backward passes in the sequence in which the rank runs them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The family of a schedule.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// All forwards, then all backwards in reverse order (GPipe; also the time-chunk wavefront of
    /// recurrent layers, where the micro-batches are chunks of the sequence).
    #[serde(rename = "gpipe")]
    GPipe,
    /// One forward, one backward in steady state (PipeDream-Flush).
    #[serde(rename = "1f1b")]
    OneForwardOneBackward,
    /// 1F1B over several chunks per rank.
    Interleaved,
}

impl ScheduleKind {
    /// The name on screens and in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::GPipe => "GPipe",
            Self::OneForwardOneBackward => "1F1B",
            Self::Interleaved => "interleaved 1F1B",
        }
    }
}

/// One compute slot of a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// Forward or backward.
    pub is_forward: bool,
    /// Virtual stage.
    pub stage: u32,
    /// Micro-batch.
    pub micro_batch: u32,
}

/// Per rank, the compute slots in execution order.
pub type Order = Vec<Vec<Slot>>;

/// The order of `kind` for `ranks` ranks with `chunks` virtual stages each.
///
/// `None` where the schedule does not exist: nothing to do, several chunks outside of
/// [`ScheduleKind::Interleaved`], or micro-batches that are no multiple of the ranks inside it.
#[must_use]
pub fn order(kind: ScheduleKind, ranks: u32, micro_batches: u32, chunks: u32) -> Option<Order> {
    if ranks == 0 || micro_batches == 0 || chunks == 0 {
        return None;
    }
    match kind {
        ScheduleKind::GPipe if chunks == 1 => {
            Some((0..ranks).map(|rank| gpipe(rank, micro_batches)).collect())
        }
        ScheduleKind::OneForwardOneBackward if chunks == 1 => {
            Some((0..ranks).map(|rank| one_f_one_b(rank, ranks, micro_batches)).collect())
        }
        ScheduleKind::Interleaved if ranks > 1 && micro_batches.is_multiple_of(ranks) => {
            Some((0..ranks).map(|rank| interleaved(rank, ranks, micro_batches, chunks)).collect())
        }
        _ => None,
    }
}

fn gpipe(rank: u32, m: u32) -> Vec<Slot> {
    let forward = (0..m).map(|b| Slot { is_forward: true, stage: rank, micro_batch: b });
    let backward = (0..m).rev().map(|b| Slot { is_forward: false, stage: rank, micro_batch: b });
    forward.chain(backward).collect()
}

fn one_f_one_b(rank: u32, ranks: u32, m: u32) -> Vec<Slot> {
    let warm_up = (ranks - 1 - rank).min(m);
    let slot = |is_forward, micro_batch| Slot { is_forward, stage: rank, micro_batch };
    let mut slots: Vec<Slot> = (0..warm_up).map(|b| slot(true, b)).collect();
    for b in warm_up..m {
        slots.push(slot(true, b));
        slots.push(slot(false, b - warm_up));
    }
    slots.extend((m - warm_up..m).map(|b| slot(false, b)));
    slots
}

/// Megatron's interleaved order: micro-batches advance in groups of `ranks` through the chunks.
fn interleaved(rank: u32, ranks: u32, m: u32, chunks: u32) -> Vec<Slot> {
    let total = m * chunks;
    let warm_up = ((ranks - rank - 1) * 2 + (chunks - 1) * ranks).min(total);
    let slot = |is_forward: bool, i: u32| {
        let group = i / (ranks * chunks);
        let within = i % (ranks * chunks);
        let chunk = if is_forward { within / ranks } else { chunks - 1 - within / ranks };
        Slot {
            is_forward,
            stage: chunk * ranks + rank,
            micro_batch: group * ranks + within % ranks,
        }
    };
    let mut slots: Vec<Slot> = (0..warm_up).map(|i| slot(true, i)).collect();
    for i in warm_up..total {
        slots.push(slot(true, i));
        slots.push(slot(false, i - warm_up));
    }
    slots.extend((total - warm_up..total).map(|i| slot(false, i)));
    slots
}

/// Most micro-batches whose activations a rank holds at once, counted in *chunk* activations,
/// found by walking the order (never from a remembered formula).
#[must_use]
pub fn in_flight(slots: &[Slot]) -> u32 {
    let mut live = 0u32;
    let mut peak = 0u32;
    for slot in slots {
        if slot.is_forward {
            live += 1;
            peak = peak.max(live);
        } else {
            live = live.saturating_sub(1);
        }
    }
    peak
}

/// [`in_flight`] of every rank of a schedule with one chunk per rank, without the whole order.
///
/// Under 1F1B the peak is reached by the time the first `ranks` micro-batches have gone through
/// the warm-up, so an order of that many shows it. `None` as in [`order`].
#[must_use]
pub fn in_flight_per_rank(kind: ScheduleKind, ranks: u32, micro_batches: u32) -> Option<Vec<u32>> {
    match kind {
        ScheduleKind::GPipe if ranks > 0 && micro_batches > 0 => {
            Some(vec![micro_batches; ranks as usize])
        }
        ScheduleKind::OneForwardOneBackward => {
            let order = order(kind, ranks, micro_batches.min(ranks), 1)?;
            Some(order.iter().map(|slots| in_flight(slots)).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn kinds() -> impl Strategy<Value = (ScheduleKind, u32)> {
        prop_oneof![
            Just((ScheduleKind::GPipe, 1)),
            Just((ScheduleKind::OneForwardOneBackward, 1)),
            (1u32..4).prop_map(|v| (ScheduleKind::Interleaved, v)),
        ]
    }

    proptest! {
        #[test]
        fn every_pass_runs_exactly_once((kind, chunks) in kinds(), ranks in 2u32..7, k in 1u32..5) {
            let m = ranks * k;
            let order = order(kind, ranks, m, chunks).unwrap();
            for (rank, slots) in order.iter().enumerate() {
                let unique: BTreeSet<Slot> = slots.iter().copied().collect();
                prop_assert_eq!(unique.len(), slots.len());
                prop_assert_eq!(slots.len() as u32, 2 * m * chunks);
                prop_assert!(slots.iter().all(|s| s.stage % ranks == rank as u32));
                for s in slots.iter().filter(|s| !s.is_forward) {
                    let f = Slot { is_forward: true, ..*s };
                    let at = |x: &Slot| slots.iter().position(|y| y == x);
                    prop_assert!(at(&f) < at(s));
                }
            }
        }

        #[test]
        fn one_f_one_b_holds_ranks_minus_stage(ranks in 1u32..9, m in 1u32..20) {
            let order = order(ScheduleKind::OneForwardOneBackward, ranks, m, 1).unwrap();
            for (rank, slots) in order.iter().enumerate() {
                prop_assert_eq!(in_flight(slots), (ranks - rank as u32).min(m));
            }
        }
    }

    proptest! {
        #[test]
        fn short_orders_show_the_same_peaks(gpipe: bool, ranks in 1u32..9, m in 1u32..30) {
            let kind = match gpipe {
                true => ScheduleKind::GPipe,
                false => ScheduleKind::OneForwardOneBackward,
            };
            let whole: Vec<u32> =
                order(kind, ranks, m, 1).unwrap().iter().map(|s| in_flight(s)).collect();
            prop_assert_eq!(in_flight_per_rank(kind, ranks, m), Some(whole));
        }
    }

    #[test]
    fn gpipe_holds_everything() {
        let order = order(ScheduleKind::GPipe, 3, 5, 1).unwrap();
        assert!(order.iter().all(|slots| in_flight(slots) == 5));
    }
}
