//! Predicted beside measured, by what actions do and on which layers.

use super::Window;
use cost_model::events::Prices;
use plan::model::Model;
use plan::program::{Action, At, LayerSpan, Op, Peers, Program};
use plan::record::{ActionRecord, median};
use plan::timeline;
use std::collections::BTreeMap;

/// Actions of one kind on layers of one kind, on one rank, added up over a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What they do: `forward, mLSTM layer`.
    pub what: String,
    /// How many.
    pub actions: u32,
    /// By prices, seconds.
    pub predicted: f64,
    /// By own times without other programs: the median step, seconds.
    pub measured: f64,
}

impl Row {
    /// Measured over predicted.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        self.measured / self.predicted
    }
}

/// The rows of the rank that works longest, largest difference first.
#[must_use]
pub fn rows(model: &Model, program: &Program, prices: &Prices, windows: &[Window]) -> Vec<Row> {
    let ranks = (0..program.ranks).filter_map(|rank| {
        let rows = of_rank(model, program, prices, windows, rank)?;
        Some((rows.iter().map(|r| r.measured).sum::<f64>(), rows))
    });
    let longest = ranks.max_by(|a, b| a.0.total_cmp(&b.0));
    let mut rows = longest.map(|(_, rows)| rows).unwrap_or_default();
    let off = |row: &Row| (row.measured - row.predicted).abs();
    rows.sort_by(|a, b| off(b).total_cmp(&off(a)));
    rows
}

fn of_rank(
    model: &Model,
    program: &Program,
    prices: &Prices,
    windows: &[Window],
    rank: u32,
) -> Option<Vec<Row>> {
    let (number, _) = program.class_of(rank)?;
    let class = &program.classes[number];
    let names: Vec<String> = class.actions.iter().map(|a| name(model, a)).collect();
    let mut predicted: BTreeMap<&str, (u32, f64)> = BTreeMap::new();
    for (i, what) in names.iter().enumerate() {
        let entry = predicted.entry(what).or_default();
        entry.0 += 1;
        entry.1 += prices.time(number as u32, i as u32, &class.actions[i])?.get();
    }
    let mut measured: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for step in windows.iter().flat_map(|w| &w.undisturbed.times) {
        let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
        for (what, time) in names.iter().zip(step.get(rank as usize)?) {
            *sums.entry(what).or_default() += time.get();
        }
        sums.into_iter().for_each(|(what, sum)| measured.entry(what).or_default().push(sum));
    }
    let row = |(what, (actions, predicted)): (&str, (u32, f64))| {
        let measured = median(measured.remove(what)?)?;
        Some(Row { what: what.to_string(), actions, predicted, measured })
    };
    Some(predicted.into_iter().filter_map(row).collect())
}

/// What an action does and on which kind of layer.
fn name(model: &Model, action: &Action) -> String {
    let micro = At { micro_batch: None, ..action.at };
    let words = match action.op {
        Op::Forward => "forward".into(),
        Op::Backward => "backward".into(),
        Op::BackwardInput => "backward, inputs".into(),
        Op::BackwardWeight => "backward, weights".into(),
        Op::Recompute => "recompute".into(),
        _ => timeline::op(&Action { at: micro, ..action.clone() }),
    };
    match action.at.layers.filter(|_| action.is_pass()).and_then(|span| kind(model, span)) {
        Some(kind) => format!("{words}, {kind}"),
        None => words,
    }
}

/// The kind of layers in a span, where they are alike.
fn kind(model: &Model, span: LayerSpan) -> Option<&'static str> {
    let mut first = 0;
    for run in &model.chain {
        let last = first + run.layers;
        if (first..last).contains(&span.first) {
            return (span.last < last).then(|| model.kinds[run.kind].name);
        }
        first = last;
    }
    None
}

/// Rows of the class that a record has actions of, what processors worked beside prices of the
/// machine that the plan is for; longest first.
#[must_use]
pub fn rows_of_slice(
    model: &Model,
    program: &Program,
    prices: &Prices,
    actions: &[ActionRecord],
) -> Vec<Row> {
    let mut all: BTreeMap<String, Row> = BTreeMap::new();
    for record in actions {
        let class = program.classes.get(record.class as usize);
        let Some(action) = class.and_then(|c| c.actions.get(record.action as usize)) else {
            continue;
        };
        let what = name(model, action);
        let row = all.entry(what.clone()).or_insert(Row {
            what,
            actions: 0,
            predicted: 0.0,
            measured: 0.0,
        });
        let price = prices.time(record.class, record.action, action);
        row.actions += 1;
        row.predicted += price.map_or(0.0, |p| p.get());
        // The priced network is waited for; all else is work, whatever else runs here.
        row.measured += match action.peers {
            Peers::Nobody => record.busy_seconds,
            _ => record.seconds,
        };
    }
    let mut rows: Vec<Row> = all.into_values().collect();
    rows.sort_by(|a, b| b.measured.total_cmp(&a.measured));
    rows
}
