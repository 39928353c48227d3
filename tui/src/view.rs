//! Screens: a function from the model to cells, and to what a click on them means.

mod candidates;
mod communication;
mod frame;
mod memory;
mod overview;
mod pen;
mod run;
mod timeline;
mod what_if;
mod windows;
mod words;

pub use pen::{Pen, Target};
pub use timeline::pass_name;
pub use windows::help_lines;
pub use words::{gib, signed, time, wrap};

use crate::model::{Answered, Model, Screen};
use crate::theme::{Role, to_ascii};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// The smallest terminal that screens are laid out for.
pub const LEAST: (u16, u16) = (80, 24);
/// From this width on panels lie beside each other.
pub const WIDE: u16 = 100;

/// Draws the model into a buffer of its size.
pub fn draw(model: &Model, buffer: &mut Buffer) {
    let mut pen = Pen::new(buffer, model.look);
    painted(model, &mut pen);
    if model.look.is_ascii {
        to_ascii(buffer);
    }
}

/// What a click on a cell means.
#[must_use]
pub fn hit(model: &Model, x: u16, y: u16) -> Option<Target> {
    let mut buffer = Buffer::empty(Rect::new(0, 0, model.size.0, model.size.1));
    let mut pen = Pen::new(&mut buffer, model.look);
    painted(model, &mut pen);
    pen.target(x, y)
}

fn painted(model: &Model, pen: &mut Pen<'_>) {
    let area = pen.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        return too_small(area, pen);
    }
    let body = frame::frame(model, area, pen);
    match (&model.answered, model.screen) {
        (_, Screen::Run) => run::draw(model, body, pen),
        (_, Screen::WhatIf) => what_if::draw(model, body, pen),
        (Answered::Plan(report), screen) => match screen {
            Screen::Overview => overview::draw(model, report, body, pen),
            Screen::Candidates => candidates::draw(model, body, pen),
            Screen::Timeline => timeline::draw(model, report, body, pen),
            Screen::Memory => memory::draw(model, report, body, pen),
            _ => communication::draw(model, report, body, pen),
        },
        (answered, _) => windows::no_plan(answered, body, pen),
    }
    windows::overlay(model, area, pen);
}

/// Below the smallest size there is room for a sentence.
fn too_small(area: Rect, pen: &mut Pen<'_>) {
    let (columns, rows) = LEAST;
    let text = format!(
        "{} × {} is too small: the explorer needs {columns} × {rows}. Make the terminal larger, \
         or leave with q; `meshwright plan` says the same in lines.",
        area.width, area.height
    );
    let lines = wrap(&text, usize::from(area.width));
    for (line, y) in lines.iter().zip(area.y..area.bottom()) {
        pen.text((area.x, y), area.width, Role::Plain, line);
    }
}
