//! Commands that are typed after `:`.

use crate::keymap::Action;
use crate::knob::Knob;
use crate::model::Screen;
use plan::suggest::closest;

/// A command.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Nothing was typed.
    Nothing,
    /// What a key does as well.
    Do(Action),
    /// To set a knob.
    Set(Knob, String),
    /// To write the plan to a file.
    Save(String),
    /// To write the page of the plan to a file.
    Export(String),
}

/// Commands that are no screen and no knob.
const WORDS: [(&str, Action); 10] = [
    ("save", Action::Save),
    ("export", Action::Export),
    ("quit", Action::Quit),
    ("help", Action::Help),
    ("undo", Action::Undo),
    ("redo", Action::Redo),
    ("copy", Action::Copy),
    ("compare", Action::Compare),
    ("explain", Action::Inspect),
    ("execute", Action::Execute),
];

/// Every word that a command begins with.
#[must_use]
pub fn words() -> Vec<String> {
    let screens = Screen::ALL.iter().map(|screen| screen.name().to_lowercase());
    let knobs = Knob::ALL.iter().map(|knob| knob.name().to_string());
    let others = WORDS.iter().map(|(word, _)| (*word).to_string());
    others.chain(screens).chain(knobs).collect()
}

/// Reads a command.
///
/// # Errors
/// The nearest command where there is none of that name.
pub fn parse(text: &str) -> Result<Command, String> {
    let (word, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    let rest = rest.trim();
    if word.is_empty() {
        return Ok(Command::Nothing);
    }
    let word = word.to_lowercase();
    match word.as_str() {
        "save" if !rest.is_empty() => return Ok(Command::Save(rest.to_string())),
        "export" if !rest.is_empty() => return Ok(Command::Export(rest.to_string())),
        _ => {}
    }
    if let Some((_, action)) = WORDS.iter().find(|(name, _)| *name == word || *name == long(&word))
    {
        return Ok(Command::Do(*action));
    }
    let screen = Screen::ALL.iter().find(|screen| screen.name().to_lowercase() == word);
    match (screen, Knob::named(&word)) {
        (Some(screen), _) => Ok(Command::Do(Action::Show(*screen))),
        (None, Some(knob)) => Ok(Command::Set(knob, rest.to_string())),
        (None, None) => Err(unknown(&word)),
    }
}

/// What people type out of habit.
fn long(word: &str) -> &str {
    match word {
        "q" => "quit",
        "w" => "save",
        other => other,
    }
}

fn unknown(word: &str) -> String {
    let all = words();
    match closest(word, all.iter().map(String::as_str)) {
        Some(near) => format!("there is no command `{word}`; did you mean `{near}`?"),
        None => format!("there is no command `{word}`: a screen, a knob, save, export, quit, help"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_screens_knobs_and_a_few_words() {
        assert_eq!(parse("  "), Ok(Command::Nothing));
        assert_eq!(parse("q"), Ok(Command::Do(Action::Quit)));
        assert_eq!(parse("Memory"), Ok(Command::Do(Action::Show(Screen::Memory))));
        assert_eq!(parse("tp 2"), Ok(Command::Set(Knob::Tp, "2".into())));
        assert_eq!(parse("save a.json"), Ok(Command::Save("a.json".into())));
        assert_eq!(parse("export a.html"), Ok(Command::Export("a.html".into())));
        assert_eq!(parse("export"), Ok(Command::Do(Action::Export)));
        assert!(parse("memroy").unwrap_err().contains("`memory`"));
        for word in words() {
            assert!(parse(&word).is_ok(), "{word}");
        }
    }
}
