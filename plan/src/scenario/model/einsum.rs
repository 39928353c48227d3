//! Free graphs of einsums.

use crate::model::{EinsumGraph, EinsumInput, EinsumOp};
use crate::scenario::reader::{Item, Table};
use crate::suggest::closest;

pub(super) fn graph(table: &Table<'_>) -> Option<EinsumGraph> {
    let dims = table.table("dims", |inner| {
        let mut dims = Vec::new();
        inner.each(|item| dims.push((item.key().to_string(), item.count(1))));
        dims.into_iter().map(|(name, size)| Some((name, size?))).collect::<Option<Vec<_>>>()
    });
    let known: Vec<String> = dims.iter().flatten().map(|(name, _)| name.clone()).collect();
    // A tensor whose description is wrong still exists: it is not reported again where it is used.
    let mut tensors = Vec::new();
    let inputs =
        table.required("input", |item| each(item, |inner| input(inner, &known, &mut tensors)));
    let ops = table.required("op", |item| each(item, |inner| op(inner, &known, &mut tensors)));
    Some(EinsumGraph { dims: dims?, inputs: inputs?, ops: ops? })
}

/// Reads a list of tables; all of them, also after one that is wrong.
fn each<T>(item: &Item<'_>, mut parse: impl FnMut(&Table<'_>) -> Option<T>) -> Option<Vec<T>> {
    let parsed: Vec<Option<T>> =
        item.list()?.iter().map(|element| element.table(&mut parse)).collect();
    parsed.into_iter().collect()
}

fn input(table: &Table<'_>, dims: &[String], tensors: &mut Vec<String>) -> Option<EinsumInput> {
    let name = table.required("name", Item::text);
    tensors.extend(name.clone());
    let dims = table.required("dims", |item| names(item, dims, "dimension"));
    let is_parameter = table.required("parameter", Item::flag);
    Some(EinsumInput { name: name?, dims: dims?, is_parameter: is_parameter? })
}

fn op(table: &Table<'_>, dims: &[String], tensors: &mut Vec<String>) -> Option<EinsumOp> {
    let output = table.required("output", Item::text);
    let operands = table.required("operands", |item| {
        let operands = names(item, tensors, "tensor")?;
        if (1..=2).contains(&operands.len()) {
            return Some(operands);
        }
        item.refuse("expected one or two operands")
    });
    tensors.extend(output.clone());
    let result = table.required("dims", |item| names(item, dims, "dimension"));
    let unsplittable = table.optional("unsplittable", |item| names(item, dims, "dimension"));
    Some(EinsumOp {
        output: output?,
        operands: operands?,
        dims: result?,
        unsplittable: unsplittable.unwrap_or_default(),
    })
}

/// A list of names, each of which is defined above.
fn names(item: &Item<'_>, known: &[String], what: &str) -> Option<Vec<String>> {
    let names = item.texts()?;
    for name in &names {
        if !known.contains(name) {
            let meant = closest(name, known.iter().map(String::as_str));
            let meant = meant.map(|m| format!("; did you mean `{m}`?")).unwrap_or_default();
            return item.refuse(&format!("no {what} named `{name}` above{meant}"));
        }
    }
    Some(names)
}
