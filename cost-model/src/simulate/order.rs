//! From an order table to slots in an executable sequence with their predecessors.

use plan::schedule::{Order, Slot, Task};
use thiserror::Error;

/// "No predecessor."
pub(super) const NONE: u32 = u32::MAX;

/// Why an order cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OrderError {
    /// Nothing to run.
    #[error("the order has no passes")]
    Empty,
    /// Passes are missing or repeated.
    #[error(
        "the order lists {listed} passes, but {stages} virtual stages and {micro_batches} \
         micro-batches need one forward and one backward each, {needed} in all"
    )]
    Incomplete {
        /// Passes listed.
        listed: usize,
        /// Virtual stages named.
        stages: u64,
        /// Micro-batches named.
        micro_batches: u64,
        /// Passes needed.
        needed: u64,
    },
    /// The second half of a backward pass that has no first half.
    #[error("rank {rank} lists {slot}, but the backward pass that it belongs to is whole")]
    Halved {
        /// The rank.
        rank: usize,
        /// The pass.
        slot: Slot,
    },
    /// A pass appears twice.
    #[error("rank {rank} lists {slot:?}, which the order lists already")]
    Repeated {
        /// The rank of the second entry.
        rank: usize,
        /// The pass.
        slot: Slot,
    },
    /// A virtual stage is spread over ranks.
    #[error("virtual stage {stage} is on rank {first} and on rank {second}; it needs one home")]
    TwoHomes {
        /// The stage.
        stage: u32,
        /// The first rank that lists it.
        first: usize,
        /// The other one.
        second: usize,
    },
    /// Ranks wait for each other in a circle.
    #[error("the order deadlocks: rank {rank} waits for ever for the input of {slot:?}")]
    Deadlock {
        /// A rank that waits.
        rank: usize,
        /// The pass it cannot start.
        slot: Slot,
    },
}

/// One slot with what has to end before it starts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub stage: u32,
    pub task: Task,
    /// The pass before on the same rank.
    pub before: u32,
    /// The pass that produces the input.
    pub input: u32,
}

impl Node {
    pub fn is_forward(&self) -> bool {
        self.task == Task::Forward
    }

    /// The boundary its input crosses; for the backward of the last stage, one past the last.
    /// Gradients of weights need nothing from another stage.
    pub fn boundary(&self) -> Option<usize> {
        match self.task {
            Task::Forward => (self.stage as usize).checked_sub(1),
            Task::Backward | Task::BackwardInput => Some(self.stage as usize),
            Task::BackwardWeight => None,
        }
    }
}

/// The slots of an order in a sequence in which every slot comes after its predecessors.
///
/// Built once per order in time linear in the slots; [`Recurrence::run`] then evaluates any times.
#[derive(Clone, Debug)]
pub struct Recurrence {
    pub(super) nodes: Vec<Node>,
    /// Per virtual stage, the node of its last backward, or of the last half of one.
    pub(super) last_backward: Vec<u32>,
    /// Per virtual stage, its rank.
    pub(super) owner: Vec<u32>,
    micro_batches: u32,
    /// Per rank, its slots as nodes, one rank after the other.
    node_of_slot: Vec<u32>,
    first_slot: Vec<usize>,
}

impl Recurrence {
    /// Prepares an order.
    ///
    /// # Errors
    /// [`OrderError`] where passes are missing or repeated, or ranks wait in a circle.
    pub fn new(order: &Order) -> Result<Self, OrderError> {
        Self::prepared(order, Shape::of(order)?)
    }

    /// Prepares an order whose backward passes work on gradients of earlier steps: they wait for
    /// nothing of this one (see [`plan::schedule::Shape::age`]).
    ///
    /// # Errors
    /// As [`Recurrence::new`].
    pub fn stale(order: &Order) -> Result<Self, OrderError> {
        Self::prepared(order, Shape { is_stale: true, ..Shape::of(order)? })
    }

    fn prepared(order: &Order, shape: Shape) -> Result<Self, OrderError> {
        let owner = owners(order, shape.stages)?;
        Builder::new(order, shape, owner).build()
    }

    /// Virtual stages.
    #[must_use]
    pub fn stages(&self) -> usize {
        self.last_backward.len()
    }

    /// Micro-batches.
    #[must_use]
    pub fn micro_batches(&self) -> u32 {
        self.micro_batches
    }

    pub(super) fn node(&self, rank: usize, index: usize) -> usize {
        self.node_of_slot[self.first_slot[rank] + index] as usize
    }
}

#[derive(Clone, Copy)]
struct Shape {
    stages: usize,
    micro_batches: usize,
    /// Passes in all, halves counted as such.
    listed: usize,
    /// 2 where backward passes are whole, else 3.
    tasks: usize,
    /// Whether backward passes need nothing of this step, but for that of the last stage.
    is_stale: bool,
}

impl Shape {
    fn of(order: &Order) -> Result<Self, OrderError> {
        let slots = || order.iter().flatten();
        let listed = slots().count();
        let count = |task| slots().filter(|s| s.task == task).count();
        let (first_halves, second_halves) =
            (count(Task::BackwardInput), count(Task::BackwardWeight));
        let stages = slots().map(|s| u64::from(s.stage) + 1).max().ok_or(OrderError::Empty)?;
        let micro_batches = slots().map(|s| u64::from(s.micro_batch) + 1).max().unwrap_or(0);
        let whole = stages.saturating_mul(micro_batches).saturating_mul(2);
        let needed = whole.saturating_add(first_halves as u64);
        // Refused before anything is allocated by these sizes.
        let is_complete = needed == listed as u64 && first_halves == second_halves;
        if !is_complete || needed >= u64::from(NONE) {
            return Err(OrderError::Incomplete { listed, stages, micro_batches, needed });
        }
        let tasks = if first_halves > 0 { 3 } else { 2 };
        let (stages, micro_batches) = (stages as usize, micro_batches as usize);
        Ok(Self { stages, micro_batches, listed, tasks, is_stale: false })
    }

    fn key(self, slot: &Slot) -> usize {
        let pass = slot.stage as usize * self.micro_batches + slot.micro_batch as usize;
        let kind = match slot.task {
            Task::Forward => 0,
            Task::Backward | Task::BackwardInput => 1,
            Task::BackwardWeight => 2,
        };
        pass + kind * self.stages * self.micro_batches
    }

    /// The pass that produces the input of `slot`.
    fn input(self, slot: &Slot) -> Option<Slot> {
        match slot.task {
            Task::Forward => slot.stage.checked_sub(1).map(|stage| Slot { stage, ..*slot }),
            Task::BackwardWeight => Some(Slot { task: Task::BackwardInput, ..*slot }),
            _ if self.is_stale && (slot.stage as usize) + 1 < self.stages => None,
            _ if (slot.stage as usize) + 1 < self.stages => {
                Some(Slot { stage: slot.stage + 1, ..*slot })
            }
            _ => Some(Slot { task: Task::Forward, ..*slot }),
        }
    }

    /// The virtual stage that consumes the output of `slot`.
    fn consumer(self, slot: &Slot) -> Option<usize> {
        let stage = slot.stage as usize;
        match slot.task {
            Task::Forward => Some((stage + 1).min(self.stages - 1)),
            Task::BackwardWeight => None,
            _ if self.is_stale => None,
            _ => stage.checked_sub(1),
        }
    }
}

fn owners(order: &Order, stages: usize) -> Result<Vec<u32>, OrderError> {
    let mut owner = vec![NONE; stages];
    for (rank, slots) in order.iter().enumerate() {
        for slot in slots {
            let home = &mut owner[slot.stage as usize];
            if *home == NONE {
                *home = rank as u32;
            } else if *home as usize != rank {
                let first = *home as usize;
                return Err(OrderError::TwoHomes { stage: slot.stage, first, second: rank });
            }
        }
    }
    Ok(owner)
}

/// Places slots rank by rank: a rank runs ahead until an input is missing and is woken when the
/// pass it waits for is placed. Each slot is looked at a bounded number of times.
struct Builder<'a> {
    order: &'a Order,
    shape: Shape,
    owner: Vec<u32>,
    nodes: Vec<Node>,
    /// Node per pass, [`NONE`] until placed.
    placed: Vec<u32>,
    next: Vec<usize>,
    before: Vec<u32>,
    last_backward: Vec<u32>,
    node_of_slot: Vec<u32>,
    first_slot: Vec<usize>,
}

impl<'a> Builder<'a> {
    fn new(order: &'a Order, shape: Shape, owner: Vec<u32>) -> Self {
        let total = shape.listed;
        let mut first_slot = Vec::with_capacity(order.len());
        let mut slots = 0;
        for rank in order {
            first_slot.push(slots);
            slots += rank.len();
        }
        Self {
            order,
            shape,
            owner,
            nodes: Vec::with_capacity(total),
            placed: vec![NONE; shape.tasks * shape.stages * shape.micro_batches],
            next: vec![0; order.len()],
            before: vec![NONE; order.len()],
            last_backward: vec![NONE; shape.stages],
            node_of_slot: vec![NONE; total],
            first_slot,
        }
    }

    fn build(mut self) -> Result<Recurrence, OrderError> {
        let mut awake: Vec<usize> = (0..self.order.len()).rev().collect();
        while let Some(rank) = awake.pop() {
            while let Some(slot) = self.place_next(rank)? {
                if let Some(stage) = self.shape.consumer(&slot) {
                    let consumer = self.owner[stage] as usize;
                    if consumer != rank && self.is_ready(consumer) {
                        awake.push(consumer);
                    }
                }
            }
        }
        self.finish()
    }

    fn head(&self, rank: usize) -> Option<Slot> {
        self.order[rank].get(self.next[rank]).copied()
    }

    fn is_ready(&self, rank: usize) -> bool {
        self.head(rank).is_some_and(|slot| self.input_of(&slot).is_some())
    }

    /// The node that feeds `slot` ([`NONE`] where nothing does), or nothing while it is missing.
    fn input_of(&self, slot: &Slot) -> Option<u32> {
        match self.shape.input(slot) {
            None => Some(NONE),
            Some(producer) => {
                Some(self.placed[self.shape.key(&producer)]).filter(|node| *node != NONE)
            }
        }
    }

    fn place_next(&mut self, rank: usize) -> Result<Option<Slot>, OrderError> {
        let Some(slot) = self.head(rank) else { return Ok(None) };
        let Some(input) = self.input_of(&slot) else { return Ok(None) };
        let key = self.shape.key(&slot);
        if self.placed[key] != NONE {
            return Err(OrderError::Repeated { rank, slot });
        }
        let is_second = slot.task == Task::BackwardWeight;
        if is_second && self.nodes[input as usize].task != Task::BackwardInput {
            return Err(OrderError::Halved { rank, slot });
        }
        let node = self.nodes.len() as u32;
        let (stage, task) = (slot.stage, slot.task);
        self.nodes.push(Node { stage, task, before: self.before[rank], input });
        self.placed[key] = node;
        self.node_of_slot[self.first_slot[rank] + self.next[rank]] = node;
        self.before[rank] = node;
        self.next[rank] += 1;
        if task != Task::Forward {
            self.last_backward[stage as usize] = node;
        }
        Ok(Some(slot))
    }

    fn finish(self) -> Result<Recurrence, OrderError> {
        for rank in 0..self.order.len() {
            if let Some(slot) = self.head(rank) {
                return Err(OrderError::Deadlock { rank, slot });
            }
        }
        Ok(Recurrence {
            nodes: self.nodes,
            last_backward: self.last_backward,
            owner: self.owner,
            micro_batches: self.shape.micro_batches as u32,
            node_of_slot: self.node_of_slot,
            first_slot: self.first_slot,
        })
    }
}
