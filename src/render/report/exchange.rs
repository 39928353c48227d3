//! The ways to exchange the embedding gradient, side by side.

use super::time::{bytes, seconds};
use crate::render::number::grouped;
use crate::render::table::{Align, Table};
use crate::render::wrap::wrap;
use crate::style::{Canvas, Role};
use plan::report::{ExchangeMember, ExchangeReport};

pub(super) fn exchange(report: &ExchangeReport, canvas: &Canvas) -> String {
    let letters = format!(
        "G {}, K {}, D {}, V {}, U {}: {}",
        grouped(report.ranks.into()),
        grouped(report.tokens_per_rank as u64),
        grouped(report.width),
        grouped(report.vocab),
        grouped(report.unique as u64),
        report.unique_source,
    );
    let tied = if report.tied { "; tied with the output" } else { "" };
    let title = wrap(&format!("{letters}{tied}"), canvas.width, 24);
    let mut table = Table::new(&[
        ("", Align::Left),
        ("", Align::Left),
        ("per rank", Align::Right),
        ("time", Align::Right),
        ("", Align::Left),
    ]);
    for member in &report.members {
        table.row([
            format!("    {}", member.exchange),
            member.formula.clone(),
            bytes(member.buffer_bytes),
            seconds(member.seconds),
            remark(member, canvas),
        ]);
    }
    let rows = table.wrapped(canvas.width);
    format!("  Embedding gradients   {title}\n{}", painted(&rows, canvas))
}

fn remark(member: &ExchangeMember, canvas: &Canvas) -> String {
    let chosen =
        if member.chosen { format!("{} chosen", canvas.glyph("◀", "<-")) } else { String::new() };
    let parts = [chosen, member.note.clone()];
    parts.into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join(": ")
}

/// The chosen line in its colour; widths are settled by then.
fn painted(rows: &str, canvas: &Canvas) -> String {
    let line = |line: &str| match line.contains(" chosen") {
        true => canvas.paint(Role::Good, line) + "\n",
        false => format!("{line}\n"),
    };
    rows.lines().map(line).collect()
}
