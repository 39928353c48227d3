//! Nothing fits: how far off the closest plan is, what binds, what would help.

use super::report::{gib, seconds};
use super::table::{Align, Table};
use super::wrap::{wrap, wrap_items};
use crate::render::number::grouped;
use crate::style::{Canvas, Role};
use plan::report::{ClosestPlan, InfeasibleReport};

/// The one line that says it.
pub fn headline(report: &InfeasibleReport) -> String {
    format!(
        "{} does not fit on {} × {} in any of {} configurations",
        report.model.name,
        grouped(report.machine.gpus.into()),
        report.machine.device,
        grouped(report.configurations),
    )
}

/// The screen.
pub fn screen(report: &InfeasibleReport, canvas: &Canvas) -> String {
    let blocks = [
        wrap(
            &format!("{} {}", canvas.paint(Role::Bad, "error:"), headline(report)),
            canvas.width,
            2,
        ) + "\n",
        closest(report, canvas),
        ways_out(report, canvas),
        dead_ends(report, canvas),
    ];
    let filled: Vec<String> = blocks.into_iter().filter(|b| !b.is_empty()).collect();
    canvas.text(&filled.join("\n"))
}

fn closest(report: &InfeasibleReport, canvas: &Canvas) -> String {
    let binding = format!("  binding   {}\n", wrap(&report.binding, canvas.width, 12));
    let plan = &report.closest;
    if plan.label.is_empty() {
        return binding;
    }
    let parts: Vec<String> = biggest(plan);
    let needs = format!(
        "{}; stage {} needs {} of {} GiB ({:.1} × over)",
        plan.label,
        plan.stage,
        gib(plan.needs_bytes),
        gib(plan.limit_bytes),
        plan.needs_bytes / plan.limit_bytes,
    );
    format!(
        "  closest   {}\n            {}\n{binding}",
        wrap(&needs, canvas.width, 12),
        wrap_items(&parts, canvas.width, 12),
    )
}

/// What fills the rank, largest first, in GiB.
fn biggest(plan: &ClosestPlan) -> Vec<String> {
    let mut parts: Vec<_> = plan.parts.iter().filter(|p| p.bytes > 0.0).collect();
    parts.sort_by(|a, b| b.bytes.total_cmp(&a.bytes));
    parts.iter().map(|p| format!("{} {}", p.id, gib(p.bytes))).collect()
}

fn ways_out(report: &InfeasibleReport, canvas: &Canvas) -> String {
    if report.ways_out.is_empty() {
        return "  Nothing that was tried makes it fit.\n".into();
    }
    let mut table = Table::new(&[
        ("  What would make it fit", Align::Left),
        ("memory", Align::Right),
        ("step", Align::Right),
        ("", Align::Left),
    ]);
    for way in &report.ways_out {
        let parts = [way.note.clone(), way.label.clone()];
        let words: Vec<String> = parts.into_iter().filter(|p| !p.is_empty()).collect();
        table.row([
            format!("    {}", way.change),
            format!("{} GiB", gib(way.memory_bytes)),
            seconds(way.seconds),
            words.join("; "),
        ]);
    }
    table.wrapped(canvas.width)
}

fn dead_ends(report: &InfeasibleReport, canvas: &Canvas) -> String {
    if report.dead_ends.is_empty() {
        return String::new();
    }
    let lines = report.dead_ends.iter().map(|d| format!("    {}\n", wrap(d, canvas.width, 6)));
    format!("  What would not\n{}", lines.collect::<String>())
}

/// For tables: name and value.
pub fn facts(report: &InfeasibleReport) -> Table {
    let mut table = Table::new(&[("name", Align::Left), ("value", Align::Left)]);
    table.row(["result".to_string(), headline(report)]);
    table.row(["closest".to_string(), report.closest.label.clone()]);
    table.row(["needs, bytes".to_string(), report.closest.needs_bytes.to_string()]);
    table.row(["limit, bytes".to_string(), report.closest.limit_bytes.to_string()]);
    table.row(["binding".to_string(), report.binding.clone()]);
    for way in &report.ways_out {
        table.row([format!("fits with {}", way.change), way.label.clone()]);
    }
    table
}
