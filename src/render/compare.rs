//! Plans side by side, and sentences that respect their intervals.

use super::plan_line;
use super::report::{bytes, seconds};
use super::table::{Align, Table};
use plan::document::Plan;
use plan::units::{count, percent};

/// The table: one column per plan.
pub fn table(plans: &[(String, Plan)]) -> Table {
    let mut columns = vec![("", Align::Left)];
    columns.extend(plans.iter().map(|(name, _)| (name.as_str(), Align::Right)));
    let mut table = Table::new(&columns);
    for (name, value) in ROWS {
        let cells = plans.iter().map(|(_, plan)| value(plan));
        table.row(std::iter::once(format!("  {name}")).chain(cells));
    }
    table
}

type Row = (&'static str, fn(&Plan) -> String);

const ROWS: [Row; 14] = [
    ("id", |p| p.id.clone()),
    ("model", |p| p.inputs.model.name.clone()),
    ("cluster", |p| p.inputs.cluster.name.clone()),
    ("GPUs", |p| p.decision.world_size.to_string()),
    ("DP · TP · PP", degrees),
    ("sharding", |p| plan_line::zero(&p.decision.stages)),
    ("micro-batches", micro_batches),
    ("schedule", schedule),
    ("recompute", recompute),
    ("embedding", |p| p.decision.embedding.map_or("–".into(), |e| e.exchange.to_string())),
    ("step time", |p| seconds(p.prediction.step.value)),
    ("tokens/s", |p| count(p.prediction.tokens_per_second.value)),
    ("MFU", |p| percent(p.prediction.mfu.value)),
    ("memory", |p| bytes(p.prediction.memory.value)),
];

fn degrees(plan: &Plan) -> String {
    let d = plan.decision.degrees;
    format!("{}·{}·{}", d.dp, d.tp, d.pp)
}

fn micro_batches(plan: &Plan) -> String {
    let batch = plan.decision.batch;
    format!("{} × {}", batch.micro_batches, batch.micro_sequences)
}

/// The schedule, and how long replicas train apart.
fn schedule(plan: &Plan) -> String {
    let schedule = plan_line::schedule(&plan.decision);
    match plan.decision.local_steps {
        Some(local) => format!("{schedule}, {} steps apart", local.every),
        None => schedule,
    }
}

/// What is computed again, and whether activations leave the device.
fn recompute(plan: &Plan) -> String {
    let recompute = plan_line::recompute(&plan.decision.stages);
    if plan.decision.offload { format!("{recompute}, offload") } else { recompute }
}

/// How the first plan stands to each other one; `odds`: the probability that it is faster.
pub fn sentences(plans: &[(String, Plan)], odds: &[Option<f64>]) -> Vec<String> {
    let Some(((first, base), others)) = plans.split_first() else { return Vec::new() };
    let all = others.iter().zip(odds);
    all.map(|((name, plan), odds)| sentence((first, base), (name, plan), *odds)).collect()
}

/// `a.json is 1.09 times as fast as b.json in tokens/s`; intervals that overlap are a tie.
fn sentence((a, first): (&str, &Plan), (b, second): (&str, &Plan), odds: Option<f64>) -> String {
    if first.decision == second.decision && first.inputs == second.inputs {
        return format!("{a} and {b} are the same plan");
    }
    let (x, y) = (&first.prediction.tokens_per_second, &second.prediction.tokens_per_second);
    let ratio = x.value / y.value;
    if let Some(faster) = odds {
        // What both have in common has dropped out: the intervals of each say less.
        let faster = super::report::odds(faster);
        return format!(
            "{a} is {ratio:.2} times as fast as {b} in tokens/s: faster with a probability of \
             {faster}"
        );
    }
    let verdict = match x.low <= y.high && y.low <= x.high {
        true => "no verdict: their intervals overlap",
        false => "the intervals do not overlap",
    };
    format!("{a} is {ratio:.2} times as fast as {b} in tokens/s: {verdict}")
}

/// Whether all plans decide alike.
pub fn agree(plans: &[(String, Plan)]) -> bool {
    plans.windows(2).all(|pair| pair[0].1.decision == pair[1].1.decision)
}
