//! Keys and what they do: one table for dispatch, footer, help and documents.

mod table;

pub use table::KEYMAP;

use crate::key::Key;
use crate::model::{Model, Overlay, Screen};

/// Something that a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Shows a screen.
    Show(Screen),
    /// Goes to the next panel, or the one before.
    Panel(bool),
    /// Moves the cursor.
    Move(Move),
    /// Goes into what is under the cursor.
    Enter,
    /// Goes back.
    Back,
    /// Asks for a filter.
    Filter,
    /// Asks for a command.
    Palette,
    /// Tags a candidate.
    Tag,
    /// Puts tagged candidates side by side.
    Compare,
    /// Sorts by the column to the left, or to the right.
    Sort(bool),
    /// Reverses the order.
    Reverse,
    /// Makes a panel larger.
    Expand,
    /// Holds live data.
    Freeze,
    /// Shows where a number is from.
    Inspect,
    /// Says why, or why not.
    Why,
    /// Copies the command that asks the same.
    Copy,
    /// Writes the plan.
    Save,
    /// Writes the plan as a page.
    Export,
    /// Goes to the next candidate that passes the filter, or to the one before.
    Match(bool),
    /// Takes back a change.
    Undo,
    /// Makes it again.
    Redo,
    /// Leaves a knob to planner or recipe.
    Free,
    /// Asks for a value.
    Type,
    /// Makes time wider, or narrower.
    Zoom(bool),
    /// Goes to the part of the step before, or after.
    Part(bool),
    /// Ranks instead of stages.
    PerRank,
    /// Trains the plan here.
    Execute,
    /// Shows the keys.
    Help,
    /// Ends.
    Quit,
    /// Of a text: takes it.
    Submit,
    /// Of a text: removes the last character.
    Erase,
}

/// A move of the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// One up.
    Up,
    /// One down.
    Down,
    /// One to the left.
    Left,
    /// One to the right.
    Right,
    /// To the beginning.
    First,
    /// To the end.
    Last,
    /// Half a page down.
    HalfDown,
    /// Half a page up.
    HalfUp,
    /// A page down.
    PageDown,
    /// A page up.
    PageUp,
}

/// Where a key means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On every screen.
    Everywhere,
    /// On some.
    On(&'static [Screen]),
    /// While a window is open.
    Window,
    /// While a text is typed.
    Text,
}

/// A line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// The keys.
    pub keys: &'static [Key],
    /// Where they mean it.
    pub place: Place,
    /// What they do.
    pub action: Action,
    /// A word or two for the footer; empty where it is not shown there.
    pub label: &'static str,
    /// A sentence for the help.
    pub does: &'static str,
}

impl Place {
    /// Whether keys of this place mean something to a model as it is.
    #[must_use]
    pub fn applies(self, model: &Model) -> bool {
        match (self, &model.overlay) {
            (Self::Text, Some(Overlay::Input(..))) => true,
            (Self::Window, Some(Overlay::Window(..) | Overlay::Help(..))) => true,
            (Self::Everywhere, None) => true,
            (Self::On(screens), None) => screens.contains(&model.screen),
            _ => false,
        }
    }

    /// What it is called in help and documents.
    #[must_use]
    pub fn heading(self) -> String {
        match self {
            Self::Everywhere => "everywhere".into(),
            Self::Window => "in a window".into(),
            Self::Text => "while typing".into(),
            Self::On(screens) => {
                let names: Vec<&str> = screens.iter().map(|s| s.name()).collect();
                names.join(", ")
            }
        }
    }
}

/// The line of a key for a model as it is; the particular ones stand before the general ones.
#[must_use]
pub fn find(model: &Model, key: Key) -> Option<&'static Binding> {
    let applies = |b: &&Binding| b.keys.contains(&key) && b.place.applies(model);
    let mut particular = KEYMAP.iter().filter(|b| b.place != Place::Everywhere);
    particular.find(applies).or_else(|| KEYMAP.iter().find(applies))
}

/// The keys of a line, in words: `k or ↑`.
#[must_use]
pub fn keys(binding: &Binding) -> String {
    let words: Vec<String> = binding.keys.iter().map(Key::to_string).collect();
    words.join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things_at_once() {
        let places = |a: Place, b: Place| match (a, b) {
            (Place::On(a), Place::On(b)) => a.iter().any(|screen| b.contains(screen)),
            (a, b) => a == b,
        };
        for (i, a) in KEYMAP.iter().enumerate() {
            for b in &KEYMAP[i + 1..] {
                let shared = a.keys.iter().find(|key| b.keys.contains(key));
                let clash = shared.filter(|_| places(a.place, b.place));
                assert_eq!(clash, None, "{} and {}", a.does, b.does);
            }
        }
    }
}
