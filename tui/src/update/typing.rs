//! Texts that are typed: filters, values, commands.

use super::doing;
use crate::keymap::Action;
use crate::knob::typed;
use crate::message::Effect;
use crate::model::{Input, Model, Overlay};
use crate::palette::{self, Command};
use crate::theme::Role;

/// A character came, or went: a filter applies at once.
pub(super) fn changed(model: &mut Model) -> Vec<Effect> {
    if let Some(Overlay::Input(Input::Filter, text)) = &model.overlay {
        model.list.filter.clone_from(text);
        model.list.at = 0;
    }
    Vec::new()
}

pub(super) fn erased(model: &mut Model) -> Vec<Effect> {
    if let Some(Overlay::Input(_, text)) = &mut model.overlay {
        text.pop();
    }
    changed(model)
}

pub(super) fn submitted(model: &mut Model) -> Vec<Effect> {
    let Some(Overlay::Input(input, text)) = model.overlay.take() else { return Vec::new() };
    match input {
        Input::Filter | Input::Leave => Vec::new(),
        Input::Value(knob) => set(model, knob, &text),
        Input::Palette => command(model, &text),
    }
}

fn set(model: &mut Model, knob: crate::knob::Knob, text: &str) -> Vec<Effect> {
    match typed(knob, &model.ask, &model.menu, text) {
        Ok(ask) => model.change(ask),
        Err(reason) => warned(model, reason),
    }
}

fn command(model: &mut Model, text: &str) -> Vec<Effect> {
    match palette::parse(text) {
        Ok(Command::Nothing) => Vec::new(),
        Ok(Command::Do(action)) => super::act(model, action),
        Ok(Command::Set(knob, value)) => set(model, knob, &value),
        Ok(Command::Save(path)) => match super::refusal(model, Action::Save) {
            None => doing::save(model, Some(&path)),
            Some(reason) => warned(model, reason),
        },
        Ok(Command::Export(path)) => match super::refusal(model, Action::Export) {
            None => doing::export(model, Some(&path)),
            Some(reason) => warned(model, reason),
        },
        Err(reason) => warned(model, reason),
    }
}

fn warned(model: &mut Model, reason: impl Into<String>) -> Vec<Effect> {
    model.say(Role::Warn, reason);
    Vec::new()
}
