//! What actions do.

use super::{cursor, executing, inspect};
use crate::candidates::Status;
use crate::keymap::Action;
use crate::knob::choices;
use crate::message::{Effect, Page, Task};
use crate::model::{Column, Input, Model, Overlay, Screen, Window};
use crate::theme::Role;

/// Widest zoom: 2²⁰ columns' worth of detail.
const MOST_ZOOM: u32 = 20;
/// Panels of the overview.
const PANELS: usize = 4;

pub(super) fn done(model: &mut Model, action: Action) -> Vec<Effect> {
    match action {
        Action::Show(screen) => return show(model, screen),
        Action::Enter => return entered(model),
        Action::Back => back(model),
        Action::Panel(is_next) => panel(model, is_next),
        Action::Filter => {
            model.overlay = Some(Overlay::Input(Input::Filter, model.list.filter.clone()));
        }
        Action::Palette => model.overlay = Some(Overlay::Input(Input::Palette, String::new())),
        Action::Type => {
            model.overlay = Some(Overlay::Input(Input::Value(model.knob()), String::new()));
        }
        Action::Tag => tag(model),
        Action::Compare => {
            model.overlay = Some(Window::overlay("Tagged", inspect::comparison(model)));
        }
        Action::Sort(is_right) => sort(model, is_right),
        Action::Reverse => model.list.is_reversed = !model.list.is_reversed,
        Action::Expand => model.is_expanded = !model.is_expanded,
        Action::PerRank => (model.is_per_rank, model.stage) = (!model.is_per_rank, 0),
        Action::Inspect => {
            let (title, lines) = inspect::inspected(model);
            model.overlay = Some(Window::overlay(title, lines));
        }
        Action::Why => return why(model),
        Action::Copy => return vec![Effect::Copy(Box::new(model.ask.clone()))],
        Action::Save => return save(model, None),
        Action::Export => return export(model, None),
        Action::Match(is_next) => cursor::matched(model, is_next),
        Action::Undo => return travel(model, true),
        Action::Redo => return travel(model, false),
        Action::Free => {
            let free = model.knob().freed(&model.ask);
            return model.change(free);
        }
        Action::Zoom(is_in) => zoom(model, is_in),
        Action::Part(is_next) => part(model, is_next),
        Action::Execute => return executing(model),
        Action::Freeze => {
            let held = model.run.held.is_none().then_some(model.run.steps.len());
            model.run.held = held;
        }
        Action::Help => model.overlay = Some(Overlay::Help(0)),
        Action::Quit => return quit(model),
        Action::Move(_) | Action::Submit | Action::Erase => {}
    }
    Vec::new()
}

pub(super) fn show(model: &mut Model, screen: Screen) -> Vec<Effect> {
    model.screen = screen;
    match screen {
        Screen::WhatIf if model.effects.is_none() => cursor::looked(model),
        _ => Vec::new(),
    }
}

pub(super) fn quit(model: &mut Model) -> Vec<Effect> {
    let is_asked = matches!(model.overlay, Some(Overlay::Input(Input::Leave, _)));
    if model.is_changed() && !is_asked {
        model.overlay = Some(Overlay::Input(Input::Leave, String::new()));
        return Vec::new();
    }
    vec![Effect::Quit]
}

pub(super) fn save(model: &Model, path: Option<&str>) -> Vec<Effect> {
    let path = path.unwrap_or(&model.menu.file).to_string();
    let plan = model.report().map(|report| Box::new(report.plan.clone()));
    plan.map(|plan| Effect::Save(plan, path)).into_iter().collect()
}

/// Writing takes a moment, so that it is said that it goes on.
pub(super) fn export(model: &mut Model, path: Option<&str>) -> Vec<Effect> {
    let Some(report) = model.report() else { return Vec::new() };
    let plan = report.plan.clone();
    let path = path.map_or_else(|| format!("{}.html", file_name(&plan.id)), str::to_string);
    model.say(Role::Dim, format!("writing {path} …"));
    vec![Effect::Export(Box::new(Page { ask: model.ask.clone(), plan, path }))]
}

/// An id that was read may be anything; a file of this folder is called by its letters only.
fn file_name(id: &str) -> String {
    let name: String = id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    if name.is_empty() { "plan".into() } else { name }
}

/// Goes back to the question before, or forward again.
fn travel(model: &mut Model, is_back: bool) -> Vec<Effect> {
    let from = if is_back { model.undo.pop() } else { model.redo.pop() };
    let Some(ask) = from else { return Vec::new() };
    let now = std::mem::replace(&mut model.ask, ask);
    let to = if is_back { &mut model.redo } else { &mut model.undo };
    to.push(now);
    vec![model.solve()]
}

/// Drills in.
fn entered(model: &mut Model) -> Vec<Effect> {
    match model.screen {
        Screen::Overview => {
            let screens =
                [Screen::Timeline, Screen::Memory, Screen::Candidates, Screen::Candidates];
            model.screen = screens[model.panel.min(3)];
            Vec::new()
        }
        Screen::Candidates => open(model),
        Screen::WhatIf => match model.choice {
            None => done(model, Action::Type),
            Some(line) => {
                let all = choices(model.knob(), &model.ask, &model.menu, model.per_node());
                match all.get(line) {
                    Some(choice) => model.change(choice.ask.clone()),
                    None => Vec::new(),
                }
            }
        },
        _ if model.report().is_some() => done(model, Action::Inspect),
        _ => Vec::new(),
    }
}

/// Asks for the candidate under the cursor; `u` takes that back.
fn open(model: &mut Model) -> Vec<Effect> {
    let Some(candidate) = model.listed().get(model.list.at).copied().cloned() else {
        return Vec::new();
    };
    if candidate.status == Status::Best {
        model.screen = Screen::Overview;
        return Vec::new();
    }
    let mut ask = model.ask.clone();
    ask.pins = candidate.pins;
    let effects = model.change(ask);
    model.screen = Screen::Overview;
    model.say(Role::Accent, format!("{} is pinned; u takes it back", candidate.label));
    effects
}

/// Closes what is open, step by step.
fn back(model: &mut Model) {
    if model.overlay.take().is_some() {
        return;
    }
    let has_filter = model.screen == Screen::Candidates && !model.list.filter.is_empty();
    match () {
        () if has_filter => model.list.filter.clear(),
        () if model.is_expanded => model.is_expanded = false,
        () if model.choice.is_some() => model.choice = None,
        () if model.run.at.is_some() && model.screen == Screen::Run => model.run.at = None,
        () => model.screen = Screen::Overview,
    }
    model.list.at = 0;
}

fn panel(model: &mut Model, is_next: bool) {
    match model.screen {
        Screen::WhatIf => model.choice = model.choice.is_none().then_some(0),
        _ => {
            let step = if is_next { 1 } else { PANELS - 1 };
            model.panel = (model.panel + step) % PANELS;
        }
    }
}

fn tag(model: &mut Model) {
    let last = model.listed().len().saturating_sub(1);
    let at = model.list.at.min(last);
    let Some(label) = model.listed().get(at).map(|c| c.label.clone()) else { return };
    if !model.list.tagged.remove(&label) {
        model.list.tagged.insert(label);
    }
    model.list.at = (at + 1).min(last);
}

fn sort(model: &mut Model, is_right: bool) {
    let at = Column::ALL.iter().position(|c| *c == model.list.sort).unwrap_or(0);
    let step = if is_right { 1 } else { Column::ALL.len() - 1 };
    model.list.sort = Column::ALL[(at + step) % Column::ALL.len()];
    model.list.at = 0;
}

/// Why the candidate under the cursor was not taken; of an overview, of the mesh with two tensor
/// ranks or one.
fn why(model: &mut Model) -> Vec<Effect> {
    let listed = model.listed();
    let at = model.list.at.min(listed.len().saturating_sub(1));
    let candidate = match model.screen {
        Screen::Candidates => listed.get(at).copied(),
        _ => listed.iter().find(|c| c.status != Status::Best).copied(),
    };
    let Some(candidate) = candidate.cloned() else {
        model.say(Role::Warn, "there is no other candidate yet");
        return Vec::new();
    };
    if candidate.status == Status::Best {
        let lines = inspect::why_lines(model);
        model.overlay = Some(Window::overlay(format!("Why {}", candidate.label), lines));
        return Vec::new();
    }
    let asked = vec![(Role::Plain, candidate.label.clone()), (Role::Dim, candidate.why.clone())];
    model.overlay = Some(Window::overlay(super::WAITING, asked));
    vec![model.job(Task::WhyNot(candidate.pins))]
}

/// Doubles or halves the width of time, up to the whole step.
fn zoom(model: &mut Model, is_in: bool) {
    let zoom = model.cursor.zoom;
    model.cursor.zoom = if is_in { (zoom + 1).min(MOST_ZOOM) } else { zoom.saturating_sub(1) };
}

/// Warm-up, steady part, drain: beginning, middle and end of the step.
fn part(model: &mut Model, is_next: bool) {
    let Some(seconds) = model.in_time().map(|t| t.predicted.seconds) else { return };
    let parts = [0.0, seconds / 2.0, seconds];
    let now = model.cursor.time;
    let nearest = |a: &f64, b: &f64| (a - now).abs().total_cmp(&(b - now).abs());
    let at = parts.iter().enumerate().min_by(|a, b| nearest(a.1, b.1)).map_or(0, |(i, _)| i);
    let to = if is_next { (at + 1).min(2) } else { at.saturating_sub(1) };
    model.cursor.time = parts[to];
}
