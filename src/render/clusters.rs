//! A sweep over clusters and GPU counts, one line each.

use super::number::grouped;
use super::report::{gib, seconds};
use super::sweep::{fact_cells, fact_columns};
use super::table::{Align, Table, cut};
use super::wrap::wrap;
use crate::style::{Canvas, Role};
use plan::report::ClusterRow;
use plan::units::{Dollars, count, percent, significant};
use planner::report::Cost;

/// Screens that are narrower show the first columns only.
const WIDE: usize = 100;

/// The screen: a headline, the table, the front and the best row marked.
pub fn screen(headline: &str, rows: &[ClusterRow], objective: &str, canvas: &Canvas) -> String {
    let table = table(rows, canvas);
    let body = table.text(canvas.width);
    let marked = body.lines().enumerate().map(|(i, line)| {
        let row = i.checked_sub(1).and_then(|i| rows.get(i));
        match row {
            Some(row) if row.row.is_best => canvas.paint(Role::Good, line) + "\n",
            Some(row) if row.row.seconds.is_none() => failed(row, rows, canvas),
            _ => format!("{line}\n"),
        }
    });
    let mut text = marked.collect::<String>();
    if rows.iter().any(|r| r.row.seconds.is_some()) {
        text += &format!("\n{}", below(rows, objective, canvas));
    }
    canvas.text(&format!("{}\n\n{text}", wrap(headline, canvas.width, 2)))
}

/// Where nothing fits the line says why, across the columns.
fn failed(row: &ClusterRow, rows: &[ClusterRow], canvas: &Canvas) -> String {
    let most = |length: &dyn Fn(&ClusterRow) -> usize, name: usize| {
        rows.iter().map(length).max().unwrap_or(0).max(name)
    };
    let names = most(&|r| r.cluster.chars().count(), "cluster".len());
    let gpus = most(&|r| grouped(r.row.gpus.into()).len(), "GPUs".len());
    let (count, note) = (grouped(row.row.gpus.into()), &row.row.note);
    cut(&format!("  {:<names$}  {count:>gpus$}  {note}", row.cluster), canvas.width) + "\n"
}

fn table(rows: &[ClusterRow], canvas: &Canvas) -> Table {
    let cost = Cost::of(rows);
    let mut columns = vec![
        ("  cluster", Align::Left),
        ("GPUs", Align::Right),
        ("step", Align::Right),
        ("tokens/s", Align::Right),
        (unit(cost), Align::Right),
    ];
    if canvas.width >= WIDE {
        columns.extend([("MFU", Align::Right), ("GiB", Align::Right)]);
    }
    columns.extend([("", Align::Left), ("plan", Align::Left)]);
    let mut table = Table::new(&columns);
    for row in rows {
        let sweep = &row.row;
        let mut cells = vec![
            format!("  {}", row.cluster),
            grouped(sweep.gpus.into()),
            sweep.seconds.map(seconds).unwrap_or_default(),
            sweep.tokens_per_second.map(count).unwrap_or_default(),
            cost.value(sweep).map(|value| amount(cost, value)).unwrap_or_default(),
        ];
        if canvas.width >= WIDE {
            cells.push(sweep.mfu.map(percent).unwrap_or_default());
            cells.push(sweep.memory_bytes.map(gib).unwrap_or_default());
        }
        cells.extend([marks(row, canvas), sweep.label.clone()]);
        table.row(cells);
    }
    table
}

/// The unit of a cost, per billion tokens.
pub fn unit(cost: Cost) -> &'static str {
    match cost {
        Cost::Dollars => "$/B tokens",
        Cost::GpuHours => "GPU-h/B tokens",
    }
}

/// A cost in words.
pub fn amount(cost: Cost, value: f64) -> String {
    match cost {
        Cost::Dollars => Dollars::new(value).to_string(),
        Cost::GpuHours => significant(value, 3),
    }
}

fn marks(row: &ClusterRow, canvas: &Canvas) -> String {
    let front = if row.is_pareto { canvas.glyph("◆", "*") } else { " " };
    let best = if row.row.is_best { canvas.glyph("◀", "<-") } else { "" };
    format!("{front} {best}").trim_end().to_string()
}

/// What the marks mean, and which clusters could not be compared.
fn below(rows: &[ClusterRow], objective: &str, canvas: &Canvas) -> String {
    let cost = Cost::of(rows);
    let (front, best) = (canvas.glyph("◆", "*"), canvas.glyph("◀", "<-"));
    let cheaper = match cost {
        Cost::Dollars => "what is faster costs more per token",
        Cost::GpuHours => "what is faster takes more GPU-hours per token",
    };
    let mut text = format!("{front} Pareto: {cheaper}; {best} best by {objective}.");
    let unpriced = unpriced(rows);
    match cost {
        Cost::GpuHours => text += " No device here has a price, so GPU-hours stand for dollars.",
        Cost::Dollars if unpriced.is_empty() => {}
        Cost::Dollars => text += &format!(" Without a price, and so unmarked: {unpriced}."),
    }
    canvas.paint(Role::Dim, &wrap(&text, canvas.width, 0)) + "\n"
}

/// Clusters that have plans and no price.
pub fn unpriced(rows: &[ClusterRow]) -> String {
    let mut names: Vec<&str> = rows
        .iter()
        .filter(|r| r.row.seconds.is_some() && r.row.dollars_per_billion_tokens.is_none())
        .map(|r| r.cluster.as_str())
        .collect();
    names.dedup();
    names.join(", ")
}

/// For documents and spreadsheets: plain numbers in SI units.
pub fn facts(rows: &[ClusterRow]) -> Table {
    let mut columns = vec![("cluster", Align::Left)];
    columns.extend(fact_columns());
    columns.extend([("hours_per_billion_tokens", Align::Right), ("is_pareto", Align::Left)]);
    let mut table = Table::new(&columns);
    for row in rows {
        let hours = row.hours_per_billion_tokens.map(|h| h.to_string()).unwrap_or_default();
        let first = std::iter::once(row.cluster.clone());
        table.row(first.chain(fact_cells(&row.row)).chain([hours, row.is_pareto.to_string()]));
    }
    table
}
