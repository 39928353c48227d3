//! One word per concept: the right column of docs/glossary.md is not used anywhere else.

use crate::tree::{Complaint, File};

/// Files that must name the words they ban.
const EXEMPT: [&str; 2] = ["docs/glossary.md", "tests/tidy/words.rs"];

/// A word that is not used, and the one that is.
#[derive(Debug, PartialEq, Eq)]
pub struct Ban {
    /// The phrase, lower case, words separated by one blank.
    phrase: String,
    /// What to write.
    instead: String,
}

/// The bans of a glossary: tables whose last column is headed `not`, phrases in backticks.
pub fn bans(glossary: &str) -> Vec<Ban> {
    let mut is_inside = false;
    let mut found = Vec::new();
    for line in glossary.lines() {
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        match cells.as_slice() {
            [_, _, "not"] => is_inside = true,
            [instead, _, not] if is_inside => {
                let phrases = not.split('`').skip(1).step_by(2).map(normal);
                found.extend(phrases.map(|phrase| Ban { phrase, instead: instead.to_string() }));
            }
            _ => is_inside = false,
        }
    }
    found
}

/// Banned words in code (identifiers, comments, texts) and in documents.
pub fn vocabulary(file: &File, bans: &[Ban]) -> Vec<Complaint> {
    if !(file.is_rust() || file.is_markdown()) || EXEMPT.contains(&file.path.as_str()) {
        return Vec::new();
    }
    let lines = file.text.lines().enumerate();
    lines.flat_map(|(i, line)| complaints(file, i + 1, line, bans)).collect()
}

fn complaints(file: &File, number: usize, line: &str, bans: &[Ban]) -> Vec<Complaint> {
    let text = format!(" {} ", normal(line));
    let uses = |phrase: &str| text.contains(&format!(" {phrase} "));
    let used = bans.iter().filter(|ban| uses(&ban.phrase) || uses(&(ban.phrase.clone() + "s")));
    used.map(|ban| {
        let message = format!("\"{}\": say {} (docs/glossary.md)", ban.phrase, ban.instead);
        file.complain(number, message)
    })
    .collect()
}

/// Lower-case words separated by blanks; `snake_case` and `CamelCase` are taken apart.
fn normal(text: &str) -> String {
    let mut out = String::new();
    let mut previous = ' ';
    for c in text.chars() {
        let starts_hump = c.is_uppercase() && previous.is_lowercase();
        if (starts_hump || !c.is_alphanumeric()) && !out.ends_with(' ') && !out.is_empty() {
            out.push(' ');
        }
        if c.is_alphanumeric() {
            out.extend(c.to_lowercase());
        }
        previous = c;
    }
    out.trim_end().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GLOSSARY: &str = "\
| say | meaning | not |
|---|---|---|
| rank | one process | `worker`, `training loop` |
| step | one update | iterations are for solvers |

| symbol | meaning |
|---|---|
| G | `ranks` |
";

    #[test]
    fn only_the_right_column_in_backticks_is_banned() {
        let phrases: Vec<_> = bans(GLOSSARY).into_iter().map(|ban| ban.phrase).collect();
        assert_eq!(phrases, ["worker", "training loop"]);
    }

    #[test]
    fn a_banned_word_fails_in_any_spelling() {
        let bans = bans(GLOSSARY);
        for text in
            ["n_workers", "WorkerPool", "the worker-thread", "training_loop", "Training loops"]
        {
            let found = vocabulary(&File::fake("a.rs", text), &bans);
            assert_eq!(found.len(), 1, "{text}");
        }
        for text in ["working", "coworkers", "training the loop"] {
            assert!(vocabulary(&File::fake("a.md", text), &bans).is_empty(), "{text}");
        }
    }

    #[test]
    fn names_in_any_case_become_words() {
        assert_eq!(normal("`micro_batch` IsTooLarge, x-y"), "micro batch is too large x y");
    }
}
