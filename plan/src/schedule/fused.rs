//! Schedules whose backward passes are whole: GPipe, 1F1B, interleaved 1F1B.

use super::Slot;

/// All forwards, all backwards.
pub(super) fn gpipe(rank: u32, m: u32) -> Vec<Slot> {
    let forward = (0..m).map(|b| Slot::forward(rank, b));
    let backward = (0..m).rev().map(|b| Slot::backward(rank, b));
    forward.chain(backward).collect()
}

/// A warm-up of `ranks − 1 − rank` forwards, then in turns.
pub(super) fn one_f_one_b(rank: u32, ranks: u32, m: u32) -> Vec<Slot> {
    let warm_up = (ranks - 1 - rank).min(m);
    let mut slots: Vec<Slot> = (0..warm_up).map(|b| Slot::forward(rank, b)).collect();
    for b in warm_up..m {
        slots.push(Slot::forward(rank, b));
        slots.push(Slot::backward(rank, b - warm_up));
    }
    slots.extend((m - warm_up..m).map(|b| Slot::backward(rank, b)));
    slots
}

/// Megatron's interleaved order: micro-batches advance in groups of `ranks` through the chunks.
pub(super) fn interleaved(rank: u32, ranks: u32, m: u32, chunks: u32) -> Vec<Slot> {
    let total = m * chunks;
    let warm_up = ((ranks - rank - 1) * 2 + (chunks - 1) * ranks).min(total);
    let slot = |is_forward: bool, i: u32| {
        let group = i / (ranks * chunks);
        let within = i % (ranks * chunks);
        let chunk = if is_forward { within / ranks } else { chunks - 1 - within / ranks };
        let stage = chunk * ranks + rank;
        let micro_batch = group * ranks + within % ranks;
        match is_forward {
            true => Slot::forward(stage, micro_batch),
            false => Slot::backward(stage, micro_batch),
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
