//! An order in unit times: when each slot would run if every pass took a whole number of units.
//!
//! Lowering places messages by it, and closed forms of bubbles are checked with it. Times of a real
//! machine are the cost model's business.

use super::{Order, Shape, Slot, Task};
use thiserror::Error;

/// Units that passes take; a whole backward pass takes both halves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Units {
    /// Forward pass.
    pub forward: u64,
    /// Gradients of inputs.
    pub input: u64,
    /// Gradients of weights.
    pub weight: u64,
}

impl Units {
    /// One each: a backward pass does twice the arithmetic of a forward pass.
    pub const EVEN: Self = Self { forward: 1, input: 1, weight: 1 };

    fn of(&self, task: Task) -> u64 {
        match task {
            Task::Forward => self.forward,
            Task::Backward => self.input + self.weight,
            Task::BackwardInput => self.input,
            Task::BackwardWeight => self.weight,
        }
    }
}

/// When slots run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timetable {
    /// Per rank and slot: start and end.
    pub slots: Vec<Vec<(u64, u64)>>,
    /// When all are done.
    pub makespan: u64,
}

impl Timetable {
    /// Units in which a rank computes.
    #[must_use]
    pub fn busy(&self, rank: usize) -> u64 {
        self.slots[rank].iter().map(|(start, end)| end - start).sum()
    }

    /// Units between the first start and the last end of a rank in which it waits.
    #[must_use]
    pub fn gaps(&self, rank: usize) -> u64 {
        let slots = &self.slots[rank];
        let ends = slots.last().map_or(0, |s| s.1) - slots.first().map_or(0, |s| s.0);
        ends - self.busy(rank)
    }
}

/// A slot that can never start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Stuck {
    /// Its input never comes.
    #[error("rank {rank} waits for ever for what {slot} needs: {needs} does not come before it")]
    Waits {
        /// The rank.
        rank: u32,
        /// What it cannot start.
        slot: Slot,
        /// What would have to run before.
        needs: Slot,
    },
    /// It names a stage or micro-batch that there is not.
    #[error("{slot} of rank {rank} is beyond {stages} stages and {micro_batches} micro-batches")]
    Beyond {
        /// The rank.
        rank: u32,
        /// The slot.
        slot: Slot,
        /// Virtual stages.
        stages: u32,
        /// Micro-batches.
        micro_batches: u32,
    },
}

/// Runs an order.
///
/// # Errors
/// [`Stuck`] where ranks wait for each other in a circle or a pass is missing.
pub fn timetable(shape: &Shape, order: &Order, units: Units) -> Result<Timetable, Stuck> {
    let mut run = Run::new(shape, order)?;
    loop {
        let mut has_moved = false;
        for rank in 0..order.len() {
            has_moved |= run.advance(rank, units);
        }
        if !has_moved {
            return run.finish();
        }
    }
}

struct Run<'a> {
    shape: &'a Shape,
    order: &'a Order,
    /// End of each task of each stage and micro-batch.
    ends: Vec<Option<u64>>,
    slots: Vec<Vec<(u64, u64)>>,
}

impl<'a> Run<'a> {
    fn new(shape: &'a Shape, order: &'a Order) -> Result<Self, Stuck> {
        let (stages, micro_batches) = (shape.stages(), shape.micro_batches);
        for (rank, slots) in (0..).zip(order) {
            let beyond = |s: &&Slot| s.stage >= stages || s.micro_batch >= micro_batches;
            if let Some(&slot) = slots.iter().find(beyond) {
                return Err(Stuck::Beyond { rank, slot, stages, micro_batches });
            }
        }
        let cells = 3 * stages as usize * micro_batches as usize;
        Ok(Self { shape, order, ends: vec![None; cells], slots: vec![Vec::new(); order.len()] })
    }

    /// Where the end of a pass is kept; a whole backward pass counts as both halves.
    fn cell(&self, task: Task, stage: u32, micro_batch: u32) -> usize {
        let kind = match task {
            Task::Forward => 0,
            Task::Backward | Task::BackwardInput => 1,
            Task::BackwardWeight => 2,
        };
        let pass = stage as usize * self.shape.micro_batches as usize + micro_batch as usize;
        3 * pass + kind
    }

    fn end(&self, slot: &Slot) -> Option<u64> {
        self.ends[self.cell(slot.task, slot.stage, slot.micro_batch)]
    }

    /// Runs a rank on until it has to wait.
    fn advance(&mut self, rank: usize, units: Units) -> bool {
        let before = self.slots[rank].len();
        while let Some(slot) = self.order[rank].get(self.slots[rank].len()) {
            let arrival = needs(self.shape, slot)
                .iter()
                .flatten()
                .try_fold(0, |latest, need| self.end(need).map(|end| end.max(latest)));
            let Some(arrival) = arrival else { break };
            let free = self.slots[rank].last().map_or(0, |s| s.1);
            let start = arrival.max(free);
            let end = start + units.of(slot.task);
            let cell = self.cell(slot.task, slot.stage, slot.micro_batch);
            self.ends[cell] = Some(end);
            self.slots[rank].push((start, end));
        }
        self.slots[rank].len() > before
    }

    fn finish(self) -> Result<Timetable, Stuck> {
        for (rank, slots) in (0..).zip(self.order) {
            if let Some(&slot) = slots.get(self.slots[rank as usize].len()) {
                let missing = needs(self.shape, &slot);
                let missing = missing.into_iter().flatten().find(|need| self.end(need).is_none());
                return Err(Stuck::Waits { rank, slot, needs: missing.unwrap_or(slot) });
            }
        }
        let ends = self.slots.iter().filter_map(|slots| slots.last());
        let makespan = ends.map(|slot| slot.1).max().unwrap_or(0);
        Ok(Timetable { slots: self.slots, makespan })
    }
}

/// What has to have run before a slot, besides what its rank lists before it.
///
/// Stale backward passes need nothing of this step.
#[must_use]
pub fn needs(shape: &Shape, slot: &Slot) -> [Option<Slot>; 2] {
    let Slot { stage, micro_batch, .. } = *slot;
    let at = |task, stage| Some(Slot { task, stage, micro_batch });
    let is_last = stage + 1 >= shape.stages();
    match slot.task {
        Task::Forward => [stage.checked_sub(1).and_then(|s| at(Task::Forward, s)), None],
        Task::BackwardWeight => [at(Task::BackwardInput, stage), None],
        _ if shape.age(stage) > 0 => [None, None],
        _ if is_last => [at(Task::Forward, stage), None],
        _ => [at(Task::Forward, stage), at(Task::BackwardInput, stage + 1)],
    }
}
