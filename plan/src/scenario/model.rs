//! Model files.

mod einsum;
mod recurrent;
mod training;
mod transformer;
mod write;

pub use training::RECIPES;
pub use transformer::latent;
pub use write::write_model;

use super::header;
use super::reader::{Item, Problems, Table, read};
use crate::model::{Family, ModelSpec, PublishedCount};

/// Reads a model.
///
/// # Errors
/// All problems of the file.
pub fn parse_model(text: &str) -> Result<ModelSpec, Problems> {
    read(text, model)
}

type ParseShape = fn(&Table<'_>) -> Option<Family>;

const FAMILIES: [(&str, ParseShape); 5] = [
    ("transformer", |shape| transformer::shape(shape).map(Family::Transformer)),
    ("lstm", |shape| recurrent::lstm(shape).map(Family::Lstm)),
    ("mlstm", |shape| recurrent::mlstm(shape).map(Family::Mlstm)),
    ("rhn", |shape| recurrent::rhn(shape).map(Family::Rhn)),
    ("einsum", |shape| einsum::graph(shape).map(Family::Einsum)),
];

fn model(file: &Table<'_>) -> Option<ModelSpec> {
    let name = header::name(file);
    header::aliases(file);
    let source = file.required("source", Item::text);
    let published_parameters = file.table_optional("parameters", parameters);
    let family = file.required("family", |item| item.choice(&FAMILIES));
    // Without a family nobody knows which keys [shape] may have.
    let family = match family {
        Some(parse) => file.table("shape", parse),
        None => file.required("shape", |_| None),
    };
    let training = file.table("training", training::training);
    Some(ModelSpec {
        name: name?,
        source: source?,
        published_parameters,
        family: family?,
        training: training?,
    })
}

fn parameters(table: &Table<'_>) -> Option<PublishedCount> {
    let parameters = table.required("value", |item| item.number(1.0..=1e15));
    let tolerance = table.required("tolerance", |item| item.number(0.0..=0.5));
    let source = table.required("source", Item::text);
    Some(PublishedCount { parameters: parameters?, tolerance: tolerance?, source: source? })
}
