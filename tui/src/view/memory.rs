//! Memory per stage or rank, and over the step.

use super::pen::{Pen, Target, below, first, row};
use super::words::{gib, grouped, padded, percent_of, size, time};
use crate::model::Model;
use crate::strips::Strip;
use crate::theme::{PARTS, Role};
use plan::report::{Report, StageMemory};
use plan::timeline::MemoryPoint;
use ratatui::layout::Rect;

/// Rows of the curve.
const CURVE: u16 = 8;
const LEVELS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

pub fn draw(model: &Model, report: &Report, area: Rect, pen: &mut Pen<'_>) {
    let has_curve = !model.is_expanded && area.height > CURVE + 6;
    let (upper, lower) = below(area, area.height - if has_curve { CURVE } else { 0 });
    let (head, list) = below(upper, 1);
    let m = &report.memory;
    let which = if model.is_per_rank { "per stage ▸ PER RANK" } else { "PER STAGE ▸ per rank" };
    let text = format!(
        " limit {} ({} of {})",
        size(m.limit_bytes),
        percent_of(m.limit_bytes, m.capacity_bytes),
        size(m.capacity_bytes)
    );
    pen.line(head, &[(Role::Plain, &text)]);
    pen.right(Rect { width: head.width - 1, ..head }, Role::Dim, which);
    match model.is_per_rank {
        true => ranks(model, list, pen),
        false => stages(model, report, list, pen),
    }
    if has_curve {
        curve(model, report, lower, pen);
    }
}

/// Parts that any stage has.
fn shown(report: &Report) -> Vec<usize> {
    let stages = &report.memory.stages;
    let parts = stages.first().map_or(0, |stage| stage.parts.len());
    let is_there =
        |at: &usize| stages.iter().any(|s| s.parts.get(*at).is_some_and(|p| p.bytes > 0.0));
    (0..parts).filter(is_there).collect()
}

fn stages(model: &Model, report: &Report, area: Rect, pen: &mut Pen<'_>) {
    let parts = shown(report);
    let (head, list) = below(area, 1);
    let mut x = head.x + 1;
    x = pen.text((x, head.y), 8, Role::Dim, "stage  ");
    let names = report.memory.stages.first().map_or(&[][..], |s| &s.parts);
    for at in &parts {
        let glyph = PARTS[at % PARTS.len()];
        x = pen.text((x, head.y), 1, Role::Part(*at as u8), glyph);
        x = pen.text((x, head.y), 11, Role::Dim, &padded(&names[*at].id, 10, true));
    }
    pen.text((x, head.y), 30, Role::Dim, "     total  headroom");
    let at = model.stage.min(report.memory.stages.len().saturating_sub(1));
    let from = first(at, list.height);
    for (i, stage) in report.memory.stages.iter().enumerate().skip(from) {
        let line = row(list, i - from);
        if line.height == 0 {
            break;
        }
        one(report, stage, &parts, line, pen);
        pen.clickable(line, Target::Line(i));
        if i == at {
            pen.select(line);
        }
    }
}

fn one(report: &Report, stage: &StageMemory, parts: &[usize], line: Rect, pen: &mut Pen<'_>) {
    let mut text = format!(" {:>4}   ", stage.stage);
    for at in parts {
        let bytes = stage.parts.get(*at).map_or(0.0, |p| p.bytes);
        text += &padded(&gib(bytes), 11, true);
    }
    let room = report.memory.limit_bytes - stage.total_bytes;
    text += &padded(&gib(stage.total_bytes), 10, true);
    text += &padded(&gib(room.max(0.0)), 10, true);
    let end = pen.text((line.x, line.y), line.width, Role::Plain, &text);
    let left = line.right().saturating_sub(end + 2);
    let bar = Rect { x: end + 1, width: left.min(30), ..line };
    if bar.width > 4 {
        let role = if room < 0.0 { Role::Bad } else { Role::Good };
        pen.bar(bar, room / report.memory.limit_bytes, role);
    }
}

/// What the program's buffers take, rank by rank.
fn ranks(model: &Model, area: Rect, pen: &mut Pen<'_>) {
    let Some(in_time) = model.in_time() else {
        pen.text((area.x + 1, area.y), area.width, Role::Dim, "there is no program yet");
        return;
    };
    let (head, list) = below(area, 1);
    let title = " rank        like it       peak GiB      arena GiB      peak at";
    pen.text((head.x, head.y), head.width, Role::Dim, title);
    let rows = &in_time.predicted.rows;
    let at = model.stage.min(rows.len().saturating_sub(1));
    let from = first(at, list.height);
    for (i, strip) in rows.iter().enumerate().skip(from) {
        let line = row(list, i - from);
        if line.height == 0 {
            break;
        }
        let m = &strip.memory;
        let text = format!(
            " {:<10} {:>8} {:>14} {:>14} {:>12}",
            grouped(strip.rank.into()),
            grouped(strip.stands_for.into()),
            gib(m.peak_bytes),
            gib(m.arena_bytes),
            time(m.peak_at_seconds)
        );
        pen.text((line.x, line.y), line.width, Role::Plain, &text);
        pen.clickable(line, Target::Line(i));
        if i == at {
            pen.select(line);
        }
    }
}

/// The rank whose memory is drawn over the step.
fn strip<'a>(model: &'a Model, report: &Report) -> Option<&'a Strip> {
    let rows = &model.in_time()?.predicted.rows;
    if model.is_per_rank {
        return rows.get(model.stage.min(rows.len().saturating_sub(1)));
    }
    // Ranks of a pipeline stage follow each other; the first that belongs to the stage stands for
    // it.
    let stages = report.memory.stages.len().max(1);
    let stage = model.stage.min(stages - 1);
    rows.get(stage * rows.len() / stages)
}

fn curve(model: &Model, report: &Report, area: Rect, pen: &mut Pen<'_>) {
    let Some(strip) = strip(model, report) else {
        let inside = pen.panel(area, "over one step", false);
        let text = match &model.in_time {
            Some(Err(why)) => why.as_str(),
            _ => "solving …",
        };
        pen.text((inside.x + 1, inside.y), inside.width, Role::Dim, text);
        return;
    };
    let m = &strip.memory;
    let seconds = model.in_time().map_or(0.0, |t| t.predicted.seconds);
    let title = format!(
        "tensors of rank {} over one step: peak {} at {}",
        grouped(strip.rank.into()),
        size(m.peak_bytes),
        time(m.peak_at_seconds)
    );
    let inside = pen.panel(area, &title, false);
    let (plot, axis) = below(inside, inside.height.saturating_sub(1));
    let left = 11u16;
    let columns = plot.width.saturating_sub(left + 1);
    let values = sampled(&m.points, seconds, usize::from(columns));
    let most = m.peak_bytes.max(f64::MIN_POSITIVE);
    for (column, value) in (0u16..).zip(&values) {
        let eighths = (value / most * f64::from(plot.height) * 8.0).round();
        for y in 0..plot.height {
            let level = (eighths - f64::from(plot.height - 1 - y) * 8.0).clamp(0.0, 8.0) as usize;
            pen.text((plot.x + left + column, plot.y + y), 1, Role::Part(0), LEVELS[level]);
        }
    }
    pen.text((plot.x, plot.y), left, Role::Dim, &padded(&size(most), 10, true));
    let line = Rect { x: axis.x + left, width: columns, ..axis };
    pen.line(line, &[(Role::Dim, "0")]);
    pen.right(line, Role::Dim, &time(seconds));
}

/// The most that lives in each of some equal parts of the step.
fn sampled(points: &[MemoryPoint], seconds: f64, columns: usize) -> Vec<f64> {
    let mut values = vec![0.0_f64; columns];
    let per_column = seconds.max(f64::MIN_POSITIVE) / columns.max(1) as f64;
    for (i, point) in points.iter().enumerate() {
        let end = points.get(i + 1).map_or(seconds, |next| next.seconds);
        let from = (point.seconds / per_column) as usize;
        let to = ((end / per_column).ceil() as usize).clamp(from + 1, columns.max(from + 1));
        for value in values.iter_mut().take(to).skip(from) {
            *value = value.max(point.bytes);
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_column_shows_its_peak() {
        let point = |seconds, bytes| MemoryPoint { seconds, bytes };
        let points = [point(0.0, 1.0), point(1.5, 5.0), point(1.6, 2.0)];
        // Columns of one second: 1, then 1 to 5 to 2, then 2.
        assert_eq!(sampled(&points, 3.0, 3), [1.0, 5.0, 2.0]);
        assert_eq!(sampled(&[], 3.0, 2), [0.0, 0.0]);
    }
}
