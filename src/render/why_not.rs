//! Why another choice was not taken.

use super::number::signed_percent;
use super::report::{gib, seconds};
use super::table::{Align, Table};
use super::wrap::wrap;
use crate::style::{Canvas, Role};
use plan::report::{Difference, WhyNot};

/// The screen; `winner` is the plan in a line with its step in seconds and its memory in bytes.
pub fn screen(why: &WhyNot, winner: (&str, f64, f64), canvas: &Canvas) -> String {
    let title = format!("Why not {}?", canvas.paint(Role::Accent, &why.choice));
    let verdict = why.verdict.iter().map(|s| format!("  {}\n", wrap(s, canvas.width, 4)));
    let blocks = [
        format!("{title}\n"),
        verdict.collect::<String>(),
        plans(why, winner, canvas),
        differences(&why.differences, canvas),
    ];
    let filled: Vec<String> = blocks.into_iter().filter(|b| !b.is_empty()).collect();
    canvas.text(&filled.join("\n"))
}

fn plans(why: &WhyNot, (label, step, memory): (&str, f64, f64), canvas: &Canvas) -> String {
    let (Some(other), Some(slower)) = (why.seconds, why.slower) else { return String::new() };
    let mut table = Table::new(&[
        ("", Align::Left),
        ("step", Align::Right),
        ("vs best", Align::Right),
        ("memory", Align::Right),
        ("", Align::Left),
    ]);
    let memory_of = |bytes: f64| format!("{} GiB", gib(bytes));
    table.row(["  best".into(), seconds(step), String::new(), memory_of(memory), label.into()]);
    table.row([
        format!("  {}", why.choice),
        seconds(other),
        signed_percent(slower),
        why.memory_bytes.map(memory_of).unwrap_or_default(),
        why.label.clone(),
    ]);
    table.wrapped(canvas.width)
}

/// Changes below this part of the largest one are not shown.
const NEGLIGIBLE: f64 = 1e-4;

fn change_of(d: &Difference) -> f64 {
    d.other_seconds - d.winner_seconds
}

fn differences(differences: &[Difference], canvas: &Canvas) -> String {
    // Rounding of sums is no difference.
    let most = differences.iter().map(change_of).map(f64::abs).fold(0.0, f64::max);
    let shown: Vec<_> =
        differences.iter().filter(|d| change_of(d).abs() > most * NEGLIGIBLE).collect();
    if shown.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[
        ("  where the time goes", Align::Left),
        ("best", Align::Right),
        ("other", Align::Right),
        ("change", Align::Right),
    ]);
    for d in shown {
        let change = change_of(d);
        let sign = if change < 0.0 { "−" } else { "+" };
        table.row([
            format!("    {}", d.label),
            seconds(d.winner_seconds),
            seconds(d.other_seconds),
            format!("{sign}{}", seconds(change.abs())),
        ]);
    }
    table.wrapped(canvas.width)
}
