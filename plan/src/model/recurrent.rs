//! Recurrent language models as operator graphs.
//!
//! Everything that does not depend on the previous time step is one product over all steps; the
//! rest sits in a scan. Letters: b batch, t seq, h hidden, e embedding, p projection, v vocab.

use super::{
    LayerKind, LayerRole, Lstm, Mlstm, Model, ModelError, ModelSpec, Rhn, Run, Softmax, Table,
    positive,
};
use crate::graph::{Dim, GraphBuilder, OpGraph, Region, SaveWhen, Sizes, TensorId};
use crate::work::PointwiseKind;
use Dim::{Batch, Embed, Extra, Gates, Hidden, HiddenIn, Proj, Scored, Seq, Vocab};

pub(super) fn lstm(spec: &ModelSpec, m: &Lstm) -> Result<Model, ModelError> {
    positive(&[
        ("layers", u64::from(m.layers)),
        ("hidden", m.hidden),
        ("projection", m.projection.unwrap_or(1)),
        ("embedding", m.embedding),
        ("vocab", m.vocab),
    ])?;
    let sampled = match m.softmax {
        Softmax::Full => None,
        Softmax::Sampled(n) => Some(n),
    };
    let sizes = Sizes::default()
        .with(Gates, 4)
        .with(Hidden, m.hidden)
        .with(HiddenIn, m.hidden)
        .with(Proj, m.projection.unwrap_or(1))
        .with(Embed, m.embedding)
        .with(Vocab, m.vocab)
        .with(Scored, sampled.unwrap_or(m.vocab));
    let out = if m.projection.is_some() { Proj } else { HiddenIn };
    let mut kinds = vec![kind("embedding", LayerRole::Embedding, embedding(Embed))];
    kinds.push(kind("first LSTM layer", LayerRole::Body, lstm_layer(m, Embed)));
    let mut chain = vec![Run { kind: 0, layers: 1 }, Run { kind: 1, layers: 1 }];
    if m.layers > 1 {
        kinds.push(kind("LSTM layer", LayerRole::Body, lstm_layer(m, out)));
        chain.push(Run { kind: 2, layers: m.layers - 1 });
    }
    kinds.push(kind("head", LayerRole::Head, head(out, sampled.is_some(), true)));
    chain.push(Run { kind: kinds.len() - 1, layers: 1 });
    let table = Table { vocab: m.vocab, width: m.embedding, tied: m.tied, sampled };
    Ok(model(spec, kinds, chain, sizes, table))
}

pub(super) fn mlstm(spec: &ModelSpec, m: &Mlstm) -> Result<Model, ModelError> {
    positive(&[("hidden", m.hidden), ("embedding", m.embedding), ("vocab", m.vocab)])?;
    let sizes = Sizes::default()
        .with(Gates, 4)
        .with(Hidden, m.hidden)
        .with(HiddenIn, m.hidden)
        .with(Embed, m.embedding)
        .with(Vocab, m.vocab)
        .with(Scored, m.vocab);
    let kinds = vec![
        kind("embedding", LayerRole::Embedding, embedding(Embed)),
        kind("mLSTM layer", LayerRole::Body, mlstm_layer(m.weight_norm)),
        kind("head", LayerRole::Head, head(HiddenIn, false, true)),
    ];
    let table = Table { vocab: m.vocab, width: m.embedding, tied: false, sampled: None };
    Ok(model(spec, kinds, one_each(), sizes, table))
}

pub(super) fn rhn(spec: &ModelSpec, m: &Rhn) -> Result<Model, ModelError> {
    positive(&[("depth", u64::from(m.depth)), ("hidden", m.hidden), ("vocab", m.vocab)])?;
    if m.depth as usize > MICRO_STEPS.len() {
        let (depth, most) = (m.depth, MICRO_STEPS.len());
        return Err(ModelError::TooDeep { depth, most });
    }
    let sizes = Sizes::default()
        .with(Gates, 2)
        .with(Hidden, m.hidden)
        .with(HiddenIn, m.hidden)
        .with(Embed, m.hidden)
        .with(Vocab, m.vocab)
        .with(Scored, m.vocab)
        .with(Extra, m.extra_parameters);
    let layer = rhn_layer(m.depth as usize, m.extra_parameters > 0);
    let kinds = vec![
        kind("embedding", LayerRole::Embedding, embedding(Embed)),
        kind("RHN layer", LayerRole::Body, layer),
        kind("head", LayerRole::Head, head(HiddenIn, false, true)),
    ];
    let table = Table { vocab: m.vocab, width: m.hidden, tied: false, sampled: None };
    Ok(model(spec, kinds, one_each(), sizes, table))
}

fn one_each() -> Vec<Run> {
    (0..3).map(|kind| Run { kind, layers: 1 }).collect()
}

fn kind(name: &'static str, role: LayerRole, graph: OpGraph) -> LayerKind {
    LayerKind { name, role, graph, on_source: false }
}

fn model(
    spec: &ModelSpec,
    kinds: Vec<LayerKind>,
    chain: Vec<Run>,
    sizes: Sizes,
    table: Table,
) -> Model {
    Model { spec: spec.clone(), kinds, chain, sizes, table: Some(table), is_recurrent: true }
}

fn embedding(width: Dim) -> OpGraph {
    let mut g = GraphBuilder::new();
    let tokens = g.kept("tokens", &[Batch, Seq], 8);
    let table = g.parameter("table", &[Vocab, width]);
    let x = g.lookup("lookup", table, &[Batch, Seq, width]);
    g.build(tokens, x)
}

/// Output distribution; a sampled softmax reads only the sampled rows of its table.
fn head(input: Dim, is_sampled: bool, has_bias: bool) -> OpGraph {
    let mut g = GraphBuilder::new();
    let x = g.input("x", &[Batch, Seq, input]);
    let dims = [Batch, Seq, Scored];
    let w = if is_sampled {
        g.parameter("w_vocab", &[input, Vocab]);
        g.local("sampled rows", &[input, Scored])
    } else {
        g.parameter("w_vocab", &[input, Scored])
    };
    if has_bias {
        g.parameter("b_vocab", &[Vocab]);
    }
    let logits = g.einsum("logits", x, w, &dims);
    let loss = g.pointwise("loss", PointwiseKind::CrossEntropy, Region::Inner, &[logits], &dims);
    g.save(&[(logits, SaveWhen::Always), (logits, SaveWhen::Losses)]);
    g.build(x, loss)
}

const GATE: [Dim; 4] = [Batch, Seq, Gates, Hidden];
const STATE: [Dim; 3] = [Batch, Seq, Hidden];
const STATE_IN: [Dim; 3] = [Batch, Seq, HiddenIn];

/// One LSTM layer: `z = W x_t + R s_{t−1} + b`, gates, `s_t = P h_t` where there is a projection.
fn lstm_layer(m: &Lstm, input: Dim) -> OpGraph {
    let mut g = GraphBuilder::new();
    let x = g.input("x", &[Batch, Seq, input]);
    let w = g.parameter("w_x", &[input, Gates, Hidden]);
    let zx = g.einsum("x·W", x, w, &GATE);
    let zx = g.bias("b", zx, &[Gates, Hidden]);
    g.begin_scan();
    let state_dims = if m.projection.is_some() { [Batch, Seq, Proj] } else { STATE_IN };
    let previous = g.local("previous state", &state_dims);
    let state = if m.projection.is_some() { Proj } else { HiddenIn };
    let r = g.parameter("w_r", &[state, Gates, Hidden]);
    let z = g.einsum("s·R", previous, r, &GATE);
    let h = gates(&mut g, &[zx, z]);
    let out = match m.projection {
        Some(_) => {
            let p = g.parameter("w_p", &[Hidden, Proj]);
            let s = g.einsum("h·P", h, p, &[Batch, Seq, Proj]);
            g.carry("next state", s, previous);
            g.end_scan();
            s
        }
        None => {
            g.carry("next state", h, previous);
            g.end_scan();
            g.rename("outputs", h, &STATE_IN)
        }
    };
    g.build(x, out)
}

/// Gate arithmetic; keeps the four gates, the cell and its tanh. With the output, which the next
/// product keeps, that is 7 elements per cell and step, as cuDNN's reserve space has.
fn gates(g: &mut GraphBuilder, inputs: &[TensorId]) -> TensorId {
    let h = g.pointwise_share("gates", (PointwiseKind::Gate, 4.0), Region::Inner, inputs, &STATE);
    let activated = g.local("gate values", &GATE);
    let cell = g.local("cell", &STATE);
    let tanh = g.local("tanh cell", &STATE);
    let kept = [activated, cell, tanh].map(|t| (t, SaveWhen::Always));
    g.save(&kept);
    h
}

/// Multiplicative LSTM (Krause et al. 2016, arXiv:1609.07959):
/// `m_t = (W_mx x_t) ∘ (W_mh h_{t−1})`, `z = W_x x_t + W_h m_t + b`, then the gates of an LSTM.
fn mlstm_layer(weight_norm: bool) -> OpGraph {
    let mut g = GraphBuilder::new();
    let x = g.input("x", &[Batch, Seq, Embed]);
    let wmx = g.parameter("w_mx", &[Embed, Hidden]);
    let mx = g.einsum("x·Wmx", x, wmx, &STATE);
    let w = g.parameter("w_x", &[Embed, Gates, Hidden]);
    let zx = g.einsum("x·Wx", x, w, &GATE);
    let zx = g.bias("b", zx, &[Gates, Hidden]);
    if weight_norm {
        for (name, dims) in [("g_x", 2), ("g_h", 2), ("g_mx", 1), ("g_mh", 1)] {
            g.parameter(name, &[Gates, Hidden][2 - dims..]);
        }
    }
    g.begin_scan();
    let previous = g.local("previous state", &STATE_IN);
    let wmh = g.parameter("w_mh", &[HiddenIn, Hidden]);
    let mh = g.einsum("h·Wmh", previous, wmh, &STATE);
    let m = g.pointwise("mx·mh", PointwiseKind::Gate, Region::Inner, &[mx, mh], &STATE);
    g.save(&[(mx, SaveWhen::Always), (mh, SaveWhen::Always)]);
    let m = g.rename("m", m, &STATE_IN);
    let wh = g.parameter("w_h", &[HiddenIn, Gates, Hidden]);
    let z = g.einsum("m·Wh", m, wh, &GATE);
    let h = gates(&mut g, &[zx, z]);
    g.carry("next state", h, previous);
    g.end_scan();
    let out = g.rename("outputs", h, &STATE_IN);
    g.build(x, out)
}

/// Names of the micro-steps of a recurrent highway layer; operators need static names.
const MICRO_STEPS: [[&str; 5]; 24] = micro_steps();

const fn micro_steps() -> [[&'static str; 5]; 24] {
    macro_rules! rows {
        ($($n:literal)+) => {
            [$([
                concat!("r", $n),
                concat!("b", $n),
                concat!("s·R", $n),
                concat!("highway ", $n),
                concat!("state ", $n),
            ]),+]
        };
    }
    rows!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24)
}

/// Recurrent highway network (Zilly et al. 2016, arXiv:1607.03474) with coupled gates: `depth`
/// micro-steps per time step, each one `[h → 2h]` product; the first also reads the input.
fn rhn_layer(depth: usize, has_extra: bool) -> OpGraph {
    let mut g = GraphBuilder::new();
    let x = g.input("x", &[Batch, Seq, Embed]);
    let w = g.parameter("w_x", &[Embed, Gates, Hidden]);
    let zx = g.einsum("x·W", x, w, &GATE);
    if has_extra {
        g.parameter("scalars", &[Extra]);
    }
    g.begin_scan();
    let previous = g.local("previous state", &STATE_IN);
    let mut state = previous;
    let mut last = previous;
    for (i, names) in MICRO_STEPS.iter().take(depth).enumerate() {
        let r = g.parameter(names[0], &[HiddenIn, Gates, Hidden]);
        g.parameter(names[1], &[Gates, Hidden]);
        let z = g.einsum(names[2], state, r, &GATE);
        let inputs: &[TensorId] = if i == 0 { &[zx, z] } else { &[z] };
        let gate = (PointwiseKind::Gate, 2.0);
        last = g.pointwise_share(names[3], gate, Region::Inner, inputs, &STATE);
        g.save(&[(z, SaveWhen::Always)]);
        if i + 1 < depth {
            state = g.rename(names[4], last, &STATE_IN);
        }
    }
    g.carry("next state", last, previous);
    g.end_scan();
    let out = g.rename("outputs", last, &STATE_IN);
    g.build(x, out)
}
