//! Why this plan, what came close, and the proof.

use super::Around;
use super::memory::gib;
use super::time::seconds;
use crate::render::number::{counted, grouped, signed_percent};
use crate::render::plan_line::against;
use crate::render::table::{Align, Table, cut};
use crate::render::wrap::wrap;
use crate::style::{Canvas, Role};
use plan::document::{Certificate, ProgramScore, Status};
use plan::report::Report;
use std::fmt::Write as _;

pub(super) fn why(report: &Report, canvas: &Canvas) -> String {
    list("Why", &report.why, canvas)
}

pub(super) fn warnings(report: &Report, canvas: &Canvas) -> String {
    list("Mind", &report.warnings, canvas)
}

fn list(title: &str, sentences: &[String], canvas: &Canvas) -> String {
    if sentences.is_empty() {
        return String::new();
    }
    let lines = sentences.iter().map(|s| format!("    {}\n", wrap(s, canvas.width, 6)));
    format!("  {title}\n{}", lines.collect::<String>())
}

/// Columns that the numbers of a runner-up take, and a narrow note.
const NUMBERS: usize = 58;

pub(super) fn runners_up(report: &Report, canvas: &Canvas) -> String {
    if report.runners_up.is_empty() {
        return String::new();
    }
    let room = canvas.width.saturating_sub(NUMBERS);
    let mut table = Table::new(&[
        ("  Runners-up", Align::Left),
        ("step", Align::Right),
        ("vs best", Align::Right),
        ("faster", Align::Right),
        ("memory", Align::Right),
        ("", Align::Left),
    ]);
    for other in &report.runners_up {
        table.row([
            cut(&format!("    {}", against(&other.label, &report.plan.decision)), room),
            seconds(other.seconds),
            signed_percent(other.slower),
            other.faster.map_or(String::new(), odds),
            format!("{} GiB", gib(other.memory_bytes)),
            other.note.clone(),
        ]);
    }
    table.wrapped(canvas.width)
}

/// A probability in percent; the ends are never reached.
pub fn odds(probability: f64) -> String {
    match (probability * 100.0).round() {
        p if p < 1.0 => "<1 %".to_string(),
        p if p > 99.0 => ">99 %".to_string(),
        p => format!("{p:.0} %"),
    }
}

pub(super) fn certificate(report: &Report, canvas: &Canvas) -> String {
    let certificate = &report.plan.certificate;
    let mut text = format!("  {}\n", wrap(&proof(certificate), canvas.width, 2));
    if let Some(score) = &certificate.program {
        text += &format!("  {}\n", wrap(&closeness(score), canvas.width, 2));
    }
    text
}

/// How far the closed form is from the program, in a sentence.
fn closeness(score: &ProgramScore) -> String {
    let step = seconds(score.simulated_seconds);
    let tenths = (score.difference * 1000.0).round().abs() / 10.0;
    let verdict = match score.difference {
        _ if tenths == 0.0 => "as by the closed form".to_string(),
        d if d > 0.0 => format!("{tenths:.1} % above the closed form"),
        _ => format!("{tenths:.1} % below the closed form"),
    };
    format!("Simulated action by action without stragglers, the step is {step}, {verdict}.")
}

/// The proof in a sentence.
pub fn proof(c: &Certificate) -> String {
    let programmes = match c.programmes {
        0 => "no integer programme needed".to_string(),
        n => format!(
            "{} solved by {}",
            counted(n as usize, "integer programme", "integer programmes"),
            c.solver
        ),
    };
    let space = format!(
        "{} on {}, {} solved, {programmes}",
        counted(c.configurations as usize, "configuration", "configurations"),
        counted(c.meshes.len(), "mesh", "meshes"),
        grouped(c.solved),
    );
    match c.status {
        Status::Optimal => match &c.fastest {
            None => format!("Proven best under the model: {space}, gap 0 %."),
            Some(f) => format!(
                "Proven under the model that nothing is faster than {}, {}: {space}, gap 0 %. \
                 This plan was preferred to it.",
                f.label,
                seconds(f.seconds)
            ),
        },
        Status::Feasible => format!(
            "Not proven best: the search was stopped; nothing can be more than {:.1} % faster. \
             {space}.",
            c.gap * 100.0
        ),
    }
}

pub(super) fn next(around: &Around, canvas: &Canvas) -> String {
    let mut text = match &around.saved {
        Some(path) => format!("Saved as {path}. Next:\n"),
        None if around.next.is_empty() => return String::new(),
        None => "Not saved. Next:\n".to_string(),
    };
    let width = around.next.iter().map(|(command, _)| command.chars().count()).max().unwrap_or(0);
    for (command, what) in &around.next {
        let painted = canvas.paint(Role::Accent, command);
        let fits = 2 + width + 3 + what.chars().count() <= canvas.width;
        let gap = " ".repeat(width.saturating_sub(command.chars().count()) + 3);
        let what = if fits && !what.is_empty() { format!("{gap}{what}") } else { String::new() };
        let _infallible = writeln!(text, "  {painted}{what}");
    }
    text
}
