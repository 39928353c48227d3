//! The answer: what was asked, what was decided, how long, how fast, how efficient.

use super::time::{seconds, span};
use crate::render::memory_of;
use crate::render::number::grouped;
use crate::render::plan_line;
use crate::render::wrap::{wrap, wrap_items};
use crate::style::{Canvas, Role};
use plan::document::BatchDecision;
use plan::report::{MachineLine, ModelLine, Report};
use plan::units::{FlopsPerSecond, count, percent};
use unicode_width::UnicodeWidthStr;

/// Where the values of the first block begin.
const COLUMN: usize = 15;

/// `mlstm4096, 86.3 M parameters, on 192 × V100-SXM2-16GB (24 nodes × 8, dgx1v)`.
pub fn subject_line(model: &ModelLine, machine: &MachineLine, from: &str) -> String {
    let nodes = match machine.nodes {
        1 => "1 node".to_string(),
        n => format!("{} nodes × {}", grouped(n.into()), machine.per_node),
    };
    let from = if from.is_empty() { String::new() } else { format!("; {from}") };
    format!(
        "{}, {} parameters, on {} × {} ({nodes}, {}{from})",
        model.name,
        count(model.parameters as f64),
        grouped(machine.gpus.into()),
        machine.device,
        machine.cluster,
    )
}

pub(super) fn subject(report: &Report, from: &str, canvas: &Canvas) -> String {
    wrap(&subject_line(&report.model, &report.machine, from), canvas.width, 2) + "\n"
}

pub(super) fn decision(report: &Report, canvas: &Canvas) -> String {
    let plan = &report.plan;
    let items = plan_line::parts(&plan.decision);
    let line = wrap_items(&items, canvas.width, 10);
    let id = format!("plan {}", plan.id);
    let last = line.lines().last().unwrap_or_default();
    // The first line stands behind its label; others carry their own indent.
    let used = if line.contains('\n') { last.width() } else { last.width() + 10 };
    let painted = canvas.paint(Role::Dim, &id);
    let id = match canvas.width.checked_sub(used + id.width()) {
        Some(gap) if gap >= 2 => format!("{}{painted}", " ".repeat(gap)),
        _ => format!("\n{}{painted}", " ".repeat(canvas.width.saturating_sub(id.width()))),
    };
    let batch = wrap(&batch_line(&plan.decision.batch, plan.decision.world_size), canvas.width, 10);
    format!("  Plan    {line}{id}\n  Batch   {batch}\n")
}

fn batch_line(batch: &BatchDecision, ranks: u32) -> String {
    let tokens = batch.global_sequences as f64 * batch.tokens_per_sequence as f64;
    let each = batch.global_sequences as f64 / f64::from(ranks);
    let each = if each.fract() == 0.0 { grouped(each as u64) } else { format!("{each:.2}") };
    format!(
        "{} sequences × {} = {} tokens per step ({each} per GPU)",
        grouped(batch.global_sequences),
        grouped(batch.tokens_per_sequence),
        count(tokens),
    )
}

pub(super) fn numbers(report: &Report, canvas: &Canvas) -> String {
    let step = &report.step;
    let mut rows = vec![
        ("Step time", format!("{:<10} {}", seconds(step.value), range(step.low, step.high))),
        ("Throughput", throughput(report)),
        ("MFU", utilisation(report)),
    ];
    rows.extend(report.dollars_per_step.as_ref().map(|d| ("Price", price(report, d.value))));
    let interval = wrap(&report.interval, canvas.width, COLUMN);
    let interval = interval.lines().map(str::trim_start);
    let interval = interval.map(|l| format!("{:COLUMN$}{}\n", "", canvas.paint(Role::Dim, l)));
    let mut text = String::new();
    for (i, (label, value)) in rows.into_iter().enumerate() {
        text += &format!("  {label:<13}{value}\n");
        if i == 0 {
            text.extend(interval.clone());
        }
    }
    text
}

/// Both ends of an interval, the unit once where it is the same.
pub fn range(low: f64, high: f64) -> String {
    let (low, high) = (seconds(low), seconds(high));
    match (low.split_once(' '), high.split_once(' ')) {
        (Some((number, a)), Some((_, b))) if a == b => format!("{number} – {high}"),
        _ => format!("{low} – {high}"),
    }
}

fn throughput(report: &Report) -> String {
    let epoch = report.epoch.as_ref();
    let epoch = epoch.map(|e| format!(" · epoch in {}", span(e.value))).unwrap_or_default();
    format!(
        "{} tokens/s · {} tokens/s/GPU{epoch}",
        count(report.tokens_per_second.value),
        count(report.tokens_per_second_per_gpu.value),
    )
}

fn utilisation(report: &Report) -> String {
    let decision = &report.plan.decision;
    let recompute = match plan_line::recompute(&decision.stages).as_str() {
        "none" => "no recompute".to_string(),
        level => format!("recompute {level}"),
    };
    format!(
        "{} of {} {} dense · HFU {} ({recompute})",
        percent(report.mfu.value),
        FlopsPerSecond::new(report.peak.value),
        decision.precision.compute,
        percent(report.hfu.value),
    )
}

fn price(report: &Report, dollars: f64) -> String {
    let batch = &report.plan.decision.batch;
    let tokens = batch.global_sequences as f64 * batch.tokens_per_sequence as f64;
    format!(
        "{} per step · {} per billion tokens",
        plan::units::Dollars::new(dollars),
        plan::units::Dollars::new(dollars / tokens * 1e9),
    )
}

/// What `-q` prints.
pub fn one_line(report: &Report) -> String {
    let fullest = memory_of(report);
    format!(
        "{}   {}/step   {} tokens/s   MFU {}   {}/{} GiB\n",
        plan_line::short(&report.plan.decision),
        seconds(report.step.value),
        count(report.tokens_per_second.value),
        percent(report.mfu.value),
        super::gib(fullest),
        super::gib(report.memory.capacity_bytes),
    )
}
