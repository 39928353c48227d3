//! What a message makes of a model.

mod cursor;
mod doing;
mod inspect;
mod typing;

use crate::key::Key;
use crate::keymap::{self, Action};
use crate::message::{Effect, Message, Part};
use crate::model::{Answered, Input, Kept, Model, Overlay, Run, Screen};
use crate::theme::Role;
use crate::view;

/// The model after a message, and what it wants done.
pub fn update(model: &mut Model, message: Message) -> Vec<Effect> {
    match message {
        Message::Key(key) => pressed(model, key),
        Message::Click(x, y) => match view::hit(model, x, y) {
            Some(view::Target::Do(action)) => act(model, action),
            Some(view::Target::Line(line)) => cursor::select(model, line),
            Some(view::Target::Nothing) | None => Vec::new(),
        },
        Message::Wheel(is_down) => {
            let to = if is_down { keymap::Move::Down } else { keymap::Move::Up };
            if matches!(model.overlay, Some(Overlay::Input(..))) {
                return Vec::new();
            }
            cursor::moved(model, to)
        }
        Message::Resize(columns, rows) => {
            model.size = (columns, rows);
            Vec::new()
        }
        Message::Answer(generation, part) if generation == model.generation => {
            answered(model, part)
        }
        Message::Answer(..) => Vec::new(),
        Message::Saved(result) => {
            saved(model, result);
            Vec::new()
        }
        Message::Copied(text) => {
            model.say(Role::Good, format!("copied: {text}"));
            Vec::new()
        }
        Message::Exported(Ok(text)) => {
            model.say(Role::Good, text);
            Vec::new()
        }
        Message::Exported(Err(text)) => {
            model.say(Role::Bad, text);
            Vec::new()
        }
        Message::Run(event) => {
            model.run.hear(event);
            Vec::new()
        }
    }
}

fn pressed(model: &mut Model, key: Key) -> Vec<Effect> {
    model.notice = None;
    if let Some(Overlay::Input(Input::Leave, _)) = model.overlay {
        model.overlay = None;
        return if key == Key::Char('y') { vec![Effect::Quit] } else { Vec::new() };
    }
    if let (Some(Overlay::Input(_, text)), Key::Char(c)) = (&mut model.overlay, key) {
        text.push(c);
        return typing::changed(model);
    }
    match keymap::find(model, key) {
        Some(binding) => act(model, binding.action),
        None => Vec::new(),
    }
}

/// Does something, or says why not.
pub(crate) fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    if let Some(reason) = refusal(model, action) {
        model.say(Role::Warn, reason);
        return Vec::new();
    }
    match action {
        Action::Move(to) => cursor::moved(model, to),
        Action::Submit => typing::submitted(model),
        Action::Erase => typing::erased(model),
        other => doing::done(model, other),
    }
}

/// Why something cannot be done now.
#[must_use]
pub fn refusal(model: &Model, action: Action) -> Option<&'static str> {
    let no_plan = model.report().is_none();
    match action {
        Action::Save | Action::Export | Action::Execute | Action::Inspect if no_plan => {
            Some("there is no plan yet")
        }
        Action::Save | Action::Export if model.is_solving => Some("the plan is being solved for"),
        Action::Match(_) if model.list.filter.is_empty() => {
            Some("there is no filter; / asks for one")
        }
        Action::Match(_) if model.listed().is_empty() => Some("nothing passes the filter"),
        Action::Undo if model.undo.is_empty() => Some("nothing was changed"),
        Action::Redo if model.redo.is_empty() => Some("nothing was taken back"),
        Action::Compare if model.list.tagged.len() < 2 => {
            Some("tag two candidates or more with Space")
        }
        Action::Tag if model.listed().is_empty() => Some("there is no candidate"),
        Action::Free if model.knob().is_free(&model.ask) => Some("it is free already"),
        Action::Execute if model.run.is_live => Some("a run is going on"),
        Action::Freeze if !model.run.is_live && model.run.held.is_none() => {
            Some("no run is going on")
        }
        Action::Zoom(_) | Action::Part(_) if model.in_time().is_none() => {
            Some("there is no timeline")
        }
        _ => None,
    }
}

fn answered(model: &mut Model, part: Part) -> Vec<Effect> {
    match part {
        Part::Plan(report) => {
            let is_first = model.kept.is_none();
            if is_first {
                model.kept = Some(Kept::of(&model.ask, &report));
            }
            forget(model);
            model.answered = Answered::Plan(report);
            return cursor::looked(model);
        }
        Part::DoesNotFit(report) => {
            forget(model);
            model.answered = Answered::DoesNotFit(report);
            model.is_refining = false;
            return cursor::looked(model);
        }
        Part::Refused(refusal) => {
            forget(model);
            model.answered = Answered::Refused(refusal);
            model.is_refining = false;
            return cursor::looked(model);
        }
        Part::Candidates(all) => {
            model.candidates = all;
            let known = &model.candidates;
            model.list.tagged.retain(|label| known.iter().any(|c| c.label == *label));
        }
        Part::RunnersUp(all) => model.runners_up = all,
        Part::Timeline(result) => model.in_time = Some(result),
        Part::Effects(knob, all) => {
            if knob == model.knob() {
                model.effects = Some((knob, all));
            }
        }
        Part::WhyNot(why) => {
            let is_waiting =
                matches!(&model.overlay, Some(Overlay::Window(w)) if w.title == WAITING);
            if is_waiting {
                model.overlay = Some(inspect::why_window(&why));
            }
        }
        Part::Done => model.is_refining = false,
    }
    Vec::new()
}

/// Title of the window that waits for a reason.
pub(crate) const WAITING: &str = "Why not: solving …";

/// What was known of the question before.
fn forget(model: &mut Model) {
    model.is_solving = false;
    model.candidates.clear();
    model.runners_up.clear();
    model.in_time = None;
}

fn saved(model: &mut Model, result: Result<String, String>) {
    match result {
        Ok(text) => {
            model.kept = model.report().map(|report| Kept::of(&model.ask, report));
            model.say(Role::Good, text);
        }
        Err(text) => model.say(Role::Bad, text),
    }
}

/// A run of the plan begins.
fn executing(model: &mut Model) -> Vec<Effect> {
    let Some(report) = model.report() else { return Vec::new() };
    let plan = report.plan.clone();
    model.run = Run::started(&plan.id, model.menu.steps);
    model.screen = Screen::Run;
    vec![Effect::Execute(Box::new(plan))]
}
