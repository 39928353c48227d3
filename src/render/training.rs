//! A run to a loss, one line per batch.

use super::number::grouped;
use super::report::seconds;
use super::table::{Align, Table};
use super::wrap::wrap;
use crate::style::{Canvas, Role};
use plan::report::{TrainingReport, TrainingRow};
use plan::units::{Dollars, KilowattHours, Seconds, count};

/// The screen: headline, table, assumptions.
pub fn screen(report: &TrainingReport, canvas: &Canvas) -> String {
    let body = table(report, canvas).text(canvas.width);
    let lines = body.lines().enumerate().map(|(i, line)| {
        let row = i.checked_sub(1).and_then(|i| report.rows.get(i));
        match row.is_some_and(|row| row.is_best) {
            true => canvas.paint(Role::Good, line) + "\n",
            false => format!("{line}\n"),
        }
    });
    let body = lines.collect::<String>();
    let said = report.assumptions.iter().map(|a| format!("    {}\n", wrap(a, canvas.width, 6)));
    let assumed = format!("  Assumed, not known\n{}", said.collect::<String>());
    let headline = wrap(&headline(report), canvas.width, 2);
    canvas.text(&format!("{headline}\n\n{body}\n{assumed}"))
}

fn headline(report: &TrainingReport) -> String {
    format!(
        "{} to a loss on {} × {}: best batch by {}",
        report.model.name,
        grouped(report.machine.gpus.into()),
        report.machine.device,
        report.objective,
    )
}

fn table(report: &TrainingReport, canvas: &Canvas) -> Table {
    let mut table = Table::new(&[
        ("  tokens/step", Align::Right),
        ("steps", Align::Right),
        ("step", Align::Right),
        ("tokens", Align::Right),
        ("time", Align::Right),
        ("GPU-h", Align::Right),
        ("rent", Align::Right),
        ("energy", Align::Right),
        ("", Align::Left),
    ]);
    for row in &report.rows {
        let mark = if row.is_best { canvas.glyph("◀", "<-") } else { "" };
        table.row([
            count(row.tokens_per_step),
            count(row.steps),
            seconds(row.step_seconds),
            count(row.tokens),
            days(row.seconds),
            count(row.gpu_hours),
            rent(row),
            energy(row),
            mark.to_string(),
        ]);
    }
    table
}

fn rent(row: &TrainingRow) -> String {
    row.dollars.map(|d| format!("${}", count(d))).unwrap_or_default()
}

fn energy(row: &TrainingRow) -> String {
    row.kilowatt_hours.map(|e| KilowattHours::new(e).to_string()).unwrap_or_default()
}

/// Runs take days.
fn days(seconds: f64) -> String {
    const DAY: f64 = 86_400.0;
    match seconds >= 3.0 * DAY {
        true => format!("{} d", plan::units::significant(seconds / DAY, 3)),
        false => Seconds::new(seconds).to_string(),
    }
}

/// The one line that says it.
pub fn one_line(report: &TrainingReport) -> String {
    let Some(row) = report.rows.iter().find(|r| r.is_best) else { return headline(report) };
    let rent = row.dollars.map(|d| format!("   {}", Dollars::new(d))).unwrap_or_default();
    format!(
        "{}   {} tokens/step   {} steps   {}{rent}",
        row.label,
        count(row.tokens_per_step),
        count(row.steps),
        days(row.seconds),
    )
}

/// For documents and spreadsheets: plain numbers in SI units.
pub fn facts(report: &TrainingReport) -> Table {
    let mut table = Table::new(&[
        ("global_sequences", Align::Right),
        ("tokens_per_step", Align::Right),
        ("plan", Align::Left),
        ("step_s", Align::Right),
        ("steps", Align::Right),
        ("tokens", Align::Right),
        ("goodput", Align::Right),
        ("seconds", Align::Right),
        ("gpu_hours", Align::Right),
        ("dollars", Align::Right),
        ("kilowatt_hours", Align::Right),
        ("is_best", Align::Left),
    ]);
    let number = |x: Option<f64>| x.map(|x| x.to_string()).unwrap_or_default();
    for row in &report.rows {
        table.row([
            row.global_sequences.to_string(),
            row.tokens_per_step.to_string(),
            row.label.clone(),
            row.step_seconds.to_string(),
            row.steps.to_string(),
            row.tokens.to_string(),
            row.goodput.to_string(),
            row.seconds.to_string(),
            row.gpu_hours.to_string(),
            number(row.dollars),
            number(row.kilowatt_hours),
            row.is_best.to_string(),
        ]);
    }
    table
}
