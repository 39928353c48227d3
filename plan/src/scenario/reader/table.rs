//! A table that remembers which keys it was asked for.

use super::item::Item;
use super::problem::{Problem, Span};
use super::{Context, source};
use crate::estimate::Sourced;
use crate::suggest::closest;
use std::cell::RefCell;
use toml::de::DeTable;

/// A TOML table being read.
///
/// It remembers every key that was asked for; when the parser is done with it, the keys that are
/// left are reported as unknown and the required ones that are absent as missing.
#[derive(Debug)]
pub struct Table<'a> {
    entries: &'a DeTable<'a>,
    path: String,
    span: Span,
    context: &'a Context,
    asked: RefCell<Vec<(String, bool)>>,
}

impl<'a> Table<'a> {
    pub(super) fn root(entries: &'a DeTable<'a>, context: &'a Context) -> Self {
        Self::new(entries, String::new(), 0..0, context)
    }

    pub(super) fn new(
        entries: &'a DeTable<'a>,
        path: String,
        span: Span,
        context: &'a Context,
    ) -> Self {
        Self { entries, path, span, context, asked: RefCell::default() }
    }

    /// Where a problem of the whole table is shown.
    #[must_use]
    pub fn span(&self) -> Span {
        self.span.clone()
    }

    /// Reports a problem that only the parser can see.
    pub fn report(&self, problem: Problem) {
        self.context.report(problem);
    }

    /// Whether the file has this key. Does not count as asking for it.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// The value of a key that must be there.
    pub fn required<T>(&self, key: &str, parse: impl FnOnce(&Item<'a>) -> Option<T>) -> Option<T> {
        self.ask(key, true);
        self.find(key).and_then(|item| parse(&item))
    }

    /// The value of a key that may be there; `None` too when it is there and wrong, which is
    /// reported and fails the file.
    pub fn optional<T>(&self, key: &str, parse: impl FnOnce(&Item<'a>) -> Option<T>) -> Option<T> {
        self.ask(key, false);
        self.find(key).and_then(|item| parse(&item))
    }

    /// A required value with its source: `{ value = …, source = "…" }`, or bare in a table that has
    /// a `source` of its own.
    pub fn sourced<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&Item<'a>) -> Option<T>,
    ) -> Option<Sourced<T>> {
        self.mention_source();
        self.required(key, |item| item.sourced(parse))
    }

    /// As [`Self::sourced`], for a key that may be absent.
    pub fn sourced_optional<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&Item<'a>) -> Option<T>,
    ) -> Option<Sourced<T>> {
        self.mention_source();
        self.optional(key, |item| item.sourced(parse))
    }

    /// A required sub-table.
    pub fn table<T>(&self, key: &str, parse: impl FnOnce(&Table<'a>) -> Option<T>) -> Option<T> {
        self.required(key, |item| item.table(parse))
    }

    /// A sub-table that may be absent.
    pub fn table_optional<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&Table<'a>) -> Option<T>,
    ) -> Option<T> {
        self.optional(key, |item| item.table(parse))
    }

    /// All entries in the order of the file, for tables whose keys are free; the table's `source`
    /// is not one of them.
    pub fn each(&self, mut visit: impl FnMut(&Item<'a>)) {
        let mut items: Vec<Item<'a>> =
            self.entries.keys().filter_map(|k| self.find(k.as_ref().as_ref())).collect();
        items.sort_by_key(|item| item.key_span().start);
        for item in items {
            self.mention(item.key());
            if item.key() != source::KEY || !item.is_text() {
                visit(&item);
            }
        }
    }

    /// Declares a key as known without reading it.
    pub(super) fn mention(&self, key: &str) {
        self.ask(key, false);
    }

    /// A table with sourced values may have a `source` for the bare ones; the file itself may not.
    fn mention_source(&self) {
        if !self.path.is_empty() {
            self.mention(source::KEY);
        }
    }

    fn ask(&self, key: &str, required: bool) {
        let mut asked = self.asked.borrow_mut();
        match asked.iter_mut().find(|(known, _)| known == key) {
            Some((_, was_required)) => *was_required |= required,
            None => asked.push((key.to_string(), required)),
        }
    }

    fn find(&self, key: &str) -> Option<Item<'a>> {
        let (name, value) = self.entries.get_key_value(key)?;
        // At the top of a model or corpus, `source` is prose about the whole file.
        let origin = self.entries.get_key_value(source::KEY).filter(|_| !self.path.is_empty());
        Some(Item::new(name, value, self.place(name.get_ref()), self.context, origin))
    }

    fn place(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_string() } else { format!("{}.{key}", self.path) }
    }

    /// Reports the keys that nobody asked for and the required ones that are absent.
    pub(super) fn finish(&self) {
        let asked = self.asked.borrow();
        let mut meant = Vec::new();
        for name in self.entries.keys() {
            let key: &str = name.get_ref();
            if !asked.iter().any(|(known, _)| known == key) {
                let known = asked.iter().map(|(known, _)| known.as_str());
                let absent = known.filter(|known| !self.has(known));
                let suggestion = closest(key, absent);
                meant.extend(suggestion);
                self.unknown(key, name.span(), suggestion);
            }
        }
        let required: Vec<&str> =
            asked.iter().filter(|(_, required)| *required).map(|(key, _)| key.as_str()).collect();
        let missing: Vec<&str> =
            required.iter().copied().filter(|key| !self.has(key) && !meant.contains(key)).collect();
        if !missing.is_empty() {
            self.missing(&missing, &required);
        }
    }

    fn unknown(&self, key: &str, span: Span, suggestion: Option<&str>) {
        let asked = self.asked.borrow();
        let known: Vec<&str> = asked.iter().map(|(known, _)| known.as_str()).collect();
        let problem = match suggestion {
            Some(known) => Problem::new(
                span,
                format!("unknown key `{key}`; did you mean `{known}`?"),
                format!("unknown key; did you mean `{known}`?"),
            ),
            None => Problem::new(span, format!("unknown key `{key}`"), "unknown key")
                .with_hint(format!("known {}: {}", self.here(), known.join(", "))),
        };
        self.report(problem);
    }

    fn missing(&self, missing: &[&str], required: &[&str]) {
        let names: Vec<String> = missing.iter().map(|key| format!("`{key}`")).collect();
        let noun = if names.len() == 1 { "key" } else { "keys" };
        let message = format!("missing {noun} {} {}", names.join(", "), self.here());
        let label = format!("missing: {}", names.join(", "));
        let hint = format!("required {}: {}", self.here(), required.join(", "));
        self.report(Problem::new(self.span(), message, label).with_hint(hint));
    }

    fn here(&self) -> String {
        if self.path.is_empty() {
            "at the top of the file".into()
        } else {
            format!("in [{}]", self.path)
        }
    }
}
