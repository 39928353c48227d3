//! The screen of `accuracy`.

use super::{signed, tenths};
use crate::accuracy::{Axis, Errors, Fits, Group, Ranking, Summary, mean};
use crate::published::Provenance;
use crate::render::number::{counted, grouped};
use crate::render::table::{Align, Table};
use crate::style::{Canvas, Role};
use std::fmt::Write as _;

/// From this width on there is room for the split.
const WIDE: usize = 90;
/// Reasons and assumptions that are listed.
const LISTED: usize = 12;

/// The whole screen.
#[must_use]
pub fn screen(
    summary: &Summary,
    canvas: &Canvas,
    origin: Option<&Provenance>,
    is_verbose: bool,
) -> String {
    let width = canvas.width;
    let mut parts = Vec::new();
    if let Some(origin) = origin {
        parts.push(provenance(origin));
    }
    let heading = canvas.paint(
        Role::Accent,
        "Predicted against published step times; errors in percent of the measured time",
    );
    parts.push(format!("{heading}\n{}", groups(summary, width >= WIDE).text(width)));
    parts.extend(summary.ranking.as_ref().map(ranking));
    if !summary.memory.is_empty() {
        parts.push(memory(summary).text(width));
    }
    parts.extend(summary.fits.as_ref().map(fits));
    if !summary.regimes.is_empty() {
        parts.push(regimes(summary).text(width));
    }
    if !summary.flags.is_empty() {
        parts.push(doubts(summary).text(width));
    }
    if !summary.worst.is_empty() {
        parts.push(worst(summary).text(width));
    }
    let count = if is_verbose { usize::MAX } else { LISTED };
    if !summary.skipped.is_empty() {
        parts.push(counts(&summary.skipped, "NOT SCORED, why", count).text(width));
    }
    if !summary.assumed.is_empty() {
        parts.push(counts(&summary.assumed, "ASSUMED where a row says nothing", count).text(width));
    }
    parts.join("\n")
}

fn provenance(origin: &Provenance) -> String {
    let mut text = format!("{}\n  source    {}\n", origin.label, origin.source);
    let _infallible = writeln!(text, "  measured  {}", origin.measured);
    if let Some(memory) = &origin.memory {
        let _infallible = writeln!(text, "  memory    {memory}");
    }
    for assumption in &origin.assumed {
        let _infallible = writeln!(text, "  assumed   {assumption}");
    }
    text
}

/// One line per group, and their unweighted mean.
#[must_use]
pub fn groups(summary: &Summary, is_wide: bool) -> Table {
    let heading = summary.by.name().to_uppercase();
    let right = Align::Right;
    let mut columns = vec![(heading.as_str(), Align::Left)];
    let with_split = is_wide && summary.by != Axis::Split;
    if with_split {
        columns.push(("split", Align::Left));
    }
    let more = ["scored", "mean", "median", "bias", "in 80 %", "naive", "memory"];
    columns.extend(more.map(|name| (name, right)));
    let mut table = Table::new(&columns);
    let lines = summary.groups.iter().map(|g| (g.splits.clone(), cells(g)));
    let last = (String::new(), unweighted(&summary.groups));
    for (split, mut cells) in lines.chain([last]) {
        if with_split {
            cells.insert(1, split);
        }
        table.row(cells);
    }
    table
}

fn of(errors: Option<Errors>, what: impl Fn(Errors) -> f64) -> String {
    errors.map_or(String::new(), |e| tenths(what(e)))
}

fn cells(group: &Group) -> Vec<String> {
    vec![
        format!("  {}", group.name),
        format!("{}/{}", group.scored, group.rows),
        of(group.errors, |e| e.mean),
        of(group.errors, |e| e.median),
        group.errors.map_or(String::new(), |e| signed(e.bias)),
        group.coverage.map_or(String::new(), |c| format!("{:.0}", c * 100.0)),
        of(group.baseline, |e| e.mean),
        group.memory.map_or(String::new(), |(_, e)| tenths(e.mean)),
    ]
}

/// Every group counts once, however many rows it has.
fn unweighted(all: &[Group]) -> Vec<String> {
    let average = |of: &dyn Fn(&Group) -> Option<f64>| {
        let values: Vec<f64> = all.iter().filter_map(of).collect();
        mean(&values)
    };
    let shown = |value: Option<f64>| value.map_or(String::new(), tenths);
    let sum = |of: &dyn Fn(&Group) -> usize| all.iter().map(of).sum::<usize>();
    vec![
        "  mean of groups".to_string(),
        format!("{}/{}", sum(&|g| g.scored), sum(&|g| g.rows)),
        shown(average(&|g| g.errors.map(|e| e.mean))),
        shown(average(&|g| g.errors.map(|e| e.median))),
        average(&|g| g.errors.map(|e| e.bias)).map_or(String::new(), signed),
        average(&|g| g.coverage).map_or(String::new(), |c| format!("{:.0}", c * 100.0)),
        shown(average(&|g| g.baseline.map(|e| e.mean))),
        shown(average(&|g| g.memory.map(|(_, e)| e.mean))),
    ]
}

pub(super) fn ranking(r: &Ranking) -> String {
    let correlation = r.correlation.map_or(String::new(), |c| format!(", rank correlation {c:.2}"));
    let mut text = format!(
        "RANKING  {} of {} plans{correlation}\n",
        counted(r.sweeps, "sweep", "sweeps"),
        grouped(r.plans as u64),
    );
    let mut table = Table::new(&[
        ("  regret %", Align::Left),
        ("mean", Align::Right),
        ("95th", Align::Right),
        ("slower than DP", Align::Right),
        ("curse", Align::Right),
    ]);
    let sure = format!("chosen at {:.0} %", r.quantile * 100.0);
    for (name, c) in [("fastest prediction", &r.fastest), (sure.as_str(), &r.chosen)] {
        table.row([
            format!("    {name}"),
            tenths(c.mean),
            tenths(c.worst),
            format!("{} of {}", c.losses, r.with_data_parallel),
            signed(c.curse),
        ]);
    }
    if let Some((mean, worst)) = r.chance {
        table.row(["    floor: errors are chance".into(), tenths(mean), tenths(worst)]);
    }
    table.row(["    floor: no errors, runs differ".into(), tenths(r.repeats)]);
    text += &table.text(usize::MAX);
    text + &odds(r)
}

/// Stated probabilities against what came true.
fn odds(r: &Ranking) -> String {
    let all =
        r.odds.iter().map(|o| format!("{:.0} % {:.0} %", o.said * 100.0, o.came_true * 100.0));
    let all: Vec<String> = all.collect();
    match all.is_empty() {
        true => String::new(),
        false => format!("  said to be faster, and was: {}\n", all.join(" · ")),
    }
}

/// Every sweep, worst regret first.
pub(super) fn sweeps(summary: &Summary) -> Table {
    let right = Align::Right;
    let mut table = Table::new(&[
        ("sweep", Align::Left),
        ("plans", right),
        ("regret %", right),
        ("of fastest %", right),
        ("correlation", right),
        ("chosen", Align::Left),
        ("best", Align::Left),
    ]);
    for sweep in &summary.sweeps {
        table.row([
            sweep.name.clone(),
            sweep.plans.to_string(),
            tenths(sweep.chosen.regret),
            tenths(sweep.fastest.regret),
            sweep.correlation.map_or(String::new(), |c| format!("{c:.2}")),
            sweep.chosen.id.clone(),
            sweep.best.clone(),
        ]);
    }
    table
}

pub(super) fn memory(summary: &Summary) -> Table {
    let right = Align::Right;
    let mut table = Table::new(&[
        ("MEMORY, like against like", Align::Left),
        ("rows", right),
        ("mean", right),
        ("median", right),
        ("bias", right),
        ("in 80 %", right),
    ]);
    for line in &summary.memory {
        let e = line.errors;
        let name = format!("  {}", line.name);
        table.row([
            name,
            grouped(line.rows as u64),
            tenths(e.mean),
            tenths(e.median),
            signed(e.bias),
            format!("{:.0}", line.inside * 100.0),
        ]);
    }
    table
}

pub(super) fn fits(f: &Fits) -> String {
    let of = |rate: Option<f64>| rate.map_or("none".to_string(), |r| format!("{} %", tenths(r)));
    format!(
        "FITS OR NOT\n  out of memory and predicted so: {} of {} ({}), precision {}\n  \
         ran, but predicted not to fit: {} of {} ({})\n  \
         no result, and predicted not to fit: {} of {} ({}); may be crashes\n",
        f.recalled,
        f.out_of_memory,
        of(f.recall()),
        of(f.precision()),
        f.false_alarms,
        f.ran,
        of(f.alarm_rate()),
        f.no_result_recalled,
        f.no_result,
        of(f.no_result_rate())
    )
}

pub(super) fn regimes(summary: &Summary) -> Table {
    let right = Align::Right;
    let mut table = Table::new(&[
        ("INTERVALS of 80 % by regime", Align::Left),
        ("rows", right),
        ("inside", right),
        ("low", right),
        ("high", right),
    ]);
    for line in &summary.regimes {
        table.row([
            format!("  {}", line.name),
            grouped(line.rows as u64),
            format!("{:.0} %", line.coverage * 100.0),
            signed(line.ends.0 - 1.0),
            signed(line.ends.1 - 1.0),
        ]);
    }
    table
}

pub(super) fn doubts(summary: &Summary) -> Table {
    let right = Align::Right;
    let columns = [("DOUBTS", Align::Left), ("rows", right), ("mean", right), ("bias", right)];
    let mut table = Table::new(&columns);
    for line in &summary.flags {
        let e = line.errors;
        let name = format!("  {}", line.flag.words());
        table.row([name, grouped(line.rows as u64), tenths(e.mean), signed(e.bias)]);
    }
    table
}

pub(super) fn worst(summary: &Summary) -> Table {
    let mut table = Table::new(&[
        ("WORST ROWS", Align::Left),
        ("ratio", Align::Right),
        ("likely cause", Align::Left),
        ("what", Align::Left),
    ]);
    for row in &summary.worst {
        let ratio = format!("{:.3}", row.ratio);
        table.row([format!("  {}", row.id), ratio, row.cause.clone(), row.what.clone()]);
    }
    table
}

/// Texts and how often each occurs.
pub(super) fn counts(all: &[(String, usize)], heading: &str, count: usize) -> Table {
    let mut table = Table::new(&[("rows", Align::Right), (heading, Align::Left)]);
    for (text, rows) in all.iter().take(count) {
        table.row([grouped(*rows as u64), text.clone()]);
    }
    if all.len() > count {
        table.row([String::new(), format!("{} more: -v lists them", all.len() - count)]);
    }
    table
}
