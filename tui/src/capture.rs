//! Screens without a terminal: keys in, text and styles out. Work is done at once.

use crate::host::{Host, RunEvent};
use crate::key::Key;
use crate::message::{Effect, Message};
use crate::model::Model;
use crate::solver::perform;
use crate::theme::{Look, letter};
use crate::update::update;
use crate::view;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::sync::Mutex;

/// Presses keys; every answer is waited for before the next one. `false`: the keys ended it.
pub fn press(host: &dyn Host, model: &mut Model, first: Vec<Effect>, keys: &[Key]) -> bool {
    let mut goes_on = settle(host, model, first);
    for key in keys {
        if !goes_on {
            break;
        }
        let effects = update(model, Message::Key(*key));
        goes_on = settle(host, model, effects);
    }
    goes_on
}

/// Does what the model wants, and what follows from that.
fn settle(host: &dyn Host, model: &mut Model, effects: Vec<Effect>) -> bool {
    let mut open = effects;
    while let Some(effect) = open.pop() {
        let mut messages = Vec::new();
        match effect {
            Effect::Quit => return false,
            Effect::Solve(job) => {
                let mut emit = |part| messages.push(Message::Answer(job.generation, part));
                perform(host, &job, &|| false, &mut emit);
            }
            Effect::Save(plan, path) => messages.push(Message::Saved(host.save(&plan, &path))),
            Effect::Export(page) => messages.push(Message::Exported(host.export(&page))),
            Effect::Copy(ask) => messages.push(Message::Copied(host.command(&ask))),
            Effect::Execute(plan) => {
                let steps = Mutex::new(Vec::new());
                let keep = |step| {
                    if let Ok(mut steps) = steps.lock() {
                        steps.push(step);
                    }
                };
                let ended = host.execute(&plan, &keep);
                let steps = steps.into_inner().unwrap_or_default();
                messages.extend(steps.into_iter().map(|s| Message::Run(RunEvent::Step(s))));
                messages.push(Message::Run(RunEvent::Ended(ended)));
            }
        }
        for message in messages {
            open.extend(update(model, message));
        }
    }
    true
}

/// The screen as cells.
#[must_use]
pub fn buffer(model: &Model) -> Buffer {
    let mut buffer = Buffer::empty(Rect::new(0, 0, model.size.0, model.size.1));
    view::draw(model, &mut buffer);
    buffer
}

/// The screen as text, a line per row, without blanks at the end.
#[must_use]
pub fn text(buffer: &Buffer) -> String {
    let area = buffer.area;
    let row = |y| {
        let cells = (area.x..area.right()).filter_map(|x| buffer.cell((x, y)));
        let line: String = cells.map(|cell| cell.symbol()).collect();
        line.trim_end().to_string() + "\n"
    };
    (area.y..area.bottom()).map(row).collect()
}

/// How the screen is drawn: a letter per run of cells that look alike, as
/// [`letter`] gives it; `Err` is the place of a style that no role has.
///
/// # Errors
/// Column and row of a cell whose style has no letter.
pub fn styles(buffer: &Buffer, look: Look) -> Result<String, (u16, u16)> {
    let area = buffer.area;
    let mut text = String::new();
    for y in area.y..area.bottom() {
        let mut runs: Vec<(char, u16)> = Vec::new();
        for x in area.x..area.right() {
            let style = buffer.cell((x, y)).map(|cell| cell.style()).unwrap_or_default();
            let letter = letter(look, style).ok_or((x, y))?;
            match runs.last_mut() {
                Some((last, n)) if *last == letter => *n += 1,
                _ => runs.push((letter, 1)),
            }
        }
        let words: Vec<String> = runs.iter().map(|(c, n)| format!("{c}{n}")).collect();
        text += &(words.join(" ") + "\n");
    }
    Ok(text)
}
