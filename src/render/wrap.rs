//! Long text in a column.

use unicode_width::UnicodeWidthStr;

/// Breaks `text` at blanks into lines of at most `width` columns, the lines after the first
/// indented by `indent`. A word that is wider than that keeps its line to itself.
pub fn wrap(text: &str, width: usize, indent: usize) -> String {
    let room = width.saturating_sub(indent).max(1);
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        if !lines[last].is_empty() && lines[last].width() + 1 + word.width() > room {
            lines.push(word.to_string());
            continue;
        }
        if !lines[last].is_empty() {
            lines[last].push(' ');
        }
        lines[last].push_str(word);
    }
    lines.join(&format!("\n{}", " ".repeat(indent)))
}

#[cfg(test)]
mod tests {
    use super::wrap;

    #[test]
    fn lines_are_broken_at_blanks() {
        assert_eq!(wrap("one two three", 10, 2), "one two\n  three");
        assert_eq!(wrap("incomprehensibilities of x", 8, 0), "incomprehensibilities\nof x");
        assert_eq!(wrap("", 10, 4), "");
    }
}
