//! Paths through the slots, as counts: linear lower bounds of the makespan.

use super::Times;
use super::order::Node;
use plan::schedule::Task;
use plan::units::Seconds;

/// Which predecessor a critical path follows when both end at the same moment. Either gives a
/// longest path; together they give two different cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ties {
    /// The pass before on the same rank.
    SameRank,
    /// The message.
    Message,
}

/// How often a chain of dependent passes and messages meets each stage and boundary.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path {
    /// Forward passes per virtual stage.
    pub forward: Vec<u32>,
    /// Backward passes per virtual stage, first halves counted as whole ones.
    pub backward: Vec<u32>,
    /// Per virtual stage, second halves minus first halves of backward passes: how often the
    /// gradients of weights have to be added to what [`Path::backward`] counts.
    pub weight: Vec<i32>,
    /// Messages down each boundary.
    pub sends_forward: Vec<u32>,
    /// Messages up each boundary.
    pub sends_backward: Vec<u32>,
    /// The stage whose tail ends the path.
    pub tail: Option<usize>,
}

impl Path {
    /// A path through nothing, for `stages` virtual stages.
    #[must_use]
    pub fn empty(stages: usize) -> Self {
        let boundaries = stages.saturating_sub(1);
        Self {
            forward: vec![0; stages],
            backward: vec![0; stages],
            weight: vec![0; stages],
            sends_forward: vec![0; boundaries],
            sends_backward: vec![0; boundaries],
            tail: None,
        }
    }

    /// The time along the path, `Σ nF·F + nB·B + nW·W + n↓·send↓ + n↑·send↑ + tail`: never more
    /// than the makespan under the same `times`.
    #[must_use]
    pub fn length(&self, times: &Times) -> Seconds {
        let mut sum = self.tail.map_or(Seconds::ZERO, |s| times.stages[s].tail);
        for (s, stage) in times.stages.iter().enumerate() {
            sum += stage.forward * f64::from(self.forward[s]);
            sum += stage.backward * f64::from(self.backward[s]);
            sum += stage.weight * f64::from(self.weight[s]);
        }
        for (s, boundary) in times.boundaries.iter().enumerate() {
            sum += boundary.forward * f64::from(self.sends_forward[s]);
            sum += boundary.backward * f64::from(self.sends_backward[s]);
        }
        sum
    }

    /// Messages on the path, both directions.
    #[must_use]
    pub fn sends(&self) -> u32 {
        self.sends_forward.iter().chain(&self.sends_backward).sum()
    }

    pub(super) fn count_pass(&mut self, node: &Node) {
        let s = node.stage as usize;
        match node.task {
            Task::Forward => self.forward[s] += 1,
            Task::Backward => self.backward[s] += 1,
            Task::BackwardInput => {
                self.backward[s] += 1;
                self.weight[s] -= 1;
            }
            Task::BackwardWeight => self.weight[s] += 1,
        }
    }

    pub(super) fn count_message(&mut self, node: &Node) {
        let counts =
            if node.is_forward() { &mut self.sends_forward } else { &mut self.sends_backward };
        // The last stage's backward takes its input from its own forward: no boundary, no message.
        if let Some(count) = node.boundary().and_then(|s| counts.get_mut(s)) {
            *count += 1;
        }
    }
}
