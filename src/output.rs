//! The one place that writes to the terminal: stdout is data, stderr is talk.

use crate::diagnostics::Failure;
use crate::style::Canvas;
use std::io::{self, IsTerminal, Write};

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb.
    #[default]
    Auto,
    /// Also into pipes and files.
    Always,
    /// Not at all.
    Never,
}

impl ColorChoice {
    /// The word used in flags and configuration files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
        }
    }
}

/// How talkative stderr is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Talk {
    /// Nothing but errors (`-qq`).
    Silent,
    /// No notes (`-q`).
    Quiet,
    /// Notes about what was read and written.
    #[default]
    Normal,
    /// Reasons (`-v`).
    Verbose,
}

/// What shapes the output besides its content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// When to colour.
    pub color: ColorChoice,
    /// Whether only ASCII is written.
    pub is_ascii: bool,
    /// Columns, where they are fixed.
    pub width: Option<u16>,
    /// How talkative stderr is.
    pub talk: Talk,
    /// Whether the result goes to a file instead of stdout.
    pub has_file: bool,
}

/// The narrowest screen that is laid out for.
pub const MIN_WIDTH: usize = 80;
/// The widest screen that is laid out for.
pub const MAX_WIDTH: usize = 120;

/// Stdout and stderr with what is known about them.
pub struct Output {
    stdout: Box<dyn Write>,
    /// How to draw on stdout.
    pub out: Canvas,
    /// How to draw on stderr.
    pub err: Canvas,
    /// How talkative stderr is.
    pub talk: Talk,
}

impl Output {
    /// The streams of this process.
    pub fn new(look: Look) -> Self {
        let width = look.width.map_or_else(terminal_width, usize::from);
        let canvas = |is_terminal: bool| Canvas {
            has_colour: wants_colour(look.color, is_terminal, &|name| std::env::var(name).ok()),
            is_ascii: look.is_ascii,
            width,
        };
        Self {
            out: canvas(io::stdout().is_terminal() && !look.has_file),
            err: canvas(io::stderr().is_terminal()),
            stdout: Box::new(io::stdout().lock()),
            talk: look.talk,
        }
    }

    /// For errors that come before any flag is understood.
    pub fn from_environment() -> Self {
        Self::new(Look::default())
    }

    /// Writes data to stdout.
    ///
    /// # Errors
    /// When nobody reads any more, or the disk is full.
    pub fn data(&mut self, text: &str) -> Result<(), Failure> {
        let result = self.stdout.write_all(text.as_bytes()).and_then(|()| self.stdout.flush());
        result.map_err(|error| Failure::stdout(&error))
    }

    /// Tells something on stderr, unless asked to be quiet.
    pub fn note(&self, text: &str) {
        if self.talk >= Talk::Normal {
            self.talk_line(text);
        }
    }

    /// Passes on what somebody else had to report.
    pub fn tell(&self, text: &str) {
        self.talk_line(text);
    }

    /// Reports a failure on stderr.
    pub fn report(&self, failure: &Failure) {
        self.talk_line(failure.render(&self.err).trim_end());
    }

    /// Reports several failures, with an empty line between them.
    pub fn report_all(&self, failures: &[&Failure]) {
        let texts: Vec<String> = failures.iter().map(|f| f.render(&self.err)).collect();
        self.talk_line(texts.join("\n").trim_end());
    }

    /// A stderr that cannot be written to leaves nobody to tell.
    fn talk_line(&self, text: &str) {
        let mut line = self.err.text(text);
        line.push('\n');
        let _unheard = io::stderr().lock().write_all(line.as_bytes());
    }
}

fn terminal_width() -> usize {
    let seen = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    seen.unwrap_or(MIN_WIDTH).clamp(MIN_WIDTH, MAX_WIDTH)
}

/// NO_COLOR (no-color.org), CLICOLOR_FORCE and TERM=dumb, in the order people expect.
fn wants_colour(
    choice: ColorChoice,
    is_terminal: bool,
    variable: &dyn Fn(&str) -> Option<String>,
) -> bool {
    let is_set = |name: &str| variable(name).is_some_and(|v| !v.is_empty());
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto if is_set("NO_COLOR") => false,
        ColorChoice::Auto if variable("CLICOLOR_FORCE").is_some_and(|v| v != "0") => true,
        ColorChoice::Auto => is_terminal && variable("TERM").is_none_or(|v| v != "dumb"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn colour(choice: ColorChoice, is_terminal: bool, set: &[(&str, &str)]) -> bool {
        wants_colour(choice, is_terminal, &|name| {
            set.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_string())
        })
    }

    #[test]
    fn colour_follows_flag_then_environment_then_terminal() {
        assert!(colour(ColorChoice::Always, false, &[("NO_COLOR", "1")]));
        assert!(!colour(ColorChoice::Never, true, &[("CLICOLOR_FORCE", "1")]));
        assert!(!colour(ColorChoice::Auto, true, &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]));
        assert!(colour(ColorChoice::Auto, false, &[("CLICOLOR_FORCE", "1")]));
        assert!(colour(ColorChoice::Auto, true, &[("NO_COLOR", "")]));
        assert!(!colour(ColorChoice::Auto, true, &[("TERM", "dumb")]));
        assert!(!colour(ColorChoice::Auto, false, &[]));
    }
}
