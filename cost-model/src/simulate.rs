//! The event recurrence of a compute order: how long a pipeline step takes, who waits, and which
//! chain of passes and messages nobody can shorten.
//!
//! A pass starts when its rank is free *and* its input has arrived:
//!
//! ```text
//! start F(s,b) = max( end of the pass before it on its rank,  end F(s−1,b) + send↓(s−1) )
//! start B(s,b) = max( end of the pass before it on its rank,  end B(s+1,b) + send↑(s)   )
//! start B(S−1,b) ≥ end F(S−1,b)
//! makespan     = max over virtual stages s of ( end of the last B(s,·) + tail(s) )
//! ```
//!
//! A backward pass in halves is `I`, which waits and is waited for as `B`, and `W`, which only
//! follows it on its rank (Qi et al. 2023, arXiv:2401.10241).
//!
//! A message is latency on the edge between two passes: it delays the consumer and occupies
//! neither rank (asynchronous sends, as NCCL on its own stream). So a chain that goes down through
//! stage `i` and comes back pays `F + B + send↓ + send↑` there. Passes of one virtual stage all
//! take the same time; micro-batches are identical.
//!
//! Because every start is a maximum over predecessors, each path through the slots is a *linear*
//! lower bound of the makespan for any times whatever ([`Path::length`]), and the longest one, the
//! critical path, is tight. The planner's integer program uses them as cuts.
//!
//! Checked against closed forms and an independent longest-path search in `simulate/tests.rs`.

mod order;
mod path;
#[cfg(test)]
mod tests;

pub use order::{OrderError, Recurrence};
pub use path::{Path, Ties};

use order::{NONE, Node};
use plan::schedule::Task;
use plan::units::Seconds;

/// What a virtual stage costs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StageTimes {
    /// Forward time of one micro-batch.
    pub forward: Seconds,
    /// Backward time of one micro-batch.
    pub backward: Seconds,
    /// The part of it that gradients of weights take, where they are computed apart.
    pub weight: Seconds,
    /// Exposed time after the stage's last backward, once per step.
    pub tail: Seconds,
}

/// Latency of one message between virtual stages `s` and `s + 1`; zero where both share a rank.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Boundary {
    /// Activations, from `s` to `s + 1`.
    pub forward: Seconds,
    /// Gradients, from `s + 1` to `s`.
    pub backward: Seconds,
}

/// All times of one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Times {
    /// One entry per virtual stage.
    pub stages: Vec<StageTimes>,
    /// One entry per pair of neighbouring virtual stages.
    pub boundaries: Vec<Boundary>,
}

impl Times {
    /// Times in which every message takes `send`, in both directions.
    #[must_use]
    pub fn with_uniform_send(stages: Vec<StageTimes>, send: Seconds) -> Self {
        let boundary = Boundary { forward: send, backward: send };
        let boundaries = vec![boundary; stages.len().saturating_sub(1)];
        Self { stages, boundaries }
    }

    fn duration(&self, node: &Node) -> Seconds {
        let stage = &self.stages[node.stage as usize];
        match node.task {
            Task::Forward => stage.forward,
            Task::Backward => stage.backward,
            Task::BackwardInput => stage.backward - stage.weight,
            Task::BackwardWeight => stage.weight,
        }
    }

    /// Latency between a pass and the pass on the neighbouring stage (or rank) that feeds it.
    fn latency(&self, node: &Node) -> Seconds {
        match node.boundary() {
            Some(s) if node.is_forward() => self.boundaries[s].forward,
            Some(s) => self.boundaries.get(s).map_or(Seconds::ZERO, |b| b.backward),
            None => Seconds::ZERO,
        }
    }
}

/// A simulated step. Slots are named by rank and by position in that rank's order.
#[derive(Clone, Debug)]
pub struct Simulation<'a> {
    recurrence: &'a Recurrence,
    times: &'a Times,
    ends: Vec<Seconds>,
    makespan: Seconds,
    /// The virtual stage that finishes last, tail included.
    last_stage: usize,
}

impl Recurrence {
    /// Evaluates the recurrence in one pass over the slots.
    ///
    /// # Panics
    /// If `times` does not have one entry per virtual stage and one per boundary.
    #[must_use]
    pub fn run<'a>(&'a self, times: &'a Times) -> Simulation<'a> {
        assert_eq!(times.stages.len(), self.stages(), "one entry of times per virtual stage");
        assert_eq!(times.boundaries.len() + 1, self.stages(), "one entry per boundary");
        let mut ends: Vec<Seconds> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            ends.push(start(node, times, &ends) + times.duration(node));
        }
        let finish = |s: usize| ends[self.last_backward[s] as usize] + times.stages[s].tail;
        let mut last_stage = 0;
        for s in 1..self.stages() {
            if finish(s) > finish(last_stage) {
                last_stage = s;
            }
        }
        let makespan = finish(last_stage);
        Simulation { recurrence: self, times, ends, makespan, last_stage }
    }
}

fn start(node: &Node, times: &Times, ends: &[Seconds]) -> Seconds {
    free(node, ends).max(arrival(node, times, ends))
}

/// When the rank has finished the pass before.
fn free(node: &Node, ends: &[Seconds]) -> Seconds {
    if node.before == NONE { Seconds::ZERO } else { ends[node.before as usize] }
}

/// When the input has arrived.
fn arrival(node: &Node, times: &Times, ends: &[Seconds]) -> Seconds {
    if node.input == NONE { Seconds::ZERO } else { ends[node.input as usize] + times.latency(node) }
}

impl Simulation<'_> {
    /// The length of the step: all passes and all tails done.
    #[must_use]
    pub fn makespan(&self) -> Seconds {
        self.makespan
    }

    /// When slot `index` of `rank` starts.
    #[must_use]
    pub fn start(&self, rank: usize, index: usize) -> Seconds {
        start(&self.recurrence.nodes[self.recurrence.node(rank, index)], self.times, &self.ends)
    }

    /// When slot `index` of `rank` ends.
    #[must_use]
    pub fn end(&self, rank: usize, index: usize) -> Seconds {
        self.ends[self.recurrence.node(rank, index)]
    }

    /// Time `rank` computes.
    #[must_use]
    pub fn busy(&self, rank: usize) -> Seconds {
        let m = f64::from(self.recurrence.micro_batches());
        self.owned(rank).map(|s| (s.forward + s.backward) * m).sum()
    }

    /// Time `rank` neither computes nor runs a tail: its share of the bubble, messages included.
    #[must_use]
    pub fn idle(&self, rank: usize) -> Seconds {
        let tail = self.owned(rank).fold(Seconds::ZERO, |longest, s| longest.max(s.tail));
        (self.makespan - self.busy(rank) - tail).max(Seconds::ZERO)
    }

    fn owned(&self, rank: usize) -> impl Iterator<Item = &StageTimes> {
        let owner = &self.recurrence.owner;
        self.times.stages.iter().zip(owner).filter(move |(_, r)| **r as usize == rank).map(|x| x.0)
    }

    /// A longest path, as counts per stage; its length is the makespan.
    #[must_use]
    pub fn critical_path(&self, ties: Ties) -> Path {
        let nodes = &self.recurrence.nodes;
        let mut path = Path::empty(self.recurrence.stages());
        path.tail = Some(self.last_stage);
        let mut at = self.recurrence.last_backward[self.last_stage];
        while at != NONE {
            let node = &nodes[at as usize];
            path.count_pass(node);
            at = if self.follows_message(node, ties) {
                path.count_message(node);
                node.input
            } else {
                node.before
            };
        }
        path
    }

    fn follows_message(&self, node: &Node, ties: Ties) -> bool {
        if node.input == NONE || node.before == NONE {
            return node.input != NONE;
        }
        let (free, arrival) = (free(node, &self.ends), arrival(node, self.times, &self.ends));
        match ties {
            Ties::SameRank => arrival > free,
            Ties::Message => arrival >= free,
        }
    }
}
