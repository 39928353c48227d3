//! Ouroboros: modules that compute on gradients of earlier steps and so do not wait for each other
//! on the way back.
//!
//! Forward passes of a step still follow each other through the modules. Rank 0 holds the first
//! and the last module; between its two forward passes it has the first one's backward pass to do.

use super::Slot;

/// The order of one step: forward before backward, because other modules wait for the forward.
pub(super) fn ouroboros(rank: u32, ranks: u32, m: u32) -> Vec<Slot> {
    let module =
        |stage: u32| (0..m).flat_map(move |b| [Slot::forward(stage, b), Slot::backward(stage, b)]);
    let mut slots: Vec<Slot> = module(rank).collect();
    if rank == 0 {
        slots.extend(module(ranks));
    }
    slots
}
