//! Recurrent models.

use crate::published::row::Row;
use crate::published::skip::{Assumptions, Skip};
use crate::published::words::number_after;
use plan::model::{Lstm, Mlstm, Rhn, Softmax};

/// Words of models whose matrices are factorised or split into groups.
const FACTORISED: [&str; 4] = ["f-lstm", "g-lstm", "fact_size", "num_of_groups"];
/// From this vocabulary on a full softmax is not affordable.
const LARGE_VOCABULARY: u64 = 200_000;

pub(super) fn lstm(row: &Row, words: &str, assumed: &mut Assumptions) -> Result<Lstm, Skip> {
    if FACTORISED.iter().any(|word| words.contains(word)) {
        return Err(Skip::Part("a factorised LSTM"));
    }
    let hidden = hidden(row)?;
    let named = || name_numbers(&row.model).into_iter().find(|n| *n > 16 && *n < hidden);
    let projection = number_after(words, "projected ").or_else(named);
    let width = projection.unwrap_or(hidden);
    let vocab = row.shape.vocab.ok_or(Skip::Missing("vocab"))?;
    let sampled = number_after(words, "sampled softmax ");
    let softmax = match sampled {
        Some(n) => Softmax::Sampled(n),
        None if vocab >= LARGE_VOCABULARY => {
            assumed.add("softmax: 8192 sampled words");
            Softmax::Sampled(8192)
        }
        None => Softmax::Full,
    };
    Ok(Lstm {
        layers: layers(row)?,
        hidden,
        projection,
        embedding: number_after(words, "emb ").unwrap_or(width),
        vocab,
        softmax,
        tied: false,
    })
}

pub(super) fn mlstm(row: &Row, assumed: &mut Assumptions) -> Result<Mlstm, Skip> {
    let vocab = assumed.or(row.shape.vocab, 256, "vocabulary: bytes");
    assumed.add("mLSTM: embedding 64 wide, weight normalisation");
    Ok(Mlstm { hidden: hidden(row)?, embedding: 64, vocab, weight_norm: true })
}

pub(super) fn rhn(row: &Row, assumed: &mut Assumptions) -> Result<Rhn, Skip> {
    let vocab = assumed.or(row.shape.vocab, 256, "vocabulary: bytes");
    Ok(Rhn { depth: layers(row)?, hidden: hidden(row)?, vocab, extra_parameters: 0 })
}

fn hidden(row: &Row) -> Result<u64, Skip> {
    row.shape.hidden.filter(|h| *h > 0 && *h < 1 << 24).ok_or(Skip::Missing("hidden"))
}

fn layers(row: &Row) -> Result<u32, Skip> {
    let layers = row.shape.layers.filter(|l| *l > 0).ok_or(Skip::Missing("layers"))?;
    u32::try_from(layers).ok().filter(|l| *l <= 4096).ok_or(Skip::Large("the number of layers"))
}

/// Numbers in a model's name: 2048 and 512 of `LSTM-2048-512`.
fn name_numbers(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect()
}
