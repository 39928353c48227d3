//! One value of a table: its type, range and unit.

use super::problem::{Problem, Span};
use super::source::{self, Origin};
use super::{Context, SCHEMA, Table};
use crate::estimate::Sourced;
use crate::suggest::closest;
use crate::units::Quantity;
use std::borrow::Cow;
use std::ops::RangeInclusive;
use toml::Spanned;
use toml::de::{DeInteger, DeValue};

/// No count in a scenario is larger: devices, layers, words, tokens per sequence.
pub const MAX_COUNT: u64 = 1 << 31;

/// A key and a value as toml keeps them.
pub(super) type Entry<'a> = (&'a Spanned<Cow<'a, str>>, &'a Spanned<DeValue<'a>>);

/// A key with its value.
///
/// Every method reports what is wrong and returns `None` then.
#[derive(Clone, Debug)]
pub struct Item<'a> {
    key: &'a Spanned<Cow<'a, str>>,
    value: &'a Spanned<DeValue<'a>>,
    path: String,
    context: &'a Context,
    inherited: Option<Entry<'a>>,
}

impl<'a> Item<'a> {
    pub(super) fn new(
        key: &'a Spanned<Cow<'a, str>>,
        value: &'a Spanned<DeValue<'a>>,
        path: String,
        context: &'a Context,
        inherited: Option<Entry<'a>>,
    ) -> Self {
        Self { key, value, path, context, inherited }
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &'a str {
        self.key.get_ref()
    }

    /// Where the key stands.
    #[must_use]
    pub fn key_span(&self) -> Span {
        self.key.span()
    }

    /// Where the value stands.
    #[must_use]
    pub fn span(&self) -> Span {
        self.value.span()
    }

    /// Reports a problem.
    pub fn report(&self, problem: Problem) {
        self.context.report(problem);
    }

    /// Reports that the value is not what `expected` says, and returns `None`.
    pub fn refuse<T>(&self, expected: &str) -> Option<T> {
        let message = format!("`{}`: {expected}", self.key());
        self.report(Problem::new(self.span(), message, expected));
        None
    }

    /// Text that is not blank.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        match self.value.get_ref() {
            DeValue::String(text) if !text.trim().is_empty() => Some(text.to_string()),
            DeValue::String(_) => self.refuse("expected text, found an empty string"),
            other => self.wrong_type("text in quotes", other),
        }
    }

    /// `true` or `false`.
    #[must_use]
    pub fn flag(&self) -> Option<bool> {
        match self.value.get_ref() {
            DeValue::Boolean(flag) => Some(*flag),
            other => self.wrong_type("true or false", other),
        }
    }

    /// A whole number from `least` to [`MAX_COUNT`].
    #[must_use]
    pub fn count(&self, least: u64) -> Option<u64> {
        match self.value.get_ref() {
            DeValue::Integer(number) => self.in_bounds(integer(number), least),
            other => self.wrong_type("a whole number", other),
        }
    }

    /// As [`Self::count`], for 32-bit fields.
    #[must_use]
    pub fn count32(&self, least: u64) -> Option<u32> {
        self.count(least).and_then(|n| u32::try_from(n).ok())
    }

    /// A whole number with a word behind it: `"256 tokens"`, or the bare number.
    #[must_use]
    pub fn count_of(&self, noun: &str) -> Option<u64> {
        let DeValue::String(text) = self.value.get_ref() else {
            return self.count(1);
        };
        let (number, word) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        let singular = noun.strip_suffix('s').unwrap_or(noun);
        match number.replace([',', '_'], "").parse::<i128>() {
            Ok(n) if word.trim() == noun || (n == 1 && word.trim() == singular) => {
                self.in_bounds(Some(n), 1)
            }
            _ => self.refuse(&format!("expected a whole number of {noun}, like \"256 {noun}\"")),
        }
    }

    /// A finite number without unit, in a range.
    #[must_use]
    pub fn number(&self, range: RangeInclusive<f64>) -> Option<f64> {
        let value = match self.value.get_ref() {
            DeValue::Integer(number) => integer(number).map_or(f64::NAN, |n| n as f64),
            DeValue::Float(number) => number.as_str().parse().unwrap_or(f64::NAN),
            other => return self.wrong_type("a number", other),
        };
        if value.is_finite() && range.contains(&value) {
            return Some(value);
        }
        let (least, most) = (range.start(), range.end());
        self.refuse(&format!("expected a number from {least} to {most}"))
    }

    /// A fraction above 0 and up to 1.
    #[must_use]
    pub fn fraction(&self) -> Option<f64> {
        match self.number(0.0..=1.0)? {
            0.0 => self.refuse("expected a fraction above 0"),
            value => Some(value),
        }
    }

    /// A quantity with its unit, above zero: `"12.5 GB/s"`.
    #[must_use]
    pub fn quantity<Q: Quantity + Default>(&self) -> Option<Q> {
        let value: Q = self.quantity_or_zero()?;
        if value > Q::default() {
            return Some(value);
        }
        self.refuse(&format!("expected {} above zero, like \"{}\"", Q::WHAT, Q::EXAMPLE))
    }

    /// A quantity with its unit, zero or more.
    #[must_use]
    pub fn quantity_or_zero<Q: Quantity>(&self) -> Option<Q> {
        let text = match self.value.get_ref() {
            DeValue::String(text) => Cow::Borrowed(text.as_ref()),
            DeValue::Integer(number) => Cow::Owned(number.to_string()),
            DeValue::Float(number) => Cow::Borrowed(number.as_str()),
            other => {
                return self.wrong_type(&format!("{} like \"{}\"", Q::WHAT, Q::EXAMPLE), other);
            }
        };
        match Q::parse(&text) {
            Ok(value) => Some(value),
            Err(error) => self.refuse(&error.to_string()),
        }
    }

    /// One of the known words.
    #[must_use]
    pub fn choice<T: Clone>(&self, choices: &[(&str, T)]) -> Option<T> {
        let word = self.text()?;
        if let Some((_, value)) = choices.iter().find(|(name, _)| *name == word) {
            return Some(value.clone());
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let meant = closest(&word, names.iter().copied());
        let meant = meant.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        let message = format!("`{}`: `{word}` is not known here{meant}", self.key());
        let label = format!("not known here{meant}");
        let hint = format!("one of: {}", names.join(", "));
        self.report(Problem::new(self.span(), message, label).with_hint(hint));
        None
    }

    /// A sub-table.
    pub fn table<T>(&self, parse: impl FnOnce(&Table<'a>) -> Option<T>) -> Option<T> {
        let DeValue::Table(entries) = self.value.get_ref() else {
            return self.wrong_type("a table", self.value.get_ref());
        };
        let table = Table::new(entries, self.path.clone(), self.key_span(), self.context);
        let result = parse(&table);
        table.finish();
        result
    }

    /// The elements of a list.
    #[must_use]
    pub fn list(&self) -> Option<Vec<Item<'a>>> {
        let DeValue::Array(array) = self.value.get_ref() else {
            return self.wrong_type("a list", self.value.get_ref());
        };
        let element = |value| Item { value, ..self.clone() };
        Some(array.iter().map(element).collect())
    }

    /// A list of texts.
    #[must_use]
    pub fn texts(&self) -> Option<Vec<String>> {
        // Every element is looked at before the first failure counts.
        let texts: Vec<Option<String>> = self.list()?.iter().map(Item::text).collect();
        texts.into_iter().collect()
    }

    /// Whether the value is a list.
    #[must_use]
    pub fn is_list(&self) -> bool {
        self.value.get_ref().is_array()
    }

    /// Whether the value is text.
    #[must_use]
    pub fn is_text(&self) -> bool {
        self.value.get_ref().is_str()
    }

    /// Whether the value is a table.
    #[must_use]
    pub fn is_table(&self) -> bool {
        self.value.get_ref().is_table()
    }

    /// A value with its source: `{ value = …, source = "…" }`, or bare in a table that has one.
    pub fn sourced<T>(&self, parse: impl FnOnce(&Item<'a>) -> Option<T>) -> Option<Sourced<T>> {
        let wraps = |table: &DeValue<'_>| table.as_table().is_some_and(|t| t.contains_key("value"));
        if wraps(self.value.get_ref()) {
            return self.table(|table| {
                let value = table.required("value", |item| parse(&item.named(self)));
                let origin = table.required(source::KEY, Item::origin);
                Some(origin?.attach(value?))
            });
        }
        let value = parse(self);
        match self.inherited {
            Some((key, source)) => {
                let source = Item { key, value: source, ..self.clone() };
                Some(source.origin()?.attach(value?))
            }
            None => self.without_source(),
        }
    }

    /// The value as a source.
    pub(super) fn origin(&self) -> Option<Origin> {
        source::resolve(self, self.context)
    }

    /// Reads the schema version.
    pub(super) fn schema(&self) -> Option<u64> {
        match self.count(1)? {
            SCHEMA => Some(SCHEMA),
            other => {
                self.refuse(&format!("schema {other} is not known; this version reads {SCHEMA}"))
            }
        }
    }

    /// This value under the key of the table around it, so that messages name what people know.
    fn named(&self, outer: &Item<'a>) -> Item<'a> {
        Item { key: outer.key, ..self.clone() }
    }

    fn without_source<T>(&self) -> Option<T> {
        let key = self.key();
        let hint = format!("{key} = {{ value = …, source = \"published: …\" }}");
        let message = format!("`{key}` has no source");
        self.report(Problem::new(self.span(), message, "no source").with_hint(hint));
        None
    }

    fn in_bounds(&self, number: Option<i128>, least: u64) -> Option<u64> {
        match number.and_then(|n| u64::try_from(n).ok()) {
            Some(n) if (least..=MAX_COUNT).contains(&n) => Some(n),
            _ => self.refuse(&format!("expected a whole number from {least} to {MAX_COUNT}")),
        }
    }

    fn wrong_type<T>(&self, expected: &str, found: &DeValue<'_>) -> Option<T> {
        let found = match found {
            DeValue::String(_) => "text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a decimal number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.refuse(&format!("expected {expected}, found {found}"))
    }
}

fn integer(number: &DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(number.as_str(), number.radix()).ok()
}
