//! The label program: dynamic programming over stages, last stage first, whose labels are lower
//! bounds of the step.
//!
//! A suffix of the pipeline (the last stages with their layers) is summed up by a few numbers, its
//! *label*: the longest of a family of paths through the suffix, and what longer paths need to
//! know about it. Each recurrence is monotone in every component, so a label that is nowhere
//! smaller than another one of the same suffix can be dropped, and the smallest bound over all
//! plans survives. Which numbers these are depends on the schedule: [`OneForwardOneBackward`],
//! [`GPipe`].
//!
//! Everything above a `limit` is cut: if the program finds nothing, no plan is as fast as that; if
//! it finds something, its smallest bound is the smallest of all.

mod gpipe;
mod one_f_one_b;

pub(crate) use gpipe::GPipe;
pub(crate) use one_f_one_b::{OneForwardOneBackward, ahead, most_trips};

use super::bound;
use super::frontier::lexicographic;
use super::instance::{Floors, Instance, Span};
use super::pattern::{Book, Pattern};

/// What a family of bounds knows about the end of a pipeline. Smaller is better in every component.
pub(crate) trait Rules {
    /// The components.
    type Values: Copy + AsRef<[f64]>;

    /// The label of no stages.
    fn empty(&self) -> Self::Values;

    /// The label of `pattern` on `stage` followed by the stages of `rest`.
    fn extend(&self, stage: usize, pattern: &Pattern, rest: &Self::Values) -> Self::Values;

    /// A bound of the whole step where stages from `stage` on, from layer `start` on, are summed
    /// up by `values`. At stage 0 it is the bound of a full plan.
    fn floor(&self, stage: usize, start: usize, values: &Self::Values) -> f64;

    /// A bound of any step in which `stage` holds `span`.
    fn span_floor(&self, stage: usize, span: Span) -> f64;
}

/// What the rules of every schedule are made from.
pub(crate) struct Basis {
    pub stages: usize,
    pub m: f64,
    pub send: f64,
    pub floors: Floors,
    /// The least tail of stage 0.
    pub tail: f64,
}

impl Basis {
    pub fn new(instance: &Instance, scope: &[usize]) -> Self {
        Self {
            stages: instance.stages(),
            m: instance.micro_batches(),
            send: instance.problem.send.get(),
            floors: instance.floors(scope),
            tail: bound::first_tail(instance, scope),
        }
    }

    /// Time of one micro-batch through the layers before `start` on `stage` stages and back,
    /// messages to the next stage included.
    pub fn there_and_back(&self, stage: usize, start: usize) -> f64 {
        self.floors.both[start] + 2.0 * self.send * stage as f64
    }

    /// A bound that holds where `stage` starts at layer `start`: what comes before and what comes
    /// after are pipelines of their own.
    fn start_floor(&self, stage: usize, start: usize) -> f64 {
        let both = &self.floors.both;
        let rest = both[both.len() - 1] - both[start];
        let after = bound::work(rest, self.m, self.stages - stage, self.send);
        let mut floor = self.there_and_back(stage, start) + after;
        if stage > 0 {
            floor = floor.max(bound::work(both[start], self.m, stage, self.send));
        }
        floor + self.tail
    }
}

/// A suffix that nothing beats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Label<V> {
    pub values: V,
    /// Total memory of the suffix, to break ties.
    pub memory: f64,
    pub pattern: usize,
    /// Where the next stage starts, and which of its labels follows.
    pub end: usize,
    pub rest: usize,
}

/// A full plan with the bound of its label.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub bound: f64,
    /// Patterns per stage, as numbers in the book.
    pub picks: Vec<usize>,
}

/// How many plans of least bound are worth simulating.
const CANDIDATES: usize = 8;

/// What one run of the program found.
pub(crate) struct Found {
    /// Plans of least bound, best first; none if no plan is as fast as the limit.
    pub candidates: Vec<Candidate>,
    /// Per stage, the patterns that a plan as fast as the limit can contain, by number: a plan
    /// with any other pattern has a label, or is no worse than one with a label, above it.
    pub possible: Vec<Vec<usize>>,
}

/// Runs the program for plans that take at most `limit`.
pub(crate) fn search<R: Rules>(rules: &R, basis: &Basis, book: &mut Book, limit: f64) -> Found {
    let (stages, layers) = (book.instance.stages(), book.instance.layers());
    let first = Label { values: rules.empty(), memory: 0.0, pattern: 0, end: 0, rest: 0 };
    let before = prefix_floors(rules, basis, book, limit);
    // Per stage, per start, labels; built from the last stage to the first.
    let mut table: Vec<Vec<Vec<Label<R::Values>>>> = Vec::with_capacity(stages + 1);
    let mut possible = Vec::with_capacity(stages);
    let mut after = vec![Vec::new(); layers + 1];
    after[layers] = vec![first];
    table.push(after);
    for stage in (0..stages).rev() {
        let next = &table[table.len() - 1];
        let mut labels = vec![Vec::new(); layers + 1];
        let mut met = Vec::new();
        for start in book.instance.starts(stage) {
            let floor = basis.start_floor(stage, start).max(before[stage][start]);
            if floor <= limit {
                let found = at(rules, book, stage, start, next, limit);
                met.extend(found.iter().map(|label| label.pattern));
                labels[start] = minimal(found);
            }
        }
        met.sort_unstable();
        met.dedup();
        possible.push(met);
        table.push(labels);
    }
    table.reverse();
    possible.reverse();
    Found { candidates: best(rules, &table), possible }
}

/// Per stage and start, a bound of every plan in which `stage` starts there, from the stages
/// before it: the largest `(A_i)` of the best split of the layers before.
fn prefix_floors<R: Rules>(rules: &R, basis: &Basis, book: &mut Book, limit: f64) -> Vec<Vec<f64>> {
    let layers = book.instance.layers();
    let mut table = vec![vec![f64::INFINITY; layers + 1]];
    table[0][0] = 0.0;
    for stage in 0..book.instance.stages() {
        let mut next = vec![f64::INFINITY; layers + 1];
        for start in book.instance.starts(stage) {
            let so_far = table[stage][start];
            for end in book.instance.ends(stage, start) {
                let span = Span { start, end };
                if so_far > limit || rules.span_floor(stage, span) > limit {
                    break;
                }
                let times = book.list(stage, span).map(|p| book.get(p).both());
                let fastest = times.fold(f64::INFINITY, f64::min);
                let passes = basis.there_and_back(stage, start) + basis.m * fastest + basis.tail;
                next[end] = next[end].min(so_far.max(passes));
            }
        }
        table.push(next);
    }
    table
}

/// The labels of the suffix that begins with `stage` at layer `start`, beaten ones included.
fn at<R: Rules>(
    rules: &R,
    book: &mut Book,
    stage: usize,
    start: usize,
    next: &[Vec<Label<R::Values>>],
    limit: f64,
) -> Vec<Label<R::Values>> {
    let mut found = Vec::new();
    for end in book.instance.ends(stage, start) {
        let span = Span { start, end };
        if rules.span_floor(stage, span) > limit {
            break;
        }
        if next[end].is_empty() {
            continue;
        }
        for pattern in book.list(stage, span) {
            let choice = book.get(pattern);
            for (rest, label) in next[end].iter().enumerate() {
                let values = rules.extend(stage, choice, &label.values);
                if rules.floor(stage, start, &values) <= limit {
                    let memory = choice.memory + label.memory;
                    found.push(Label { values, memory, pattern, end, rest });
                }
            }
        }
    }
    found
}

/// Drops labels that another one beats or equals; of equals, keeps the one with least memory.
fn minimal<V: Copy + AsRef<[f64]>>(mut found: Vec<Label<V>>) -> Vec<Label<V>> {
    found.sort_by(|a, b| {
        let order = lexicographic(a.values.as_ref(), b.values.as_ref());
        let order = order.then(a.memory.total_cmp(&b.memory));
        order.then((a.end, a.pattern, a.rest).cmp(&(b.end, b.pattern, b.rest)))
    });
    let mut kept: Vec<Label<V>> = Vec::new();
    for label in found {
        let beats =
            |k: &Label<V>| k.values.as_ref().iter().zip(label.values.as_ref()).all(|(x, y)| x <= y);
        if !kept.iter().any(beats) {
            kept.push(label);
        }
    }
    kept
}

fn best<R: Rules>(rules: &R, table: &[Vec<Vec<Label<R::Values>>>]) -> Vec<Candidate> {
    let mut order: Vec<(f64, &Label<R::Values>)> =
        table[0][0].iter().map(|label| (rules.floor(0, 0, &label.values), label)).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.memory.total_cmp(&b.1.memory)));
    let candidates = order.into_iter().take(CANDIDATES);
    candidates.map(|(bound, label)| Candidate { bound, picks: follow(table, label) }).collect()
}

fn follow<V: Copy>(table: &[Vec<Vec<Label<V>>>], label: &Label<V>) -> Vec<usize> {
    let mut picks = vec![label.pattern];
    let mut at = label;
    for labels in &table[1..table.len() - 1] {
        at = &labels[at.end][at.rest];
        picks.push(at.pattern);
    }
    picks
}
