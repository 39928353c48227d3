//! Where values are from.

use super::Context;
use super::item::Item;
use super::problem::Problem;
use crate::estimate::{Grade, Sourced};
use crate::suggest::closest;
use std::collections::BTreeMap;
use toml::de::DeTable;

/// The key that carries a source.
pub(super) const KEY: &str = "source";

/// A graded source: `published: NVIDIA Tesla V100 datasheet, 2020`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Origin {
    grade: Grade,
    text: String,
}

impl Origin {
    pub(super) fn attach<T>(self, value: T) -> Sourced<T> {
        Sourced { value, grade: self.grade, source: self.text }
    }
}

/// The `[sources]` table: short names for long sources.
#[derive(Debug, Default)]
pub(super) struct Sources(BTreeMap<String, Option<Origin>>);

impl Sources {
    /// Reads the table; a source that is wrong is reported here and not again where it is used.
    pub(super) fn read<'a>(document: &'a DeTable<'a>, context: &'a Context) -> Self {
        let mut found = BTreeMap::new();
        let Some((name, value)) = document.get_key_value("sources") else {
            return Self(found);
        };
        let sources = Item::new(name, value, "sources".into(), context, None);
        sources.table(|table| {
            table.each(|item| {
                let origin = item.text().and_then(|text| inline(item, &text));
                found.insert(item.key().to_string(), origin);
            });
            Some(())
        });
        Self(found)
    }
}

/// The origin that a `source = "…"` states: a name from `[sources]`, or the source itself.
pub(super) fn resolve(item: &Item<'_>, context: &Context) -> Option<Origin> {
    let text = item.text()?;
    if let Some(known) = context.sources.0.get(text.trim()) {
        return known.clone();
    }
    if text.contains(':') {
        return inline(item, &text);
    }
    let suggestion = closest(&text, context.sources.0.keys().map(String::as_str));
    let meant = suggestion.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
    item.report(
        Problem::new(
            item.span(),
            format!("source `{text}` is not defined in [sources]{meant}"),
            format!("not defined in [sources]{meant}"),
        )
        .with_hint("a source starts with its grade, like \"published: NVIDIA datasheet, 2020\""),
    );
    None
}

fn inline(item: &Item<'_>, text: &str) -> Option<Origin> {
    let (word, rest) = text.split_once(':').unwrap_or((text, ""));
    let rest = rest.trim();
    match Grade::from_word(word.trim()) {
        Some(grade) if !rest.is_empty() => return Some(Origin { grade, text: rest.to_string() }),
        Some(_) => item.report(Problem::new(
            item.span(),
            format!("source \"{text}\" says how good it is but not where it is from"),
            "nothing after the grade",
        )),
        None => {
            let message = format!("source \"{text}\" does not start with a grade");
            let hint = "exact, measured, published, fitted, derived or assumed, then a colon";
            item.report(Problem::new(item.span(), message, "no grade").with_hint(hint));
        }
    }
    None
}
