//! The shape of a transformer.

use crate::model::{Adaptive, Experts, Latent, Norm, Positions, Stacks, Transformer};
use crate::scenario::reader::{Item, Problem, Table};

/// Flags that are off, and counts that are zero, unless a model says otherwise.
pub(super) fn shape(table: &Table<'_>) -> Option<Transformer> {
    let flag = |key: &str| table.optional(key, Item::flag).unwrap_or(false);
    let count = |key: &str, otherwise| table.optional(key, |i| i.count(0)).unwrap_or(otherwise);
    let stacks = stacks(table);
    let layers = table.required("layers", |item| item.count32(1));
    let d_model = table.required("d_model", |item| item.count(1));
    let heads = heads(table, d_model);
    let d_ff = table.required("d_ff", |item| item.count(1));
    let vocab = table.required("vocab", |item| item.count(1));
    let tied = table.required("tied", Item::flag);
    let positions = positions(table);
    let norm = table.required("norm", |item| {
        item.choice(&[("layer-norm", Norm::LayerNorm), ("rms-norm", Norm::RmsNorm)])
    });
    let bias = table.required("bias", Item::flag);
    let final_norm = table.optional("final_norm", Item::flag).unwrap_or(true);
    let loss_fraction = table.optional("loss_fraction", Item::fraction).unwrap_or(1.0);
    let (gated, qkv_bias, embedding_norm) =
        (flag("gated"), flag("qkv_bias"), flag("embedding_norm"));
    let (dropout, pooler, mlm_head) = (flag("dropout"), flag("pooler"), flag("mlm_head"));
    let (segments, memory_length) = (count("segments", 0), count("memory_length", 0));
    let latent = table.table_optional("latent", latent);
    let adaptive = table.table_optional("adaptive", |inner| adaptive(inner, vocab));
    let experts = table.table_optional("experts", |inner| experts(inner, layers));
    let heads = heads?;
    Some(Transformer {
        stacks: stacks?,
        layers: layers?,
        d_model: d_model?,
        heads: heads.query,
        kv_heads: heads.key_value,
        head_dim: heads.width,
        latent,
        d_ff: d_ff?,
        gated,
        vocab: vocab?,
        tied: tied?,
        positions: positions?,
        norm: norm?,
        bias: bias?,
        qkv_bias,
        final_norm,
        embedding_norm,
        dropout,
        segments,
        pooler,
        mlm_head,
        loss_fraction,
        memory_length,
        adaptive,
        experts,
    })
}

fn stacks(table: &Table<'_>) -> Option<Stacks> {
    let names = [("decoder", 0), ("encoder", 1), ("encoder-decoder", 2)];
    match table.required("stacks", |item| item.choice(&names))? {
        0 => Some(Stacks::Decoder),
        1 => Some(Stacks::Encoder),
        _ => {
            let encoder_layers = table.required("encoder_layers", |item| item.count32(1))?;
            Some(Stacks::EncoderDecoder { encoder_layers })
        }
    }
}

struct Heads {
    query: u64,
    key_value: u64,
    width: u64,
}

/// `kv_heads` is `heads` and `head_dim` is `d_model / heads` unless stated.
fn heads(table: &Table<'_>, d_model: Option<u64>) -> Option<Heads> {
    let query = table.required("heads", |item| item.count(1));
    let key_value = table.optional("kv_heads", |item| {
        let groups = item.count(1)?;
        match query {
            Some(heads) if heads % groups != 0 => {
                item.refuse(&format!("{heads} heads do not divide into {groups} groups"))
            }
            _ => Some(groups),
        }
    });
    let width = table.optional("head_dim", |item| item.count(1));
    let (query, d_model) = (query?, d_model?);
    if width.is_none() && !table.has("head_dim") && d_model % query != 0 {
        let message = format!("d_model {d_model} does not divide by {query} heads");
        let hint = "state the width of one head: `head_dim = 64`";
        table.report(Problem::new(table.span(), message, "head_dim is needed").with_hint(hint));
        return None;
    }
    let width = width.unwrap_or(d_model / query);
    Some(Heads { query, key_value: key_value.unwrap_or(query), width })
}

fn positions(table: &Table<'_>) -> Option<Positions> {
    let names =
        [("learned", 0), ("rope", 1), ("sinusoidal", 2), ("relative", 3), ("normed-rope", 4)];
    match table.required("positions", |item| item.choice(&names))? {
        0 => table.required("max_positions", |item| item.count(1)).map(Positions::Learned),
        1 => Some(Positions::Rope),
        2 => Some(Positions::Sinusoidal),
        4 => Some(Positions::NormedRope),
        _ => Some(Positions::Relative),
    }
}

/// Reads the widths of latent attention.
#[must_use]
pub fn latent(table: &Table<'_>) -> Option<Latent> {
    let query = table.optional("query", |item| item.count(1));
    let key_value = table.required("key_value", |item| item.count(1));
    let rotary = table.required("rotary", |item| item.count(1));
    let value = table.required("value", |item| item.count(1));
    Some(Latent { query, key_value: key_value?, rotary: rotary?, value: value? })
}

fn adaptive(table: &Table<'_>, vocab: Option<u64>) -> Option<Adaptive> {
    let cutoffs = table.required("cutoffs", |item| {
        let cutoffs: Vec<Option<u64>> = item.list()?.iter().map(|i| i.count(1)).collect();
        let cutoffs: Vec<u64> = cutoffs.into_iter().collect::<Option<_>>()?;
        let rising = cutoffs.windows(2).all(|pair| pair[0] < pair[1]);
        let inside = cutoffs.last().is_some_and(|last| vocab.is_none_or(|v| *last < v));
        if rising && inside {
            return Some(cutoffs);
        }
        item.refuse("expected rising vocabulary indices below `vocab`")
    });
    let divisor = table.required("divisor", |item| item.count(1));
    Some(Adaptive { cutoffs: cutoffs?, divisor: divisor? })
}

fn experts(table: &Table<'_>, layers: Option<u32>) -> Option<Experts> {
    let count = table.required("count", |item| item.count(1));
    let top_k = table.required("top_k", |item| match (item.count(1)?, count) {
        (k, Some(n)) if k > n => item.refuse(&format!("a token cannot visit {k} of {n} experts")),
        (k, _) => Some(k),
    });
    let d_expert = table.required("d_expert", |item| item.count(1));
    let d_shared = table.optional("d_shared", |item| item.count(0)).unwrap_or(0);
    let dense_layers = table.optional("dense_layers", |item| match (item.count32(0)?, layers) {
        (dense, Some(all)) if dense > all => item.refuse(&format!("there are only {all} layers")),
        (dense, _) => Some(dense),
    });
    let every = table.optional("every", |item| item.count32(1)).unwrap_or(1);
    let router_bias = table.optional("router_bias", Item::flag).unwrap_or(false);
    let imbalance = table.required("imbalance", |item| item.number(1.0..=1e3));
    Some(Experts {
        count: count?,
        top_k: top_k?,
        d_expert: d_expert?,
        d_shared,
        dense_layers: dense_layers.unwrap_or(0),
        every,
        router_bias,
        imbalance: imbalance?,
    })
}
