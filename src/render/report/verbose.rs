//! What `-v` adds: the certificate mesh by mesh, guesses, what binds.

use super::time::seconds;
use crate::render::number::{grouped, signed_percent};
use crate::render::table::{Align, Table};
use crate::render::wrap::wrap;
use crate::style::Canvas;
use plan::document::{Certificate, Reason};
use plan::report::{Binding, Report};

pub(super) fn meshes(certificate: &Certificate, canvas: &Canvas) -> String {
    let mut table = Table::new(&[
        ("  Meshes", Align::Left),
        ("configurations", Align::Right),
        ("step at least", Align::Right),
        ("", Align::Left),
    ]);
    let mut rows: Vec<_> = certificate.meshes.iter().collect();
    let key = |bound: Option<f64>| bound.unwrap_or(f64::INFINITY);
    rows.sort_by(|a, b| key(a.bound_seconds).total_cmp(&key(b.bound_seconds)));
    for mesh in rows {
        let d = mesh.degrees;
        let degrees = [("DP", d.dp), ("TP", d.tp), ("PP", d.pp), ("CP", d.cp), ("EP", d.ep)];
        let always = |name: &str| matches!(name, "DP" | "TP" | "PP");
        let parts = degrees.iter().filter(|(name, n)| *n > 1 || always(name));
        let words: Vec<String> = parts.map(|(name, n)| format!("{name} {n}")).collect();
        table.row([
            format!("    {}", words.join(" · ")),
            grouped(mesh.configurations.into()),
            mesh.bound_seconds.map(seconds).unwrap_or_default(),
            match (mesh.reason, &certificate.fastest) {
                (Reason::Winner, Some(_)) => "the fastest prediction".to_string(),
                (reason, _) => because(reason).to_string(),
            },
        ]);
    }
    table.wrapped(canvas.width)
}

/// Why a mesh lost, in words.
pub fn because(reason: Reason) -> &'static str {
    match reason {
        Reason::Winner => "the winner",
        Reason::Memory => "does not fit in memory",
        Reason::Bound => "its work alone takes longer",
        Reason::StageBound => "the bound over its stages is longer",
        Reason::Ilp => "the integer programme has nothing faster",
        Reason::Solved => "solved, and slower",
        Reason::Divisibility => "a dimension does not divide",
        Reason::Unsupported => "the machine lacks something",
        Reason::Undecided => "not decided before the search was stopped",
    }
}

pub(super) fn assumptions(report: &Report, canvas: &Canvas) -> String {
    if report.assumptions.is_empty() {
        return String::new();
    }
    let line = |what: &str, source: &str| {
        format!("    {}\n", wrap(&format!("{what}: {source}"), canvas.width, 6))
    };
    let lines = report.assumptions.iter().map(|a| line(&a.what, &a.source));
    format!("  Assumed\n{}", lines.collect::<String>())
}

/// What of the memory is kept free, and why.
pub(super) fn reserve(report: &Report, canvas: &Canvas) -> String {
    let sentences = report.memory.reserve.iter();
    let lines: String = sentences.map(|s| format!("    {}\n", wrap(s, canvas.width, 6))).collect();
    if lines.is_empty() { lines } else { format!("  Memory reserve\n{lines}") }
}

/// What one more of something is worth.
pub fn bindings(bindings: &[Binding], canvas: &Canvas) -> String {
    if bindings.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[
        ("  What binds", Align::Left),
        ("step", Align::Right),
        ("tokens/s", Align::Right),
        ("", Align::Left),
    ]);
    for binding in bindings {
        let parts = [binding.label.clone(), binding.note.clone()];
        let words: Vec<String> = parts.into_iter().filter(|p| !p.is_empty()).collect();
        table.row([
            format!("    {}", binding.change),
            binding.seconds.map(seconds).unwrap_or_else(|| "–".into()),
            binding.gain.map(signed_percent).unwrap_or_default(),
            words.join("; "),
        ]);
    }
    table.wrapped(canvas.width)
}
