//! Recurrent layers: LSTM with or without projection, mLSTM, recurrent highway.

use super::layer::{Carry, Context, fan_in};
use super::parameter::{Builder, Cut, Gradients, Init, Parameter};
use crate::float::Float;
use crate::matrix::{Matrix, View};
use crate::ops::{lstm, mlstm, rhn, weight_norm};
use plan::model::{Lstm, Mlstm, Rhn};
use std::sync::Arc;

/// A recurrent layer.
#[derive(Clone, Debug)]
pub struct Recurrent {
    /// Its parameters.
    pub parameters: Vec<Parameter>,
    hidden: usize,
    /// Width of what it puts out.
    output: usize,
    cell: Cell,
}

#[derive(Clone, Copy, Debug)]
enum Cell {
    Lstm { projects: bool },
    Mlstm { weight_norm: bool },
    Rhn { depth: usize },
}

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub enum Saved<T> {
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
pub enum Pending<T> {
    /// Of an LSTM.
    Lstm(lstm::Pending<T>),
    /// Of an mLSTM.
    Mlstm(mlstm::Pending<T>),
    /// Of a recurrent highway layer.
    Rhn(rhn::Pending<T>),
}

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
    pub fn lstm(m: &Lstm, i: usize) -> Self {
        let hidden = m.hidden as usize;
        let output = m.projection.unwrap_or(m.hidden) as usize;
        let input = if i == 0 { m.embedding as usize } else { output };
        let mut b = Builder::new(format!("layers.{i}"));
        b.add("w_x", (input, 4 * hidden), Cut::Whole, fan_in(input));
        b.vector("b", 4 * hidden, forget_open(hidden));
        b.add("w_r", (output, 4 * hidden), Cut::Whole, fan_in(output));
        if m.projection.is_some() {
            b.add("w_p", (hidden, output), Cut::Whole, fan_in(hidden));
        }
        let cell = Cell::Lstm { projects: m.projection.is_some() };
        Self { parameters: b.parameters, hidden, output, cell }
    }

    /// The layer of an mLSTM model.
    #[must_use]
    pub fn mlstm(m: &Mlstm) -> Self {
        let (h, e) = (m.hidden as usize, m.embedding as usize);
        let mut b = Builder::new("layers.0".into());
        b.add("w_mx", (e, h), Cut::Whole, fan_in(e));
        b.add("w_mh", (h, h), Cut::Whole, fan_in(h));
        b.add("w_x", (e, 4 * h), Cut::Whole, fan_in(e));
        b.add("w_h", (h, 4 * h), Cut::Whole, fan_in(h));
        b.vector("b", 4 * h, forget_open(h));
        if m.weight_norm {
            for (name, width) in [("g_mx", h), ("g_mh", h), ("g_x", 4 * h), ("g_h", 4 * h)] {
                b.vector(name, width, Init::Constant(1.0));
            }
        }
        let cell = Cell::Mlstm { weight_norm: m.weight_norm };
        Self { parameters: b.parameters, hidden: h, output: h, cell }
    }

    /// The layer of a recurrent highway model. Transform gates start at −2, nearly closed, as
    /// the paper advises for depth.
    #[must_use]
    pub fn rhn(m: &Rhn) -> Self {
        let (h, depth) = (m.hidden as usize, m.depth as usize);
        let mut b = Builder::new("layers.0".into());
        b.add("w_x", (h, 2 * h), Cut::Whole, fan_in(h));
        for level in 0..depth {
            b.add(&format!("r{}", level + 1), (h, 2 * h), Cut::Whole, fan_in(h));
            let closed = Init::Gate { value: -2.0, from: h, to: 2 * h };
            b.vector(&format!("b{}", level + 1), 2 * h, closed);
        }
        if m.extra_parameters > 0 {
            b.vector("scalars", m.extra_parameters as usize, Init::Constant(0.0));
        }
        Self { parameters: b.parameters, hidden: h, output: h, cell: Cell::Rhn { depth } }
    }

    /// The state before the first step.
    #[must_use]
    pub fn start<T: Float>(&self, sequences: usize) -> Carry<T> {
        match self.cell {
            Cell::Rhn { .. } => Carry::State(Matrix::zeros(sequences, self.hidden)),
            _ => Carry::Lstm(lstm::Carry::zeros(sequences, self.output, self.hidden)),
        }
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
    #[must_use]
    pub fn forward<T: Float>(
        &self,
        c: &Context<'_, T>,
        x: &Arc<Matrix<T>>,
        carry: Carry<T>,
    ) -> (Arc<Matrix<T>>, Carry<T>, Saved<T>) {
        match (self.cell, carry) {
            (Cell::Lstm { projects }, Carry::Lstm(carry)) => {
                let w = self.lstm_weights(c, projects);
                let (y, carry, saved) = lstm::forward(&w, x, &carry);
                (y, Carry::Lstm(carry), Saved::Lstm(saved))
            }
            (Cell::Mlstm { weight_norm }, Carry::Lstm(carry)) => {
                let normal = weight_norm.then(|| normalise(c));
                let w = mlstm_weights(c, normal.as_deref());
                let (y, carry, saved) = mlstm::forward(&w, x, &carry);
                (y, Carry::Lstm(carry), Saved::Mlstm(saved, normal))
            }
            (Cell::Rhn { depth }, Carry::State(state)) => {
                let w = self.rhn_weights(c, depth);
                let (y, state, saved) = rhn::forward(&w, x, &state);
                (y, Carry::State(state), Saved::Rhn(saved))
            }
            _ => unreachable!("a layer gets its own kind of carry"),
        }
    }

    /// Backward pass, gradients of input and carry.
    #[must_use]
    pub fn backward<T: Float>(
        &self,
        c: &Context<'_, T>,
        saved: Saved<T>,
        dy: &Matrix<T>,
        after: Carry<T>,
    ) -> (Matrix<T>, Carry<T>, Pending<T>) {
        match (self.cell, saved, after) {
            (Cell::Lstm { projects }, Saved::Lstm(saved), Carry::Lstm(after)) => {
                let w = self.lstm_weights(c, projects);
                let (dx, before, pending) = lstm::backward(&w, saved, dy, after);
                (dx, Carry::Lstm(before), Pending::Lstm(pending))
            }
            (Cell::Mlstm { .. }, Saved::Mlstm(saved, normal), Carry::Lstm(after)) => {
                let w = mlstm_weights(c, normal.as_deref());
                let (dx, before, pending) = mlstm::backward(&w, saved, dy, after);
                (dx, Carry::Lstm(before), Pending::Mlstm(pending))
            }
            (Cell::Rhn { depth }, Saved::Rhn(saved), Carry::State(after)) => {
                let w = self.rhn_weights(c, depth);
                let (dx, before, pending) = rhn::backward(&w, saved, dy, after);
                (dx, Carry::State(before), Pending::Rhn(pending))
            }
            _ => unreachable!("a layer gets back what it kept"),
        }
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
