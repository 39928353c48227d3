//! Keys, apart from the terminal that sends them, and their names.

use std::fmt;

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A character.
    Char(char),
    /// A character with control.
    Ctrl(char),
    /// Enter.
    Enter,
    /// Escape.
    Esc,
    /// Tab.
    Tab,
    /// Tab with shift.
    BackTab,
    /// Backspace.
    Backspace,
    /// Up.
    Up,
    /// Down.
    Down,
    /// Left.
    Left,
    /// Right.
    Right,
    /// Home.
    Home,
    /// End.
    End,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
}

const NAMES: [(Key, &str, &str); 14] = [
    (Key::Char(' '), "<space>", "Space"),
    (Key::Enter, "<enter>", "Enter"),
    (Key::Esc, "<esc>", "Esc"),
    (Key::Tab, "<tab>", "Tab"),
    (Key::BackTab, "<s-tab>", "S-Tab"),
    (Key::Backspace, "<backspace>", "Backspace"),
    (Key::Up, "<up>", "↑"),
    (Key::Down, "<down>", "↓"),
    (Key::Left, "<left>", "←"),
    (Key::Right, "<right>", "→"),
    (Key::Home, "<home>", "Home"),
    (Key::End, "<end>", "End"),
    (Key::PageUp, "<pageup>", "PgUp"),
    (Key::PageDown, "<pagedown>", "PgDn"),
];

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (NAMES.iter().find(|(key, _, _)| key == self), self) {
            (Some((_, _, shown)), _) => f.write_str(shown),
            (None, Self::Char(c)) => write!(f, "{c}"),
            (None, Self::Ctrl(c)) => write!(f, "C-{c}"),
            (None, other) => write!(f, "{other:?}"),
        }
    }
}

/// Reads keys as they are written in tests and for `--keys`: `2 j <enter> <C-d> /tp=2<enter>`.
/// Blanks separate; every other character is itself, and names stand in angle brackets.
///
/// # Errors
/// The name that is none.
pub fn parse(text: &str) -> Result<Vec<Key>, String> {
    let mut keys = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let named = rest.strip_prefix('<').and_then(|inner| inner.split_once('>'));
        match named.filter(|(name, _)| !name.is_empty() && !name.contains(['<', ' '])) {
            Some((name, after)) => {
                keys.push(key_named(name).ok_or_else(|| format!("there is no key <{name}>"))?);
                rest = after;
            }
            None => {
                keys.extend((c != ' ').then_some(Key::Char(c)));
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    Ok(keys)
}

fn key_named(name: &str) -> Option<Key> {
    let lower = name.to_lowercase();
    if let Some(c) = lower.strip_prefix("c-").and_then(|rest| rest.chars().next()) {
        return Some(Key::Ctrl(c));
    }
    let wanted = format!("<{lower}>");
    NAMES.iter().find(|(_, written, _)| *written == wanted).map(|(key, _, _)| *key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written() {
        let keys = parse("2 j<Enter> <C-d> /m<9 <space>").unwrap();
        let expected = [
            Key::Char('2'),
            Key::Char('j'),
            Key::Enter,
            Key::Ctrl('d'),
            Key::Char('/'),
            Key::Char('m'),
            Key::Char('<'),
            Key::Char('9'),
            Key::Char(' '),
        ];
        assert_eq!(keys, expected);
        assert_eq!(parse("<entr>").unwrap_err(), "there is no key <entr>");
        assert_eq!(Key::Ctrl('r').to_string(), "C-r");
    }
}
