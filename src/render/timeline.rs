//! A plan in time on the screen: the step, where it goes, the pipeline, the memory.

mod strip;
pub mod trace;

use super::number::{counted, grouped, signed_percent};
use super::report::{gib, seconds};
use super::table::{Align, Table, cut};
use super::wrap::wrap;
use super::{json, plan_line};
use crate::style::{Canvas, Role};
use plan::document::Plan;
use plan::program::Program;
use plan::timeline::{RankSummary, Simulation, Timeline};
use plan::units::percent;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What is shown.
#[derive(Clone, Copy)]
pub struct Screen<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Its program.
    pub program: &'a Program,
    /// The program in time.
    pub timeline: &'a Timeline,
    /// What that says in numbers.
    pub answer: &'a Simulation,
    /// Where the trace was written.
    pub trace: Option<&'a str>,
}

/// Columns before a text or a strip.
const LABEL: usize = 12;
/// Most kinds of ranks that are listed one by one.
const MOST_ROWS: usize = 16;

/// The screen.
pub fn screen(screen: &Screen<'_>, canvas: &Canvas) -> String {
    let mut text = headline(screen, canvas);
    text += &scenarios(screen.answer, canvas);
    let _infallible = write!(text, "\n{}", table(screen.answer).text(canvas.width));
    if screen.answer.ranks.len() > MOST_ROWS {
        let left = screen.answer.ranks.len() - MOST_ROWS;
        let _infallible = writeln!(text, "  … and {left} more; --format csv lists all");
    }
    let _infallible = write!(text, "{}", causes(screen.answer, canvas.width));
    let _infallible = write!(text, "\n{}", strip::strip(screen, canvas));
    let _infallible = write!(text, "\n{}", path(screen, canvas));
    if let Some(file) = screen.trace {
        let _infallible = writeln!(text, "wrote {file}; open it in ui.perfetto.dev");
    }
    canvas.text(&text)
}

fn headline(screen: &Screen<'_>, canvas: &Canvas) -> String {
    let answer = screen.answer;
    let plan = format!(
        "plan {} · {} on {} × {} · {}",
        screen.plan.id,
        screen.plan.inputs.model.name,
        grouped(screen.program.ranks.into()),
        screen.plan.inputs.cluster.name,
        plan_line::full(&screen.plan.decision)
    );
    let step = canvas.paint(Role::Good, &seconds(answer.seconds));
    let busiest = busiest(answer);
    let whole = answer.seconds.max(f64::MIN_POSITIVE);
    let waits = answer.ranks.iter().map(|r| r.time.bubble_seconds).sum::<f64>();
    let bubble = waits / whole / answer.ranks.len().max(1) as f64;
    let exposed = busiest.map_or(0.0, |r| r.time.exposed_seconds());
    let actions = grouped(answer.actions);
    let first = format!(
        "{step} simulated, {} by closed form ({})",
        seconds(answer.closed_form_seconds),
        signed_percent(answer.difference),
    );
    let second = format!(
        "bubble {} · exposed communication {} ({}) · {actions} actions",
        percent(bubble),
        seconds(exposed),
        percent(exposed / whole),
    );
    let plan = wrap(&plan, canvas.width, 2);
    format!("{plan}\n\n{:<LABEL$}{first}\n{}", "step", labelled("", &second, canvas.width))
}

/// The rank that waits least.
fn busiest(answer: &Simulation) -> Option<&RankSummary> {
    let ranks = answer.ranks.iter();
    ranks.min_by(|a, b| a.time.bubble_seconds.total_cmp(&b.time.bubble_seconds))
}

/// Jitter, other circumstances, failures.
fn scenarios(answer: &Simulation, canvas: &Canvas) -> String {
    let mut lines: Vec<(&str, String)> = Vec::new();
    if let Some(j) = &answer.jitter {
        let line = format!(
            "median {} · 95 % below {} · straggler wait {} ({}, {} common, {} per \
             rank, seed {})",
            seconds(j.median_seconds),
            seconds(j.p95_seconds),
            percent(j.straggler_wait),
            counted(j.steps as usize, "step", "steps"),
            percent(j.common),
            percent(j.rank),
            j.seed,
        );
        lines.push(("jitter", line));
    }
    for change in &answer.what_if {
        let closed = change
            .closed_form_seconds
            .map_or(String::new(), |t| format!(", {} by closed form", seconds(t)));
        let line = format!(
            "{}: {} ({}){closed}; assumes {}",
            change.change,
            seconds(change.seconds),
            signed_percent(change.slower),
            change.assumes,
        );
        lines.push(("what if", line));
    }
    if let Some(f) = &answer.failures {
        let line = format!(
            "goodput {} · a checkpoint every {} of work · a failure every {}",
            percent(f.goodput),
            seconds(f.interval_seconds),
            seconds(f.mtbf_seconds),
        );
        lines.push(("failures", line));
    }
    lines.iter().map(|(label, text)| labelled(label, text, canvas.width)).collect()
}

/// A label and a text beside it, which is broken where it is too long.
fn labelled(label: &str, text: &str, width: usize) -> String {
    let lines = wrap(text, width.saturating_sub(LABEL), 0);
    let labels = std::iter::once(label).chain(std::iter::repeat(""));
    lines.lines().zip(labels).map(|(line, label)| format!("{label:<LABEL$}{line}\n")).collect()
}

fn columns() -> Vec<(&'static str, Align)> {
    vec![
        ("rank", Align::Left),
        ("like it", Align::Right),
        ("compute", Align::Right),
        ("again", Align::Right),
        ("update", Align::Right),
        ("exposed", Align::Right),
        ("other", Align::Right),
        ("bubble", Align::Right),
        ("GiB", Align::Right),
    ]
}

/// Where time and memory go. `other` is contention, slow ranks and waiting for the host.
fn table(answer: &Simulation) -> Table {
    let mut table = Table::new(&columns());
    for rank in answer.ranks.iter().take(MOST_ROWS) {
        table.row(cells(rank));
    }
    table
}

fn cells(rank: &RankSummary) -> Vec<String> {
    let t = &rank.time;
    let other = t.contention_seconds + t.straggling_seconds + t.launch_seconds;
    let time = |value: f64| if value.abs() < 5e-10 { "-".into() } else { seconds(value) };
    vec![
        format!("  {}", rank.rank),
        grouped(rank.stands_for.into()),
        time(t.compute_seconds),
        time(t.recompute_seconds),
        time(t.update_seconds),
        time(t.exposed_seconds()),
        time(other),
        time(t.bubble_seconds),
        gib(rank.arena_bytes),
    ]
}

/// Exposed communication by cause, over all kinds of ranks: the largest.
fn causes(answer: &Simulation, width: usize) -> String {
    let mut most: BTreeMap<&str, f64> = BTreeMap::new();
    for exposed in answer.ranks.iter().flat_map(|r| &r.time.exposed) {
        let time = most.entry(&exposed.cause).or_default();
        *time = time.max(exposed.seconds);
    }
    let mut all: Vec<(&str, f64)> = most.into_iter().filter(|(_, time)| *time > 0.0).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
    if all.is_empty() {
        return labelled("exposed", "nothing", width);
    }
    let parts: Vec<String> =
        all.iter().map(|(cause, time)| format!("{cause} {}", seconds(*time))).collect();
    labelled("exposed", &format!("at most, by cause: {}", parts.join(" · ")), width)
}

/// What the critical path consists of.
fn path(screen: &Screen<'_>, canvas: &Canvas) -> String {
    let mut parts: BTreeMap<&str, f64> = BTreeMap::new();
    let mut last = 0.0;
    for span in &screen.timeline.critical_path {
        let action = screen
            .program
            .class_of(span.rank)
            .and_then(|(class, _)| screen.program.classes[class].actions.get(span.action as usize));
        let lane = action.map_or("step", |a| plan::timeline::lane(a.lane));
        *parts.entry(lane).or_default() += span.end_seconds - span.start_seconds;
        *parts.entry("waiting for the host").or_default() += span.start_seconds - last;
        last = span.end_seconds;
    }
    let whole = screen.timeline.seconds.max(f64::MIN_POSITIVE);
    // What would show as 0.0 % is not worth a word.
    let shows = |(_, time): &(&str, f64)| *time > 5e-4 * whole;
    let mut all: Vec<(&str, f64)> = parts.into_iter().filter(shows).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    let parts: Vec<String> =
        all.iter().map(|(lane, time)| format!("{lane} {}", percent(time / whole))).collect();
    let n = counted(screen.timeline.critical_path.len(), "action", "actions");
    labelled("critical", &format!("{n}: {}", parts.join(" · ")), canvas.width)
}

/// For documents and spreadsheets.
pub fn facts(answer: &Simulation) -> Table {
    let mut table = Table::new(&columns());
    for rank in &answer.ranks {
        table.row(cells(rank).into_iter().map(|cell| cell.trim().to_string()));
    }
    table
}

/// A text as a JSON string.
fn quoted(text: &str) -> String {
    json::string(text)
}

/// A line that fits.
fn line(text: &str, canvas: &Canvas) -> String {
    cut(text, canvas.width) + "\n"
}
