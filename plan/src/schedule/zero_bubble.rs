//! Zero-bubble pipelines (Qi et al. 2023, arXiv:2401.10241): the gradient of the weights is not on
//! anybody's way, so it is computed where a rank would wait.

use super::{Slot, Task};

/// Appends slots of one rank, each task counting its micro-batches of each stage.
struct List {
    slots: Vec<Slot>,
    micro_batches: u32,
}

impl List {
    /// Adds a slot, unless the micro-batch is beyond the last: short steps are long ones with the
    /// rest left out.
    fn push(&mut self, task: Task, stage: u32, micro_batch: u32) {
        if micro_batch < self.micro_batches {
            self.slots.push(Slot { task, stage, micro_batch });
        }
    }
}

/// Weight gradients `rank` micro-batches behind: every rank holds `ranks` activations at most.
pub(super) fn h1(rank: u32, ranks: u32, m: u32) -> Vec<Slot> {
    delayed(rank, m, (ranks - 1 - rank).min(m), rank)
}

/// Twice the warm-up, and weight gradients `2·rank` micro-batches behind: every rank holds
/// `2·ranks − 1` activations at most and never waits.
pub(super) fn h2(rank: u32, ranks: u32, m: u32) -> Vec<Slot> {
    delayed(rank, m, (2 * (ranks - 1 - rank)).min(m), 2 * rank)
}

/// 1F1B whose weight gradients follow `delay` micro-batches behind those of the inputs.
fn delayed(rank: u32, m: u32, warm_up: u32, delay: u32) -> Vec<Slot> {
    let mut list = List { slots: Vec::with_capacity(3 * m as usize), micro_batches: m };
    (0..warm_up).for_each(|b| list.push(Task::Forward, rank, b));
    for b in 0..m {
        list.push(Task::Forward, rank, b + warm_up);
        list.push(Task::BackwardInput, rank, b);
        if let Some(late) = b.checked_sub(delay) {
            list.push(Task::BackwardWeight, rank, late);
        }
    }
    (m.saturating_sub(delay)..m).for_each(|b| list.push(Task::BackwardWeight, rank, b));
    list.slots
}

/// Stage `rank` on the way down, stage `2·ranks − 1 − rank` on the way up, so that the last stage
/// is beside the first and the loss reaches every rank early.
pub(super) fn v(rank: u32, ranks: u32, m: u32) -> Vec<Slot> {
    let long = m.max(2 * ranks - 1);
    let mut v =
        Vee { list: List { slots: Vec::new(), micro_batches: m }, rank, ranks, done: [[0; 3]; 2] };
    v.warm_up();
    while v.done[UP][F] < v.done[DOWN][F] || v.done[DOWN][F] < long {
        if v.done[DOWN][F] < long {
            v.next(DOWN, F);
        }
        v.whole_backward(DOWN);
        v.next(UP, F);
        v.whole_backward(UP);
    }
    v.cool_down();
    v.list.slots
}

const DOWN: usize = 0;
const UP: usize = 1;
const F: usize = 0;
const I: usize = 1;
const W: usize = 2;
const TASKS: [Task; 3] = [Task::Forward, Task::BackwardInput, Task::BackwardWeight];

/// A rank of the V with the micro-batches that are done, per chunk and task.
struct Vee {
    list: List,
    rank: u32,
    ranks: u32,
    done: [[u32; 3]; 2],
}

impl Vee {
    fn next(&mut self, chunk: usize, task: usize) {
        let stage = if chunk == DOWN { self.rank } else { 2 * self.ranks - 1 - self.rank };
        self.list.push(TASKS[task], stage, self.done[chunk][task]);
        self.done[chunk][task] += 1;
    }

    fn whole_backward(&mut self, chunk: usize) {
        self.next(chunk, I);
        self.next(chunk, W);
    }

    /// Until the first gradient has come down to this rank.
    fn warm_up(&mut self) {
        (0..2 * (self.ranks - self.rank) - 1).for_each(|_| self.next(DOWN, F));
        for _ in 0..self.rank {
            self.next(UP, F);
            self.next(DOWN, F);
        }
        for _ in 0..self.ranks - self.rank {
            self.next(UP, F);
            self.whole_backward(UP);
        }
    }

    /// Gradients of inputs first, because others wait for them.
    fn cool_down(&mut self) {
        for _ in 0..self.rank {
            self.next(DOWN, I);
            self.next(UP, I);
        }
        for _ in 0..self.ranks - self.rank {
            self.whole_backward(DOWN);
        }
        while self.done[UP][W] < self.done[UP][I] {
            self.next(UP, W);
        }
        while self.done[DOWN][W] < self.done[DOWN][I] {
            self.next(DOWN, W);
        }
    }
}
