//! The master program in mathematics.
//!
//! Patterns `p ∈ P(s)` of stage `s` hold `n_k(p)` layers of segment `k`, take `F_p`, `B_p` per
//! micro-batch and `tail_p` per step, under setting `z(p)`; `first(p)` and `last(p)` are the
//! segments they start and end in. Times are in milliseconds.
//!
//! ```text
//! min  T                                                                      [Master::program]
//!  over x_{s,p} ∈ {0,1},  LB ≤ T ≤ UB                                          [Master::program]
//!  (1) Σ_p x_{s,p} = 1                                   for each s            [one_pattern]
//!  (2) Σ_s Σ_p n_k(p)·x_{s,p} = L_k                      for each k            [layer_counts]
//!  (3) Σ_{last(p)>k} x_{s,p} + Σ_{first(p)≤k} x_{s+1,p} ≤ 1   for each s, k    [contiguity]
//!  (4) Σ_{z(p)=z} x_{s,p} = u_z,  Σ_z u_z = 1            for each s, z,        [uniform_setting]
//!      u_z ∈ {0,1}                                       in place of (1), if asked for
//!  (5) Σ_s Σ_p ( nF_s·F_p + nB_s·B_p + [s=tail]·tail_p )·x_{s,p} + sends ≤ T    [path_cut]
//!                                                        for each known path
//! ```
//!
//! (1)–(4) describe exactly the plans: within a pattern layers are contiguous by construction, (3)
//! lets the next stage begin in no earlier segment than the last one ended in, and (2) makes the
//! counts add up, so the stages follow each other along the chain. (5) is a relaxation of the
//! schedule: each path through its slots bounds the step from below. The rows are data
//! ([`Program`]), so that a returned point can be checked against them without trusting a solver
//! ([`Program::check`]).

use super::instance::Instance;
use super::pattern::Pattern;
use cost_model::simulate::{Path, Times};
use plan::units::Seconds;

/// A linear row `Σ coefficients · x  (≤ or =)  bound`.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Variables with their coefficients.
    pub terms: Vec<(usize, f64)>,
    /// The right-hand side.
    pub bound: f64,
    /// Whether the row is an equation.
    pub is_equation: bool,
}

impl Row {
    fn equation(terms: Vec<(usize, f64)>, bound: f64) -> Self {
        Self { terms, bound, is_equation: true }
    }

    fn at_most(terms: Vec<(usize, f64)>, bound: f64) -> Self {
        Self { terms, bound, is_equation: false }
    }

    /// By how much `point` violates the row.
    fn violation(&self, point: &[f64]) -> f64 {
        let left: f64 = self.terms.iter().map(|(v, c)| c * point[*v]).sum();
        if self.is_equation { (left - self.bound).abs() } else { left - self.bound }
    }
}

/// A program over `binaries` binary variables and one continuous variable, the last one, which is
/// minimised between `low` and `high`.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// Binary variables, numbered from 0.
    pub binaries: usize,
    /// The least value of the objective.
    pub low: f64,
    /// The largest value of the objective.
    pub high: f64,
    /// The rows.
    pub rows: Vec<Row>,
}

impl Program {
    /// The number of the continuous variable.
    #[must_use]
    pub fn objective(&self) -> usize {
        self.binaries
    }

    /// Whether `point` is integral and satisfies every row, up to `tolerance` relative to the row.
    #[must_use]
    pub fn check(&self, point: &[f64], tolerance: f64) -> bool {
        let integral = point[..self.binaries].iter().all(|x| *x == 0.0 || *x == 1.0);
        let holds = |row: &Row| {
            let scale = row.terms.iter().map(|(v, c)| (c * point[*v]).abs()).fold(1.0, f64::max);
            row.violation(point) <= tolerance * scale
        };
        integral && self.rows.iter().all(holds)
    }
}

/// A pattern in the master, with what the rows need to know.
pub(crate) struct Choice {
    pub pattern: Pattern,
    counts: Vec<u32>,
    first: usize,
    last: usize,
}

impl Choice {
    pub fn new(pattern: Pattern) -> Self {
        let counts: Vec<u32> = pattern.layers.iter().map(|columns| columns.iter().sum()).collect();
        let first = counts.iter().position(|n| *n > 0).unwrap_or(0);
        let last = counts.iter().rposition(|n| *n > 0).unwrap_or(0);
        Self { pattern, counts, first, last }
    }

    /// What the pattern adds to `path` at `stage`, in seconds.
    fn along(&self, path: &Path, stage: usize) -> f64 {
        let p = &self.pattern;
        let tail = if path.tail == Some(stage) { p.tail } else { 0.0 };
        f64::from(path.forward[stage]) * p.forward
            + f64::from(path.backward[stage]) * p.backward
            + tail
    }
}

/// The master program: choices per stage, and the path cuts known so far.
pub(crate) struct Master<'a> {
    instance: &'a Instance<'a>,
    choices: Vec<Vec<Choice>>,
    /// Number of each stage's first variable.
    offsets: Vec<usize>,
    cuts: Vec<Path>,
    /// The rows that do not change between rounds.
    plan_rows: Vec<Row>,
}

const MILLISECONDS: f64 = 1e3;

impl<'a> Master<'a> {
    pub fn new(instance: &'a Instance<'a>, choices: Vec<Vec<Choice>>, cuts: Vec<Path>) -> Self {
        let mut offsets = Vec::with_capacity(choices.len());
        let mut variables = 0;
        for stage in &choices {
            offsets.push(variables);
            variables += stage.len();
        }
        let mut master = Self { instance, choices, offsets, cuts, plan_rows: Vec::new() };
        let uniform = instance.problem.uniform_setting;
        let mut rows = if uniform { master.uniform_setting() } else { master.one_pattern() };
        rows.extend(master.layer_counts());
        rows.extend(master.contiguity());
        master.plan_rows = rows;
        master
    }

    pub fn cuts(&self) -> usize {
        self.cuts.len()
    }

    /// Adds a path; whether it was new.
    pub fn add_cut(&mut self, path: Path) -> bool {
        let is_new = !self.cuts.contains(&path);
        if is_new {
            self.cuts.push(path);
        }
        is_new
    }

    fn patterns(&self) -> usize {
        self.choices.iter().map(Vec::len).sum()
    }

    /// The program with `T` between `low` and `high` seconds.
    pub fn program(&self, low: f64, high: f64) -> Program {
        let uniform = self.instance.problem.uniform_setting;
        let settings = if uniform { self.instance.problem.sync.settings() } else { 0 };
        let binaries = self.patterns() + settings;
        let mut rows = self.plan_rows.clone();
        let binding = self.cuts.iter().filter(|path| self.most(path) > low);
        rows.extend(binding.map(|path| self.path_cut(path, binaries)));
        Program { binaries, low: low * MILLISECONDS, high: high * MILLISECONDS, rows }
    }

    /// All variables of the choices that `pick` gives a coefficient.
    fn terms(&self, stage: usize, pick: impl Fn(&Choice) -> f64) -> Vec<(usize, f64)> {
        let choices = self.choices[stage].iter().enumerate();
        let all = choices.map(|(p, choice)| (self.offsets[stage] + p, pick(choice)));
        all.filter(|(_, c)| *c != 0.0).collect()
    }

    /// (1) Each stage does one thing.
    fn one_pattern(&self) -> Vec<Row> {
        let stages = 0..self.choices.len();
        stages.map(|s| Row::equation(self.terms(s, |_| 1.0), 1.0)).collect()
    }

    /// (2) All layers of each segment are placed.
    fn layer_counts(&self) -> Vec<Row> {
        let segments = self.instance.problem.segments.iter().enumerate();
        let row = |(k, layers): (usize, u32)| {
            let all =
                (0..self.choices.len()).flat_map(|s| self.terms(s, |c| f64::from(c.counts[k])));
            Row::equation(all.collect(), f64::from(layers))
        };
        segments.map(|(k, segment)| row((k, segment.layers))).collect()
    }

    /// (3) No stage begins in a segment before the one in which the stage before it ended.
    fn contiguity(&self) -> Vec<Row> {
        let row = |s: usize, k: usize| {
            let mut terms = self.terms(s, |c| f64::from(c.last > k));
            terms.extend(self.terms(s + 1, |c| f64::from(c.first <= k)));
            Row::at_most(terms, 1.0)
        };
        let borders = 0..self.instance.problem.segments.len() - 1;
        let pairs = 0..self.choices.len() - 1;
        pairs.flat_map(|s| borders.clone().map(move |k| (s, k))).map(|(s, k)| row(s, k)).collect()
    }

    /// (4) All stages use the same setting.
    fn uniform_setting(&self) -> Vec<Row> {
        let settings = self.instance.problem.sync.settings();
        let used = |z: usize| self.patterns() + z;
        let mut rows = vec![Row::equation((0..settings).map(|z| (used(z), 1.0)).collect(), 1.0)];
        for s in 0..self.choices.len() {
            for z in 0..settings {
                let mut terms = self.terms(s, |c| f64::from(c.pattern.setting == z));
                terms.push((used(z), -1.0));
                rows.push(Row::equation(terms, 0.0));
            }
        }
        rows
    }

    /// (5) The step is no shorter than the path.
    fn path_cut(&self, path: &Path, objective: usize) -> Row {
        let mut terms = Vec::new();
        for s in 0..self.choices.len() {
            terms.extend(self.terms(s, |choice| choice.along(path, s) * MILLISECONDS));
        }
        terms.push((objective, -1.0));
        let sends = f64::from(path.sends()) * self.instance.problem.send.get() * MILLISECONDS;
        Row::at_most(terms, -sends)
    }

    /// The path's length where every stage makes its slowest choice. A path that even then is no
    /// longer than a bound says nothing beyond it.
    fn most(&self, path: &Path) -> f64 {
        let slowest = |s: usize| {
            let choices = self.choices[s].iter().map(|c| c.along(path, s));
            choices.fold(0.0, f64::max)
        };
        let sends = f64::from(path.sends()) * self.instance.problem.send.get();
        (0..self.choices.len()).map(slowest).sum::<f64>() + sends
    }

    /// The choice that `point` makes for each stage.
    pub fn picks(&self, point: &[f64]) -> Vec<Pattern> {
        let pick = |s: usize| {
            let from = self.offsets[s];
            let chosen = (0..self.choices[s].len()).find(|p| point[from + p] > 0.5);
            self.choices[s][chosen.unwrap_or(0)].pattern.clone()
        };
        (0..self.choices.len()).map(pick).collect()
    }

    /// The longest known path under `times`.
    pub fn longest_cut(&self, times: &Times) -> Seconds {
        self.cuts.iter().map(|path| path.length(times)).fold(Seconds::ZERO, Seconds::max)
    }
}
