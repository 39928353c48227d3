//! Where the cursor goes.

use crate::keymap::Move;
use crate::knob::{Knob, choices};
use crate::message::{Effect, Task};
use crate::model::{Model, Overlay, Screen};
use crate::strips::Strip;

/// Moves the cursor of the window, or of the screen.
pub(super) fn moved(model: &mut Model, to: Move) -> Vec<Effect> {
    let page = usize::from(model.size.1.saturating_sub(8)).max(2);
    match &mut model.overlay {
        Some(Overlay::Help(scroll)) => {
            *scroll = stepped(*scroll, to, page, usize::MAX).min(crate::view::help_lines());
            return Vec::new();
        }
        Some(Overlay::Window(window)) => {
            let most = window.lines.len();
            window.scroll = stepped(window.scroll, to, page, most);
            return Vec::new();
        }
        Some(Overlay::Input(..)) => return Vec::new(),
        None => {}
    }
    match model.screen {
        Screen::Overview => {
            let most = overview_lines(model, model.panel);
            let line = &mut model.lines[model.panel.min(3)];
            *line = stepped(*line, to, page, most);
        }
        Screen::Candidates => {
            let most = model.listed().len();
            model.list.at = stepped(model.list.at, to, page, most);
        }
        Screen::Timeline => timeline(model, to, page),
        Screen::Memory => {
            let most = memory_lines(model);
            model.stage = stepped(model.stage, to, page, most);
        }
        Screen::Communication => {
            let most = model.in_time().map_or(0, |t| t.traffic.len());
            model.group = stepped(model.group, to, page, most);
        }
        Screen::WhatIf => return what_if(model, to, page),
        Screen::Run => {
            let most = model.run.shown().len();
            let at = model.run.at.unwrap_or(most.saturating_sub(1));
            let at = stepped(at, to, page, most);
            model.run.at = (at + 1 < most).then_some(at);
        }
    }
    Vec::new()
}

/// Goes round among the candidates that pass the filter.
pub(super) fn matched(model: &mut Model, is_next: bool) {
    let most = model.listed().len().max(1);
    let at = model.list.at.min(most - 1);
    model.list.at = if is_next { (at + 1) % most } else { (at + most - 1) % most };
}

/// A place among `most` after a move.
fn stepped(at: usize, to: Move, page: usize, most: usize) -> usize {
    let last = most.saturating_sub(1);
    let at = at.min(last);
    let new = match to {
        Move::Up | Move::Left => at.saturating_sub(1),
        Move::Down | Move::Right => at.saturating_add(1),
        Move::First => 0,
        Move::Last => last,
        Move::HalfDown => at.saturating_add(page / 2),
        Move::HalfUp => at.saturating_sub(page / 2),
        Move::PageDown => at.saturating_add(page),
        Move::PageUp => at.saturating_sub(page),
    };
    new.min(last)
}

/// Lines of a panel of the overview.
pub(crate) fn overview_lines(model: &Model, panel: usize) -> usize {
    let Some(report) = model.report() else { return 0 };
    match panel {
        0 => report.time.len(),
        1 => report.memory.stages.len(),
        2 => report.why.len() + report.warnings.len(),
        _ => model.runners_up.len(),
    }
}

/// Lines of the memory.
pub(crate) fn memory_lines(model: &Model) -> usize {
    match model.is_per_rank {
        true => model.in_time().map_or(0, |t| t.predicted.rows.len()),
        false => model.report().map_or(0, |report| report.memory.stages.len()),
    }
}

/// Left and right go from pass to pass, up and down from rank to rank.
fn timeline(model: &mut Model, to: Move, page: usize) {
    let Some(in_time) = model.in_time() else { return };
    let (rows, seconds) = (in_time.predicted.rows.len(), in_time.predicted.seconds);
    let row = model.cursor.row.min(rows.saturating_sub(1));
    let strip = in_time.predicted.rows.get(row);
    let time = match to {
        Move::Left => strip.map_or(0.0, |strip| before(strip, model.cursor.time)),
        Move::Right => strip.map_or(0.0, |strip| after(strip, model.cursor.time)),
        Move::First => 0.0,
        Move::Last => strip.and_then(|s| s.passes.last()).map_or(0.0, |b| b.start),
        _ => model.cursor.time,
    };
    model.cursor.time = time.clamp(0.0, seconds);
    if !matches!(to, Move::Left | Move::Right | Move::First | Move::Last) {
        model.cursor.row = stepped(row, to, page, rows);
    }
}

fn before(strip: &Strip, time: f64) -> f64 {
    let place = strip.passes.partition_point(|block| block.end <= time);
    let block = strip.passes.get(place.saturating_sub(1)).or(strip.passes.first());
    block.map_or(0.0, |block| block.start)
}

fn after(strip: &Strip, time: f64) -> f64 {
    let place = strip.passes.partition_point(|block| block.end <= time);
    let block = strip.passes.get(place + 1).or(strip.passes.last());
    block.map_or(0.0, |block| block.start)
}

/// Up and down choose a knob, or one of its values; left and right turn the knob.
fn what_if(model: &mut Model, to: Move, page: usize) -> Vec<Effect> {
    let all = choices(model.knob(), &model.ask, &model.menu, model.per_node());
    if let (Move::Left | Move::Right, _) = (to, model.choice) {
        let word = model.knob().word(&model.ask, &model.menu.recipe);
        let at = all.iter().position(|choice| choice.word == word).unwrap_or(0);
        let at = stepped(at, to, page, all.len());
        let Some(choice) = all.get(at) else { return Vec::new() };
        return model.change(choice.ask.clone());
    }
    if let Some(line) = model.choice {
        model.choice = Some(stepped(line, to, page, all.len()));
        return Vec::new();
    }
    let at = stepped(model.knob, to, page, Knob::ALL.len());
    if at == model.knob {
        return Vec::new();
    }
    model.knob = at;
    model.effects = None;
    looked(model)
}

/// Looks at what the knob under the cursor does, where that is on the screen.
pub(super) fn looked(model: &Model) -> Vec<Effect> {
    if model.screen != Screen::WhatIf || model.is_solving {
        return Vec::new();
    }
    let all = choices(model.knob(), &model.ask, &model.menu, model.per_node());
    vec![model.job(Task::Effects(model.knob(), all))]
}

/// Puts the cursor on a line of the screen, and opens the line that it is on already.
pub(super) fn select(model: &mut Model, line: usize) -> Vec<Effect> {
    let place = match model.screen {
        Screen::Overview => &mut model.lines[model.panel.min(3)],
        Screen::Candidates => &mut model.list.at,
        Screen::Timeline => &mut model.cursor.row,
        Screen::Memory => &mut model.stage,
        Screen::Communication => &mut model.group,
        Screen::WhatIf => {
            let changes = model.knob != line;
            (model.knob, model.choice) = (line.min(Knob::ALL.len() - 1), None);
            if changes {
                model.effects = None;
                return looked(model);
            }
            return Vec::new();
        }
        Screen::Run => return Vec::new(),
    };
    *place = line;
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_stay_inside() {
        assert_eq!(stepped(0, Move::Up, 10, 5), 0);
        assert_eq!(stepped(4, Move::Down, 10, 5), 4);
        assert_eq!(stepped(9, Move::Up, 10, 5), 3);
        assert_eq!(stepped(0, Move::PageDown, 10, 5), 4);
        assert_eq!(stepped(3, Move::Last, 10, 0), 0);
        assert_eq!(stepped(4, Move::HalfUp, 4, 9), 2);
    }
}
