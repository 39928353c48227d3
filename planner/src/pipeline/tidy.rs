//! Of all plans that are as fast as the best, the one to hand out.
//!
//! Many plans share the optimal step: stages off the critical path have time to spare. Which one
//! a solver happens to return says nothing, so the answer is chosen here, by a rule that does not
//! depend on the solver: least total memory over the stages, then the lexicographically smallest
//! split. Patterns that are slower than they need to be are not considered, even off the critical
//! path.
//!
//! The search goes from the last stage to the first, best first by
//! `memory so far + least memory of the stages before`, cuts suffixes whose label already exceeds
//! the step, and simulates what is complete. Its budget counts steps, never time; if it runs out,
//! the best plan met so far stands.

use super::frontier::lexicographic;
use super::instance::{Instance, Span};
use super::labels::Rules;
use super::pattern::{Book, Pattern};
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Suffixes expanded, and full plans simulated, before the search settles.
const MOST_SUFFIXES: usize = 20_000;
const MOST_PLANS: usize = 300;

/// Memory totals this close, relatively, are equal.
const SAME: f64 = 1e-12;

/// The best plan by the rule, and whether the search came to its end.
pub(crate) struct Tidied {
    pub plan: Option<(f64, Vec<Pattern>)>,
    pub is_complete: bool,
}

/// The patterns of one scope that a plan within the limit can contain.
pub(crate) struct Possible<'s, 'a, R> {
    pub rules: &'s R,
    pub book: &'s mut Book<'a>,
    /// Per stage, sorted.
    pub possible: Vec<Vec<usize>>,
}

impl<R: Rules> Possible<'_, '_, R> {
    fn list(&mut self, stage: usize, span: Span) -> Vec<usize> {
        let all = self.book.list(stage, span);
        all.filter(|p| self.possible[stage].binary_search(p).is_ok()).collect()
    }
}

/// Searches the plans of one scope that take at most `limit`.
pub(crate) fn tidy<R: Rules>(
    mut patterns: Possible<R>,
    limit: f64,
    step: impl Fn(&[Pattern]) -> f64,
) -> Tidied {
    let before = least_memory(&mut patterns, limit);
    let rules = patterns.rules;
    let mut search = Search { rules, limit, before, nodes: Vec::new(), heap: BinaryHeap::new() };
    search.start(patterns.book.instance);
    search.run(&mut patterns, step)
}

/// Whether plan `a` goes before plan `b`.
pub(crate) fn goes_before(a: &(f64, Vec<Pattern>), b: &(f64, Vec<Pattern>)) -> bool {
    if (a.0 - b.0).abs() > SAME * b.0.abs() {
        return a.0 < b.0;
    }
    // Columns after counts: an order over everything a plan says.
    let key = |plan: &[Pattern]| -> (Vec<u32>, Vec<Vec<Vec<u32>>>, Vec<usize>) {
        let split = plan.iter().map(|p| p.layers.iter().flatten().sum()).collect();
        let layers = plan.iter().map(|p| p.layers.clone()).collect();
        (split, layers, plan.iter().map(|p| p.setting).collect())
    };
    key(&a.1) < key(&b.1)
}

/// Per stage and start, the least memory of the stages before.
fn least_memory<R: Rules>(patterns: &mut Possible<R>, limit: f64) -> Vec<Vec<f64>> {
    let instance = patterns.book.instance;
    let layers = instance.layers();
    let mut table = vec![vec![f64::INFINITY; layers + 1]];
    table[0][0] = 0.0;
    for stage in 0..instance.stages() {
        let mut next = vec![f64::INFINITY; layers + 1];
        for start in instance.starts(stage) {
            let so_far = table[stage][start];
            for end in instance.ends(stage, start) {
                let span = Span { start, end };
                if so_far.is_infinite() || patterns.rules.span_floor(stage, span) > limit {
                    break;
                }
                for p in patterns.list(stage, span) {
                    next[end] = next[end].min(so_far + patterns.book.get(p).memory);
                }
            }
        }
        table.push(next);
    }
    table
}

/// A suffix in the tree of suffixes.
struct Node<V> {
    stage: usize,
    start: usize,
    values: V,
    memory: f64,
    pattern: usize,
    parent: usize,
}

/// Least memory first; of equals the longer suffix, then the older one.
struct Entry {
    memory: f64,
    stage: usize,
    node: usize,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        let order = lexicographic(&[other.memory], &[self.memory]);
        order.then((other.stage, other.node).cmp(&(self.stage, self.node)))
    }
}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Entry {}

struct Search<'a, R: Rules> {
    rules: &'a R,
    limit: f64,
    before: Vec<Vec<f64>>,
    nodes: Vec<Node<R::Values>>,
    heap: BinaryHeap<Entry>,
}

impl<R: Rules> Search<'_, R> {
    fn start(&mut self, instance: &Instance) {
        let (stage, start) = (instance.stages(), instance.layers());
        let values = self.rules.empty();
        self.push(Node { stage, start, values, memory: 0.0, pattern: 0, parent: 0 });
    }

    fn push(&mut self, node: Node<R::Values>) {
        let memory = node.memory + self.before[node.stage][node.start];
        if memory.is_finite() {
            self.heap.push(Entry { memory, stage: node.stage, node: self.nodes.len() });
            self.nodes.push(node);
        }
    }

    fn run(mut self, patterns: &mut Possible<R>, step: impl Fn(&[Pattern]) -> f64) -> Tidied {
        let mut best: Option<(f64, Vec<Pattern>)> = None;
        let (mut suffixes, mut plans) = (0, 0);
        while let Some(Entry { memory, stage, node }) = self.heap.pop() {
            if best.as_ref().is_some_and(|b| memory > b.0 * (1.0 + SAME)) {
                break;
            }
            if suffixes == MOST_SUFFIXES || plans == MOST_PLANS {
                return Tidied { plan: best, is_complete: false };
            }
            if stage > 0 {
                suffixes += 1;
                self.expand(patterns, node);
                continue;
            }
            plans += 1;
            let plan = self.plan(patterns.book, node);
            if step(&plan) <= self.limit {
                let found = (memory, plan);
                if best.as_ref().is_none_or(|best| goes_before(&found, best)) {
                    best = Some(found);
                }
            }
        }
        Tidied { plan: best, is_complete: true }
    }

    fn expand(&mut self, patterns: &mut Possible<R>, parent: usize) {
        let instance = patterns.book.instance;
        let Node { stage, start: end, values: rest, memory, .. } = self.nodes[parent];
        let stage = stage - 1;
        for start in instance.starts(stage) {
            let span = Span { start, end };
            let is_possible = instance.ends(stage, start).contains(&end);
            if !is_possible || self.rules.span_floor(stage, span) > self.limit {
                continue;
            }
            for pattern in patterns.list(stage, span) {
                let choice = patterns.book.get(pattern);
                let values = self.rules.extend(stage, choice, &rest);
                if self.rules.floor(stage, start, &values) <= self.limit {
                    let memory = memory + choice.memory;
                    self.push(Node { stage, start, values, memory, pattern, parent });
                }
            }
        }
    }

    fn plan(&self, book: &Book, node: usize) -> Vec<Pattern> {
        let mut plan = Vec::new();
        let mut at = node;
        // The root is its own parent and holds no stage.
        while at != 0 {
            plan.push(book.get(self.nodes[at].pattern).clone());
            at = self.nodes[at].parent;
        }
        plan
    }
}
