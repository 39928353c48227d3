//! What the engine runs: tasks with predecessors, in flat arrays.
//!
//! A task is an action, or several actions of different ranks that can only happen together: both
//! ends of a message, all members of a collective. A *place* is one lane of one simulated rank; its
//! tasks run one after the other.

/// No task, no place.
pub(super) const NONE: u32 = u32::MAX;

/// Links between nodes and inside them, in both directions, as bits.
pub(super) mod link {
    /// Leaves the device inside the node.
    pub const INTRA_OUT: u8 = 1;
    /// Arrives inside the node.
    pub const INTRA_IN: u8 = 2;
    /// Leaves the node.
    pub const INTER_OUT: u8 = 4;
    /// Arrives from another node.
    pub const INTER_IN: u8 = 8;
    /// How many there are.
    pub const KINDS: usize = 4;
}

/// One task.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task {
    /// Seconds it takes when nothing disturbs it.
    pub work: f64,
    /// When the host has begun to launch it.
    pub launch: f64,
    /// When the host has launched all of it.
    pub launched: f64,
    /// Where it runs; of several places the first, which keeps its state.
    pub place: u32,
    /// Its other places: a range of [`Graph::more`].
    pub more: (u32, u32),
    /// Where its successors begin in [`Graph::next`].
    pub next: u32,
    /// Predecessors.
    pub before: u32,
    /// Which of the engine's contention constants holds while it runs beside computation.
    pub contention: u8,
    /// Links that it uses at its first place.
    pub links: u8,
    /// Links that it uses at its other places.
    pub more_links: u8,
    /// Whether it is computation.
    pub is_compute: bool,
}

/// One action of a program in one step on one simulated rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// Simulated rank, by its number among them.
    pub instance: u32,
    /// Place in the list of its class; [`NONE`] for the end of a step.
    pub action: u32,
    /// Step.
    pub step: u32,
}

/// Tasks and how they depend on each other.
#[derive(Clone, Debug, Default)]
pub(super) struct Graph {
    /// Tasks, and one more that only ends the ranges of the last.
    pub tasks: Vec<Task>,
    /// Successors, task by task.
    pub next: Vec<u32>,
    /// Further places of tasks that have several.
    pub more: Vec<u32>,
    /// What each task stands for; of several actions the first met.
    pub origins: Vec<Origin>,
    /// Simulated rank of each place.
    pub instance_of: Vec<u32>,
    /// Where the places of each simulated rank begin; one more at the end.
    pub first_place: Vec<u32>,
    /// Contention constants, by [`Task::contention`].
    pub contentions: Vec<f64>,
}

impl Graph {
    /// Tasks.
    pub fn len(&self) -> usize {
        self.origins.len()
    }

    /// All places of a task with the links used there.
    pub fn places(&self, task: &Task) -> impl Iterator<Item = (u32, u8)> {
        let more = &self.more[task.more.0 as usize..task.more.1 as usize];
        let (first, links) = ((task.place, task.links), task.more_links);
        std::iter::once(first).chain(more.iter().map(move |&place| (place, links)))
    }

    /// Fills [`Graph::next`] from pairs of tasks, the second after the first.
    pub fn connect(&mut self, edges: &[(u32, u32)]) {
        let mut count = vec![0u32; self.len() + 1];
        for &(from, to) in edges {
            count[from as usize] += 1;
            self.tasks[to as usize].before += 1;
        }
        let mut at = 0;
        for (task, count) in self.tasks.iter_mut().zip(&mut count) {
            task.next = at;
            at += *count;
            *count = task.next;
        }
        self.next = vec![NONE; edges.len()];
        for &(from, to) in edges {
            let slot = &mut count[from as usize];
            self.next[*slot as usize] = to;
            *slot += 1;
        }
    }

    /// The tasks that wait for one.
    pub fn after(&self, task: u32) -> &[u32] {
        let (from, to) = (self.tasks[task as usize].next, self.tasks[task as usize + 1].next);
        &self.next[from as usize..to as usize]
    }
}
