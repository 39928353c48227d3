//! Pipeline schedules: which rank computes what, in which order. Compute only.
//!
//! A pipeline of `ranks` ranks holds `ranks × chunks` virtual stages; virtual stage `s` lives on
//! rank `s mod ranks` (Narayanan et al. 2021, arXiv:2104.04473, section 2.2), or, where the
//! schedule runs down and up again, on the rank of [`Shape::home`]. An order lists, per rank, the
//! passes in the sequence in which the rank runs them. [`csv`] reads and writes it as PyTorch's
//! pipelining does, and [`timetable`] runs it in unit times.

mod breadth_first;
pub mod csv;
mod fused;
mod local;
mod stale;
pub mod timetable;
mod zero_bubble;

pub use local::LocalSteps;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

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
    /// One forward, one backward in steady state (PipeDream-Flush). On one rank: no pipeline.
    #[serde(rename = "1f1b")]
    OneForwardOneBackward,
    /// 1F1B over several chunks per rank.
    Interleaved,
    /// All micro-batches through one chunk before the next (Lamy-Poirier 2021, arXiv:2106.02679,
    /// and 2022, arXiv:2211.05953): layered gradient accumulation, modular pipelines.
    BreadthFirst,
    /// Backward passes in two halves, weight gradients where 1F1B waits, memory as 1F1B
    /// (Qi et al. 2023, arXiv:2401.10241).
    ZeroBubbleH1,
    /// As H1, with twice the activations and no bubble.
    ZeroBubbleH2,
    /// Two chunks per rank, down and up again: no bubble with the memory of 1F1B.
    ZeroBubbleV,
    /// Modules that do not wait for each other's gradients, one more than ranks: the last one is
    /// on the first rank, beside the table that both share (Yang et al. 2019, arXiv:1909.06695).
    /// Gradients are [stale](Shape::age).
    Ouroboros,
}

impl ScheduleKind {
    /// All families, in the order of the enum.
    pub const ALL: [Self; 8] = [
        Self::GPipe,
        Self::OneForwardOneBackward,
        Self::Interleaved,
        Self::BreadthFirst,
        Self::ZeroBubbleH1,
        Self::ZeroBubbleH2,
        Self::ZeroBubbleV,
        Self::Ouroboros,
    ];

    /// The name on screens.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::GPipe => "GPipe",
            Self::OneForwardOneBackward => "1F1B",
            Self::Interleaved => "interleaved 1F1B",
            Self::BreadthFirst => "breadth-first",
            Self::ZeroBubbleH1 => "zero-bubble H1",
            Self::ZeroBubbleH2 => "zero-bubble H2",
            Self::ZeroBubbleV => "zero-bubble V",
            Self::Ouroboros => "Ouroboros",
        }
    }

    /// Whether backward passes are in two halves.
    #[must_use]
    pub fn splits_backward(self) -> bool {
        matches!(self, Self::ZeroBubbleH1 | Self::ZeroBubbleH2 | Self::ZeroBubbleV)
    }

    /// Whether a stage may have several chunks of the model.
    #[must_use]
    pub fn has_chunks(self) -> bool {
        matches!(self, Self::Interleaved | Self::BreadthFirst | Self::ZeroBubbleV)
    }

    /// The word in files and flags.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::GPipe => "gpipe",
            Self::OneForwardOneBackward => "1f1b",
            Self::Interleaved => "interleaved",
            Self::BreadthFirst => "breadth-first",
            Self::ZeroBubbleH1 => "zero-bubble-h1",
            Self::ZeroBubbleH2 => "zero-bubble-h2",
            Self::ZeroBubbleV => "zero-bubble-v",
            Self::Ouroboros => "ouroboros",
        }
    }
}

/// What a rank computes at one place of its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Task {
    /// Forward pass.
    Forward,
    /// Whole backward pass.
    Backward,
    /// Gradients of inputs alone.
    BackwardInput,
    /// Gradients of weights alone; afterwards the activations can go.
    BackwardWeight,
}

impl Task {
    /// The letter in tables: `F`, `B`, `I`, `W`.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::Forward => 'F',
            Self::Backward => 'B',
            Self::BackwardInput => 'I',
            Self::BackwardWeight => 'W',
        }
    }

    /// The task with this letter.
    #[must_use]
    pub fn from_letter(letter: char) -> Option<Self> {
        let all = [Self::Forward, Self::Backward, Self::BackwardInput, Self::BackwardWeight];
        all.into_iter().find(|task| task.letter() == letter)
    }

    /// Whether the activations of the pass can go afterwards.
    #[must_use]
    pub fn releases(self) -> bool {
        matches!(self, Self::Backward | Self::BackwardWeight)
    }

    /// Whether it hands a gradient to the previous stage.
    #[must_use]
    pub fn hands_back(self) -> bool {
        matches!(self, Self::Backward | Self::BackwardInput)
    }
}

/// One compute slot of a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// What is computed.
    pub task: Task,
    /// Virtual stage.
    pub stage: u32,
    /// Micro-batch.
    pub micro_batch: u32,
}

impl Slot {
    /// Whether it is a forward pass.
    #[must_use]
    pub fn is_forward(&self) -> bool {
        self.task == Task::Forward
    }

    /// The forward pass of a micro-batch.
    #[must_use]
    pub fn forward(stage: u32, micro_batch: u32) -> Self {
        Self { task: Task::Forward, stage, micro_batch }
    }

    /// The whole backward pass of a micro-batch.
    #[must_use]
    pub fn backward(stage: u32, micro_batch: u32) -> Self {
        Self { task: Task::Backward, stage, micro_batch }
    }
}

/// `2F0`: stage, letter, micro-batch.
impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.stage, self.task.letter(), self.micro_batch)
    }
}

/// Per rank, the compute slots in execution order.
pub type Order = Vec<Vec<Slot>>;

/// A schedule with its sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shape {
    /// Family.
    pub kind: ScheduleKind,
    /// Pipeline ranks.
    pub ranks: u32,
    /// Micro-batches.
    pub micro_batches: u32,
    /// Virtual stages per rank.
    pub chunks: u32,
}

impl Shape {
    /// Virtual stages: `ranks · chunks`; Ouroboros has one module more than ranks.
    #[must_use]
    pub fn stages(&self) -> u32 {
        match self.kind {
            ScheduleKind::Ouroboros => self.ranks + 1,
            _ => self.ranks * self.chunks,
        }
    }

    /// The rank of a virtual stage.
    #[must_use]
    pub fn home(&self, stage: u32) -> u32 {
        let place = stage % self.ranks.max(1);
        let goes_up = self.kind == ScheduleKind::ZeroBubbleV && stage >= self.ranks;
        if goes_up { self.ranks.saturating_sub(1 + place) } else { place }
    }

    /// Steps between a forward pass of a stage and the backward pass that answers it: 0, but for
    /// Ouroboros, whose module `k` of `K` works on gradients that are `K − k` steps old.
    ///
    /// Source: the delayed gradients of Huo et al. 2018 (arXiv:1804.10574), on which Yang et al.
    /// 2019 (arXiv:1909.06695) build.
    #[must_use]
    pub fn age(&self, stage: u32) -> u32 {
        match self.kind {
            ScheduleKind::Ouroboros => self.stages().saturating_sub(stage + 1),
            _ => 0,
        }
    }

    /// The order, as [`order`].
    #[must_use]
    pub fn order(&self) -> Option<Order> {
        order(self.kind, self.ranks, self.micro_batches, self.chunks)
    }
}

/// The order of `kind` for `ranks` ranks with `chunks` virtual stages each.
///
/// `None` where the schedule does not exist: nothing to do, a number of chunks that the family
/// does not have, or micro-batches that are no multiple of the ranks where chunks interleave.
#[must_use]
pub fn order(kind: ScheduleKind, ranks: u32, micro_batches: u32, chunks: u32) -> Option<Order> {
    use ScheduleKind as K;
    if !exists(kind, ranks, micro_batches, chunks) {
        return None;
    }
    let m = micro_batches;
    let of_rank = |rank| match kind {
        K::GPipe => fused::gpipe(rank, m),
        K::OneForwardOneBackward => fused::one_f_one_b(rank, ranks, m),
        K::Interleaved => fused::interleaved(rank, ranks, m, chunks),
        K::BreadthFirst => breadth_first::looped(rank, ranks, m, chunks),
        K::ZeroBubbleH1 => zero_bubble::h1(rank, ranks, m),
        K::ZeroBubbleH2 => zero_bubble::h2(rank, ranks, m),
        K::ZeroBubbleV => zero_bubble::v(rank, ranks, m),
        K::Ouroboros => stale::ouroboros(rank, ranks, m),
    };
    Some((0..ranks).map(of_rank).collect())
}

fn exists(kind: ScheduleKind, ranks: u32, micro_batches: u32, chunks: u32) -> bool {
    use ScheduleKind as K;
    let has_work = ranks > 0 && micro_batches > 0 && chunks > 0;
    has_work
        && match kind {
            K::Interleaved => ranks > 1 && micro_batches.is_multiple_of(ranks),
            K::BreadthFirst => true,
            K::ZeroBubbleV => chunks == 2,
            K::GPipe | K::OneForwardOneBackward | K::ZeroBubbleH1 | K::ZeroBubbleH2 => chunks == 1,
            K::Ouroboros => chunks == 1,
        }
}

/// Most micro-batches whose activations a rank holds at once, counted in *chunk* activations,
/// found by walking the order (never from a remembered formula).
#[must_use]
pub fn in_flight(slots: &[Slot]) -> u32 {
    let mut live = 0u32;
    let mut peak = 0u32;
    for slot in slots {
        if slot.is_forward() {
            live += 1;
            peak = peak.max(live);
        } else if slot.task.releases() {
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
mod tests;
