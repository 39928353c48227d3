//! Colour roles. Every screen is complete without them.

use anstyle::{AnsiColor, Style};

/// What a piece of text is, not how it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The word `error:`, what does not fit.
    Bad,
    /// What is chosen, what is fine.
    Good,
    /// What deserves a look.
    Warn,
    /// The word `hint:`, headings, names to type.
    Accent,
    /// What may be skipped when reading.
    Dim,
}

impl Role {
    const fn style(self) -> Style {
        match self {
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Warn => AnsiColor::Yellow.on_default(),
            Self::Accent => AnsiColor::Cyan.on_default().bold(),
            Self::Dim => Style::new().dimmed(),
        }
    }
}

/// How to draw on one stream: colours or not, Unicode or not, how wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Canvas {
    /// Whether escape codes are written.
    pub has_colour: bool,
    /// Whether only ASCII is written.
    pub is_ascii: bool,
    /// Columns.
    pub width: usize,
}

impl Canvas {
    /// The plainest canvas, and the one of tests.
    pub const PLAIN: Self = Self { has_colour: false, is_ascii: false, width: 80 };

    /// Wraps `text` in the colour of `role`, where there are colours.
    pub fn paint(&self, role: Role, text: &str) -> String {
        if !self.has_colour || text.is_empty() {
            return text.to_string();
        }
        let style = role.style();
        format!("{style}{text}{style:#}")
    }

    /// Picks the Unicode or the ASCII form of a glyph.
    pub const fn glyph<'a>(&self, unicode: &'a str, ascii: &'a str) -> &'a str {
        if self.is_ascii { ascii } else { unicode }
    }

    /// Replaces what ASCII lacks, when only ASCII may be written.
    pub fn text(&self, text: &str) -> String {
        if !self.is_ascii || text.is_ascii() {
            return text.to_string();
        }
        text.chars().map(ascii_of).collect()
    }
}

fn ascii_of(c: char) -> &'static str {
    const ASCII: &str = " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`\
                         abcdefghijklmnopqrstuvwxyz{|}~";
    match c {
        '\n' => "\n",
        '\x1b' => "\x1b",
        ' '..='~' => {
            let at = c as usize - ' ' as usize;
            &ASCII[at..=at]
        }
        '–' | '—' | '−' | '‑' => "-",
        '×' => "x",
        '·' | '•' => "|",
        'µ' | 'μ' => "u",
        '…' => "...",
        '≥' => ">=",
        '≤' => "<=",
        '→' => "->",
        '◀' | '←' => "<-",
        '‘' | '’' => "'",
        '“' | '”' => "\"",
        '±' => "+-",
        'β' => "beta",
        _ => "?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ascii_keeps_ascii_and_translates_the_rest() {
        let canvas = Canvas { is_ascii: true, ..Canvas::PLAIN };
        let all: String = (' '..='~').collect();
        assert_eq!(canvas.text(&all), all);
        assert_eq!(canvas.text("4×EDR · 9 µs – ≥ 2 … 語"), "4xEDR | 9 us - >= 2 ... ?");
    }

    #[test]
    fn colour_is_off_unless_asked_for() {
        assert_eq!(Canvas::PLAIN.paint(Role::Bad, "error:"), "error:");
        let canvas = Canvas { has_colour: true, ..Canvas::PLAIN };
        assert_eq!(canvas.paint(Role::Good, "ok"), "\u{1b}[32mok\u{1b}[0m");
        assert_eq!(canvas.paint(Role::Good, ""), "");
    }
}
