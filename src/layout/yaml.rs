//! The part of YAML that configurations of trainers are written in: mappings by indentation, plain
//! and quoted scalars, lists of scalars in brackets. Lists of mappings are passed over.

use super::sheet::Entry;
use crate::diagnostics::{Failure, FileProblem};

/// All scalars, by their path.
///
/// # Errors
/// A line that is neither a key, nor a member of a list.
pub fn entries(name: &str, text: &str) -> Result<Vec<Entry>, Failure> {
    let mut path: Vec<(usize, String)> = Vec::new();
    let mut entries = Vec::new();
    let mut list: Option<usize> = None;
    let mut offset = 0;
    for (at, whole) in text.split_inclusive('\n').enumerate() {
        let start = offset;
        offset += whole.len();
        let line = uncommented(whole).trim_end();
        let content = line.trim_start();
        let indent = line.len() - content.len();
        if content.is_empty() || content == "---" {
            continue;
        }
        // Members of a list, and what is indented below them, belong to no key of ours.
        let is_member = content == "-" || content.starts_with("- ");
        list = list.filter(|depth| indent > *depth || (is_member && indent == *depth));
        if is_member && list.is_none() {
            list = Some(indent);
        }
        if list.is_some() {
            continue;
        }
        let Some((key, value)) = pair(content) else {
            let span = start + indent..start + line.len();
            let message = "expected `key: value`".to_string();
            let hint = Some("only mappings and lists by indentation are read".into());
            return Err(Failure::file(name, text, vec![FileProblem { span, message, hint }]));
        };
        path.retain(|(depth, _)| *depth < indent);
        path.push((indent, unquoted(key).to_string()));
        if !value.is_empty() {
            let keys: Vec<&str> = path.iter().map(|(_, key)| key.as_str()).collect();
            let key = keys.join(".");
            let items = value.split(',').count();
            entries.push(Entry { key, value: unquoted(value).to_string(), items, line: at + 1 });
        }
    }
    Ok(entries)
}

fn pair(content: &str) -> Option<(&str, &str)> {
    match content.strip_suffix(':') {
        Some(key) => Some((key, "")),
        None => content.split_once(": ").map(|(key, value)| (key, value.trim())),
    }
}

/// `#` begins a comment at the start and behind a blank.
fn uncommented(line: &str) -> &str {
    let is_start = |at: usize| at == 0 || line[..at].ends_with([' ', '\t']);
    let comment = line.match_indices('#').map(|(at, _)| at).find(|at| is_start(*at));
    &line[..comment.unwrap_or(line.len())]
}

fn unquoted(text: &str) -> &str {
    let strip = |quote| text.strip_prefix(quote).and_then(|t| t.strip_suffix(quote));
    strip('"').or_else(|| strip('\'')).unwrap_or(text)
}
