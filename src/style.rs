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
        let mut ascii = String::with_capacity(text.len());
        let mut last = ' ';
        for c in text.chars() {
            // Between factors a dot multiplies; between words it separates.
            ascii.push_str(if c == '·' && last != ' ' { "*" } else { ascii_of(c) });
            last = c;
        }
        ascii
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
        '≈' => "~",
        '½' => "1/2",
        '¼' => "1/4",
        '²' => "^2",
        '⁻' => "^-",
        'ᶜ' => "^c",
        '⌈' => "ceil(",
        '⌉' => ")",
        '─' | '═' => "-",
        '│' | '├' => "|",
        '└' | '╰' | '╭' => "`",
        _ => letter(c).unwrap_or("?"),
    }
}

/// Letters of formulas by their names, and digits below the line.
fn letter(c: char) -> Option<&'static str> {
    const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    const GREEK: [(char, &str); 10] = [
        ('α', "alpha"),
        ('β', "beta"),
        ('γ', "gamma"),
        ('δ', "delta"),
        ('ε', "eps"),
        ('η', "eta"),
        ('φ', "phi"),
        ('Σ', "sum"),
        ('Δ', "delta"),
        ('∞', "inf"),
    ];
    let below = u32::from(c).wrapping_sub(u32::from('₀')) as usize;
    let named = GREEK.iter().find(|(greek, _)| *greek == c).map(|(_, name)| *name);
    DIGITS.get(below).copied().or(named)
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
        assert_eq!(canvas.text("a₀·⌈n/8⌉ + ½·β"), "a0*ceil(n/8) + 1/2*beta");
    }

    #[test]
    fn colour_is_off_unless_asked_for() {
        assert_eq!(Canvas::PLAIN.paint(Role::Bad, "error:"), "error:");
        let canvas = Canvas { has_colour: true, ..Canvas::PLAIN };
        assert_eq!(canvas.paint(Role::Good, "ok"), "\u{1b}[32mok\u{1b}[0m");
        assert_eq!(canvas.paint(Role::Good, ""), "");
    }
}
