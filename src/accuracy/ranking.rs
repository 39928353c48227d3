//! Ranking: how good the plan is that the predictions choose among those that were run.

use super::measures::{mean, quantile, spearman};
use crate::published::Scored;
use std::collections::BTreeMap;

/// Plans for one model on one cluster with one batch, all measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// Group and question in words.
    pub name: String,
    /// Group of its rows.
    pub group: String,
    /// Different plans.
    pub plans: usize,
    /// How much slower the predicted best ran than the measured best.
    pub regret: f64,
    /// The predicted best, by id.
    pub choice: String,
    /// The measured best, by id.
    pub best: String,
    /// Rank correlation of predicted and measured times; from three plans on.
    pub correlation: Option<f64>,
    /// How much slower the predicted best ran than the best plain data parallelism, where both
    /// were run; below zero where it is faster.
    pub against_data_parallel: Option<f64>,
}

/// All sweeps together.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking {
    /// Sweeps.
    pub sweeps: usize,
    /// Plans in them.
    pub plans: usize,
    /// Mean regret.
    pub mean: f64,
    /// 95th percentile of the regret.
    pub worst: f64,
    /// Mean rank correlation.
    pub correlation: Option<f64>,
    /// Sweeps in which plain data parallelism was run.
    pub with_data_parallel: usize,
    /// Those of them in which the choice lost to it by more than the noise of measurements.
    pub losses: usize,
}

/// A difference below this is noise: the best-repeating source repeats to 0.5 %.
const NOISE: f64 = 0.005;
/// A correlation needs this many plans.
const CORRELATED: usize = 3;

/// What rows of one sweep have in common.
type Key = (String, String, String, [Option<u64>; 3], String);

/// The sweeps among rows, by name. Rows without time or prediction take no part.
#[must_use]
pub fn sweeps(rows: &[Scored]) -> Vec<Sweep> {
    let mut all: BTreeMap<Key, Vec<Plan<'_>>> = BTreeMap::new();
    for scored in rows {
        if let Some(plan) = Plan::of(scored) {
            all.entry(plan.key()).or_default().push(plan);
        }
    }
    all.iter().filter_map(|(key, plans)| sweep(key, plans)).collect()
}

/// All sweeps together; none of nothing.
#[must_use]
pub fn ranking(sweeps: &[Sweep]) -> Option<Ranking> {
    let regrets: Vec<f64> = sweeps.iter().map(|s| s.regret).collect();
    let correlations: Vec<f64> = sweeps.iter().filter_map(|s| s.correlation).collect();
    let against: Vec<f64> = sweeps.iter().filter_map(|s| s.against_data_parallel).collect();
    Some(Ranking {
        sweeps: sweeps.len(),
        plans: sweeps.iter().map(|s| s.plans).sum(),
        mean: mean(&regrets)?,
        worst: quantile(&regrets, 0.95)?,
        correlation: mean(&correlations),
        with_data_parallel: against.len(),
        losses: against.iter().filter(|lost| **lost > NOISE).count(),
    })
}

/// A measured and predicted plan.
struct Plan<'a> {
    scored: &'a Scored,
    measured: f64,
    predicted: f64,
}

impl<'a> Plan<'a> {
    fn of(scored: &'a Scored) -> Option<Self> {
        let predicted = scored.prediction.as_ref().ok()?.step.get();
        Some(Self { scored, measured: scored.measured?, predicted })
    }

    fn key(&self) -> Key {
        let row = &self.scored.row;
        let sizes = [row.run.gpus, row.run.global_batch, row.shape.seq];
        let (group, gpu) = (row.group.clone(), row.gpu.to_lowercase());
        (group, model_name(self.scored), gpu, sizes, row.precision.clone())
    }

    /// What was decided: rows that decide alike are repetitions.
    fn decision(&self) -> Decision {
        let run = &self.scored.row.run;
        let degrees = [run.tp, run.pp, run.cp, run.ep, run.chunks];
        let recompute = self.scored.row.recompute.clone();
        (degrees, [run.micro_batch, run.zero, run.sequence_parallel], recompute)
    }

    fn is_data_parallel(&self) -> bool {
        let run = &self.scored.row.run;
        [run.tp, run.pp, run.cp].into_iter().all(|degree| degree.unwrap_or(1) <= 1)
    }
}

type Decision = ([Option<u64>; 5], [Option<u64>; 3], String);

/// The model with what makes it another one: tables give variants the same name.
fn model_name(scored: &Scored) -> String {
    let shape = &scored.row.shape;
    let dims = [shape.layers, shape.hidden, shape.heads, shape.kv_heads, shape.vocab];
    let dims: Vec<String> = dims.iter().map(|d| d.map_or("?".into(), |d| d.to_string())).collect();
    format!("{} {}", scored.row.model, dims.join("/"))
}

/// The sweep of some plans; none of a single one.
fn sweep(key: &Key, plans: &[Plan<'_>]) -> Option<Sweep> {
    let mut decisions: Vec<Decision> = plans.iter().map(Plan::decision).collect();
    decisions.sort();
    decisions.dedup();
    if decisions.len() < 2 {
        return None;
    }
    let least = |of: fn(&Plan<'_>) -> f64| plans.iter().min_by(move |a, b| of(a).total_cmp(&of(b)));
    let choice = least(|p| p.predicted)?;
    let best = least(|p| p.measured)?;
    let plain = plans.iter().filter(|p| p.is_data_parallel()).map(|p| p.measured);
    let plain = plain.min_by(f64::total_cmp);
    let predicted: Vec<f64> = plans.iter().map(|p| p.predicted).collect();
    let measured: Vec<f64> = plans.iter().map(|p| p.measured).collect();
    let (group, model, gpu, [gpus, batch, seq], precision) = key;
    let shown = |n: &Option<u64>| n.map_or("?".to_string(), |n| n.to_string());
    Some(Sweep {
        name: format!(
            "{group}: {model}, {} x {gpu}, batch {} of {}, {precision}",
            shown(gpus),
            shown(batch),
            shown(seq)
        ),
        group: group.clone(),
        plans: decisions.len(),
        regret: choice.measured / best.measured - 1.0,
        choice: choice.scored.row.id.clone(),
        best: best.scored.row.id.clone(),
        correlation: spearman(&predicted, &measured).filter(|_| decisions.len() >= CORRELATED),
        against_data_parallel: plain.map(|plain| choice.measured / plain - 1.0),
    })
}
