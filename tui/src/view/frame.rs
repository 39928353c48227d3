//! What surrounds every screen: title, tabs, remark, footer.

use super::WIDE;
use super::pen::{Pen, Target, below, row};
use super::words::{cut, grouped, signed};
use crate::keymap::{Action, KEYMAP};
use crate::model::{Answered, Input, Model, Overlay, Screen};
use crate::theme::Role;
use crate::update::refusal;
use ratatui::layout::Rect;

/// Draws the frame; returns what is inside.
pub fn frame(model: &Model, area: Rect, pen: &mut Pen<'_>) -> Rect {
    let (top, rest) = below(area, 2);
    let (body, bottom) = below(rest, rest.height.saturating_sub(2));
    title(model, row(top, 0), pen);
    tabs(model, row(top, 1), pen);
    remark(model, row(bottom, 0), pen);
    footer(model, row(bottom, 1), pen);
    body
}

fn title(model: &Model, area: Rect, pen: &mut Pen<'_>) {
    let subject = match model.report() {
        Some(report) => format!(
            "{} · {} × {} · {}",
            report.model.name,
            grouped(report.machine.gpus.into()),
            report.machine.device,
            report.machine.cluster
        ),
        None => format!("{} · {} GPUs · {}", model.menu.model, model.ask.gpus, model.ask.cluster),
    };
    let state = match (&model.answered, model.is_solving, model.is_refining) {
        (_, true, _) => "solving …".to_string(),
        (Answered::Plan(report), false, more) => {
            let more = if more { " …" } else { "" };
            let step = &report.step;
            let width = (step.high - step.low) / (2.0 * step.value.max(f64::MIN_POSITIVE));
            format!("±{:.0} %  plan {}{more}", width * 100.0, report.plan.id)
        }
        (Answered::DoesNotFit(_), ..) => "does not fit".to_string(),
        _ => "no plan".to_string(),
    };
    let room = usize::from(area.width).saturating_sub(state.chars().count() + 15);
    pen.line(
        area,
        &[(Role::Accent, " meshwright"), (Role::Plain, "  "), (Role::Plain, &cut(&subject, room))],
    );
    let role = if model.is_solving { Role::Warn } else { Role::Dim };
    pen.right(Rect { width: area.width - 1, ..area }, role, &state);
}

fn tabs(model: &Model, area: Rect, pen: &mut Pen<'_>) {
    let mut x = area.x;
    for (number, screen) in (1..).zip(Screen::ALL) {
        let gap = if area.width < WIDE { "" } else { " " };
        let text = format!(" {number} {}{gap}", screen.name());
        let is_shown = screen == model.screen;
        let role = if is_shown { Role::Selected } else { Role::Dim };
        let end = pen.text((x, area.y), area.right().saturating_sub(x), role, &text);
        let width = end - x;
        pen.clickable(Rect { x, width, ..area }, Target::Do(Action::Show(screen)));
        x = end;
    }
}

/// A remark, a text that is typed, or the change against the plan that was kept.
fn remark(model: &Model, area: Rect, pen: &mut Pen<'_>) {
    if let Some(Overlay::Input(input, text)) = &model.overlay {
        let prompt = input.prompt();
        let help = match input {
            Input::Palette => "  a screen, a knob and its value, save FILE, export FILE, quit",
            Input::Filter => "  tp=2  mem<12GiB  !zero=1  or words",
            _ => "",
        };
        let parts = [
            (Role::Accent, prompt.as_str()),
            (Role::Plain, text),
            (Role::Selected, " "),
            (Role::Dim, help),
        ];
        return pen.line(area, &parts);
    }
    if let Some(notice) = &model.notice {
        return pen.line(area, &[(Role::Plain, " "), (notice.role, &notice.text)]);
    }
    if let (Some(kept), Some(report), true) = (&model.kept, model.report(), model.is_changed()) {
        let slower = report.step.value / kept.seconds - 1.0;
        let rate = report.tokens_per_second.value / kept.rate - 1.0;
        let text = format!(
            " against plan {}: step {}, tokens/s {}; s saves, u takes back",
            kept.id,
            signed(slower),
            signed(rate)
        );
        pen.line(area, &[(Role::Dim, &text)]);
    }
}

/// The keys that mean something now, as far as there is room for them; a click does the same.
fn footer(model: &Model, area: Rect, pen: &mut Pen<'_>) {
    if matches!(model.overlay, Some(Overlay::Input(Input::Leave, _))) {
        return;
    }
    let shown = KEYMAP.iter().filter(|b| !b.label.is_empty() && b.place.applies(model));
    let shown: Vec<_> = shown.collect();
    let last = ["command", "help", "quit"];
    let width = |label: &str, key: &str| {
        u16::try_from(label.chars().count() + key.chars().count() + 3).unwrap_or(u16::MAX)
    };
    let reserved: u16 = 22;
    let mut x = area.x + 1;
    for binding in shown {
        let key = binding.keys.first().map(ToString::to_string).unwrap_or_default();
        let end = x + width(binding.label, &key);
        let room = if last.contains(&binding.label) { 0 } else { reserved };
        if end + room > area.right() + 2 {
            continue;
        }
        let off = refusal(model, binding.action).is_some();
        let roles = if off { (Role::Dim, Role::Dim) } else { (Role::Accent, Role::Plain) };
        let at = Rect { x, width: end - x, ..area };
        let label = format!(" {}  ", binding.label);
        pen.line(at, &[(roles.0, &key), (roles.1, &label)]);
        pen.clickable(at, Target::Do(binding.action));
        x = end;
    }
}
