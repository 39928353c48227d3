//! What lies over a screen: windows and texts that are typed.

use crate::knob::Knob;
use crate::theme::Role;

/// Something over the screen; it takes the keys.
#[derive(Clone, Debug, PartialEq)]
pub enum Overlay {
    /// The keys, scrolled down so far.
    Help(usize),
    /// A window with a text.
    Window(Window),
    /// A text that is typed.
    Input(Input, String),
}

/// What a text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The filter of the candidates.
    Filter,
    /// A command.
    Palette,
    /// The value of a knob.
    Value(Knob),
    /// Whether to leave an unsaved plan.
    Leave,
}

impl Input {
    /// What stands before the text.
    #[must_use]
    pub fn prompt(self) -> String {
        match self {
            Self::Filter => "/".into(),
            Self::Palette => ":".into(),
            Self::Value(knob) => format!("{} = ", knob.name()),
            Self::Leave => "The changed plan is not saved. Leave it? (y/n) ".into(),
        }
    }
}

/// A window.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// What it is about.
    pub title: String,
    /// Its text.
    pub lines: Vec<Line>,
    /// Lines above the first one shown.
    pub scroll: usize,
}

/// A line of text.
pub type Line = (Role, String);

impl Window {
    /// A window with a text.
    #[must_use]
    pub fn overlay(title: impl Into<String>, lines: Vec<Line>) -> Overlay {
        Overlay::Window(Self { title: title.into(), lines, scroll: 0 })
    }
}
