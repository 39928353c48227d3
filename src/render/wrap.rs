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

/// Joins items by ` · ` into lines of at most `width` columns; a line breaks only between items.
pub fn wrap_items(items: &[String], width: usize, indent: usize) -> String {
    let room = width.saturating_sub(indent).max(1);
    let mut lines: Vec<String> = Vec::new();
    for item in items {
        match lines.last_mut() {
            // Three columns for the dot, two for the one that ends the line.
            Some(line) if line.width() + 3 + item.width() + 2 <= room => {
                line.push_str(" · ");
                line.push_str(item);
            }
            Some(line) => {
                line.push_str(" ·");
                lines.push(item.clone());
            }
            None => lines.push(item.clone()),
        }
    }
    lines.join(&format!("\n{}", " ".repeat(indent)))
}

#[cfg(test)]
mod tests {
    use super::{wrap, wrap_items};

    #[test]
    fn items_stay_whole() {
        let items = ["TP 4", "PP 16", "96 micro-batches"].map(str::to_string);
        assert_eq!(wrap_items(&items, 80, 2), "TP 4 · PP 16 · 96 micro-batches");
        assert_eq!(wrap_items(&items, 20, 2), "TP 4 · PP 16 ·\n  96 micro-batches");
        assert_eq!(wrap_items(&[], 20, 2), "");
    }

    #[test]
    fn lines_are_broken_at_blanks() {
        assert_eq!(wrap("one two three", 10, 2), "one two\n  three");
        assert_eq!(wrap("incomprehensibilities of x", 8, 0), "incomprehensibilities\nof x");
        assert_eq!(wrap("", 10, 4), "");
    }
}
