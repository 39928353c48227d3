//! Reads the top level of a configuration, with the place of every key.

use crate::scenario::reader::{Problem, Problems, Span};
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Beyond this no size is a model's; products of a few stay countable.
const MOST: u64 = 1 << 32;

/// A configuration. Problems gather while it is asked, so that one does not hide the next.
pub(super) struct Config {
    values: Map<String, Value>,
    places: BTreeMap<String, Span>,
    start: Span,
    problems: RefCell<Vec<Problem>>,
}

impl Config {
    pub(super) fn read(text: &str) -> Result<Self, Problems> {
        let start = text.find('{').map_or(0..0, |at| at..at + 1);
        let refused = |span, label: String| {
            let message = format!("not a configuration: {label}");
            Problems { list: vec![Problem::new(span, message, label)] }
        };
        let values = match serde_json::from_str(text) {
            Ok(Value::Object(values)) => values,
            Ok(_) => return Err(refused(0..0, "expected an object".into())),
            Err(error) => {
                let at = offset(text, error.line(), error.column());
                return Err(refused(at..at, error.to_string()));
            }
        };
        let problems = RefCell::default();
        Ok(Self { values, places: places(text), start, problems })
    }

    /// The brace that opens the file.
    pub(super) fn start(&self) -> Span {
        self.start.clone()
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        self.problems.borrow().clone()
    }

    /// The place of a value, or the start of the file.
    fn place(&self, key: &str) -> Span {
        self.places.get(key).cloned().unwrap_or_else(|| self.start())
    }

    /// Says that the value of a key cannot be imported; `None` for convenience.
    pub(super) fn refuse<T>(&self, key: &str, label: &str, hint: &str) -> Option<T> {
        let problem = Problem::new(self.place(key), format!("`{key}`: {label}"), label);
        self.problems.borrow_mut().push(problem.with_hint(hint));
        None
    }

    /// A value that is there; `null` is not.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn word(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Value::as_str)
    }

    /// A size that must be there under one of these names.
    pub(super) fn count(&self, keys: &[&str]) -> Option<u64> {
        let Some(key) = keys.iter().find(|key| self.get(key).is_some()) else {
            let key = keys.first().copied().unwrap_or_default();
            let label = format!("missing key `{key}`");
            let hint = "this model type cannot be built without it";
            let problem = Problem::new(self.start(), label.clone(), label).with_hint(hint);
            self.problems.borrow_mut().push(problem);
            return None;
        };
        self.size(key)
    }

    /// A size that may be absent.
    pub(super) fn count_or(&self, key: &str, otherwise: Option<u64>) -> Option<u64> {
        if self.get(key).is_some() { self.size(key) } else { otherwise }
    }

    fn size(&self, key: &str) -> Option<u64> {
        match self.get(key).and_then(Value::as_u64) {
            Some(n) if (1..MOST).contains(&n) => Some(n),
            _ => self.refuse(key, "expected a whole number from 1 on", "a size like 4096"),
        }
    }

    /// How many of something there are; none where nothing is said.
    pub(super) fn how_many(&self, key: &str) -> Option<u64> {
        match self.get(key).map(Value::as_u64) {
            None | Some(Some(0)) => Some(0),
            Some(_) => self.size(key),
        }
    }

    pub(super) fn layers(&self, keys: &[&str]) -> Option<u32> {
        let layers = self.count(keys)?;
        match u32::try_from(layers) {
            Ok(layers) if layers <= 1 << 16 => Some(layers),
            _ => self.refuse(keys.first()?, "no model has this many layers", "a count like 32"),
        }
    }

    pub(super) fn flag(&self, key: &str, otherwise: bool) -> bool {
        match self.get(key) {
            None => otherwise,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => {
                self.refuse::<()>(key, "expected true or false", "`true` or `false`");
                otherwise
            }
        }
    }

    /// Whether any of these rates is above 0.
    pub(super) fn drops(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.get(key).and_then(Value::as_f64).is_some_and(|p| p > 0.0))
    }

    /// A flag that must have one value, since the language has no other.
    pub(super) fn must(&self, key: &str, is: bool, otherwise: bool, why: &str) {
        if self.flag(key, otherwise) != is {
            let hint = format!("only {key} = {is} can be imported; {BY_HAND}");
            self.refuse::<()>(key, why, &hint);
        }
    }

    /// Query heads divide into the groups of keys, and the width into heads.
    pub(super) fn divides(&self, key: &str, whole: u64, parts: u64, what: &str) -> Option<u64> {
        if whole.is_multiple_of(parts) {
            return Some(whole / parts);
        }
        let label = format!("{what} {whole} does not divide by {parts}");
        self.refuse(key, &label, &format!("a divisor of {whole}"))
    }
}

/// What works where an import does not.
pub(super) const BY_HAND: &str =
    "`meshwright scenarios new model` starts a file that describes a model by hand";

/// The byte offset of a line and column, both from 1.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let mut at = (before + column.saturating_sub(1)).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Where the values of the outermost object are. The text is valid JSON.
fn places(text: &str) -> BTreeMap<String, Span> {
    let mut scan = Scan { depth: 0, key: None, start: None, last: 0, found: BTreeMap::new() };
    let bytes = text.as_bytes();
    let mut i = 0;
    while let Some(&byte) = bytes.get(i) {
        let end = if byte == b'"' { string_end(bytes, i) } else { i + 1 };
        scan.token(text, byte, i, end);
        i = end;
    }
    scan.found
}

struct Scan {
    depth: usize,
    key: Option<String>,
    start: Option<usize>,
    last: usize,
    found: BTreeMap<String, Span>,
}

impl Scan {
    fn token(&mut self, text: &str, byte: u8, at: usize, end: usize) {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b'"' if self.depth == 1 && self.key.is_none() => {
                self.key = serde_json::from_str(&text[at..end]).ok();
            }
            b':' | b',' if self.depth == 1 => {
                if byte == b',' {
                    self.finish();
                }
            }
            b'}' if self.depth == 1 => self.finish(),
            _ => {
                if self.depth == 1 && self.start.is_none() {
                    self.start = Some(at);
                }
                self.last = end;
                match byte {
                    b'{' | b'[' => self.depth += 1,
                    b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                    _ => {}
                }
            }
        }
    }

    fn finish(&mut self) {
        if let (Some(key), Some(start)) = (self.key.take(), self.start.take()) {
            self.found.insert(key, start..self.last);
        }
    }
}

/// One past the quote that closes the string at `start`.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut i = start + 1;
    while let Some(&byte) = bytes.get(i) {
        match byte {
            b'"' => return i + 1,
            b'\\' => i += 2,
            _ => i += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_outermost_object_have_places() {
        let text = "{\"a\": {\"b\": [1, \"}\"]},\n \"b\": \"x\\\"y\" , \"c\":12}";
        let found: Vec<(String, &str)> =
            places(text).into_iter().map(|(key, span)| (key, &text[span])).collect();
        let expected = [("a", "{\"b\": [1, \"}\"]}"), ("b", "\"x\\\"y\""), ("c", "12")];
        assert_eq!(found, expected.map(|(key, value)| (key.to_string(), value)));
    }
}
