//! The shapes of recurrent models.

use crate::model::{Lstm, Mlstm, Rhn, Softmax};
use crate::scenario::reader::{Item, Table};

/// `softmax = "full"`, or `sampled = 8192` words.
pub(super) fn lstm(table: &Table<'_>) -> Option<Lstm> {
    let layers = table.required("layers", |item| item.count32(1));
    let hidden = table.required("hidden", |item| item.count(1));
    let projection = table.optional("projection", |item| item.count(1));
    let embedding = table.required("embedding", |item| item.count(1));
    let vocab = table.required("vocab", |item| item.count(1));
    let softmax = table.required("softmax", |item| softmax(item, vocab));
    let output = projection.or(hidden);
    let tied = table.required("tied", |item| match (item.flag()?, embedding, output) {
        (true, Some(e), Some(o)) if e != o => item.refuse(&format!(
            "the embedding is {e} wide and the output {o}: they cannot be the same matrix"
        )),
        (tied, ..) => Some(tied),
    });
    Some(Lstm {
        layers: layers?,
        hidden: hidden?,
        projection,
        embedding: embedding?,
        vocab: vocab?,
        softmax: softmax?,
        tied: tied?,
    })
}

/// `"full"` or `{ sampled = 8192 }`.
fn softmax(item: &Item<'_>, vocab: Option<u64>) -> Option<Softmax> {
    if !item.is_table() {
        return item.choice(&[("full", Softmax::Full)]);
    }
    item.table(|inner| {
        inner.required("sampled", |count| match (count.count(1)?, vocab) {
            (n, Some(v)) if n > v => count.refuse(&format!("there are only {v} words to sample")),
            (n, _) => Some(Softmax::Sampled(n)),
        })
    })
}

pub(super) fn mlstm(table: &Table<'_>) -> Option<Mlstm> {
    let hidden = table.required("hidden", |item| item.count(1));
    let embedding = table.required("embedding", |item| item.count(1));
    let vocab = table.required("vocab", |item| item.count(1));
    let weight_norm = table.required("weight_norm", Item::flag);
    Some(Mlstm { hidden: hidden?, embedding: embedding?, vocab: vocab?, weight_norm: weight_norm? })
}

pub(super) fn rhn(table: &Table<'_>) -> Option<Rhn> {
    let depth = table.required("depth", |item| item.count32(1));
    let hidden = table.required("hidden", |item| item.count(1));
    let vocab = table.required("vocab", |item| item.count(1));
    let extra_parameters = table.optional("extra_parameters", |item| item.count(0)).unwrap_or(0);
    Some(Rhn { depth: depth?, hidden: hidden?, vocab: vocab?, extra_parameters })
}
