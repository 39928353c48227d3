//! Documents that keep their promises.

use crate::lexer;
use crate::tree::{Complaint, File};

/// Documents with a limit, so that they stay read.
const LIMITS: [(&str, usize); 2] = [("ARCHITECTURE.md", 400), ("CONTRIBUTING.md", 150)];

/// Commands of the README that are run as they stand there.
pub const COMMANDS: [&str; 2] = ["first-command", "test-command"];

/// A document that grows without end is not read.
pub fn lengths(file: &File) -> Vec<Complaint> {
    let lines = file.text.lines().count();
    let limit = LIMITS.iter().find(|(path, limit)| file.path == *path && lines > *limit);
    limit
        .map(|(_, n)| file.complain(1, format!("{lines} lines, {n} at most")))
        .into_iter()
        .collect()
}

/// A link to a file of the repository leads to it.
pub fn links(file: &File, all: &[File]) -> Vec<Complaint> {
    if !file.is_markdown() {
        return Vec::new();
    }
    let exists =
        |path: &str| all.iter().any(|f| f.path == path || f.path.starts_with(&format!("{path}/")));
    let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let broken = targets(&file.text).filter(|(_, target)| !exists(&resolve(folder, target)));
    broken.map(|(line, target)| file.complain(line, format!("`{target}` is not there"))).collect()
}

/// Targets of Markdown links that are files.
fn targets(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.match_indices("](").filter_map(|(at, _)| {
        let target = text[at + 2..].split(')').next()?.split('#').next()?;
        let is_file = !target.is_empty() && !target.contains("://");
        is_file.then(|| (lexer::line_of(text, at), target))
    })
}

fn resolve(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.trim_end_matches('/').split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Every test that a document names (`path/to/file.rs::function`) exists.
pub fn named_tests(file: &File, all: &[File]) -> Vec<Complaint> {
    if !file.is_markdown() {
        return Vec::new();
    }
    let named = file.text.split('`').skip(1).step_by(2).filter_map(|span| {
        let (path, function) = span.split_once(".rs::")?;
        Some((span, format!("{path}.rs"), function.rsplit("::").next()?))
    });
    let exists = |path: &str, function: &str| {
        let text = all.iter().find(|f| f.path == path).map(|f| f.text.as_str());
        text.is_some_and(|text| text.contains(&format!("fn {function}(")))
    };
    named
        .filter(|(_, path, function)| !exists(path, function))
        .map(|(span, _, _)| {
            let at = file.text.find(span).unwrap_or_default();
            file.complain(lexer::line_of(&file.text, at), format!("there is no test `{span}`"))
        })
        .collect()
}

/// The architecture's invariants are tests: each one names at least one.
pub fn invariants(file: &File) -> Vec<Complaint> {
    if file.path != "ARCHITECTURE.md" {
        return Vec::new();
    }
    let paragraphs = file.text.split("\n\n").filter(|p| p.starts_with("**Invariant"));
    let (with, without): (Vec<&str>, Vec<&str>) = paragraphs.partition(|p| p.contains(".rs::"));
    if with.is_empty() && without.is_empty() {
        return vec![file.complain(1, "no paragraph starts with **Invariant")];
    }
    let line = |p: &str| lexer::line_of(&file.text, file.text.find(p).unwrap_or_default());
    without.iter().map(|p| file.complain(line(p), "name the test that enforces it")).collect()
}

/// The commands that CI takes from the README are there, once, and not empty.
pub fn commands(file: &File) -> Vec<Complaint> {
    if file.path != "README.md" {
        return Vec::new();
    }
    let missing = COMMANDS.iter().filter(|name| command(&file.text, name).is_none());
    missing
        .map(|name| file.complain(1, format!("no fenced block follows one `<!-- {name} -->`")))
        .collect()
}

/// The fenced block behind `<!-- name -->`.
pub fn command(text: &str, name: &str) -> Option<String> {
    let marker = format!("<!-- {name} -->\n```sh\n");
    let mut parts = text.split(&marker).skip(1);
    let block = parts.next()?.split("\n```").next()?;
    let is_once = parts.next().is_none() && !block.trim().is_empty();
    is_once.then(|| block.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_document_fails() {
        let file = File::fake("CONTRIBUTING.md", &"x\n".repeat(151));
        assert_eq!(lengths(&file).len(), 1);
        assert!(lengths(&File::fake("CONTRIBUTING.md", "x\n")).is_empty());
    }

    #[test]
    fn a_broken_link_fails() {
        let text = "[a](b.md#x) [c](../d.md) [e](https://e) [f](#f)\n[g](h.md)";
        let file = File::fake("docs/a.md", text);
        let all = [File::fake("docs/b.md", ""), File::fake("d.md", "")];
        assert_eq!(links(&file, &all).iter().map(|c| c.line).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn a_test_that_does_not_exist_fails() {
        let all = [File::fake("tests/a.rs", "#[test]\nfn b() {}\n")];
        let file = File::fake("X.md", "`tests/a.rs::b` and\n`tests/a.rs::tests::c`, `x.rs::d`");
        assert_eq!(named_tests(&file, &all).iter().map(|c| c.line).collect::<Vec<_>>(), [2, 2]);
    }

    #[test]
    fn an_invariant_without_a_test_fails() {
        let text = "# A\n\n**Invariant: x.** `a.rs::b`\n\n**Invariant: y.** trust me\n";
        let found = invariants(&File::fake("ARCHITECTURE.md", text));
        assert_eq!(found.iter().map(|c| c.line).collect::<Vec<_>>(), [5]);
        assert_eq!(invariants(&File::fake("ARCHITECTURE.md", "# A")).len(), 1);
    }

    #[test]
    fn a_command_that_cannot_be_found_fails() {
        let block = |name: &str| format!("<!-- {name} -->\n```sh\ncargo x\n```\n");
        let text = COMMANDS.map(block).concat();
        assert!(commands(&File::fake("README.md", &text)).is_empty());
        assert_eq!(command(&text, "test-command").as_deref(), Some("cargo x"));
        assert_eq!(commands(&File::fake("README.md", &(text.clone() + &text))).len(), 2);
        assert_eq!(commands(&File::fake("README.md", "")).len(), 2);
    }
}
