//! Looped breadth-first pipelines: all micro-batches go through a chunk before the next one starts.
//!
//! The gradient of a chunk is final after its own backward passes, while all earlier chunks still
//! have theirs before them: its reduction hides behind nearly the whole backward pass, and sharded
//! weights are gathered once per pass instead of once per micro-batch.

use super::Slot;

/// Chunk after chunk, back in reverse.
pub(super) fn looped(rank: u32, ranks: u32, m: u32, chunks: u32) -> Vec<Slot> {
    let stage = |chunk: u32| chunk * ranks + rank;
    let forward = (0..chunks).flat_map(|c| (0..m).map(move |b| Slot::forward(stage(c), b)));
    let backward = (0..chunks).rev();
    let backward = backward.flat_map(|c| (0..m).rev().map(move |b| Slot::backward(stage(c), b)));
    forward.chain(backward).collect()
}
