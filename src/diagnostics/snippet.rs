//! Lines of a file with carets under what is wrong.

use crate::style::{Canvas, Role};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::ops::Range;
use unicode_width::UnicodeWidthStr;

/// One problem at one place of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct FileProblem {
    /// Where, in bytes.
    pub span: Range<usize>,
    /// What is wrong there.
    pub message: String,
    /// What to do about it, if more than the message says.
    pub hint: Option<String>,
}

/// The problems of a file with the lines that they are on.
#[derive(Clone, Debug, PartialEq)]
pub struct Snippets {
    name: String,
    places: Vec<Place>,
}

/// A problem with the line it is on.
#[derive(Clone, Debug, PartialEq)]
struct Place {
    line: usize,
    column: usize,
    /// The line up to, at, and after the problem; printable.
    before: String,
    marked: String,
    after: String,
    message: String,
    hint: Option<String>,
}

impl Snippets {
    /// Cuts the lines out of `text`, first problem first.
    pub fn new(name: &str, text: &str, mut problems: Vec<FileProblem>) -> Self {
        problems.sort_by_key(|p| (p.span.start, p.span.end));
        let places = problems.into_iter().map(|p| Place::new(text, p)).collect();
        // The folder is in the headline already.
        let name = name.rsplit(['/', '\\']).next().unwrap_or(name).to_string();
        Self { name, places }
    }

    /// How many problems there are.
    pub fn count(&self) -> usize {
        self.places.len()
    }

    /// For programs.
    pub fn json(&self) -> Vec<Value> {
        let places = self.places.iter().map(|place| {
            let mut entry = json!({
                "line": place.line,
                "column": place.column,
                "message": place.message,
            });
            if let Some(hint) = &place.hint {
                entry["hint"] = hint.clone().into();
            }
            entry
        });
        places.collect()
    }

    /// Draws all problems.
    pub fn render(&self, canvas: &Canvas) -> String {
        let digits = self.places.iter().map(|p| p.line.to_string().len()).max().unwrap_or(1);
        let mut text = String::new();
        for place in &self.places {
            place.render(&mut text, &self.name, digits.max(2), canvas);
        }
        text
    }
}

impl Place {
    fn new(text: &str, problem: FileProblem) -> Self {
        let start = floor_boundary(text, problem.span.start);
        let end = floor_boundary(text, problem.span.end).max(start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let end = end.min(line_end);
        Self {
            line: text[..line_start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            before: printable(&text[line_start..start]),
            marked: printable(&text[start..end]),
            after: printable(text[end..line_end].trim_end_matches('\r')),
            message: problem.message,
            hint: problem.hint,
        }
    }

    fn render(&self, text: &mut String, name: &str, digits: usize, canvas: &Canvas) {
        let dim = |glyph: &str| canvas.paint(Role::Dim, glyph);
        let bar = dim(canvas.glyph("│", "|"));
        let width = canvas.width.saturating_sub(digits + 3);
        let (before, line) = self.clipped(width);
        let head = format!("{} {name}:{}:{}", canvas.glyph("╭─", "--"), self.line, self.column);
        let number = dim(&format!("{:>digits$}", self.line));
        let carets = "^".repeat(self.marked.width().min(width.saturating_sub(before)).max(1));
        let _infallible = writeln!(text, "{:digits$} {}", "", dim(&head));
        let gap = if line.trim_end().is_empty() { "" } else { " " };
        let _infallible = writeln!(text, "{number} {bar}{gap}{}", line.trim_end());
        let mut message = self.message.lines();
        let _infallible = writeln!(
            text,
            "{:digits$} {bar} {:before$}{} {}",
            "",
            "",
            canvas.paint(Role::Bad, &carets),
            message.next().unwrap_or(""),
        );
        for more in message.chain(self.hint.iter().flat_map(|hint| hint.lines())) {
            // Under the carets, or further left where it would not fit.
            let at = before.min(width.saturating_sub(more.width()));
            let _infallible = writeln!(text, "{:digits$} {bar} {:at$}{more}", "", "");
        }
    }

    /// The line, shortened around the problem where it is too long; and where the carets begin.
    fn clipped(&self, width: usize) -> (usize, String) {
        let full = format!("{}{}{}", self.before, self.marked, self.after);
        if full.width() <= width {
            return (self.before.width(), full);
        }
        let keep = width / 3;
        let skipped = self.before.chars().count().saturating_sub(keep);
        let lead: String = match skipped {
            0 => self.before.clone(),
            n => format!("...{}", self.before.chars().skip(n).collect::<String>()),
        };
        let mut line = format!("{lead}{}{}", self.marked, self.after);
        let fits = width.saturating_sub(3);
        if line.width() > width {
            line = line.chars().take(fits).collect::<String>() + "...";
        }
        (lead.width(), line)
    }
}

/// A position that does not cut a character and lies in the text.
fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// A file must not send control codes to the terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' => ' ',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LAB: &str = "# a\nbandwidth = 200\n\nlatencey = \"5 us\"\n";

    fn problem(span: Range<usize>, message: &str) -> FileProblem {
        FileProblem { span, message: message.into(), hint: None }
    }

    #[test]
    fn all_problems_of_a_file_in_order() {
        let number = LAB.find("200").unwrap();
        let key = LAB.find("latencey").unwrap();
        let problems = vec![
            problem(key..key + 8, "unknown key; did you mean `latency`?"),
            problem(number..number + 3, "a bandwidth needs a unit: \"200 GB/s\""),
        ];
        let expected = "   ╭─ lab.toml:2:13
 2 │ bandwidth = 200
   │             ^^^ a bandwidth needs a unit: \"200 GB/s\"
   ╭─ lab.toml:4:1
 4 │ latencey = \"5 us\"
   │ ^^^^^^^^ unknown key; did you mean `latency`?
";
        let snippets = Snippets::new("scenarios/lab.toml", LAB, problems);
        assert_eq!(snippets.render(&Canvas::PLAIN), expected);
        let ascii = Canvas { is_ascii: true, ..Canvas::PLAIN };
        assert!(snippets.render(&ascii).is_ascii());
    }

    #[test]
    fn the_end_of_an_empty_file_is_a_place() {
        let snippets = Snippets::new("x.toml", "", vec![problem(0..0, "nothing here")]);
        assert_eq!(
            snippets.render(&Canvas::PLAIN),
            "   ╭─ x.toml:1:1\n 1 │\n   │ ^ nothing here\n"
        );
    }

    #[test]
    fn control_codes_of_a_file_do_not_reach_the_terminal() {
        let text = "a = \u{1b}[31m\tb";
        let drawn = Snippets::new("x", text, vec![problem(4..9, "no")]).render(&Canvas::PLAIN);
        assert!(!drawn.contains('\u{1b}') && !drawn.contains('\t'), "{drawn}");
    }

    proptest! {
        #[test]
        fn any_span_of_any_text_can_be_drawn(
            text in "(?s).{0,200}", start in 0usize..250, length in 0usize..250,
        ) {
            let snippets = Snippets::new("f", &text, vec![problem(start..start + length, "m")]);
            let drawn = snippets.render(&Canvas::PLAIN);
            prop_assert!(drawn.contains('^') && drawn.lines().count() == 3, "{drawn}");
        }
    }
}
