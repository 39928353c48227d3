//! Intervals from residuals: split conformal, by regime, every group of rows counting once.

use super::flags::{FULL, is_recurrent};
use super::particular;
use crate::published::{Entry, Intervals, Kind, Knowledge, MemoryEntry, Regime, Scored};
use std::collections::{BTreeMap, BTreeSet};

/// Part of the measurements that an interval is to hold.
const LEVEL: f64 = 0.8;
/// Fewer rows than this say nothing about a regime of their own.
const LEAST_ROWS: usize = 20;
/// How much further than for a known device measurements of an unseen one may lie; an assumption.
const UNSEEN: f64 = 1.5;

/// The regime of a row with its prediction.
#[must_use]
pub fn regime(scored: &Scored, intervals: &Intervals) -> Option<Regime> {
    let prediction = scored.prediction.as_ref().ok()?;
    let knowledge = intervals.knowledge(&scored.device, &scored.stack);
    let stack = scored.stack.clone();
    // Software that only device and split suggest is not the profiled one.
    let knowledge = match knowledge {
        Knowledge::Profiled if !scored.is_named => Knowledge::Device,
        other => other,
    };
    let (kind, is_full) = (kind(scored), prediction.fill > FULL);
    Some(Regime { knowledge, stack, kind, is_full })
}

fn kind(scored: &Scored) -> Kind {
    if is_recurrent(scored) {
        Kind::Recurrent
    } else if scored.row.shape.experts.is_some_and(|n| n > 1) {
        Kind::Experts
    } else {
        Kind::Dense
    }
}

/// A residual: group, logarithm of measured over predicted.
type Residual = (String, f64);

/// Intervals from rows that constants were fitted to (`named`), and the same rows priced as if
/// their software were not named.
#[must_use]
pub fn fit(named: &[Scored], unnamed: &[Scored]) -> Intervals {
    let pairs: BTreeSet<String> = named
        .iter()
        .filter(|s| s.ratio().is_some() && s.is_named)
        .map(|s| format!("{}/{}", s.device, s.stack))
        .collect();
    let mut entries = Vec::new();
    let profiled = residuals(named);
    let mut keys: BTreeSet<(String, Kind)> = BTreeSet::new();
    keys.extend(profiled.keys().map(|(stack, kind, _)| (stack.clone(), *kind)));
    for (stack, kind) in &keys {
        let of_stack = |s: &str| s == stack;
        for is_full in [Some(true), Some(false), None] {
            let all = select(&profiled, &of_stack, *kind, is_full);
            let entry = interval(&all, Knowledge::Profiled, *kind, is_full, Some(stack));
            entries.extend(entry.filter(|_| all.len() >= LEAST_ROWS));
        }
    }
    let other = residuals(unnamed);
    for kind in Kind::ALL {
        let any = |_: &str| true;
        let all = select(&profiled, &any, kind, None);
        entries.extend(interval(&all, Knowledge::Profiled, kind, None, None));
        let all = select(&other, &any, kind, None);
        let known = interval(&all, Knowledge::Device, kind, None, None);
        entries.extend(known.clone());
        entries.extend(known.map(widened));
    }
    let (particular, memory) = (particular::fit(named), memory(named));
    Intervals { level: LEVEL, pairs: pairs.into_iter().collect(), particular, entries, memory }
}

/// Runs that take less of a device say little about the limit: fixed parts weigh too much.
const HALF: f64 = 0.5;

/// Intervals of memory: one per stack with enough rows, and one of all.
fn memory(rows: &[Scored]) -> Vec<MemoryEntry> {
    let mut all: BTreeMap<&str, Vec<Residual>> = BTreeMap::new();
    for scored in rows {
        let (Ok(prediction), Some((measured, _))) = (&scored.prediction, scored.memory) else {
            continue;
        };
        if prediction.fill > HALF {
            let residual = (measured / prediction.memory.get()).ln();
            let list = all.entry(scored.stack.as_str()).or_default();
            list.push((scored.row.group.clone(), residual));
        }
    }
    let own = all.iter().filter(|(_, list)| list.len() >= LEAST_ROWS);
    let own = own.filter_map(|(stack, list)| memory_entry(list, Some((*stack).to_string())));
    let pool: Vec<Residual> = all.values().flatten().cloned().collect();
    own.chain(memory_entry(&pool, None)).collect()
}

fn memory_entry(list: &[Residual], stack: Option<String>) -> Option<MemoryEntry> {
    let groups: BTreeSet<&str> = list.iter().map(|(group, _)| group.as_str()).collect();
    let rows = list.len() as f64;
    // One more row than there are: the row to come.
    let at = |level: f64| weighted_quantile(list, ((rows + 1.0) * level / rows).min(1.0));
    let outside = (1.0 - LEVEL) / 2.0;
    Some(MemoryEntry {
        stack,
        low: at(outside)?.exp().clamp(0.001, 1.0),
        high: at(1.0 - outside)?.exp().clamp(1.0, 1000.0),
        most: at(LEVEL)?.exp().clamp(0.001, 1000.0),
        rows: list.len() as u64,
        groups: groups.len() as u64,
    })
}

type Residuals = BTreeMap<(String, Kind, bool), Vec<Residual>>;

fn residuals(rows: &[Scored]) -> Residuals {
    let mut all = Residuals::new();
    for scored in rows {
        if let (Some(ratio), Ok(prediction)) = (scored.ratio(), &scored.prediction) {
            let key = (scored.stack.clone(), kind(scored), prediction.fill > FULL);
            all.entry(key).or_default().push((scored.row.group.clone(), -ratio.ln()));
        }
    }
    all
}

fn select(
    all: &Residuals,
    stack: &dyn Fn(&str) -> bool,
    kind: Kind,
    is_full: Option<bool>,
) -> Vec<Residual> {
    let wanted = all.iter().filter(|((s, k, full), _)| {
        stack(s) && *k == kind && is_full.is_none_or(|wanted| wanted == *full)
    });
    wanted.flat_map(|(_, list)| list.clone()).collect()
}

/// The interval that holds [`LEVEL`] of the residuals, as much above as below. A prediction lies in
/// its own interval.
fn interval(
    all: &[Residual],
    knowledge: Knowledge,
    kind: Kind,
    is_full: Option<bool>,
    stack: Option<&String>,
) -> Option<Entry> {
    let groups: BTreeSet<&str> = all.iter().map(|(group, _)| group.as_str()).collect();
    let outside = (1.0 - LEVEL) / 2.0;
    let rows = all.len() as f64;
    // One more row than there are: the row to come.
    let level = ((rows + 1.0) * (1.0 - outside) / rows).min(1.0);
    let low = weighted_quantile(all, 1.0 - level)?;
    let high = weighted_quantile(all, level)?;
    Some(Entry {
        knowledge,
        stack: stack.cloned(),
        kind,
        is_full,
        low: low.exp().clamp(0.001, 1.0),
        high: high.exp().clamp(1.0, 1000.0),
        rows: all.len() as u64,
        groups: groups.len() as u64,
    })
}

/// As far again by half on both sides, in logarithms.
fn widened(entry: Entry) -> Entry {
    let low = entry.low.powf(UNSEEN).max(0.001);
    let high = entry.high.powf(UNSEEN).min(1000.0);
    Entry { knowledge: Knowledge::Unseen, low, high, ..entry }
}

/// The least residual at which at least `level` of the weight lies at or below; every group has the
/// same weight.
fn weighted_quantile(all: &[Residual], level: f64) -> Option<f64> {
    let mut sizes: BTreeMap<&str, f64> = BTreeMap::new();
    for (group, _) in all {
        *sizes.entry(group).or_default() += 1.0;
    }
    let mut sorted: Vec<(f64, f64)> =
        all.iter().map(|(group, r)| (*r, 1.0 / sizes[group.as_str()])).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let target = level * sizes.len() as f64;
    let mut sum = 0.0;
    for (residual, weight) in &sorted {
        sum += weight;
        if sum >= target - 1e-9 {
            return Some(*residual);
        }
    }
    sorted.last().map(|(residual, _)| *residual)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(group: &str, residuals: &[f64]) -> Vec<Residual> {
        residuals.iter().map(|r| (group.to_string(), *r)).collect()
    }

    /// Group a has 4 rows of weight ¼, b one of weight 1; half of the weight 2 is reached at b's.
    #[test]
    fn groups_weigh_the_same_however_large() {
        let mut all = of("a", &[0.1, 0.2, 0.3, 0.4]);
        all.extend(of("b", &[-1.0]));
        assert_eq!(weighted_quantile(&all, 0.5), Some(-1.0));
        // Three quarters of 2 are 1.5: b's 1, and two quarters of a.
        assert_eq!(weighted_quantile(&all, 0.75), Some(0.2));
        assert_eq!(weighted_quantile(&[], 0.5), None);
    }

    /// Nine residuals −4…4 in tenths: level (10·0.9)/9 = 1, so the extremes.
    #[test]
    fn few_rows_make_wide_intervals() {
        let residuals: Vec<f64> = (-4..=4).map(|i| f64::from(i) / 10.0).collect();
        let entry = interval(&of("a", &residuals), Knowledge::Profiled, Kind::Dense, None, None);
        let entry = entry.unwrap();
        assert!((entry.low - (-0.4f64).exp()).abs() < 1e-12, "{entry:?}");
        assert!((entry.high - 0.4f64.exp()).abs() < 1e-12, "{entry:?}");
        let wide = widened(entry);
        assert!((wide.high - 0.6f64.exp()).abs() < 1e-12, "{wide:?}");
    }

    /// A stack that is always twice too fast: the interval still holds the prediction itself.
    #[test]
    fn a_prediction_lies_in_its_own_interval() {
        let all = of("a", &[2f64.ln(); 30]);
        let entry = interval(&all, Knowledge::Profiled, Kind::Dense, None, None).unwrap();
        assert_eq!(entry.low, 1.0);
        assert!((entry.high - 2.0).abs() < 1e-12);
    }
}
