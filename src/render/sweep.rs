//! A sweep over GPU counts, one line each.

use super::number::grouped;
use super::report::{gib, seconds};
use super::table::{Align, Table, cut};
use super::wrap::wrap;
use crate::style::{Canvas, Role};
use plan::report::SweepRow;
use plan::units::{Dollars, count};

/// The screen: a headline, the table, the best row marked.
pub fn screen(headline: &str, rows: &[SweepRow], canvas: &Canvas) -> String {
    let table = table(rows, canvas);
    let body = table.text(canvas.width);
    let marked = body.lines().enumerate().map(|(i, line)| {
        let row = i.checked_sub(1).and_then(|i| rows.get(i));
        match row {
            Some(row) if row.is_best => canvas.paint(Role::Good, line) + "\n",
            Some(row) if row.seconds.is_none() => failed(row, canvas),
            _ => format!("{line}\n"),
        }
    });
    let text = marked.collect::<String>();
    canvas.text(&format!("{}\n\n{text}", wrap(headline, canvas.width, 2)))
}

/// A count where nothing fits says why, across the columns.
fn failed(row: &SweepRow, canvas: &Canvas) -> String {
    cut(&format!("  {:>6}  {}", grouped(row.gpus.into()), row.note), canvas.width) + "\n"
}

/// Screens that are narrower show the first columns only.
const WIDE: usize = 100;

fn table(rows: &[SweepRow], canvas: &Canvas) -> Table {
    let has_price = rows.iter().any(|r| r.dollars_per_billion_tokens.is_some());
    let cost = if has_price { "$/B tokens" } else { "GPU-h/B tokens" };
    let mut columns = vec![
        ("    GPUs", Align::Right),
        ("plan", Align::Left),
        ("step", Align::Right),
        ("tokens/s", Align::Right),
        ("tok/s/GPU", Align::Right),
        ("MFU", Align::Right),
        ("scaling", Align::Right),
    ];
    if canvas.width >= WIDE {
        columns.extend([("GiB", Align::Right), (cost, Align::Right)]);
    }
    columns.push(("", Align::Left));
    let mut table = Table::new(&columns);
    for row in rows {
        let mut cells = cells(row);
        if canvas.width >= WIDE {
            cells.extend(costs(row, has_price));
        }
        cells.push(if row.is_best { canvas.glyph("◀", "<-").into() } else { String::new() });
        table.row(cells);
    }
    table
}

fn cells(row: &SweepRow) -> Vec<String> {
    let each = row.tokens_per_second.map(|t| count(t / f64::from(row.gpus)));
    let percent =
        |x: Option<f64>, decimals: usize| x.map(|x| format!("{:.decimals$} %", x * 100.0));
    let values = [
        row.seconds.map(seconds),
        row.tokens_per_second.map(count),
        each,
        percent(row.mfu, 1),
        percent(row.scaling, 0),
    ];
    let mut cells = vec![grouped(row.gpus.into()), row.label.clone()];
    cells.extend(values.into_iter().map(Option::unwrap_or_default));
    cells
}

fn costs(row: &SweepRow, has_price: bool) -> [String; 2] {
    let money = row.dollars_per_billion_tokens.map(|d| Dollars::new(d).to_string());
    let hours = row.gpu_hours_per_billion_tokens.map(|h| plan::units::significant(h, 3));
    let cost = if has_price { money } else { hours };
    [row.memory_bytes.map(gib), cost].map(Option::unwrap_or_default)
}

/// For documents and spreadsheets: plain numbers in SI units.
pub fn facts(rows: &[SweepRow]) -> Table {
    let mut table = Table::new(&fact_columns());
    rows.iter().for_each(|row| table.row(fact_cells(row)));
    table
}

/// Columns of [`facts`].
pub(super) fn fact_columns() -> [(&'static str, Align); 11] {
    [
        ("gpus", Align::Right),
        ("plan", Align::Left),
        ("step_s", Align::Right),
        ("tokens_per_s", Align::Right),
        ("mfu", Align::Right),
        ("scaling", Align::Right),
        ("memory_bytes", Align::Right),
        ("gpu_hours_per_billion_tokens", Align::Right),
        ("dollars_per_billion_tokens", Align::Right),
        ("is_best", Align::Left),
        ("note", Align::Left),
    ]
}

/// Cells of [`facts`].
pub(super) fn fact_cells(row: &SweepRow) -> [String; 11] {
    let number = |x: Option<f64>| x.map(|x| x.to_string()).unwrap_or_default();
    [
        row.gpus.to_string(),
        row.label.clone(),
        number(row.seconds),
        number(row.tokens_per_second),
        number(row.mfu),
        number(row.scaling),
        number(row.memory_bytes),
        number(row.gpu_hours_per_billion_tokens),
        number(row.dollars_per_billion_tokens),
        row.is_best.to_string(),
        row.note.clone(),
    ]
}
