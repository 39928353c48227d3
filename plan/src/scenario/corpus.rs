//! Corpus files.

use super::header;
use super::reader::{Item, Problems, Table, read};
use crate::corpus::{Corpus, TokenKind};

/// Reads a corpus.
///
/// # Errors
/// All problems of the file.
pub fn parse_corpus(text: &str) -> Result<Corpus, Problems> {
    read(text, corpus)
}

fn corpus(file: &Table<'_>) -> Option<Corpus> {
    let name = header::name(file);
    header::aliases(file);
    let label = file.required("label", Item::text);
    let source = file.required("source", Item::text);
    let token = file.required("token", |item| item.choice(&TokenKind::ALL));
    let tokens = file.sourced_optional("tokens", |item| item.number(1.0..=1e18));
    let law = file.table("vocabulary", |table| {
        let prefactor = table.sourced("prefactor", |item| item.number(1e-3..=1e9));
        let exponent = table.sourced("exponent", |item| item.number(0.0..=1.0));
        Some((prefactor?, exponent?))
    });
    let (prefactor, exponent) = law?;
    Some(Corpus {
        name: name?,
        label: label?,
        token: token?,
        tokens,
        prefactor,
        exponent,
        source: source?,
    })
}
