//! Everything that is said about a set of predictions, once, for all forms of output.

use super::conformal::regime;
use super::flags::{Flag, flags};
use super::group::{Axis, groups};
use super::measures::{Errors, errors};
use super::ranking::{QUANTILE, Ranking, Sweep, ranking};
use super::{Fits, Group, assumed, memory_ratio, skipped};
use crate::published::{Intervals, MemoryKind, Regime, Scored};
use planner::ranking::Rule;
use std::collections::BTreeMap;

/// Rows to summarise.
pub struct Rows {
    /// Measured steps.
    pub runs: Vec<Scored>,
    /// Configurations at the limit of memory.
    pub limits: Vec<Scored>,
    /// Runs whose memory alone is of interest.
    pub memory_only: Vec<Scored>,
}

/// The summary.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// What rows are grouped by.
    pub by: Axis,
    /// The groups, by name.
    pub groups: Vec<Group>,
    /// How good chosen plans are.
    pub ranking: Option<Ranking>,
    /// Every sweep, worst regret first.
    pub sweeps: Vec<Sweep>,
    /// Memory by what its number means.
    pub memory: Vec<MemoryLine>,
    /// Whether it fits.
    pub fits: Option<Fits>,
    /// Coverage of the intervals by regime.
    pub regimes: Vec<RegimeLine>,
    /// Doubts, with the error of the rows that have them.
    pub flags: Vec<FlagLine>,
    /// The worst rows, worst first.
    pub worst: Vec<Worst>,
    /// Why rows were not scored.
    pub skipped: Vec<(String, usize)>,
    /// What was assumed.
    pub assumed: Vec<(String, usize)>,
}

/// Errors of predicted memory.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryLine {
    /// What the numbers mean, and whose they are.
    pub name: String,
    /// Rows.
    pub rows: usize,
    /// Errors.
    pub errors: Errors,
    /// Part of the measurements inside of the interval of the stack.
    pub inside: f64,
}

/// Coverage in one regime.
#[derive(Clone, Debug, PartialEq)]
pub struct RegimeLine {
    /// The regime in words.
    pub name: String,
    /// Rows.
    pub rows: usize,
    /// Part of them inside of their interval.
    pub coverage: f64,
    /// Mean lower and upper end, relative to the prediction.
    pub ends: (f64, f64),
}

/// Rows with a doubt.
#[derive(Clone, Debug, PartialEq)]
pub struct FlagLine {
    /// The doubt.
    pub flag: Flag,
    /// Rows that have it.
    pub rows: usize,
    /// Errors of those rows.
    pub errors: Errors,
}

/// A row that is far off.
#[derive(Clone, Debug, PartialEq)]
pub struct Worst {
    /// Its id.
    pub id: String,
    /// Its model, and what it ran on.
    pub what: String,
    /// Predicted over measured.
    pub ratio: f64,
    /// The doubt that most likely explains it.
    pub cause: String,
}

impl Summary {
    /// Summarises rows, whose intervals are those of their regime.
    #[must_use]
    pub fn of(rows: &Rows, by: Axis, intervals: &Intervals, worst: usize) -> Self {
        let particular = intervals.particular.as_ref().map(|fitted| fitted.particular);
        let rule = particular.map(|particular| Rule { particular, quantile: QUANTILE });
        let (mut sweeps, ranking) = ranking(&rows.runs, rule.as_ref());
        let regret = |s: &Sweep| s.chosen.regret;
        sweeps.sort_by(|a, b| regret(b).total_cmp(&regret(a)).then_with(|| a.name.cmp(&b.name)));
        let has_limits = !rows.limits.is_empty();
        Self {
            by,
            groups: groups(&rows.runs, by),
            ranking,
            sweeps,
            memory: memory(rows, intervals),
            fits: has_limits.then(|| Fits::of(&rows.limits, &rows.runs)),
            regimes: regimes(&rows.runs, intervals),
            flags: doubts(&rows.runs),
            worst: far_off(&rows.runs, worst),
            skipped: skipped(&rows.runs),
            assumed: assumed(&rows.runs),
        }
    }
}

/// Gives every prediction the interval of its regime, where there is one.
pub fn apply(intervals: &Intervals, rows: &mut [Scored]) {
    for scored in rows {
        let found = regime(scored, intervals).and_then(|r| intervals.find(&r).cloned());
        if let (Some(entry), Ok(prediction)) = (found, &mut scored.prediction) {
            prediction.low = prediction.step * entry.low;
            prediction.high = prediction.step * entry.high;
        }
    }
}

fn memory(rows: &Rows, intervals: &Intervals) -> Vec<MemoryLine> {
    let mut all: BTreeMap<(MemoryKind, String), Vec<(f64, bool)>> = BTreeMap::new();
    for scored in rows.runs.iter().chain(&rows.memory_only) {
        if let (Some((_, kind)), Some(ratio)) = (scored.memory, memory_ratio(scored)) {
            let entry = intervals.memory(&scored.stack);
            let inside = entry.is_some_and(|e| (e.low..=e.high).contains(&(1.0 / ratio)));
            all.entry((kind, scored.row.group.clone())).or_default().push((ratio, inside));
        }
    }
    let lines = all.into_iter().filter_map(|((kind, group), list)| {
        let name = format!("{} {group}", kind.name());
        let (ratios, inside): (Vec<f64>, Vec<bool>) = list.into_iter().unzip();
        let rows = ratios.len();
        let inside = inside.into_iter().filter(|i| *i).count() as f64 / rows as f64;
        Some(MemoryLine { name, rows, errors: errors(&ratios)?, inside })
    });
    lines.collect()
}

fn regimes(rows: &[Scored], intervals: &Intervals) -> Vec<RegimeLine> {
    let mut all: BTreeMap<String, Vec<(bool, f64, f64)>> = BTreeMap::new();
    for scored in rows {
        let (Some(measured), Ok(p)) = (scored.measured, &scored.prediction) else { continue };
        let Some(regime) = regime(scored, intervals) else { continue };
        let ends = (p.low.get() / p.step.get(), p.high.get() / p.step.get());
        let inside = (p.low.get()..=p.high.get()).contains(&measured);
        all.entry(name(&regime)).or_default().push((inside, ends.0, ends.1));
    }
    let line = |(name, list): (String, Vec<(bool, f64, f64)>)| {
        let n = list.len() as f64;
        let mean = |of: &dyn Fn(&(bool, f64, f64)) -> f64| list.iter().map(of).sum::<f64>() / n;
        RegimeLine {
            rows: list.len(),
            coverage: mean(&|x| f64::from(u8::from(x.0))),
            ends: (mean(&|x| x.1), mean(&|x| x.2)),
            name,
        }
    };
    all.into_iter().map(line).collect()
}

/// A regime in words, without the stack: regimes of one line are compared, not stacks.
fn name(regime: &Regime) -> String {
    let full = if regime.is_full { ", memory above 95 %" } else { "" };
    format!("{}, {}{full}", regime.knowledge.name(), regime.kind.name())
}

fn doubts(rows: &[Scored]) -> Vec<FlagLine> {
    let mut all: BTreeMap<Flag, Vec<f64>> = BTreeMap::new();
    for scored in rows {
        if let Some(ratio) = scored.ratio() {
            for flag in flags(scored) {
                all.entry(flag).or_default().push(ratio);
            }
        }
    }
    let lines = Flag::ALL.into_iter().filter_map(|flag| {
        let ratios = all.get(&flag)?;
        Some(FlagLine { flag, rows: ratios.len(), errors: errors(ratios)? })
    });
    lines.collect()
}

/// The rows that are farthest off, on a scale on which half and twice are alike.
fn far_off(rows: &[Scored], count: usize) -> Vec<Worst> {
    let mut all: Vec<(f64, &Scored)> = rows.iter().filter_map(|s| Some((s.ratio()?, s))).collect();
    all.sort_by(|a, b| {
        let by_size = b.0.ln().abs().total_cmp(&a.0.ln().abs());
        by_size.then_with(|| a.1.row.id.cmp(&b.1.row.id))
    });
    all.into_iter().take(count).map(|(ratio, scored)| worst(ratio, scored)).collect()
}

fn worst(ratio: f64, scored: &Scored) -> Worst {
    let row = &scored.row;
    let gpus = row.run.gpus.unwrap_or(0);
    let cause = flags(scored).first().map_or("no known doubt", |flag| flag.words());
    let what = format!("{} on {gpus} x {}", row.model, row.gpu);
    Worst { id: row.id.clone(), what, ratio, cause: cause.to_string() }
}
