//! Recurrent layers: LSTM with or without projection, mLSTM, recurrent highway.

use super::layer::{Carry, Context, fan_in};
use super::parameter::{Builder, Cut, Gradients, Init, Parameter};
use crate::comm::{Fault, part};
use crate::float::Float;
use crate::matrix::{Matrix, View};
use crate::ops::{lstm, mlstm, rhn, weight_norm};
use plan::model::{Lstm, Mlstm, Rhn};
use std::ops::Range;
use std::sync::Arc;

/// A recurrent layer.
#[derive(Clone, Debug)]
pub struct Recurrent {
    /// Its parameters.
    pub parameters: Vec<Parameter>,
    /// Elements of the state in all, and those that are computed here.
    hidden: usize,
    own: Range<usize>,
    /// Width of what it puts out.
    output: usize,
    cell: Cell,
}

/// Columns of a tensor-parallel group's rank: its part of `hidden` in each of `gates`.
fn columns(gates: usize, hidden: usize, (place, size): (usize, usize)) -> Cut {
    let own = part(hidden, size, place);
    let range = |gate: usize| gate * hidden + own.start..gate * hidden + own.end;
    if size == 1 { Cut::Whole } else { Cut::Columns((0..gates).map(range).collect()) }
}

#[derive(Clone, Copy, Debug)]
enum Cell {
    Lstm { projects: bool },
    Mlstm { weight_norm: bool },
    Rhn { depth: usize },
}

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub enum Saved<T: Float> {
    /// Of an LSTM.
    Lstm(lstm::Saved<T>),
    /// Of an mLSTM, with the normalised weights, if they are.
    Mlstm(mlstm::Saved<T>, Option<Normalised<T>>),
    /// Of a recurrent highway layer.
    Rhn(rhn::Saved<T>),
}

/// `W_mx`, `W_mh`, `W_x`, `W_h` after weight normalisation.
type Normalised<T> = Arc<[Matrix<T>; 4]>;

/// What is left for the gradients.
#[derive(Debug)]
pub enum Pending<T: Float> {
    /// Of an LSTM.
    Lstm(lstm::Pending<T>),
    /// Of an mLSTM.
    Mlstm(mlstm::Pending<T>),
    /// Of a recurrent highway layer.
    Rhn(rhn::Pending<T>),
}

/// Outputs, the carry after them, what the backward pass needs.
type Forward<T> = (Arc<Matrix<T>>, Carry<T>, Saved<T>);

/// Gradients of input and carry before, what is left for the weights.
type Backward<T> = (Matrix<T>, Carry<T>, Pending<T>);

/// Places of an mLSTM's directions, and of the lengths of their columns.
const MLSTM: [usize; 4] = [0, 1, 2, 3];
const BIAS: usize = 4;
const LENGTHS: usize = 5;

impl<T: Float> Saved<T> {
    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Lstm(saved) => saved.bytes(),
            Self::Mlstm(saved, weights) => {
                let weights = weights.iter().flat_map(|w| w.iter());
                saved.bytes() + weights.map(Matrix::bytes).sum::<usize>()
            }
            Self::Rhn(saved) => saved.bytes(),
        }
    }
}

impl Recurrent {
    /// Layer `i` of an LSTM model.
    #[must_use]
    pub fn lstm(m: &Lstm, i: usize, tensor: (usize, usize)) -> Self {
        let hidden = m.hidden as usize;
        let output = m.projection.unwrap_or(m.hidden) as usize;
        let input = if i == 0 { m.embedding as usize } else { output };
        let mut b = Builder::new(format!("layers.{i}"));
        let gates = columns(4, hidden, tensor);
        let own = part(hidden, tensor.1, tensor.0);
        b.add("w_x", (input, 4 * hidden), gates.clone(), fan_in(input));
        b.add("b", (1, 4 * hidden), gates.clone(), forget_open(hidden));
        b.add("w_r", (output, 4 * hidden), gates, fan_in(output));
        if m.projection.is_some() {
            let rows = if tensor.1 == 1 { Cut::Whole } else { Cut::Rows(own.clone()) };
            b.add("w_p", (hidden, output), rows, fan_in(hidden));
        }
        let cell = Cell::Lstm { projects: m.projection.is_some() };
        Self { parameters: b.parameters, hidden, own, output, cell }
    }

    /// The layer of an mLSTM model.
    #[must_use]
    pub fn mlstm(m: &Mlstm, tensor: (usize, usize)) -> Self {
        let (h, e) = (m.hidden as usize, m.embedding as usize);
        let mut b = Builder::new("layers.0".into());
        let cut = |gates| columns(gates, h, tensor);
        b.add("w_mx", (e, h), cut(1), fan_in(e));
        b.add("w_mh", (h, h), cut(1), fan_in(h));
        b.add("w_x", (e, 4 * h), cut(4), fan_in(e));
        b.add("w_h", (h, 4 * h), cut(4), fan_in(h));
        b.add("b", (1, 4 * h), cut(4), forget_open(h));
        if m.weight_norm {
            for (name, gates) in [("g_mx", 1), ("g_mh", 1), ("g_x", 4), ("g_h", 4)] {
                b.add(name, (1, gates * h), cut(gates), Init::Constant(1.0));
            }
        }
        let cell = Cell::Mlstm { weight_norm: m.weight_norm };
        let own = part(h, tensor.1, tensor.0);
        Self { parameters: b.parameters, hidden: h, own, output: h, cell }
    }

    /// The layer of a recurrent highway model. Transform gates start at −2, nearly closed, as
    /// the paper advises for depth.
    #[must_use]
    pub fn rhn(m: &Rhn, tensor: (usize, usize)) -> Self {
        let (h, depth) = (m.hidden as usize, m.depth as usize);
        let mut b = Builder::new("layers.0".into());
        let cut = || columns(2, h, tensor);
        b.add("w_x", (h, 2 * h), cut(), fan_in(h));
        for level in 0..depth {
            b.add(&format!("r{}", level + 1), (h, 2 * h), cut(), fan_in(h));
            let closed = Init::Gate { value: -2.0, from: h, to: 2 * h };
            b.add(&format!("b{}", level + 1), (1, 2 * h), cut(), closed);
        }
        if m.extra_parameters > 0 {
            b.vector("scalars", m.extra_parameters as usize, Init::Constant(0.0));
        }
        let (own, cell) = (part(h, tensor.1, tensor.0), Cell::Rhn { depth });
        Self { parameters: b.parameters, hidden: h, own, output: h, cell }
    }

    /// The state before the first step.
    #[must_use]
    pub fn start<T: Float>(&self, sequences: usize) -> Carry<T> {
        match self.cell {
            Cell::Rhn { .. } => Carry::State(Matrix::zeros(sequences, self.hidden)),
            _ => Carry::Lstm(lstm::Carry::zeros(sequences, self.output, self.own.len())),
        }
    }

    /// Of a part of the carry that ranks share: its whole width, and the columns held here.
    #[must_use]
    pub fn carried_columns(&self, part: usize) -> Option<(usize, Range<usize>)> {
        let is_cell = part == 1 && !matches!(self.cell, Cell::Rhn { .. });
        (is_cell && self.own.len() < self.hidden).then(|| (self.hidden, self.own.clone()))
    }

    fn lstm_weights<'a, T: Float>(
        &self,
        c: &Context<'a, T>,
        projects: bool,
    ) -> lstm::Weights<'a, T> {
        lstm::Weights {
            input: c.weights.matrix(0),
            bias: c.weights.vector(1),
            recurrent: c.weights.matrix(2),
            projection: projects.then(|| c.weights.matrix(3)),
        }
    }

    fn rhn_weights<'a, T: Float>(&self, c: &Context<'a, T>, depth: usize) -> rhn::Weights<'a, T> {
        let step = |i: usize| (c.weights.matrix(1 + 2 * i), c.weights.vector(2 + 2 * i));
        rhn::Weights { input: c.weights.matrix(0), steps: (0..depth).map(step).collect() }
    }

    /// Forward pass.
    ///
    /// # Errors
    /// The ranks that share the layer cannot go on.
    pub fn forward<T: Float>(
        &self,
        c: &Context<'_, T>,
        x: &Arc<Matrix<T>>,
        carry: Carry<T>,
    ) -> Result<Forward<T>, Fault> {
        Ok(match (self.cell, carry) {
            (Cell::Lstm { projects }, Carry::Lstm(carry)) => {
                let w = self.lstm_weights(c, projects);
                let (y, carry, saved) = lstm::forward(&w, x, &carry, c.groups.tensor)?;
                (y, Carry::Lstm(carry), Saved::Lstm(saved))
            }
            (Cell::Mlstm { weight_norm }, Carry::Lstm(carry)) => {
                let normal = weight_norm.then(|| normalise(c));
                let w = mlstm_weights(c, normal.as_deref());
                let (y, carry, saved) = mlstm::forward(&w, x, &carry, c.groups.tensor)?;
                (y, Carry::Lstm(carry), Saved::Mlstm(saved, normal))
            }
            (Cell::Rhn { depth }, Carry::State(state)) => {
                let w = self.rhn_weights(c, depth);
                let (y, state, saved) = rhn::forward(&w, x, &state, c.groups.tensor)?;
                (y, Carry::State(state), Saved::Rhn(saved))
            }
            _ => unreachable!("a layer gets its own kind of carry"),
        })
    }

    /// Backward pass, gradients of input and carry.
    ///
    /// # Errors
    /// The ranks that share the layer cannot go on.
    pub fn backward<T: Float>(
        &self,
        c: &Context<'_, T>,
        saved: Saved<T>,
        dy: &Matrix<T>,
        after: Carry<T>,
    ) -> Result<Backward<T>, Fault> {
        Ok(match (self.cell, saved, after) {
            (Cell::Lstm { projects }, Saved::Lstm(saved), Carry::Lstm(after)) => {
                let w = self.lstm_weights(c, projects);
                let (dx, before, pending) = lstm::backward(&w, saved, dy, after, c.groups.tensor)?;
                (dx, Carry::Lstm(before), Pending::Lstm(pending))
            }
            (Cell::Mlstm { .. }, Saved::Mlstm(saved, normal), Carry::Lstm(after)) => {
                let w = mlstm_weights(c, normal.as_deref());
                let (dx, before, pending) = mlstm::backward(&w, saved, dy, after, c.groups.tensor)?;
                (dx, Carry::Lstm(before), Pending::Mlstm(pending))
            }
            (Cell::Rhn { depth }, Saved::Rhn(saved), Carry::State(after)) => {
                let w = self.rhn_weights(c, depth);
                let (dx, before, pending) = rhn::backward(&w, saved, dy, after, c.groups.tensor)?;
                (dx, Carry::State(before), Pending::Rhn(pending))
            }
            _ => unreachable!("a layer gets back what it kept"),
        })
    }

    /// Adds the gradients of the weights.
    pub fn add<T: Float>(&self, c: &Context<'_, T>, pending: Pending<T>, mut g: Gradients<'_, T>) {
        match (self.cell, pending) {
            (Cell::Lstm { projects }, Pending::Lstm(pending)) => pending.add(lstm::Gradients {
                input: g.matrix(0),
                bias: g.vector(1),
                recurrent: g.matrix(2),
                projection: projects.then(|| g.matrix(3)),
            }),
            (Cell::Mlstm { weight_norm: false }, Pending::Mlstm(pending)) => {
                let [input_factor, state_factor, input, recurrent] = MLSTM.map(|i| g.matrix(i));
                let bias = g.vector(BIAS);
                let into = mlstm::Gradients { input_factor, state_factor, input, recurrent, bias };
                pending.add(into);
            }
            (Cell::Mlstm { weight_norm: true }, Pending::Mlstm(pending)) => {
                add_normalised(c, pending, g);
            }
            (Cell::Rhn { depth }, Pending::Rhn(pending)) => {
                let input = g.matrix(0);
                let step = |i: usize| (g.matrix(1 + 2 * i), g.vector(2 + 2 * i));
                let steps = (0..depth).map(step).collect();
                pending.add(rhn::Gradients { input, steps });
            }
            _ => unreachable!("a layer gets back what it left"),
        }
    }
}

fn normalise<T: Float>(c: &Context<'_, T>) -> Normalised<T> {
    let length = |i: usize| c.weights.vector(LENGTHS + i);
    Arc::new(MLSTM.map(|i| weight_norm::forward(c.weights.matrix(i), length(i))))
}

fn mlstm_weights<'a, T: Float>(
    c: &Context<'a, T>,
    normal: Option<&'a [Matrix<T>; 4]>,
) -> mlstm::Weights<'a, T> {
    let get = |i: usize| normal.map_or_else(|| c.weights.matrix(i), |w| w[i].view());
    let [input_factor, state_factor, input, recurrent] = MLSTM.map(get);
    let bias = c.weights.vector(BIAS);
    mlstm::Weights { input_factor, state_factor, input, recurrent, bias }
}

/// Gradients of normalised weights, and from them those of directions and lengths.
fn add_normalised<T: Float>(
    c: &Context<'_, T>,
    pending: mlstm::Pending<T>,
    mut g: Gradients<'_, T>,
) {
    let zeros = |v: View<'_, T>| Matrix::zeros(v.rows(), v.cols());
    let mut dw = MLSTM.map(|i| zeros(c.weights.matrix(i)));
    let [input_factor, state_factor, input, recurrent] = dw.each_mut().map(Matrix::view_mut);
    let bias = g.vector(BIAS);
    pending.add(mlstm::Gradients { input_factor, state_factor, input, recurrent, bias });
    for (i, dw) in dw.iter().enumerate() {
        let (v, length) = (c.weights.matrix(i), c.weights.vector(LENGTHS + i));
        weight_norm::backward(v, length, dw, g.matrix(i), g.vector(LENGTHS + i));
    }
}

/// Forget gates start open: the cell remembers until it has learnt to forget.
fn forget_open(hidden: usize) -> Init {
    Init::Gate { value: 1.0, from: hidden, to: 2 * hidden }
}
