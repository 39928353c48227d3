//! Flags out of a shell script, or out of a file with nothing but flags.
//!
//! This is no shell: variables that the script sets to plain words are put in, arithmetic and
//! commands are not. What stays unknown is said.

use super::Remark;
use super::sheet::Entry;
use std::collections::BTreeMap;

/// A word and its line, from 1.
struct Word {
    text: String,
    line: usize,
}

/// The flags of a text, later ones last, and what could not be put in.
pub fn flags(text: &str) -> (Vec<Entry>, Vec<Remark>) {
    let mut variables = BTreeMap::new();
    let mut words = Vec::new();
    for (at, line) in text.lines().enumerate() {
        // Lines such as `: "${PORT:=6000}"` set variables and do nothing else.
        let is_setting = line.trim_start().starts_with(": ");
        for word in split(uncommented(line)) {
            if let Some((name, value)) = assignment(&word) {
                variables.insert(name.to_string(), unquoted(value).to_string());
            }
            if !is_setting {
                words.push(Word { text: word, line: at + 1 });
            }
        }
    }
    let mut remarks = Vec::new();
    let words = expanded(words, &variables);
    (paired(words, &mut remarks), remarks)
}

/// A line without its comment; `#` begins one only before a word.
fn uncommented(line: &str) -> &str {
    let is_start = |at: usize| at == 0 || line[..at].ends_with(char::is_whitespace);
    let comment = line.match_indices('#').map(|(at, _)| at).find(|at| is_start(*at));
    &line[..comment.unwrap_or(line.len())]
}

/// Words between blanks and brackets; quotes keep blanks together, and are kept.
fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    for c in line.chars() {
        let ends = quote.is_none() && c.is_whitespace();
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            _ => {}
        }
        if !ends {
            word.push(c);
        } else if !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty() && word != "\\");
    words
}

/// `NAME=value`, and `: "${NAME:=value}"`.
fn assignment(word: &str) -> Option<(&str, &str)> {
    let inner = unquoted(word).strip_prefix("${").and_then(|w| w.strip_suffix('}'));
    let parts = match inner {
        Some(inner) => inner.split_once(":=").or_else(|| inner.split_once(":-")),
        None => word.split_once('='),
    };
    let (name, value) = parts?;
    (!name.is_empty() && name.chars().all(is_named)).then_some((name, value))
}

/// What names of variables are made of.
fn is_named(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn unquoted(word: &str) -> &str {
    let strip = |word: &str, quote| {
        word.strip_prefix(quote).and_then(|w| w.strip_suffix(quote)).map(str::len)
    };
    match strip(word, '"').or_else(|| strip(word, '\'')) {
        Some(len) => &word[1..=len],
        None => word.trim_start_matches(['(', '"', '\'']).trim_end_matches([')', '"', '\'']),
    }
}

/// Variables put in, quotes taken off; a word that then holds blanks is several.
fn expanded(words: Vec<Word>, variables: &BTreeMap<String, String>) -> Vec<Word> {
    let mut all = Vec::new();
    for word in words {
        // What a variable is set to may be a list of flags.
        let text = match word.text.split_once('=') {
            Some((_, value)) if assignment(&word.text).is_some() && value.contains("--") => value,
            Some((name, _)) if !name.is_empty() && name.chars().all(is_named) => continue,
            _ => &word.text,
        };
        let text = substituted(unquoted(text), variables, 0);
        for part in text.split_whitespace() {
            all.push(Word { text: unquoted(part).to_string(), line: word.line });
        }
    }
    all
}

/// `$NAME`, `${NAME}`, `${NAME:-default}`; variables may hold variables.
fn substituted(text: &str, variables: &BTreeMap<String, String>, depth: u8) -> String {
    let Some((before, rest)) = text.split_once('$').filter(|_| depth < 8) else {
        return text.to_string();
    };
    let (name, default, after) = match rest.strip_prefix('{').and_then(|r| r.split_once('}')) {
        Some((inner, after)) => {
            let (name, default) = match inner.split_once(":-").or_else(|| inner.split_once(":=")) {
                Some((name, default)) => (name, Some(default)),
                None => (inner, None),
            };
            (name, default, after)
        }
        None => {
            let end = rest.find(|c| !is_named(c));
            let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
            (name, None, after)
        }
    };
    let tail = substituted(after, variables, depth);
    let known = variables.get(name).map(String::as_str).filter(|v| !v.contains("--"));
    match known.or(default) {
        Some(value) => format!("{before}{}{tail}", substituted(value, variables, depth + 1)),
        None => format!("{before}${name}{tail}"),
    }
}

/// Flags with what follows them on their line.
fn paired(words: Vec<Word>, remarks: &mut Vec<Remark>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for Word { text, line } in words {
        if let Some(flag) = text.strip_prefix("--") {
            let (key, value) = flag.split_once('=').unwrap_or((flag, ""));
            let items = usize::from(!value.is_empty());
            let key = key.replace('_', "-");
            entries.push(Entry { key, value: value.to_string(), items, line });
            continue;
        }
        // A value stands beside its flag; what else a line has is of no flag.
        let is_value = |entry: &Entry| entry.items == 0 && entry.line == line && !text.is_empty();
        let Some(entry) = entries.last_mut().filter(|entry| is_value(entry)) else { continue };
        if text.contains('$') {
            let text = format!("--{} is {text}, which the file does not set", entry.key);
            remarks.push(Remark { line: Some(line), text });
            entry.value = "none".into();
        } else {
            entry.value = text;
        }
        entry.items += 1;
    }
    entries
}
