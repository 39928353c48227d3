//! A run as text.

use super::json;
use super::number::signed_percent;
use super::plan_line;
use super::table::{Align, Table};
use crate::analysis::Row;
use crate::record::charged;
use executor::optimizer::Schedule;
use executor::train::{Job, Outcome, StepReport};
use plan::document::Plan;
use plan::record::RunRecord;
use plan::schedule::ScheduleKind;
use plan::units::{Bytes, Seconds, count, percent, significant};
use serde_json::json;

/// A share of the processors below this is said to be the fault of other programs.
pub const UNDISTURBED: f64 = 0.9;

/// What starts.
pub fn headline(plan: &Plan, job: &Job, first: u64) -> String {
    let batch = &plan.decision.batch;
    let from = if first > 0 { format!(", from step {first}") } else { String::new() };
    format!(
        "{}, {} parameters, on {} ranks of this machine: {}\n{} sequences × {} tokens per step, \
         program of {} actions{from}\n{}",
        plan.inputs.model.name,
        count(job.model.parameters() as f64),
        plan.decision.world_size,
        plan_line::short(&plan.decision),
        batch.global_sequences,
        batch.tokens_per_sequence,
        job.program.listed_actions(),
        changes(job, first),
    )
}

/// What changes from step to step besides the weights, and what a run that goes on lacks.
fn changes(job: &Job, first: u64) -> String {
    let mut text = String::new();
    if first > 0 && job.decision.schedule == ScheduleKind::Ouroboros {
        text += "gradients that were under way are in no checkpoint: early modules wait for new \
                 ones\n";
    }
    if let Some(ramp) = job.recipe.ramp {
        text += &format!("the batch grows from {ramp}\n");
    }
    match job.recipe.schedule {
        Schedule::Constant { .. } => text,
        schedule => format!("{text}learning rate {schedule}\n"),
    }
}

/// A step in a line.
pub fn step(report: &StepReport, job: &Job, until: u64, predicted: Seconds) -> String {
    let batch = &job.decision.batch;
    let tokens = report.sequences as f64 * batch.tokens_per_sequence as f64;
    let norm = report.norm.map_or("overflow".to_string(), |norm| significant(norm, 3));
    let time = Seconds::new(report.time.as_secs_f64());
    let step = format!("{}/{until}", report.step + 1);
    format!(
        "step {step:>7}   loss {:.4}   norm {norm:<8}   {:<8} {:<14}   {} tokens/s",
        report.loss,
        time.to_string(),
        // A plan predicts steps of the whole batch.
        match report.sequences == batch.global_sequences {
            true => format!("({:.2} × plan)", time / predicted),
            false => format!("({} sequences)", report.sequences),
        },
        count(tokens / report.time.as_secs_f64()),
    )
}

/// What came of it: loss, time beside the prediction, bytes sent.
pub fn summary(
    outcome: &Outcome,
    predicted: Seconds,
    share: Option<f64>,
    saved: Option<&str>,
) -> String {
    let (Some(first), Some(last)) = (outcome.steps.first(), outcome.steps.last()) else {
        return "nothing was left to train\n".into();
    };
    let measured = median(outcome);
    let mut text = format!(
        "loss {:.4} to {:.4} in {} steps; median step {measured}, predicted {predicted} ({})\n",
        first.loss,
        last.loss,
        outcome.steps.len(),
        signed_percent(predicted / measured - 1.0),
    );
    if let Some(share) = share.filter(|share| *share < UNDISTURBED) {
        text += &format!(
            "ranks had their processors for {} of the time they wanted them: other programs ran\n",
            percent(share)
        );
    }
    for (what, bytes, time) in charged(outcome) {
        text += &format!("network: {time} per step on rank 0 for {bytes} of {what}\n");
    }
    if let Some(path) = saved {
        text += &format!("saved to {path}; `meshwright execute PLAN --resume {path}` goes on\n");
    }
    text
}

/// What one rank did by itself.
pub fn slice(plan: &Plan, record: &RunRecord, rows: &[Row], network: f64) -> String {
    let cluster = &plan.inputs.cluster.name;
    let there = format!("on {cluster}, predicted");
    let mut table =
        Table::new(&[("", Align::Left), (&there, Align::Right), ("here, measured", Align::Right)]);
    for row in rows {
        let times = if row.actions > 1 { format!(" × {}", row.actions) } else { String::new() };
        table.row([
            format!("  {}{times}", row.what),
            Seconds::new(row.predicted).to_string(),
            Seconds::new(row.measured).to_string(),
        ]);
    }
    let grew = record.memory.peak_bytes.zip(record.memory.before_bytes).map(|(a, b)| a - b);
    let step = Seconds::new(record.median_seconds().unwrap_or(f64::NAN));
    format!(
        "{}\nstep {step} here by the clock; {} of it the priced network. The process grew by {}; \
         in 32 bit, which is what processors compute in\n",
        table.text(100),
        percent(network),
        grew.map_or("an unknown amount".to_string(), |b| Bytes::new(b.max(0.0)).to_string()),
    )
}

/// For programs.
pub fn json(plan: &Plan, outcome: &Outcome, predicted: Seconds) -> String {
    let step = |s: &StepReport| {
        json!({
            "step": s.step, "sequences": s.sequences, "loss": s.loss, "norm": s.norm,
            "rate": s.rate, "seconds": s.time.as_secs_f64(),
        })
    };
    json::document(&json!({
        "schema": "meshwright.execute/1",
        "plan": plan.id,
        "steps": outcome.steps.iter().map(step).collect::<Vec<_>>(),
        "median_seconds": median(outcome).get(),
        "predicted_seconds": predicted.get(),
    }))
}

/// Of the largest batch, which plans predict. The first step also touches memory for the first
/// time: where there are others, it is left out.
fn median(outcome: &Outcome) -> Seconds {
    let skip = usize::from(outcome.steps.len() > 1);
    let most = outcome.steps.iter().map(|s| s.sequences).max();
    let counted = outcome.steps.iter().skip(skip).filter(|s| Some(s.sequences) == most);
    let mut times: Vec<f64> = counted.map(|s| s.time.as_secs_f64()).collect();
    times.sort_by(f64::total_cmp);
    Seconds::new(times.get(times.len() / 2).copied().unwrap_or(f64::NAN))
}
