//! Enough of Rust's lexical grammar to tell code from comments and literals.
//!
//! Everything works on a *mask*: a text of the same lines and columns in which the parts that are
//! not wanted are blanks. A rule that searches the mask can neither be fooled by a string nor miss
//! a line number.

use std::collections::BTreeSet;

/// A source split into what the compiler runs and what only people read.
pub struct Mask {
    /// Code; comments and the insides of literals are blanks.
    pub code: String,
    /// Comments; everything else is blanks.
    pub comments: String,
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Line of the `fn` keyword, from 1.
    pub line: usize,
    /// Lines from there to the closing brace, both included.
    pub lines: usize,
}

/// What a stretch of source is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Code,
    Comment,
    Literal,
}

impl Mask {
    /// Splits `source`.
    pub fn new(source: &str) -> Self {
        let chars: Vec<char> = source.chars().collect();
        let mut mask = Self { code: String::new(), comments: String::new() };
        let mut at = 0;
        while at < chars.len() {
            let (part, end) = next_part(&chars, at);
            for (i, &c) in chars[at..end].iter().enumerate() {
                let is_delimiter = part == Part::Literal && (i == 0 || at + i + 1 == end);
                mask.push(c, part == Part::Code || is_delimiter, part == Part::Comment);
            }
            at = end;
        }
        mask
    }

    fn push(&mut self, c: char, is_code: bool, is_comment: bool) {
        let blank = if c == '\n' { '\n' } else { ' ' };
        self.code.push(if is_code { c } else { blank });
        self.comments.push(if is_comment { c } else { blank });
    }
}

/// The part that starts at `at` and where it ends; code comes one character at a time.
fn next_part(chars: &[char], at: usize) -> (Part, usize) {
    let next = chars.get(at + 1).copied();
    match (chars[at], next) {
        ('/', Some('/')) => (Part::Comment, line_end(chars, at)),
        ('/', Some('*')) => (Part::Comment, block_comment_end(chars, at)),
        ('"', _) => (Part::Literal, quoted_end(chars, at, '"')),
        ('\'', Some('\\')) => (Part::Literal, quoted_end(chars, at, '\'')),
        ('\'', _) if chars.get(at + 2) == Some(&'\'') => (Part::Literal, at + 3),
        ('r', Some('"' | '#')) if !continues_word(chars, at) => raw_string(chars, at),
        _ => (Part::Code, at + 1),
    }
}

/// Whether the `r` at `at` is the end of a longer name; the prefixes `br` and `cr` are not.
fn continues_word(chars: &[char], at: usize) -> bool {
    let is_word = |i: usize| chars.get(i).is_some_and(|c| c.is_alphanumeric() || *c == '_');
    let Some(before) = at.checked_sub(1) else { return false };
    let is_prefix =
        matches!(chars[before], 'b' | 'c') && before.checked_sub(1).is_none_or(|i| !is_word(i));
    is_word(before) && !is_prefix
}

fn line_end(chars: &[char], at: usize) -> usize {
    chars[at..].iter().position(|&c| c == '\n').map_or(chars.len(), |n| at + n)
}

fn block_comment_end(chars: &[char], at: usize) -> usize {
    let mut depth = 0usize;
    let mut i = at;
    while i < chars.len() {
        match (chars[i], chars.get(i + 1)) {
            ('/', Some('*')) => depth += 1,
            ('*', Some('/')) => depth -= 1,
            _ => {
                i += 1;
                continue;
            }
        }
        i += 2;
        if depth == 0 {
            return i;
        }
    }
    chars.len()
}

fn quoted_end(chars: &[char], at: usize, quote: char) -> usize {
    let mut i = at + 1;
    while i < chars.len() {
        match chars[i] {
            '\\' => i += 2,
            c if c == quote => return i + 1,
            _ => i += 1,
        }
    }
    chars.len()
}

/// `r"…"`, `r#"…"#`; a raw identifier (`r#fn`) is code.
fn raw_string(chars: &[char], at: usize) -> (Part, usize) {
    let hashes = chars[at + 1..].iter().take_while(|&&c| c == '#').count();
    let open = at + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return (Part::Code, at + 1 + hashes);
    }
    let closes = |i: usize| {
        chars[i] == '"'
            && chars[i + 1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes
    };
    let end = (open + 1..chars.len()).find(|&i| closes(i));
    (Part::Literal, end.map_or(chars.len(), |i| i + 1 + hashes))
}

/// All functions with a body in `code` (a [`Mask::code`]).
pub fn functions(code: &str) -> Vec<Function> {
    words(code)
        .filter(|&(at, word)| word == "fn" && !code[..at].ends_with('#'))
        .filter_map(|(at, _)| function_at(code, at))
        .collect()
}

fn function_at(code: &str, at: usize) -> Option<Function> {
    let rest = code[at + 2..].trim_start();
    let name: String =
        rest.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '$' | '#')).collect();
    if name.is_empty() {
        return None; // a function pointer type
    }
    let open = body_start(code, at)?;
    let close = matching_brace(code, open)?;
    let line = line_of(code, at);
    Some(Function { name, line, lines: line_of(code, close) + 1 - line })
}

/// Position of the `{` that opens the item at `from`, or `None` when a `;` ends it first.
pub fn body_start(code: &str, from: usize) -> Option<usize> {
    let mut depth = 0i32;
    for (i, c) in code[from..].char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '{' if depth == 0 => return Some(from + i),
            ';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// Position of the `}` that closes the `{` at `open`.
pub fn matching_brace(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0i32;
    for (i, c) in code[open..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => continue,
        }
        if depth == 0 {
            return Some(open + i);
        }
    }
    None
}

/// The line of byte `at`, from 1.
pub fn line_of(text: &str, at: usize) -> usize {
    1 + text[..at].bytes().filter(|&b| b == b'\n').count()
}

/// Identifiers and keywords with their byte positions.
pub fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + code[at..].find(is_word)?;
        let end = code[start..].find(|c| !is_word(c)).map_or(code.len(), |n| start + n);
        at = end;
        Some((start, &code[start..end]))
    })
}

/// `code` with the lines of items behind `#[cfg(test)]` emptied.
pub fn without_tests(code: &str) -> String {
    let tests = test_lines(code);
    let lines = code.split('\n').enumerate();
    let kept = lines.map(|(i, line)| if tests.contains(&(i + 1)) { "" } else { line });
    kept.collect::<Vec<&str>>().join("\n")
}

/// Lines of items behind `#[cfg(test)]`.
pub fn test_lines(code: &str) -> BTreeSet<usize> {
    let items = test_items(code).into_iter();
    items.flat_map(|(start, end, _)| line_of(code, start)..=line_of(code, end)).collect()
}

/// Names of modules declared as `#[cfg(test)] mod name;`: their files are test code.
pub fn test_modules(code: &str) -> Vec<String> {
    test_items(code).into_iter().filter_map(|(_, _, module)| module).collect()
}

/// Start, end and (for a module in a file of its own) name of every item for tests only.
fn test_items(code: &str) -> Vec<(usize, usize, Option<String>)> {
    code.match_indices("#[cfg(test)]")
        .map(|(start, attribute)| {
            let item = start + attribute.len();
            let body = body_start(code, item).and_then(|open| matching_brace(code, open));
            let semicolon = code[item..].find(';').map_or(code.len(), |n| item + n + 1);
            match body {
                Some(close) => (start, close + 1, None),
                None => (start, semicolon, module_name(&code[item..semicolon])),
            }
        })
        .collect()
}

fn module_name(item: &str) -> Option<String> {
    let mut words = words(item).map(|(_, word)| word).skip_while(|&word| word != "mod");
    words.nth(1).map(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_comments_and_chars_are_no_code() {
        let source = "a \"}{\\\"\" b '{' '\\'' // }\n/* { /* { */ } */ c r#\"}\"{\"# d br\"{\" 'x";
        let mask = Mask::new(source);
        let words: Vec<&str> = words(&mask.code).map(|(_, word)| word).collect();
        assert_eq!(words, ["a", "b", "c", "r", "d", "br", "x"]);
        assert!(!mask.code.contains(['{', '}']), "{}", mask.code);
        assert_eq!(mask.comments.trim_start().lines().next(), Some("// }"));
        assert_eq!(mask.code.chars().count(), source.chars().count());
    }

    #[test]
    fn lifetimes_open_no_character() {
        let mask = Mask::new("fn f<'a>(x: &'a str) -> &'a str { x }");
        assert_eq!(functions(&mask.code).len(), 1);
    }

    #[test]
    fn raw_identifiers_are_code() {
        let mask = Mask::new("let r#fn = 1; let bar = \"r\"; r#match { }");
        assert!(mask.code.contains("r#match { }"), "{}", mask.code);
        assert!(functions(&mask.code).is_empty());
    }

    #[test]
    fn lengths_count_from_the_keyword_to_the_brace() {
        let source = "/// Doc.\n#[must_use]\npub fn f(\n    a: [u8; 4],\n) -> u8 {\n    \
                      if a[0] == b'}' { 1 } else { 2 }\n}\ntrait T {\n    fn g(&self);\n    \
                      fn h(&self) {}\n}\ntype P = fn(u8) -> u8;\n";
        let found = functions(&Mask::new(source).code);
        let expected = [("f", 3, 5), ("h", 10, 1)];
        let found: Vec<_> = found.iter().map(|f| (f.name.as_str(), f.line, f.lines)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn test_items_vanish_and_lines_stay() {
        let source = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { \"}\"; }\n}\n\
                      fn c() {}\n#[cfg(test)]\nmod far;\n";
        let code = Mask::new(source).code;
        let kept = without_tests(&code);
        let names: Vec<_> = functions(&kept).into_iter().map(|f| (f.name, f.line)).collect();
        assert_eq!(names, [("a".to_string(), 1), ("c".to_string(), 6)]);
        assert_eq!(test_modules(&code), ["far"]);
    }
}
