//! A record beside its prediction.

use super::execute::UNDISTURBED;
use super::json as documents;
use super::number::signed_percent;
use super::table::{Align, Table};
use crate::analysis::{Ledger, Row};
use crate::style::Canvas;
use plan::document::Plan;
use plan::record::RunRecord;
use plan::units::{Bytes, Seconds, percent};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Rows that are shown at most; the rest is one row.
const MOST_ROWS: usize = 12;
/// A difference of this part of the step is worth a sentence.
const NOTABLE: f64 = 0.05;

/// Everything that is shown.
pub struct Analysis<'a> {
    /// Where the record is.
    pub path: &'a str,
    /// The plan.
    pub plan: &'a Plan,
    /// The record.
    pub record: &'a RunRecord,
    /// The three terms.
    pub ledger: Ledger,
    /// Actions, largest difference first.
    pub rows: Vec<Row>,
}

/// For people.
#[must_use]
pub fn screen(analysis: &Analysis<'_>, canvas: &Canvas) -> String {
    let mut text = table(analysis).text(canvas.width);
    text += "\n";
    text += &terms(&analysis.ledger);
    text += &facts(analysis.record);
    text += &advice(analysis);
    text
}

fn time(seconds: f64) -> String {
    Seconds::new(seconds).to_string()
}

fn table(analysis: &Analysis<'_>) -> Table {
    let steps = analysis.record.steps.len().saturating_sub(1).max(1);
    let measured = format!("measured, {steps} steps");
    let mut table = Table::new(&[
        ("", Align::Left),
        ("predicted", Align::Right),
        (&measured, Align::Right),
        ("ratio", Align::Right),
        ("", Align::Left),
    ]);
    let ledger = &analysis.ledger;
    let step = &analysis.plan.prediction.step;
    let inside = step.low <= ledger.measured && ledger.measured <= step.high;
    table.row([
        "step".into(),
        time(ledger.predicted),
        time(ledger.measured),
        format!("{:.2}", ledger.measured / ledger.predicted),
        if inside { "inside" } else { "outside" }.into(),
    ]);
    if let Some(work) = ledger.undisturbed {
        let ratio = format!("{:.2}", work / ledger.predicted);
        let what = "without other programs".to_string();
        table.row([what, time(ledger.predicted), time(work), ratio, String::new()]);
    }
    let (shown, rest) = analysis.rows.split_at(analysis.rows.len().min(MOST_ROWS));
    shown.iter().for_each(|row| table.row(cells(row)));
    if !rest.is_empty() {
        let sum = |of: fn(&Row) -> f64| rest.iter().map(of).sum::<f64>();
        table.row(cells(&Row {
            what: format!("{} more", rest.len()),
            actions: rest.iter().map(|r| r.actions).sum(),
            predicted: sum(|r| r.predicted),
            measured: sum(|r| r.measured),
        }));
    }
    table
}

fn cells(row: &Row) -> [String; 5] {
    let ratio = match row.predicted > 0.0 {
        true => format!("{:.2}", row.ratio()),
        false => "–".into(),
    };
    let times = if row.actions > 1 { format!(" × {}", row.actions) } else { String::new() };
    let what = format!("  {}{times}", row.what);
    [what, time(row.predicted), time(row.measured), ratio, String::new()]
}

/// The terms between prediction and measurement, each with what it compares.
fn terms(ledger: &Ledger) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String, what: String| {
        let _infallible = writeln!(text, "{name:<10} {value:>8}   {what}");
    };
    let simulated = time(ledger.simulated);
    let form =
        format!("the plan says {}, its prices in simulation {simulated}", time(ledger.predicted));
    line("form", signed_percent(ledger.form()), form);
    if let (Some(work), Some(own), Some(error)) =
        (ledger.undisturbed, ledger.replayed, ledger.replay_error)
    {
        let (cost, others) = (ledger.simulated / work - 1.0, own / work - 1.0);
        let what = format!("prices {simulated}, what processors worked {}", time(work));
        line("cost", signed_percent(cost), what);
        let what = format!("work alone {}, with other programs {}", time(work), time(own));
        line("others", signed_percent(others), what);
        let what = "its own times, simulated, against the clock: median of windows".to_string();
        line("structure", percent(error), what);
    }
    text
}

/// Memory, bytes on the wire, and who else was on the machine.
fn facts(record: &RunRecord) -> String {
    let mut text = String::new();
    let memory = &record.memory;
    if let (Some(before), Some(peak)) = (memory.before_bytes, memory.peak_bytes) {
        let _infallible = writeln!(
            text,
            "memory     arenas {}, the process grew by {} at most",
            Bytes::new(memory.arena_bytes),
            Bytes::new((peak - before).max(0.0)),
        );
    }
    for row in &record.traffic {
        let expected = row.expected_bytes.map_or("no closed form".to_string(), |expected| {
            let off = signed_percent(row.sent_bytes / expected - 1.0);
            format!("closed form {} ({off})", Bytes::new(expected))
        });
        let sent = Bytes::new(row.sent_bytes);
        let _infallible =
            writeln!(text, "bytes      {}: {sent} per step sent, {expected}", row.purpose);
    }
    text
}

fn advice(analysis: &Analysis<'_>) -> String {
    let mut text = String::new();
    if let Some(share) = analysis.ledger.share.filter(|share| *share < UNDISTURBED) {
        let _infallible = writeln!(
            text,
            "\nRanks had their processors for {} of the time they wanted them: other programs ran.",
            percent(share)
        );
    }
    let worst = analysis
        .rows
        .first()
        .filter(|row| (row.measured - row.predicted).abs() > NOTABLE * analysis.ledger.measured);
    if let Some(row) = worst {
        let _infallible = writeln!(
            text,
            "\n{} takes {:.2} times what is predicted, {} of the step.",
            row.what,
            row.ratio(),
            percent(row.measured / analysis.ledger.measured),
        );
        let _infallible = writeln!(
            text,
            "hint: accept what was measured with `meshwright calibrate --from {}`",
            analysis.path
        );
    }
    text
}

/// For programs.
#[must_use]
pub fn json(analysis: &Analysis<'_>) -> String {
    let ledger = &analysis.ledger;
    let row = |row: &Row| -> Value {
        json!({
            "what": row.what, "actions": row.actions,
            "predicted_seconds": row.predicted, "measured_seconds": row.measured,
        })
    };
    documents::document(&json!({
        "schema": "meshwright.analysis/1",
        "plan": analysis.plan.id,
        "predicted_seconds": ledger.predicted,
        "simulated_seconds": ledger.simulated,
        "undisturbed_seconds": ledger.undisturbed,
        "replayed_seconds": ledger.replayed,
        "measured_seconds": ledger.measured,
        "structure": ledger.replay_error,
        "cost": ledger.cost(),
        "others": ledger.others(),
        "form": ledger.form(),
        "processor_share": ledger.share,
        "rows": analysis.rows.iter().map(row).collect::<Vec<_>>(),
    }))
}
