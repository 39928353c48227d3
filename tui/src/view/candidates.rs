//! What the search met, and step against memory.

use super::pen::{Pen, Target, below, first, row};
use super::words::{cut, gib, padded, signed, time};
use crate::candidates::{Candidate, Status, pareto, slower};
use crate::model::{Column, Model};
use crate::theme::Role;
use ratatui::layout::Rect;

/// Rows of the figure.
const FIGURE: u16 = 9;
/// Columns of numbers.
const WIDTHS: [(Column, &str, usize); 3] =
    [(Column::Step, "step", 10), (Column::Memory, "memory", 10), (Column::Exposed, "exposed", 9)];

pub fn draw(model: &Model, area: Rect, pen: &mut Pen<'_>) {
    let listed = model.listed();
    let (top, rest) = below(area, 2);
    heading(model, listed.len(), row(top, 0), pen);
    columns(model, row(top, 1), pen);
    let has_figure = !model.is_expanded && rest.height > FIGURE + 6;
    let (list, figure) = below(rest, if has_figure { rest.height - FIGURE } else { rest.height });
    lines(model, &listed, list, pen);
    if has_figure {
        let inside = pen.panel(figure, "step against memory", false);
        scatter(model, &listed, inside, pen);
    }
}

fn heading(model: &Model, listed: usize, area: Rect, pen: &mut Pen<'_>) {
    let all = model.candidates.len();
    let solved = model.candidates.iter().filter(|c| c.seconds.is_some()).count();
    let more = if model.is_refining { ", solving more …" } else { "" };
    let count = match listed == all {
        true => format!(" {all} candidates, {solved} solved{more}"),
        false => format!(" {listed} of {all} candidates, {solved} solved{more}"),
    };
    let filter = match model.list.filter.is_empty() {
        true => String::new(),
        false => format!("   filter: {}", model.list.filter),
    };
    pen.line(area, &[(Role::Plain, &count), (Role::Accent, &filter)]);
    let tagged = model.list.tagged.len();
    if tagged > 0 {
        pen.right(area, Role::Accent, &format!("{tagged} tagged "));
    }
}

/// Columns that the line of a candidate has for its label, and for its reason.
fn room(width: u16) -> (usize, usize) {
    let numbers: usize = WIDTHS.iter().map(|(_, _, width)| width).sum::<usize>() + 9;
    let left = usize::from(width).saturating_sub(numbers + 6);
    let label = (left * 3 / 5).clamp(12, 60);
    (label, left.saturating_sub(label))
}

fn columns(model: &Model, area: Rect, pen: &mut Pen<'_>) {
    let (label, _) = room(area.width);
    let arrow = if model.list.is_reversed { "▼" } else { "▲" };
    let name = |column: Column, name: &str| match column == model.list.sort {
        true => format!("{name} {arrow}"),
        false => name.to_string(),
    };
    let role = |column| if column == model.list.sort { Role::Accent } else { Role::Dim };
    let mut parts: Vec<(Role, String)> = vec![(
        role(Column::Label),
        format!("    {}", padded(&name(Column::Label, "plan"), label, false)),
    )];
    for (i, (column, word, width)) in WIDTHS.iter().enumerate() {
        parts.push((role(*column), padded(&name(*column, word), *width, true)));
        parts.extend((i == 0).then(|| (Role::Dim, padded("vs best", 9, true))));
    }
    parts.push((role(Column::Status), format!("  {}", name(Column::Status, "status"))));
    let parts: Vec<(Role, &str)> =
        parts.iter().map(|(role, text)| (*role, text.as_str())).collect();
    pen.line(area, &parts);
}

fn lines(model: &Model, listed: &[&Candidate], area: Rect, pen: &mut Pen<'_>) {
    if listed.is_empty() {
        let text = match (model.candidates.is_empty(), model.is_refining) {
            (true, true) => "solving …",
            (true, false) => "there is no candidate",
            _ => "no candidate passes the filter; Esc clears it",
        };
        pen.text((area.x + 2, area.y), area.width, Role::Dim, text);
    }
    let at = model.list.at.min(listed.len().saturating_sub(1));
    let all: Vec<Candidate> = model.candidates.clone();
    let front = pareto(&all);
    let is_front =
        |c: &Candidate| all.iter().position(|other| other == c).is_some_and(|place| front[place]);
    let from = first(at, area.height);
    for (i, candidate) in listed.iter().enumerate().skip(from) {
        let line = row(area, i - from);
        if line.height == 0 {
            break;
        }
        let against = slower(&all, candidate);
        one(model, candidate, (is_front(candidate), against), line, pen);
        pen.clickable(line, Target::Line(i));
        if i == at {
            pen.select(line);
        }
    }
}

fn one(
    model: &Model,
    c: &Candidate,
    (is_front, slower): (bool, Option<f64>),
    area: Rect,
    pen: &mut Pen<'_>,
) {
    let (label, reason) = room(area.width);
    let tag = if model.list.tagged.contains(&c.label) { "●" } else { " " };
    let (mark, role) = match c.status {
        Status::Best => ("◆", Role::Good),
        Status::Solved => (if is_front { "◆" } else { " " }, Role::Plain),
        Status::Bound | Status::Undecided => (" ", Role::Dim),
        Status::Memory | Status::Impossible => ("✗", Role::Dim),
    };
    let dash = || "–".to_string();
    let step = match (c.seconds, c.bound) {
        (Some(seconds), _) => time(seconds),
        (None, Some(bound)) => format!("≥ {}", time(bound)),
        _ => dash(),
    };
    let numbers = [
        padded(&step, WIDTHS[0].2, true),
        padded(&slower.map_or_else(dash, against), 9, true),
        padded(&c.memory.map_or_else(dash, |b| format!("{} GiB", gib(b))), WIDTHS[1].2, true),
        padded(&c.exposed.map_or_else(dash, time), WIDTHS[2].2, true),
    ];
    let name = padded(&c.label, label, false);
    let why = match (c.status, is_front) {
        (Status::Best, _) => "best".to_string(),
        (Status::Solved, true) => format!("Pareto, {}", c.why),
        _ => c.why.clone(),
    };
    let why = cut(&why, reason);
    let numbers = numbers.concat();
    let parts = [
        (Role::Accent, tag),
        (role, mark),
        (role, "  "),
        (role, &name),
        (role, &numbers),
        (Role::Plain, "  "),
        (if c.status == Status::Best { Role::Good } else { Role::Dim }, &why),
    ];
    pen.line(area, &parts);
}

fn against(slower: f64) -> String {
    if slower == 0.0 { "–".into() } else { signed(slower) }
}

/// Memory upwards, step to the right; the front with its mark, the cursor on top.
fn scatter(model: &Model, listed: &[&Candidate], area: Rect, pen: &mut Pen<'_>) {
    let points: Vec<(usize, f64, f64)> =
        listed.iter().enumerate().filter_map(|(i, c)| Some((i, c.seconds?, c.memory?))).collect();
    let (plot, axis) = below(area, area.height.saturating_sub(1));
    if points.is_empty() || plot.height < 2 {
        return;
    }
    let range = |of: fn(&(usize, f64, f64)) -> f64| {
        let low = points.iter().map(of).fold(f64::INFINITY, f64::min);
        let high = points.iter().map(of).fold(f64::NEG_INFINITY, f64::max);
        (low, if high > low { high } else { low * 1.01 + f64::MIN_POSITIVE })
    };
    let (steps, sizes) = (range(|p| p.1), range(|p| p.2));
    let left = 12u16;
    let width = plot.width.saturating_sub(left + 14);
    // Far slower plans would squeeze the others: the axis is of ratios where there are some.
    let is_wide = steps.1 > 3.0 * steps.0 && steps.0 > 0.0;
    let scale = |s: f64| if is_wide { s.ln() } else { s };
    let (low, high) = (scale(steps.0), scale(steps.1));
    let x = |s: f64| left + ((scale(s) - low) / (high - low) * f64::from(width)) as u16;
    let y = |m: f64| ((sizes.1 - m) / (sizes.1 - sizes.0) * f64::from(plot.height - 1)).round();
    for (at, value) in [(0, sizes.1), (usize::from(plot.height - 1), sizes.0)] {
        let text = padded(&format!("{} GiB", gib(value)), usize::from(left - 2), true);
        pen.text((plot.x, plot.y + at as u16), left, Role::Dim, &text);
    }
    for i in 0..plot.height {
        pen.text((plot.x + left - 1, plot.y + i), 1, Role::Dim, "│");
    }
    let owned: Vec<Candidate> = listed.iter().map(|c| (*c).clone()).collect();
    let front = pareto(&owned);
    for (i, step, memory) in points.iter().rev() {
        let place = (plot.x + x(*step), plot.y + y(*memory) as u16);
        let is_best = listed[*i].status == Status::Best;
        let (glyph, role) = match (*i == model.list.at, is_best, front[*i]) {
            (true, ..) => ("●", Role::Accent),
            (_, true, _) => ("◆", Role::Good),
            (.., true) => ("◆", Role::Plain),
            _ => ("·", Role::Dim),
        };
        let end = pen.text(place, 1, role, glyph);
        if *i == model.list.at || is_best {
            pen.text((end + 1, place.1), 12, role, &cut(&listed[*i].label, 12));
        }
    }
    let line = Rect { x: axis.x + left - 1, width: axis.width.saturating_sub(left - 1), ..axis };
    pen.line(line, &[(Role::Dim, &format!("└ {}", time(steps.0)))]);
    let end = Rect { width: width + 2, ..line };
    pen.right(end, Role::Dim, &time(steps.1));
}
