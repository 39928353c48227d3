//! Sweeps: plans that were run for one question, repetitions put together.

use super::flags::FULL;
use super::measures::median;
use crate::published::Scored;
use planner::ranking::{Ranked, Risk, Traits};
use std::collections::BTreeMap;

/// Plans for one model on one cluster with one batch, all measured and predicted.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// Group of its rows.
    pub group: String,
    /// The question in words.
    pub name: String,
    /// Its plans, two or more.
    pub plans: Vec<Plan<'a>>,
}

/// A plan that was run, once or more often.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    /// The first row that ran it.
    pub scored: &'a Scored,
    /// Its measured step: the median of the repetitions.
    pub measured: f64,
    /// All measured steps.
    pub runs: Vec<f64>,
    /// Its predicted step, with what ranking has to know.
    pub ranked: Ranked,
    /// Whether only data are split.
    pub is_data_parallel: bool,
}

impl Plan<'_> {
    /// Logarithm of measured over predicted.
    #[must_use]
    pub fn residual(&self) -> f64 {
        (self.measured / self.ranked.step).ln()
    }
}

/// What rows of one question have in common.
type Key = (String, String, String, [Option<u64>; 3], String);
/// What was decided: rows that decide alike under the same software are repetitions.
type Decision = ([Option<u64>; 5], [Option<u64>; 3], String, String);

/// The ZeRO stage that splits parameters.
const SHARDED: u64 = 3;

/// The questions among rows, by name. Rows without time or prediction take no part.
#[must_use]
pub fn questions(rows: &[Scored]) -> Vec<Question<'_>> {
    let mut all: BTreeMap<Key, BTreeMap<Decision, Vec<&Scored>>> = BTreeMap::new();
    for scored in rows.iter().filter(|s| s.ratio().is_some()) {
        let plans = all.entry(key(scored)).or_default();
        plans.entry(decision(scored)).or_default().push(scored);
    }
    let several = all.into_iter().filter(|(_, plans)| plans.len() > 1);
    several.map(|(key, plans)| question(&key, plans.into_values())).collect()
}

fn question<'a>(key: &Key, plans: impl Iterator<Item = Vec<&'a Scored>>) -> Question<'a> {
    let (group, model, gpu, [gpus, batch, seq], precision) = key;
    let shown = |n: &Option<u64>| n.map_or("?".to_string(), |n| n.to_string());
    let name = format!(
        "{group}: {model}, {} x {gpu}, batch {} of {}, {precision}",
        shown(gpus),
        shown(batch),
        shown(seq)
    );
    Question { group: group.clone(), name, plans: plans.filter_map(|rows| plan(&rows)).collect() }
}

fn key(scored: &Scored) -> Key {
    let row = &scored.row;
    let sizes = [row.run.gpus, row.run.global_batch, row.shape.seq];
    let (group, gpu) = (row.group.clone(), row.gpu.to_lowercase());
    (group, model_name(scored), gpu, sizes, row.precision.clone())
}

fn decision(scored: &Scored) -> Decision {
    let run = &scored.row.run;
    let degrees = [run.tp, run.pp, run.cp, run.ep, run.chunks];
    let other = [run.micro_batch, run.zero, run.sequence_parallel];
    (degrees, other, scored.row.recompute.clone(), scored.stack.clone())
}

/// The model with what makes it another one: tables give variants the same name.
fn model_name(scored: &Scored) -> String {
    let shape = &scored.row.shape;
    let dims = [shape.layers, shape.hidden, shape.heads, shape.kv_heads, shape.vocab];
    let dims: Vec<String> = dims.iter().map(|d| d.map_or("?".into(), |d| d.to_string())).collect();
    format!("{} {}", scored.row.model, dims.join("/"))
}

/// Repetitions of one plan.
fn plan<'a>(rows: &[&'a Scored]) -> Option<Plan<'a>> {
    let runs: Vec<f64> = rows.iter().filter_map(|s| s.measured).collect();
    let steps: Vec<f64> = rows.iter().filter_map(|s| step(s)).collect();
    let scored = *rows.first()?;
    Some(Plan {
        scored,
        measured: median(&runs)?,
        runs,
        ranked: ranked(scored, median(&steps)?)?,
        is_data_parallel: is_data_parallel(scored),
    })
}

fn step(scored: &Scored) -> Option<f64> {
    scored.prediction.as_ref().ok().map(|p| p.step.get())
}

fn ranked(scored: &Scored, step: f64) -> Option<Ranked> {
    let run = &scored.row.run;
    let prediction = scored.prediction.as_ref().ok()?;
    let degree = |n: Option<u64>| n.unwrap_or(1).max(1);
    let (tp, pp, cp) = (degree(run.tp), degree(run.pp), degree(run.cp));
    let is_across = run.per_node.is_some_and(|node| tp > node);
    let is_full = prediction.fill > FULL;
    let is_sharded = run.zero == Some(SHARDED) && degree(run.dp) > 1;
    Some(Ranked {
        step,
        traits: Traits::new(tp * cp, pp, prediction.micro_batch, is_across),
        risk: Risk {
            doubts: u8::from(is_across) + u8::from(is_full),
            is_split: tp > 1 || pp > 1 || cp > 1 || degree(run.ep) > 1 || is_sharded,
        },
    })
}

fn is_data_parallel(scored: &Scored) -> bool {
    let run = &scored.row.run;
    [run.tp, run.pp, run.cp].into_iter().all(|degree| degree.unwrap_or(1) <= 1)
}
