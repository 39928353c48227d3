//! The token table and what comes with it: learned or sinusoidal positions, normalisation.

use super::layer::{Context, fan_in};
use super::parameter::{Builder, Cut, Gradients, Init, Parameter};
use super::split::Split;
use crate::comm::{Fault, part};
use crate::float::Float;
use crate::matrix::{Matrix, add};
use crate::ops::{embedding, norm};
use plan::model::{Norm, Positions, Transformer};
use std::sync::Arc;

/// Standard deviation of GPT-2's and BERT's initial weights.
pub(super) const SMALL: Init = Init::Normal { deviation: 0.02 };

/// An embedding layer.
#[derive(Clone, Debug)]
pub struct Embedding {
    /// Its parameters; the table first.
    pub parameters: Vec<Parameter>,
    width: usize,
    first: u32,
    /// Learned rows: positions, then segments.
    rows: Option<usize>,
    /// Rows of them that are positions.
    positions: usize,
    is_sinusoidal: bool,
    norm: Option<(usize, Option<usize>)>,
}

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub struct Saved<T: Float> {
    norm: Option<norm::Saved<T>>,
}

/// What is left for the gradients.
#[derive(Clone, Debug)]
pub struct Pending<T: Float> {
    dy: Arc<Matrix<T>>,
    norm: Option<norm::Pending<T>>,
}

impl<T: Float> Saved<T> {
    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.norm.as_ref().map_or(0, norm::Saved::bytes)
    }
}

impl Embedding {
    /// A table alone.
    #[must_use]
    pub fn plain(vocab: usize, width: usize, (place, size): (usize, usize)) -> Self {
        let mut b = Builder::new("embedding".into());
        let init = fan_in(width);
        let held = part(vocab, size, place);
        let first = held.start as u32;
        let cut = if size == 1 { Cut::Whole } else { Cut::Rows(held) };
        b.add("table", (vocab, width), cut, init);
        let parameters = b.parameters;
        let (rows, positions, is_sinusoidal) = (None, 0, false);
        Self { parameters, width, first, rows, positions, is_sinusoidal, norm: None }
    }

    /// Of a transformer.
    #[must_use]
    pub fn transformer(t: &Transformer, split: Split) -> Self {
        let width = t.d_model as usize;
        let mut layer = Self::plain(t.vocab as usize, width, split.tensor);
        layer.parameters[0].init = SMALL;
        let mut b = Builder::new("embedding".into());
        b.parameters = std::mem::take(&mut layer.parameters);
        layer.positions = if let Positions::Learned(n) = t.positions { n as usize } else { 0 };
        let rows = layer.positions + t.segments as usize;
        if rows > 0 {
            layer.rows = Some(b.add("positions", (rows, width), Cut::Whole, SMALL));
        }
        layer.is_sinusoidal = t.positions == Positions::Sinusoidal;
        if t.embedding_norm {
            b.sums = split.sequence;
            layer.norm = Some(norm_parameters(&mut b, t.norm, "norm", width));
        }
        layer.parameters = b.parameters;
        layer
    }

    /// Looks tokens up.
    ///
    /// # Errors
    /// The ranks that share the table cannot go on.
    pub fn forward<T: Float>(
        &self,
        c: &Context<'_, T>,
    ) -> Result<(Arc<Matrix<T>>, Saved<T>), Fault> {
        let y = embedding::forward(c.weights.matrix(0), self.first, &c.batch.inputs);
        let (mut y, (first, length)) = (c.leave(y)?, c.positions());
        for row in 0..y.rows() {
            for extra in self.extras(first + row % length) {
                let rows = self.rows.map(|place| c.weights.matrix(place));
                rows.iter().for_each(|rows| add(y.row_mut(row), rows.row(extra)));
            }
        }
        if self.is_sinusoidal {
            let waves = sinusoids(first + length, self.width);
            (0..y.rows()).for_each(|row| add(y.row_mut(row), waves.row(first + row % length)));
        }
        let Some((scale, shift)) = self.norm else {
            return Ok((Arc::new(y), Saved { norm: None }));
        };
        let shift = shift.map(|place| c.weights.vector(place));
        let (y, saved) = norm::forward(y.view(), c.weights.vector(scale), shift);
        Ok((Arc::new(y), Saved { norm: Some(saved) }))
    }

    /// Learned rows that are added at a position: its own, and the first segment's, to which all
    /// tokens of a text belong.
    fn extras(&self, position: usize) -> impl Iterator<Item = usize> + use<> {
        let position = (self.positions > 0).then(|| position % self.positions.max(1));
        let all = self.rows.map(|place| self.parameters[place].rows).unwrap_or_default();
        position.into_iter().chain((all > self.positions).then_some(self.positions))
    }

    /// There is no gradient of tokens.
    ///
    /// # Errors
    /// The ranks that share the table cannot go on.
    pub fn backward<T: Float>(
        &self,
        c: &Context<'_, T>,
        saved: Saved<T>,
        dy: Arc<Matrix<T>>,
    ) -> Result<Pending<T>, Fault> {
        let (dy, norm) = match (self.norm, &saved.norm) {
            (Some((scale, _)), Some(saved)) => {
                let (dy, norm) = norm::backward(saved, c.weights.vector(scale), dy.view());
                (Arc::new(dy), Some(norm))
            }
            _ => (dy, None),
        };
        Ok(Pending { dy: c.enter(&dy)?, norm })
    }

    /// Adds the gradients.
    pub fn add<T: Float>(&self, c: &Context<'_, T>, pending: &Pending<T>, mut g: Gradients<'_, T>) {
        let (dy, batch) = (pending.dy.view(), c.batch);
        embedding::backward(g.matrix(0), self.first, &batch.inputs, dy);
        if let Some(place) = self.rows {
            let mut rows = g.matrix(place);
            for row in 0..dy.rows() {
                for extra in self.extras(batch.first + row % batch.length) {
                    add(rows.row_mut(extra), dy.row(row));
                }
            }
        }
        if let (Some((scale, shift)), Some(norm)) = (self.norm, &pending.norm) {
            add_norm(&mut g, (scale, shift), norm);
        }
    }
}

/// Scale and, for LayerNorm, shift.
pub(super) fn norm_parameters(
    b: &mut Builder,
    kind: Norm,
    name: &str,
    width: usize,
) -> (usize, Option<usize>) {
    let scale = b.vector(&format!("{name}.scale"), width, Init::Constant(1.0));
    let shift = (kind == Norm::LayerNorm)
        .then(|| b.vector(&format!("{name}.shift"), width, Init::Constant(0.0)));
    (scale, shift)
}

/// Adds the gradients of a normalisation.
pub(super) fn add_norm<T: Float>(
    g: &mut Gradients<'_, T>,
    (scale, shift): (usize, Option<usize>),
    pending: &norm::Pending<T>,
) {
    add(g.vector(scale), &pending.scale);
    if let Some(shift) = shift {
        add(g.vector(shift), &pending.shift);
    }
}

/// Sines in the first half of the columns, cosines in the second, of wave lengths from 2π to
/// 10000·2π (Vaswani et al. 2017, arXiv:1706.03762).
pub(super) fn sinusoids<T: Float>(positions: usize, width: usize) -> Matrix<T> {
    let half = width.div_ceil(2);
    Matrix::from_fn(positions, width, |position, column| {
        let rate = 10_000f64.powf((column % half) as f64 / half as f64);
        let angle = position as f64 / rate;
        T::of(if column < half { angle.sin() } else { angle.cos() })
    })
}
