//! Windows over a screen, and what stands where there is no plan.

use super::pen::{Pen, row};
use super::words::{size, time, wrap};
use crate::keymap::{KEYMAP, Place, keys};
use crate::model::{Answered, Line, Model, Overlay, Screen};
use crate::theme::Role;
use crate::update::refusal;
use plan::report::InfeasibleReport;
use ratatui::layout::Rect;

/// Draws the window that is open.
pub fn overlay(model: &Model, area: Rect, pen: &mut Pen<'_>) {
    match &model.overlay {
        Some(Overlay::Help(scroll)) => {
            let lines = help(model);
            window("Keys", &lines, *scroll, area, pen);
        }
        Some(Overlay::Window(w)) => window(&w.title, &w.lines, w.scroll, area, pen),
        Some(Overlay::Input(..)) | None => {}
    }
}

fn window(title: &str, lines: &[Line], scroll: usize, area: Rect, pen: &mut Pen<'_>) {
    let width = area.width.saturating_sub(8).min(100);
    let inner = usize::from(width.saturating_sub(4));
    let broken: Vec<Line> = lines
        .iter()
        .flat_map(|(role, text)| {
            let is_table = text.starts_with(' ') || text.contains("  ");
            let all = if is_table { vec![text.clone()] } else { wrap(text, inner) };
            all.into_iter().map(|line| (*role, line))
        })
        .collect();
    let most = area.height.saturating_sub(4);
    let height = u16::try_from(broken.len() + 2).unwrap_or(most).min(most).max(3);
    let at = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    pen.clear(at);
    let inside = pen.panel(at, title, true);
    let shown = usize::from(inside.height);
    let from = scroll.min(broken.len().saturating_sub(shown));
    for (i, (role, text)) in broken.iter().skip(from).take(shown).enumerate() {
        let line = row(inside, i);
        pen.text((line.x + 1, line.y), line.width.saturating_sub(2), *role, text);
    }
    if broken.len() > shown {
        let text = format!(" {} of {} ", from + shown, broken.len());
        let last = Rect { y: at.bottom() - 1, height: 1, width: at.width - 2, ..at };
        pen.right(last, Role::Dim, &text);
    }
}

/// Lines of the help.
#[must_use]
pub fn help_lines() -> usize {
    KEYMAP.len() + 24
}

/// Every key: first those of the screen, then the others by place. What cannot be done now says
/// why.
fn help(model: &Model) -> Vec<Line> {
    let mut places: Vec<Place> = Vec::new();
    for binding in KEYMAP {
        if !places.contains(&binding.place) {
            places.push(binding.place);
        }
    }
    let is_here = |place: &Place| match place {
        Place::On(screens) => screens.contains(&model.screen),
        _ => false,
    };
    places.sort_by_key(|place| match place {
        place if is_here(place) => 0,
        Place::Everywhere => 1,
        Place::On(_) => 2,
        _ => 3,
    });
    let mut lines = Vec::new();
    for place in places {
        lines.push((Role::Title, capital(&place.heading())));
        for binding in KEYMAP.iter().filter(|b| b.place == place) {
            let reason = refusal(model, binding.action).filter(|_| is_here(&place));
            let why = reason.map(|reason| format!(" (now: {reason})")).unwrap_or_default();
            let role = if reason.is_some() { Role::Dim } else { Role::Plain };
            lines.push((role, format!("  {:<24}{}{why}", keys(binding), binding.does)));
        }
    }
    lines
}

fn capital(text: &str) -> String {
    let mut all = text.chars();
    all.next().map(|c| c.to_uppercase().chain(all).collect()).unwrap_or_default()
}

/// What stands where there is no plan.
pub fn no_plan(answered: &Answered, area: Rect, pen: &mut Pen<'_>) {
    let lines = match answered {
        Answered::Nothing => vec![(Role::Dim, "Solving …".to_string())],
        Answered::Refused(refusal) => {
            let mut lines = vec![(Role::Bad, refusal.what.clone()), (Role::Plain, String::new())];
            lines.extend(refusal.hints.iter().map(|hint| (Role::Plain, hint.clone())));
            lines.push((Role::Dim, "u takes the last change back".into()));
            lines
        }
        Answered::DoesNotFit(report) => does_not_fit(report),
        Answered::Plan(_) => Vec::new(),
    };
    let inside = pen.panel(area, "", false);
    let width = usize::from(inside.width.saturating_sub(2));
    let broken = lines
        .iter()
        .flat_map(|(role, text)| wrap(text, width).into_iter().map(move |line| (*role, line)));
    for (i, (role, text)) in broken.enumerate() {
        let line = row(inside, i);
        pen.text((line.x + 1, line.y), line.width.saturating_sub(1), role, &text);
    }
}

fn does_not_fit(report: &InfeasibleReport) -> Vec<Line> {
    let closest = &report.closest;
    let mut lines = vec![
        (Role::Bad, format!("Nothing fits, in any of {} configurations.", report.configurations)),
        (Role::Plain, String::new()),
        (Role::Title, "What lacks least".into()),
        (
            Role::Plain,
            format!(
                "{}: stage {} needs {} of {}",
                closest.label,
                closest.stage,
                size(closest.needs_bytes),
                size(closest.limit_bytes)
            ),
        ),
        (Role::Plain, report.binding.clone()),
        (Role::Plain, String::new()),
        (Role::Title, "What would fit".into()),
    ];
    for way in &report.ways_out {
        let numbers = format!("{}, {}", time(way.seconds), size(way.memory_bytes));
        lines.push((Role::Good, format!("{}: {} ({numbers}) {}", way.change, way.label, way.note)));
    }
    lines.extend(report.dead_ends.iter().map(|text| (Role::Dim, format!("not: {text}"))));
    let number = Screen::ALL.iter().position(|s| *s == Screen::WhatIf).map_or(0, |at| at + 1);
    lines.push((Role::Dim, format!("{number} changes the question; u takes the last change back")));
    lines
}
