//! The table. What stands first is shown first in footers.

use super::{Action, Binding, Move, Place};
use crate::key::Key;
use crate::model::Screen;

const fn on(
    place: Place,
    keys: &'static [Key],
    action: Action,
    label: &'static str,
    does: &'static str,
) -> Binding {
    Binding { keys, place, action, label, does }
}

const ALL: Place = Place::Everywhere;
const CANDIDATES: Place = Place::On(&[Screen::Candidates]);
const TIMELINE: Place = Place::On(&[Screen::Timeline]);
const WHAT_IF: Place = Place::On(&[Screen::WhatIf]);
const CHOICES: Place = Place::On(&[Screen::Candidates, Screen::Overview]);
const NUMBERS: Place =
    Place::On(&[Screen::Overview, Screen::Timeline, Screen::Memory, Screen::Communication]);
const PANELS: Place = Place::On(&[Screen::Overview, Screen::WhatIf]);
const LARGE: Place = Place::On(&[Screen::Candidates, Screen::Memory, Screen::Communication]);

/// Every key.
pub const KEYMAP: &[Binding] = &[
    on(WHAT_IF, &[Key::Left, Key::Char('h')], Action::Move(Move::Left), "less", "The value before"),
    on(WHAT_IF, &[Key::Right, Key::Char('l')], Action::Move(Move::Right), "more", "The next value"),
    on(WHAT_IF, &[Key::Char('*')], Action::Free, "free", "Leaves the knob to planner or recipe"),
    on(WHAT_IF, &[Key::Char('t')], Action::Type, "type", "Types a value"),
    on(CANDIDATES, &[Key::Char(' ')], Action::Tag, "tag", "Tags a candidate"),
    on(
        CANDIDATES,
        &[Key::Char('c')],
        Action::Compare,
        "compare",
        "Puts tagged candidates side by side",
    ),
    on(
        CANDIDATES,
        &[Key::Char('/')],
        Action::Filter,
        "filter",
        "Filters: tp=2 mem<12GiB !zero=1, or words",
    ),
    on(
        CANDIDATES,
        &[Key::Char('n')],
        Action::Match(true),
        "",
        "The next match of the filter; after the last, the first",
    ),
    on(
        CANDIDATES,
        &[Key::Char('N')],
        Action::Match(false),
        "",
        "The match before; before the first, the last",
    ),
    on(
        CANDIDATES,
        &[Key::Char(',')],
        Action::Sort(false),
        "sort left",
        "Sorts by the column to the left",
    ),
    on(
        CANDIDATES,
        &[Key::Char('.')],
        Action::Sort(true),
        "sort right",
        "Sorts by the column to the right",
    ),
    on(CANDIDATES, &[Key::Char('r')], Action::Reverse, "", "Reverses the order"),
    on(
        TIMELINE,
        &[Key::Char('+'), Key::Char('=')],
        Action::Zoom(true),
        "zoom in",
        "Makes time wider",
    ),
    on(TIMELINE, &[Key::Char('-')], Action::Zoom(false), "out", "Makes time narrower"),
    on(
        TIMELINE,
        &[Key::Char('[')],
        Action::Part(false),
        "part before",
        "Warm-up, steady part, drain: the one before",
    ),
    on(
        TIMELINE,
        &[Key::Char(']')],
        Action::Part(true),
        "after",
        "Warm-up, steady part, drain: the next one",
    ),
    on(TIMELINE, &[Key::Left, Key::Char('h')], Action::Move(Move::Left), "", "The pass before"),
    on(TIMELINE, &[Key::Right, Key::Char('l')], Action::Move(Move::Right), "", "The next pass"),
    on(
        Place::On(&[Screen::Memory]),
        &[Key::Char('p')],
        Action::PerRank,
        "per rank",
        "Ranks instead of stages, and back",
    ),
    on(
        Place::On(&[Screen::Run]),
        &[Key::Char('R')],
        Action::Execute,
        "train here",
        "Trains the plan on the ranks of this machine",
    ),
    on(
        Place::On(&[Screen::Run]),
        &[Key::Char('f')],
        Action::Freeze,
        "freeze",
        "Holds the screen while a run goes on",
    ),
    on(ALL, &[Key::Enter], Action::Enter, "open", "Goes into what is under the cursor"),
    on(CHOICES, &[Key::Char('w')], Action::Why, "why", "Why, or why not: solves the other choice"),
    on(
        NUMBERS,
        &[Key::Char('i')],
        Action::Inspect,
        "inspect",
        "Interval, origin and formula of a number",
    ),
    on(PANELS, &[Key::Tab], Action::Panel(true), "panel", "The next panel"),
    on(PANELS, &[Key::BackTab], Action::Panel(false), "", "The panel before"),
    on(
        LARGE,
        &[Key::Char('e')],
        Action::Expand,
        "expand",
        "Gives the list the whole screen, and back",
    ),
    on(ALL, &[Key::Char('u')], Action::Undo, "", "Takes back the last change of the question"),
    on(ALL, &[Key::Ctrl('r')], Action::Redo, "", "Makes it again"),
    on(ALL, &[Key::Char('s')], Action::Save, "save", "Writes the plan"),
    on(ALL, &[Key::Char('y')], Action::Copy, "copy", "Copies the command that asks the same"),
    on(
        ALL,
        &[Key::Char('x')],
        Action::Export,
        "export",
        "Writes the plan as a page for a browser, where no file is yet",
    ),
    on(
        ALL,
        &[Key::Char(':')],
        Action::Palette,
        "command",
        "A command: a screen, save FILE, export FILE, tp 2, quit",
    ),
    on(ALL, &[Key::Char('?')], Action::Help, "help", "Shows the keys"),
    on(ALL, &[Key::Char('q'), Key::Ctrl('c')], Action::Quit, "quit", "Ends"),
    on(ALL, &[Key::Char('1')], Action::Show(Screen::Overview), "", "Overview"),
    on(ALL, &[Key::Char('2')], Action::Show(Screen::Candidates), "", "Candidates"),
    on(ALL, &[Key::Char('3')], Action::Show(Screen::Timeline), "", "Timeline"),
    on(ALL, &[Key::Char('4')], Action::Show(Screen::Memory), "", "Memory"),
    on(ALL, &[Key::Char('5')], Action::Show(Screen::Communication), "", "Communication"),
    on(ALL, &[Key::Char('6')], Action::Show(Screen::WhatIf), "", "What-if"),
    on(ALL, &[Key::Char('7')], Action::Show(Screen::Run), "", "Run"),
    on(ALL, &[Key::Char('k'), Key::Up], Action::Move(Move::Up), "", "Up"),
    on(ALL, &[Key::Char('j'), Key::Down], Action::Move(Move::Down), "", "Down"),
    on(ALL, &[Key::Char('g'), Key::Home], Action::Move(Move::First), "", "To the beginning"),
    on(ALL, &[Key::Char('G'), Key::End], Action::Move(Move::Last), "", "To the end"),
    on(ALL, &[Key::Ctrl('d')], Action::Move(Move::HalfDown), "", "Half a page down"),
    on(ALL, &[Key::Ctrl('u')], Action::Move(Move::HalfUp), "", "Half a page up"),
    on(ALL, &[Key::PageDown], Action::Move(Move::PageDown), "", "A page down"),
    on(ALL, &[Key::PageUp], Action::Move(Move::PageUp), "", "A page up"),
    on(ALL, &[Key::Esc], Action::Back, "", "Back: clears the filter, or shows the overview"),
    on(
        Place::Window,
        &[Key::Esc, Key::Enter, Key::Char('q'), Key::Char('?')],
        Action::Back,
        "close",
        "Closes the window",
    ),
    on(
        Place::Window,
        &[Key::Char('j'), Key::Down],
        Action::Move(Move::Down),
        "down",
        "Scrolls down",
    ),
    on(Place::Window, &[Key::Char('k'), Key::Up], Action::Move(Move::Up), "up", "Scrolls up"),
    on(
        Place::Window,
        &[Key::PageDown, Key::Ctrl('d'), Key::Char(' ')],
        Action::Move(Move::PageDown),
        "",
        "A page down",
    ),
    on(Place::Window, &[Key::PageUp, Key::Ctrl('u')], Action::Move(Move::PageUp), "", "A page up"),
    on(
        Place::Window,
        &[Key::Char('g'), Key::Home],
        Action::Move(Move::First),
        "",
        "To the beginning",
    ),
    on(Place::Window, &[Key::Char('G'), Key::End], Action::Move(Move::Last), "", "To the end"),
    on(Place::Window, &[Key::Ctrl('c')], Action::Quit, "", "Ends"),
    on(Place::Text, &[Key::Enter], Action::Submit, "take it", "Takes the text"),
    on(Place::Text, &[Key::Esc], Action::Back, "cancel", "Forgets the text"),
    on(Place::Text, &[Key::Backspace], Action::Erase, "", "Removes the last character"),
    on(Place::Text, &[Key::Ctrl('c')], Action::Quit, "", "Ends"),
];
