//! A checked problem with the tables that every step of the solver reads.

use super::{Column, Problem, Segment, StageSync};
use cost_model::simulate::Recurrence;
use plan::schedule::{self, ScheduleKind};
use plan::units::{Bytes, Seconds};
use thiserror::Error;

/// What is wrong with a problem, as opposed to one that has no solution.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ProblemError {
    /// Something that has to be there is missing.
    #[error("{what} is empty; the problem needs at least one")]
    Empty {
        /// The list.
        what: &'static str,
    },
    /// Two lists that belong together differ in length.
    #[error("{what} has {found} entries where {expected} are needed")]
    Length {
        /// The list.
        what: String,
        /// Its length.
        found: usize,
        /// The length that would be right.
        expected: usize,
    },
    /// A time or a size is negative, infinite or not a number.
    #[error("{what} is {value}; it has to be finite and not negative")]
    Value {
        /// Which one.
        what: String,
        /// Its value.
        value: f64,
    },
    /// More than the solver's tables are made for.
    #[error("{what} number {found}; the solver takes at most {most}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        found: u64,
        /// How much would do.
        most: u64,
    },
    /// The schedule does not fit the ranks and micro-batches, or has no inner problem.
    #[error("{name} over {stages} stages has no split into one stage per rank; use GPipe or 1F1B")]
    Schedule {
        /// The schedule.
        name: &'static str,
        /// Pipeline ranks.
        stages: usize,
    },
}

/// A contiguous range of layers, `start..end` along the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub start: usize,
    pub end: usize,
}

/// The problem with its order, in-flight counts and chain positions.
pub(crate) struct Instance<'a> {
    pub problem: &'a Problem<'a>,
    ranks: u32,
    /// Activations held at once, per stage, counted in the order table.
    pub in_flight: Vec<u32>,
    /// Segment of each layer of the chain.
    segment_of: Vec<usize>,
    /// Position of each segment's first layer, and the chain's length at the end.
    first: Vec<usize>,
}

impl<'a> Instance<'a> {
    pub fn new(problem: &'a Problem<'a>) -> Result<Self, ProblemError> {
        check(problem)?;
        let name = problem.schedule.name();
        let error = ProblemError::Schedule { name, stages: problem.stages };
        let ranks = u32::try_from(problem.stages).map_err(|_| error.clone())?;
        let (kind, m) = (problem.schedule, problem.micro_batches);
        let in_flight = schedule::in_flight_per_rank(kind, ranks, m).ok_or(error)?;
        let mut segment_of = Vec::new();
        let mut first = vec![0];
        for (k, segment) in problem.segments.iter().enumerate() {
            segment_of.extend((0..segment.layers).map(|_| k));
            first.push(segment_of.len());
        }
        Ok(Self { problem, ranks, in_flight, segment_of, first })
    }

    /// The order, ready to be simulated; not needed for bounds, and the dearest table to build.
    pub fn recurrence(&self) -> Result<Recurrence, ProblemError> {
        let name = self.problem.schedule.name();
        let error = ProblemError::Schedule { name, stages: self.problem.stages };
        let (kind, m) = (self.problem.schedule, self.problem.micro_batches);
        let order = schedule::order(kind, self.ranks, m, 1).ok_or(error.clone())?;
        Recurrence::new(&order).map_err(|_| error)
    }

    pub fn stages(&self) -> usize {
        self.problem.stages
    }

    /// Layers of the chain.
    pub fn layers(&self) -> usize {
        self.segment_of.len()
    }

    pub fn micro_batches(&self) -> f64 {
        f64::from(self.problem.micro_batches)
    }

    pub fn is_gpipe(&self) -> bool {
        self.problem.schedule == ScheduleKind::GPipe
    }

    /// The segments that `span` meets, first and last.
    pub fn segments(&self, span: Span) -> std::ops::RangeInclusive<usize> {
        self.segment_of[span.start]..=self.segment_of[span.end - 1]
    }

    /// Layers of segment `k` inside `span`.
    pub fn count(&self, span: Span, k: usize) -> usize {
        let end = span.end.min(self.first[k + 1]);
        end.saturating_sub(span.start.max(self.first[k]))
    }

    /// Layers per segment inside `span`.
    pub fn counts(&self, span: Span) -> Vec<u32> {
        (0..self.problem.segments.len()).map(|k| self.count(span, k) as u32).collect()
    }

    /// Spans within one segment that have equally many layers hold the same: they have one
    /// number, less than the layers of the chain. Any other span is the only one of its kind.
    pub fn class(&self, span: Span) -> Option<usize> {
        let segments = self.segments(span);
        let is_single = segments.start() == segments.end();
        is_single.then(|| self.first[*segments.start()] + (span.end - span.start) - 1)
    }

    /// Starts that leave a layer for each stage before `stage` and for it and those after.
    pub fn starts(&self, stage: usize) -> std::ops::RangeInclusive<usize> {
        if stage == 0 { 0..=0 } else { stage..=self.layers() - (self.stages() - stage) }
    }

    /// Ends of a stage that starts at `start`, a layer left for each stage after it.
    pub fn ends(&self, stage: usize, start: usize) -> std::ops::RangeInclusive<usize> {
        let last = self.layers() - (self.stages() - 1 - stage);
        let first = if stage + 1 == self.stages() { last } else { start + 1 };
        first..=last
    }

    /// The sync model, asked with counts.
    pub fn sync(&self, stage: usize, span: Span, setting: usize) -> Option<StageSync> {
        let sync = self.problem.sync.stage(stage, &self.counts(span), setting)?;
        debug_assert!(is_amount(sync.tail.get()) && is_amount(sync.resident.get()));
        Some(sync)
    }

    /// Peak memory of a stage: what is resident, and what every micro-batch in flight keeps with
    /// the largest transient, or the update.
    pub fn memory(&self, stage: usize, sync: &StageSync, activation: Bytes, peak: Bytes) -> Bytes {
        sync.peak(activation * f64::from(self.in_flight[stage]) + peak)
    }

    /// The sets of settings that may be mixed: one set of all, or one set each.
    pub fn scopes(&self) -> Vec<Vec<usize>> {
        let settings = 0..self.problem.sync.settings();
        if self.problem.uniform_setting {
            settings.map(|z| vec![z]).collect()
        } else {
            vec![settings.collect()]
        }
    }

    /// Times that every layer takes at least, under the settings of `scope`.
    pub fn floors(&self, scope: &[usize]) -> Floors {
        let least = |k: usize, time: fn(&Column) -> Seconds| {
            let segment = &self.problem.segments[k];
            let columns = scope.iter().flat_map(|z| &segment.columns[*z]);
            columns.map(time).fold(f64::INFINITY, |least, t| least.min(t.get()))
        };
        let sums = |time: fn(&Column) -> Seconds| {
            let per_segment: Vec<f64> =
                (0..self.problem.segments.len()).map(|k| least(k, time)).collect();
            let mut sums = vec![0.0];
            let mut total = 0.0;
            for k in &self.segment_of {
                total += per_segment[*k];
                sums.push(total);
            }
            sums
        };
        Floors {
            forward: sums(|c| c.forward),
            backward: sums(|c| c.backward),
            both: sums(|c| c.forward + c.backward),
        }
    }
}

/// Prefix sums over the chain of the least time of each layer: `floor[j] − floor[i]` bounds the
/// time of the span `i..j` from below.
pub(crate) struct Floors {
    pub forward: Vec<f64>,
    pub backward: Vec<f64>,
    pub both: Vec<f64>,
}

fn is_amount(value: f64) -> bool {
    value.is_finite() && value >= 0.0
}

fn amount(value: f64, what: impl FnOnce() -> String) -> Result<(), ProblemError> {
    if is_amount(value) { Ok(()) } else { Err(ProblemError::Value { what: what(), value }) }
}

const MOST_LAYERS: u64 = 10_000;
const MOST_PASSES: u64 = 1 << 26;

fn check_size(problem: &Problem) -> Result<(), ProblemError> {
    let most = |what, found, most| {
        if found > most { Err(ProblemError::TooLarge { what, found, most }) } else { Ok(()) }
    };
    let layers = problem.segments.iter().map(|s| u64::from(s.layers)).sum();
    most("the layers", layers, MOST_LAYERS)?;
    let passes = (problem.stages as u64).saturating_mul(2 * u64::from(problem.micro_batches));
    most("the passes of a step (2 · stages · micro-batches)", passes, MOST_PASSES)
}

fn check(problem: &Problem) -> Result<(), ProblemError> {
    check_size(problem)?;
    let settings = problem.sync.settings();
    let empty = |is_empty: bool, what| {
        if is_empty { Err(ProblemError::Empty { what }) } else { Ok(()) }
    };
    empty(problem.stages == 0, "the list of stages")?;
    empty(problem.micro_batches == 0, "the list of micro-batches")?;
    empty(problem.segments.is_empty(), "the list of segments")?;
    empty(settings == 0, "the list of settings")?;
    amount(problem.send.get(), || "the time of a message".to_owned())?;
    let found = problem.capacity.len();
    if found != problem.stages {
        let what = "the list of capacities".to_owned();
        return Err(ProblemError::Length { what, found, expected: problem.stages });
    }
    for (s, capacity) in problem.capacity.iter().enumerate() {
        amount(capacity.get(), || format!("the capacity of stage {s}"))?;
    }
    problem.segments.iter().enumerate().try_for_each(|(k, s)| check_segment(k, s, settings))
}

fn check_segment(k: usize, segment: &Segment, settings: usize) -> Result<(), ProblemError> {
    if segment.layers == 0 {
        return Err(ProblemError::Empty { what: "the list of a segment's layers" });
    }
    let found = segment.columns.len();
    if found != settings {
        let what = format!("the list of settings of segment {k}");
        return Err(ProblemError::Length { what, found, expected: settings });
    }
    for (z, columns) in segment.columns.iter().enumerate() {
        if columns.is_empty() {
            return Err(ProblemError::Empty { what: "the list of a segment's columns" });
        }
        for (j, c) in columns.iter().enumerate() {
            let at = |what| move || format!("the {what} of column {j} of segment {k}, setting {z}");
            amount(c.forward.get(), at("forward time"))?;
            amount(c.backward.get(), at("backward time"))?;
            amount(c.activation.get(), at("activation memory"))?;
            amount(c.transient.get(), at("transient memory"))?;
        }
    }
    Ok(())
}
