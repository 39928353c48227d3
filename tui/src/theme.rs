//! How text looks: roles become styles, and styles become letters in tests. Every screen is
//! complete without them: the terminal's own colours stay in the background.

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};

/// What the terminal can show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Colours may be used.
    pub has_colour: bool,
    /// Colours beyond the terminal's sixteen may be used.
    pub has_true_colour: bool,
    /// Only ASCII may be written.
    pub is_ascii: bool,
}

/// What a piece of text is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Text.
    #[default]
    Plain,
    /// A heading.
    Title,
    /// A name to type, a key, the panel with the cursor.
    Accent,
    /// What is chosen, what is fine.
    Good,
    /// What deserves a look.
    Warn,
    /// What does not fit, what failed.
    Bad,
    /// What may be skipped when reading.
    Dim,
    /// The line under the cursor.
    Selected,
    /// A part of a whole, by its place.
    Part(u8),
}

/// Colours that people with any kind of colour vision tell apart: M. Okabe and K. Ito, "Color
/// Universal Design", 2008 (black and yellow left out: they vanish on some backgrounds).
const OKABE_ITO: [Color; 8] = [
    Color::Rgb(0, 114, 178),
    Color::Rgb(230, 159, 0),
    Color::Rgb(0, 158, 115),
    Color::Rgb(204, 121, 167),
    Color::Rgb(86, 180, 233),
    Color::Rgb(213, 94, 0),
    Color::DarkGray,
    Color::Gray,
];
const NEAREST: [Color; 8] = [
    Color::Blue,
    Color::Yellow,
    Color::Green,
    Color::Magenta,
    Color::Cyan,
    Color::Red,
    Color::DarkGray,
    Color::Gray,
];

/// Glyphs of parts, so that they differ without colours.
const PARTS: [&str; 8] = ["█", "▓", "▒", "░", "▚", "▞", "■", "□"];

/// The glyph of a part, by its place.
#[must_use]
pub fn glyph(place: u8) -> &'static str {
    PARTS[usize::from(place) % PARTS.len()]
}

impl Look {
    /// The style of a role.
    #[must_use]
    pub fn style(self, role: Role) -> Style {
        let style = Style::new();
        let coloured = |colour: Color| if self.has_colour { style.fg(colour) } else { style };
        match role {
            Role::Plain => style,
            Role::Title => style.add_modifier(Modifier::BOLD),
            Role::Accent => coloured(Color::Cyan).add_modifier(Modifier::BOLD),
            Role::Good => coloured(Color::Green).add_modifier(Modifier::BOLD),
            Role::Warn => coloured(Color::Yellow).add_modifier(Modifier::BOLD),
            Role::Bad => coloured(Color::Red).add_modifier(Modifier::BOLD),
            Role::Dim => style.add_modifier(Modifier::DIM),
            Role::Selected => style.add_modifier(Modifier::REVERSED),
            Role::Part(place) => {
                let all = if self.has_true_colour { OKABE_ITO } else { NEAREST };
                coloured(all[usize::from(place) % all.len()])
            }
        }
    }
}

/// Letters of roles, for tests of what is drawn how.
const LETTERS: [(Role, char); 16] = [
    (Role::Title, 't'),
    (Role::Accent, 'a'),
    (Role::Good, 'g'),
    (Role::Warn, 'w'),
    (Role::Bad, 'b'),
    (Role::Dim, 'd'),
    (Role::Selected, 's'),
    (Role::Part(0), '0'),
    (Role::Part(1), '1'),
    (Role::Part(2), '2'),
    (Role::Part(3), '3'),
    (Role::Part(4), '4'),
    (Role::Part(5), '5'),
    (Role::Part(6), '6'),
    (Role::Part(7), '7'),
    (Role::Plain, '.'),
];

/// The letter of a style that a look gives to a role; `None` of any other. A selected line keeps
/// the colours that it has, and counts as selected.
#[must_use]
pub fn letter(look: Look, style: Style) -> Option<char> {
    let seen = |style: Style| {
        let colour = style.fg.filter(|c| *c != Color::Reset);
        (colour, style.add_modifier)
    };
    if style.add_modifier.contains(Modifier::REVERSED) {
        return Some('s');
    }
    LETTERS.iter().find(|(role, _)| seen(look.style(*role)) == seen(style)).map(|(_, c)| *c)
}

/// Replaces what ASCII lacks, cell by cell, so that nothing moves.
pub fn to_ascii(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        let symbol = cell.symbol();
        if !symbol.is_ascii() {
            let ascii = symbol.chars().next().map_or(' ', ascii);
            cell.set_char(ascii);
        }
    }
}

fn ascii(c: char) -> char {
    match c {
        '─' | '═' | '–' | '—' | '−' => '-',
        '│' | '·' | '▏' | '▎' => '|',
        '┌' | '┐' | '└' | '┘' | '├' | '┤' | '┬' | '┴' | '┼' | '±' => '+',
        '█' | '▇' | '▉' | '▊' | '▋' | '▆' => '#',
        '▓' | '▅' | '▌' | '▍' => '%',
        '▒' | '▄' => '=',
        '░' | '▁' | '▂' | '…' => '.',
        '▃' => ':',
        '■' => 'o',
        '□' => '0',
        '▚' => '\\',
        '▞' => '/',
        '▶' | '→' | '▸' => '>',
        '◀' | '←' => '<',
        '●' | '•' => '*',
        '◆' => '@',
        '✗' | '×' => 'x',
        '▲' | '↑' => '^',
        '▼' | '↓' => 'v',
        'µ' | 'μ' => 'u',
        '≤' => '<',
        '≥' => '>',
        '≈' => '~',
        '²' => '2',
        '₁' => '1',
        '⁰' => '0',
        '‘' | '’' => '\'',
        '“' | '”' => '"',
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_has_its_letter_with_and_without_colours() {
        let look = Look { has_colour: true, ..Look::default() };
        for (role, expected) in LETTERS {
            assert_eq!(letter(look, look.style(role)), Some(expected), "{role:?}");
        }
        let plain = Look::default();
        assert_eq!(letter(plain, plain.style(Role::Selected)), Some('s'));
        assert_eq!(letter(plain, Style::new().fg(Color::Red)), None);
    }
}
