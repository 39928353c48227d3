//! What is wrong with a file, and where.

use std::fmt;
use std::ops::Range;

/// Bytes of the text, from the first to one past the last.
pub type Span = Range<usize>;

/// One mistake in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub span: Span,
    /// The whole sentence, readable without the text.
    pub message: String,
    /// What to write beside the caret.
    pub label: String,
    /// What would be right.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem without a hint.
    pub fn new(span: Span, message: impl Into<String>, label: impl Into<String>) -> Self {
        Self { span, message: message.into(), label: label.into(), hint: None }
    }

    /// The same problem with a hint.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// All mistakes of a file, in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// The mistakes; never empty.
    pub list: Vec<Problem>,
}

impl Problems {
    pub(crate) fn sorted(mut list: Vec<Problem>) -> Self {
        list.sort_by_key(|problem| (problem.span.start, problem.span.end));
        list.dedup();
        Self { list }
    }

    /// The problems as text, one block each: `line:column: message`, then the hint.
    #[must_use]
    pub fn render(&self, text: &str) -> String {
        let mut out = String::new();
        for problem in &self.list {
            let (line, column) = position(text, problem.span.start);
            out.push_str(&format!("{line}:{column}: {}\n", problem.message));
            if let Some(hint) = &problem.hint {
                out.push_str(&format!("  hint: {hint}\n"));
            }
        }
        out
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.list.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}{}", problem.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Line and column (both from 1, in characters) of a byte offset.
#[must_use]
pub fn position(text: &str, offset: usize) -> (usize, usize) {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |tail| tail.chars().count()) + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let text = "a = 1\nµb = 2\n";
        assert_eq!(position(text, 0), (1, 1));
        assert_eq!(position(text, 4), (1, 5));
        assert_eq!(position(text, 6), (2, 1));
        assert_eq!(position(text, 8), (2, 2), "µ is two bytes and one column");
        assert_eq!(position(text, 7), (2, 1), "inside a character: its start");
        assert_eq!(position(text, 999), (3, 1));
    }
}
