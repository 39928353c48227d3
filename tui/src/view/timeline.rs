//! The step in time: a rank per line, passes above messages, predicted above measured.

use super::pen::{Pen, Target, below, first, row};
use super::words::{grouped, padded, size, time};
use crate::message::InTime;
use crate::model::Model;
use crate::strips::{Strip, Strips, Transfer, within};
use crate::theme::Role;
use plan::report::Report;
use plan::timeline::Block;
use plan::units::percent;
use ratatui::layout::Rect;

/// Columns before a strip.
const LABEL: u16 = 14;
/// Rows below the strips.
const FOOT: u16 = 3;

/// The part of the step that is on the screen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// Its beginning, seconds.
    pub from: f64,
    /// Its end, seconds.
    pub to: f64,
}

impl View {
    /// The window of a zoom that holds the time under the cursor, a third from its left.
    #[must_use]
    pub fn of(seconds: f64, zoom: u32, cursor: f64) -> Self {
        let width = seconds / f64::from(1u32 << zoom.min(30));
        let from = (cursor - width / 3.0).clamp(0.0, (seconds - width).max(0.0));
        Self { from, to: from + width }
    }

    fn column(self, at: f64, columns: u16) -> u16 {
        let share = (at - self.from) / (self.to - self.from).max(f64::MIN_POSITIVE);
        (share * f64::from(columns)).round().clamp(0.0, f64::from(columns)) as u16
    }
}

pub fn draw(model: &Model, report: &Report, area: Rect, pen: &mut Pen<'_>) {
    let in_time = match &model.in_time {
        Some(Ok(in_time)) => in_time,
        Some(Err(why)) => {
            pen.text((area.x + 1, area.y), area.width, Role::Warn, why);
            return;
        }
        None => {
            pen.text((area.x + 1, area.y), area.width, Role::Dim, "simulating …");
            return;
        }
    };
    let strips = &in_time.predicted;
    let view = View::of(strips.seconds, model.cursor.zoom, model.cursor.time);
    let (head, rest) = below(area, 2);
    let (list, foot) = below(rest, rest.height.saturating_sub(FOOT));
    heading(model, report, strips, row(head, 0), pen);
    ruler(view, row(head, 1), pen);
    rows(model, in_time, view, list, pen);
    footing(model, in_time, foot, pen);
}

fn heading(model: &Model, report: &Report, strips: &Strips, area: Rect, pen: &mut Pen<'_>) {
    let d = &report.plan.decision;
    let n = strips.rows.len().max(1) as f64;
    let bubble = strips.rows.iter().map(|r| r.bubble(strips.seconds)).sum::<f64>() / n;
    let part = match model.cursor.time / strips.seconds.max(f64::MIN_POSITIVE) {
        t if t < 0.25 => "warm-up",
        t if t > 0.75 => "drain",
        _ => "steady",
    };
    let text = format!(
        " {} · {} stages · {} micro-batches · {part} · zoom {}× · bubble {}",
        d.schedule.name(),
        d.stages.len(),
        grouped(d.batch.micro_batches.into()),
        grouped(1 << model.cursor.zoom),
        percent(bubble)
    );
    pen.line(area, &[(Role::Plain, &text)]);
    pen.right(
        Rect { width: area.width - 1, ..area },
        Role::Dim,
        &format!("step {}", time(strips.seconds)),
    );
}

fn ruler(view: View, area: Rect, pen: &mut Pen<'_>) {
    let columns = area.width.saturating_sub(LABEL + 1);
    let marks = columns / 14;
    for i in 0..=marks {
        let at = view.from + (view.to - view.from) * f64::from(i) / f64::from(marks.max(1));
        let x = area.x + LABEL + view.column(at, columns);
        let text = time(at);
        let width = text.chars().count() as u16;
        let x = if i == marks { x.saturating_sub(width) } else { x };
        pen.text((x, area.y), width, Role::Dim, &text);
    }
}

/// Lines of a rank: its passes, its messages, and what was measured.
fn height(in_time: &InTime) -> usize {
    2 + usize::from(in_time.measured.is_some())
}

fn rows(model: &Model, in_time: &InTime, view: View, area: Rect, pen: &mut Pen<'_>) {
    let each = height(in_time);
    let all = &in_time.predicted.rows;
    let at = model.cursor.row.min(all.len().saturating_sub(1));
    let shown = u16::try_from(usize::from(area.height) / each).unwrap_or(1).max(1);
    let from = first(at, shown);
    for (i, strip) in all.iter().enumerate().skip(from).take(usize::from(shown)) {
        let place = (i - from) * each;
        let line = row(area, place);
        let role = if i == at { Role::Accent } else { Role::Plain };
        let like = strip.stands_for;
        let name =
            if like > 1 { format!("{} ×{like}", strip.rank) } else { strip.rank.to_string() };
        pen.text((line.x, line.y), LABEL, role, &padded(&format!(" rank {name}"), 13, false));
        let cursor = (i == at).then_some(model.cursor.time);
        passes(strip, view, cursor, inner(line), pen);
        messages(strip, view, inner(row(area, place + 1)), pen);
        if let Some(measured) = &in_time.measured {
            let line = row(area, place + 2);
            pen.text((line.x, line.y), LABEL, Role::Dim, "  measured");
            let found = measured.rows.iter().find(|m| m.rank == strip.rank);
            if let Some(found) = found {
                let whole = in_time.predicted.seconds / measured.seconds.max(f64::MIN_POSITIVE);
                let scaled = View { from: view.from / whole.min(1.0), to: view.to };
                let view = if whole < 1.0 { scaled } else { view };
                passes(
                    found,
                    View { from: view.from.min(view.to), ..view },
                    None,
                    inner(line),
                    pen,
                );
            }
        }
        let click = Rect { height: each as u16, ..line };
        pen.clickable(click.intersection(area), Target::Line(i));
    }
}

fn inner(line: Rect) -> Rect {
    Rect { x: line.x + LABEL, width: line.width.saturating_sub(LABEL + 1), ..line }
}

fn role(letter: char) -> Role {
    match letter {
        'F' => Role::Part(0),
        'B' | 'I' => Role::Part(2),
        'W' => Role::Part(3),
        'R' => Role::Part(1),
        _ => Role::Part(4),
    }
}

/// Passes by letter and micro-batch where there is room, by glyph where there is not.
fn passes(strip: &Strip, view: View, cursor: Option<f64>, area: Rect, pen: &mut Pen<'_>) {
    if area.height == 0 {
        return;
    }
    let blocks = within(&strip.passes, view.from, view.to);
    if blocks.len() > usize::from(area.width) * 2 {
        density(blocks, view, area, pen);
    } else {
        for block in blocks {
            let (from, to) =
                (view.column(block.start, area.width), view.column(block.end, area.width));
            let width = to.saturating_sub(from);
            let number = block.micro_batch.map(|n| n.to_string()).unwrap_or_default();
            let text = format!("{}{number}", block.letter);
            let fill = if block.letter == 'F' { "─" } else { "═" };
            let text = padded_with(&text, usize::from(width), fill);
            pen.text((area.x + from, area.y), width, role(block.letter), &text);
        }
    }
    if let Some(time) = cursor {
        let block = strip.at(time);
        let from = block.map_or(time, |b| b.start);
        let to = block.map_or(time, |b| b.end);
        let from = view.column(from, area.width).min(area.width.saturating_sub(1));
        let width = view.column(to, area.width).saturating_sub(from).max(1);
        pen.select(Rect { x: area.x + from, width, height: 1, ..area });
    }
}

/// A block's text, filled up; alone its letter where the number does not fit.
fn padded_with(text: &str, width: usize, fill: &str) -> String {
    let length = text.chars().count();
    match width {
        0 => String::new(),
        w if w > length => format!("{text}{}│", fill.repeat(w - length - 1)),
        w if w == length => text.to_string(),
        w => text.chars().take(1).collect::<String>() + &fill.repeat(w - 1),
    }
}

/// How busy each column is, and with what most.
fn density(blocks: &[Block], view: View, area: Rect, pen: &mut Pen<'_>) {
    const LEVELS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
    let per_column = (view.to - view.from) / f64::from(area.width.max(1));
    let mut busy = vec![(0.0_f64, 0.0_f64); usize::from(area.width)];
    for block in blocks {
        let from = ((block.start - view.from) / per_column).max(0.0);
        let to = ((block.end - view.from) / per_column).min(f64::from(area.width));
        let last = (to.ceil() as usize).min(busy.len());
        for (column, busy) in busy.iter_mut().enumerate().take(last).skip(from as usize) {
            let part = to.min(column as f64 + 1.0) - from.max(column as f64);
            if block.letter == 'F' { busy.0 += part } else { busy.1 += part }
        }
    }
    for (column, (forward, backward)) in (0u16..).zip(busy) {
        let level = ((forward + backward).clamp(0.0, 1.0) * 8.0).round() as usize;
        let role = if forward > backward { role('F') } else { role('B') };
        pen.text((area.x + column, area.y), 1, role, LEVELS[level]);
    }
}

/// Collectives and messages as thin lines.
fn messages(strip: &Strip, view: View, area: Rect, pen: &mut Pen<'_>) {
    if area.height == 0 {
        return;
    }
    // Messages of several lanes overlap: ends are not in order, so each is looked at.
    let shown = strip.messages.iter().filter(|b| b.end > view.from && b.start < view.to);
    for block in shown {
        let from = view.column(block.start, area.width);
        let to = view.column(block.end, area.width).max((from + 1).min(area.width));
        let text = "-".repeat(usize::from(to.saturating_sub(from)));
        pen.text((area.x + from, area.y), to - from.min(to), Role::Dim, &text);
    }
}

/// What is under the cursor.
fn footing(model: &Model, in_time: &InTime, area: Rect, pen: &mut Pen<'_>) {
    let strips = &in_time.predicted;
    let at = model.cursor.row.min(strips.rows.len().saturating_sub(1));
    let Some(strip) = strips.rows.get(at) else { return };
    let legend =
        " F forward  B backward (I input, W weights)  R recompute  U update  - communication";
    pen.line(row(area, 2), &[(Role::Dim, legend)]);
    let Some(block) = strip.at(model.cursor.time) else { return };
    let batch = block.micro_batch.map(|n| format!(" of micro-batch {n}")).unwrap_or_default();
    let text = format!(
        " rank {}, stage {}: {}{batch}, {} from {}",
        grouped(strip.rank.into()),
        block.stage,
        pass_name(block.letter),
        time(block.end - block.start),
        time(block.start)
    );
    pen.line(row(area, 0), &[(Role::Title, &text)]);
    let beside: Vec<&Transfer> =
        strip.messages.iter().filter(|m| m.end > block.start && m.start < block.end).collect();
    let name = beside.first().and_then(|m| strips.names.get(m.name as usize));
    let during = match name {
        Some(name) => format!("{} messages beside it, first {name}", beside.len()),
        None => "nothing sent beside it".into(),
    };
    let bytes = memory_at(strip, block.start);
    let text = format!(
        " memory {} of tensors · bubble {} of the step · {during}",
        size(bytes),
        percent(strip.bubble(strips.seconds))
    );
    pen.line(row(area, 1), &[(Role::Dim, &text)]);
}

/// The name of a letter.
#[must_use]
pub fn pass_name(letter: char) -> &'static str {
    match letter {
        'F' => "forward pass",
        'B' => "backward pass",
        'I' => "backward pass for inputs",
        'W' => "backward pass for weights",
        'R' => "recomputation",
        _ => "update",
    }
}

fn memory_at(strip: &Strip, time: f64) -> f64 {
    let points = &strip.memory.points;
    let place = points.partition_point(|point| point.seconds <= time);
    place.checked_sub(1).and_then(|i| points.get(i)).map_or(0.0, |point| point.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_hold_the_cursor_and_stay_inside() {
        assert_eq!(View::of(8.0, 0, 5.0), View { from: 0.0, to: 8.0 });
        // A fourth of 8 s is 2 s wide; a third of that is left of the cursor.
        let view = View::of(8.0, 2, 5.0);
        assert!((view.from - (5.0 - 2.0 / 3.0)).abs() < 1e-12);
        assert_eq!(View::of(8.0, 2, 8.0), View { from: 6.0, to: 8.0 });
        assert_eq!(View::of(8.0, 2, 0.0), View { from: 0.0, to: 2.0 });
        assert_eq!(padded_with("F12", 6, "─"), "F12──│");
        assert_eq!(padded_with("F12", 2, "─"), "F─");
    }
}
