//! How long files, functions and lines may be.

use crate::lexer::{self, Mask};
use crate::tree::{Complaint, File};

const FILE_LINES: usize = 600;
const FUNCTION_LINES: usize = 70;
const COLUMNS: usize = 100;

/// A file that ships fits in one head.
pub fn files_are_short(file: &File) -> Vec<Complaint> {
    if !file.is_rust() || file.is_test() {
        return Vec::new();
    }
    let tests = lexer::test_lines(&Mask::new(&file.text).code);
    let lines = file.text.lines().count() - tests.len();
    if lines <= FILE_LINES {
        return Vec::new();
    }
    vec![
        file.complain(
            1,
            format!("{lines} lines of non-test code; split it ({FILE_LINES} at most)"),
        ),
    ]
}

/// A function fits on a screen, in tests too.
pub fn functions_are_short(file: &File) -> Vec<Complaint> {
    if !file.is_rust() {
        return Vec::new();
    }
    let too_long = |f: &lexer::Function| f.lines > FUNCTION_LINES;
    let message = |f: &lexer::Function| {
        format!("fn {} has {} lines; split it ({FUNCTION_LINES} at most)", f.name, f.lines)
    };
    let functions = lexer::functions(&Mask::new(&file.text).code);
    functions.iter().filter(|f| too_long(f)).map(|f| file.complain(f.line, message(f))).collect()
}

/// A line fits beside another one.
pub fn lines_are_short(file: &File) -> Vec<Complaint> {
    if !(file.is_rust() || file.path == ".ci/run") {
        return Vec::new();
    }
    let is_long = |line: &str| line.chars().count() > COLUMNS && !line.contains("https://");
    let long = file.text.lines().enumerate().filter(|(_, line)| is_long(line));
    long.map(|(i, line)| {
        let columns = line.chars().count();
        file.complain(i + 1, format!("{columns} columns; break the line ({COLUMNS} at most)"))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_fails_and_long_tests_do_not() {
        let code = "const A: u8 = 1;\n".repeat(FILE_LINES);
        assert!(files_are_short(&File::fake("a/src/b.rs", &code)).is_empty());
        let more = code.clone() + "const B: u8 = 1;\n";
        assert_eq!(files_are_short(&File::fake("a/src/b.rs", &more)).len(), 1);
        let test = format!("#[cfg(test)]\nmod tests {{\n\n{code}}}\n");
        assert!(files_are_short(&File::fake("a/src/b.rs", &(code + &test))).is_empty());
        assert!(files_are_short(&File::fake("a/tests/b.rs", &more)).is_empty());
    }

    #[test]
    fn a_long_function_fails() {
        let body = "    g();\n".repeat(FUNCTION_LINES - 2);
        let file = File::fake("a/src/b.rs", &format!("fn f() {{\n{body}}}\n"));
        assert!(functions_are_short(&file).is_empty());
        let file = File::fake("a/src/b.rs", &format!("fn f() {{\n{body}\n}}\n"));
        assert!(functions_are_short(&file)[0].message.contains("fn f has 71 lines"));
    }

    #[test]
    fn a_wide_line_fails_unless_it_is_an_address() {
        let line = "é".repeat(COLUMNS);
        assert!(lines_are_short(&File::fake("a.rs", &line)).is_empty());
        assert_eq!(lines_are_short(&File::fake("a.rs", &(line.clone() + "!"))).len(), 1);
        assert!(lines_are_short(&File::fake("a.rs", &(line + "https://x"))).is_empty());
    }
}
