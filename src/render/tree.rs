//! The step as a tree of its parts.

use super::report::seconds;
use super::table::cut;
use crate::style::{Canvas, Role};
use plan::report::{Report, TimePart};
use unicode_width::UnicodeWidthStr;

/// How much of the tree to show.
#[derive(Clone, Copy, Debug)]
pub struct Extent<'a> {
    /// Levels, the step itself not counted.
    pub depth: usize,
    /// Only this branch: ids with `/` between them.
    pub path: &'a [&'a str],
    /// Whether ids are shown.
    pub has_ids: bool,
}

/// One line of the tree before it is laid out.
struct Line {
    lead: String,
    name: String,
    seconds: f64,
    remark: String,
    id: String,
}

/// The tree; `None` where the path leads nowhere.
pub fn tree(report: &Report, extent: Extent<'_>, canvas: &Canvas) -> Option<String> {
    let (name, id, time, parts) = match branch(&report.time, extent.path)? {
        Some(part) => (part.label.clone(), part.id.clone(), part.time.value, &part.parts),
        None => ("step".to_string(), "step".to_string(), report.step.value, &report.time),
    };
    let root = Line { lead: String::new(), name, seconds: time, remark: String::new(), id };
    let mut lines = vec![root];
    grow(parts, "", (extent.depth, report.step.value), canvas, &mut lines);
    Some(canvas.text(&layout(&lines, report.step.value, extent.has_ids, canvas)))
}

/// The part that a path leads to; the inner `None` is the whole step.
fn branch<'a>(parts: &'a [TimePart], path: &[&str]) -> Option<Option<&'a TimePart>> {
    let path = path.strip_prefix(&["step"]).unwrap_or(path);
    let Some((first, rest)) = path.split_first() else { return Some(None) };
    let part = parts.iter().find(|p| p.id == *first)?;
    if rest.is_empty() { Some(Some(part)) } else { branch(&part.parts, rest) }
}

/// What rounding leaves of zero is zero.
fn rounded(seconds: f64, step: f64) -> f64 {
    if seconds.abs() < step * 1e-9 { 0.0 } else { seconds }
}

fn grow(
    parts: &[TimePart],
    indent: &str,
    (depth, step): (usize, f64),
    canvas: &Canvas,
    lines: &mut Vec<Line>,
) {
    if depth == 0 {
        return;
    }
    for (i, part) in parts.iter().enumerate() {
        let is_last = i + 1 == parts.len();
        let (fork, stem) = match is_last {
            true => (canvas.glyph("└─ ", "`- "), "   "),
            false => (canvas.glyph("├─ ", "|- "), canvas.glyph("│  ", "|  ")),
        };
        lines.push(Line {
            lead: format!("{indent}{fork}"),
            name: part.label.clone(),
            seconds: rounded(part.time.value, step),
            remark: remark(part),
            id: part.id.clone(),
        });
        grow(&part.parts, &format!("{indent}{stem}"), (depth - 1, step), canvas, lines);
    }
}

fn remark(part: &TimePart) -> String {
    let total = part.total_seconds.filter(|total| *total > part.time.value * 1.0005);
    let exposed = total.map(|total| format!("exposed, of {}", seconds(total)));
    let note = Some(part.note.clone()).filter(|n| !n.is_empty());
    let formula = Some(part.formula.clone()).filter(|f| !f.is_empty());
    let parts: Vec<String> = [formula, exposed, note].into_iter().flatten().collect();
    parts.join("; ")
}

fn layout(lines: &[Line], step: f64, has_ids: bool, canvas: &Canvas) -> String {
    let width = |l: &Line| l.lead.width() + l.name.width();
    let names = lines.iter().map(width).max().unwrap_or(0).min(canvas.width.saturating_sub(30));
    let mut text = String::new();
    for line in lines {
        let name = cut(&format!("{}{}", line.lead, line.name), names);
        let padding = " ".repeat(names - name.width());
        let share = line.seconds / step * 100.0;
        let id = if has_ids { format!("   {}", line.id) } else { String::new() };
        let head = format!("{name}{padding}  {:>9}{share:>7.1} %{id}", seconds(line.seconds));
        let gap = if line.remark.is_empty() { "" } else { "   " };
        let room = canvas.width.saturating_sub(head.width() + gap.len());
        let remark = canvas.paint(Role::Dim, &cut(&line.remark, room));
        text += format!("{head}{gap}{remark}").trim_end();
        text.push('\n');
    }
    text
}
