//! A small reader over spanned TOML that reports every problem of a file at once.
//!
//! ```
//! use plan::scenario::reader::read;
//! let text = "schema = 1\nname = \"x\"\nlayrs = 3\n";
//! let problems = read(text, |file| file.required("layers", |item| item.count(1))).unwrap_err();
//! assert_eq!(problems.list[0].message, "unknown key `layrs`; did you mean `layers`?");
//! ```
//!
//! A parser asks its [`Table`] for every key it knows, keeps the `Option`s, and only then combines
//! them with `?`: so that one bad value does not hide the next.

mod item;
mod problem;
mod source;
mod table;
#[cfg(test)]
mod tests;

pub use item::{Item, MAX_COUNT};
pub use problem::{Problem, Problems, Span, position};
pub use table::Table;

use source::Sources;
use std::cell::RefCell;
use toml::de::{DeTable, Error};

/// The schema version that this version reads and writes.
pub const SCHEMA: u64 = 1;

/// What all tables of one file share.
#[derive(Debug, Default)]
pub(super) struct Context {
    problems: RefCell<Vec<Problem>>,
    sources: Sources,
}

impl Context {
    fn report(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }
}

/// Reads a whole file: syntax, `schema`, `[sources]`, then whatever `parse` asks for, then the keys
/// that nobody asked for. `name` and `aliases` are known keys of every file.
///
/// # Errors
/// All problems of the file, in the order of the text.
pub fn read<T>(text: &str, parse: impl FnOnce(&Table<'_>) -> Option<T>) -> Result<T, Problems> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(Problems::sorted(errors.iter().map(|e| syntax(e, text)).collect()));
    }
    let mut context = Context::default();
    context.sources = Sources::read(document.get_ref(), &context);
    let root = Table::root(document.get_ref(), &context);
    root.required("schema", |item| item.schema());
    for header in ["name", "aliases", "sources"] {
        root.mention(header);
    }
    let value = parse(&root);
    root.finish();
    let problems = Problems::sorted(context.problems.take());
    match value {
        Some(value) if problems.list.is_empty() => Ok(value),
        // A parser that gives up has always reported why; an empty list would be a silent refusal.
        _ if problems.list.is_empty() => Err(Problems::sorted(vec![Problem::new(
            0..0,
            "the file does not describe a complete scenario",
            "something is missing",
        )])),
        _ => Err(problems),
    }
}

fn syntax(error: &Error, text: &str) -> Problem {
    let span = error.span().unwrap_or(0..0);
    let span = span.start.min(text.len())..span.end.min(text.len());
    let message = error.message();
    let hint = message.contains("duplicate key").then(|| "keep one of the two".to_string());
    Problem { hint, ..Problem::new(span, format!("not valid TOML: {message}"), message) }
}
