//! A transformer layer: `x1 = x + attention(norm(x))`, `y = x1 + feed_forward(norm(x1))`.
//!
//! In a tensor-parallel group each rank holds some heads and some columns of the feed-forward part;
//! partial outputs are summed over the group, and so are the gradients of both inputs. With
//! sequence
//! parallelism the rows between them are a part of the positions: they are gathered before each
//! part of the layer, and the sum is scattered.

mod attention;
mod feed_forward;

use super::embedding::{add_norm, norm_parameters};
use super::layer::{Carry, Context};
use super::parameter::{Builder, Gradients, Parameter};
use super::split::Split;
use crate::comm::Fault;
use crate::float::Float;
use crate::matrix::Matrix;
use crate::ops::norm;
use attention::Attention;
use feed_forward::FeedForward;
use plan::model::{Experts, Transformer};
use std::sync::Arc;

/// A transformer layer.
#[derive(Clone, Debug)]
pub struct Block {
    /// Its parameters.
    pub parameters: Vec<Parameter>,
    norms: [(usize, Option<usize>); 2],
    attention: Attention,
    feed_forward: FeedForward,
    width: usize,
    memory: usize,
}

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub struct Saved<T: Float> {
    norms: [norm::Saved<T>; 2],
    attention: attention::Saved<T>,
    feed_forward: feed_forward::Saved<T>,
    cached: usize,
    sequences: usize,
}

/// Activations, what goes on to the next piece of text, and what the backward pass needs.
type Forward<T> = (Arc<Matrix<T>>, Carry<T>, Saved<T>);

/// What is left for the gradients of the weights.
#[derive(Debug)]
pub struct Pending<T: Float> {
    norms: [norm::Pending<T>; 2],
    attention: attention::Pending<T>,
    feed_forward: feed_forward::Pending<T>,
}

impl<T: Float> Saved<T> {
    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let norms: usize = self.norms.iter().map(norm::Saved::bytes).sum();
        norms + self.attention.bytes() + self.feed_forward.bytes()
    }
}

impl Block {
    /// Layer `i` of the body; with experts, a mixture in the feed-forward part.
    #[must_use]
    pub fn new(t: &Transformer, i: usize, experts: Option<&Experts>, split: Split) -> Self {
        let width = t.d_model as usize;
        let mut b = Builder::new(format!("layers.{i}"));
        b.sums = split.sequence;
        let first = norm_parameters(&mut b, t.norm, "norm1", width);
        b.sums = false;
        let attention = Attention::new(&mut b, t, split.tensor);
        b.sums = split.sequence;
        let second = norm_parameters(&mut b, t.norm, "norm2", width);
        b.sums = false;
        let feed_forward = FeedForward::new(&mut b, t, experts, split);
        let (norms, memory) = ([first, second], t.memory_length as usize);
        Self { parameters: b.parameters, norms, attention, feed_forward, width, memory }
    }

    /// No positions are cached before the first step.
    #[must_use]
    pub fn start<T: Float>(&self) -> Carry<T> {
        match self.memory {
            0 => Carry::None,
            _ => Carry::Memory(Arc::new(Matrix::zeros(0, self.width))),
        }
    }

    fn norm<T: Float>(
        &self,
        c: &Context<'_, T>,
        which: usize,
        x: &Matrix<T>,
    ) -> (Matrix<T>, norm::Saved<T>) {
        let (scale, shift) = self.norms[which];
        let shift = shift.map(|place| c.weights.vector(place));
        norm::forward(x.view(), c.weights.vector(scale), shift)
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
        let sequences = c.batch.sequences;
        let cached = match carry {
            Carry::Memory(cached) => cached,
            _ => Arc::new(Matrix::zeros(0, self.width)),
        };
        // Cached positions are whole on every rank, so present ones join them before the norm.
        let whole = if self.joins_early(c) { c.enter(x)? } else { x.clone() };
        let seen = self.with_cached(&cached, &whole, sequences);
        let (y, first) = self.norm(c, 0, &seen);
        let (y, attention) = self.attention.forward(c, Arc::new(y), self.joins_early(c))?;
        let mut x1 = y;
        x1.add(x);
        let (y, second) = self.norm(c, 1, &x1);
        let (mut y, feed_forward) = self.feed_forward.forward(c, Arc::new(y))?;
        y.add(&x1);
        let after = self.remember(&seen, sequences);
        let cached = cached.rows() / sequences.max(1);
        let norms = [first, second];
        Ok((Arc::new(y), after, Saved { norms, attention, feed_forward, cached, sequences }))
    }

    /// Backward pass, gradient of the input.
    ///
    /// # Errors
    /// The ranks that share the layer cannot go on.
    pub fn backward<T: Float>(
        &self,
        c: &Context<'_, T>,
        saved: Saved<T>,
        dy: Arc<Matrix<T>>,
    ) -> Result<(Matrix<T>, Pending<T>), Fault> {
        let Saved { norms: [first, second], attention, feed_forward, cached, sequences } = saved;
        let scale = |which: usize| c.weights.vector(self.norms[which].0);
        let (dinner, feed_forward) = self.feed_forward.backward(c, feed_forward, dy.clone())?;
        let (mut dx1, second) = norm::backward(&second, scale(1), dinner.view());
        dx1.add(&dy);
        let dx1 = Arc::new(dx1);
        let joins_early = self.joins_early(c);
        let (dinner, attention) =
            self.attention.backward(c, attention, dx1.clone(), joins_early)?;
        let (dseen, first) = norm::backward(&first, scale(0), dinner.view());
        let mut dx = without_cached(dseen, cached, sequences);
        if joins_early {
            dx = c.leave(dx)?;
        }
        dx.add(&dx1);
        Ok((dx, Pending { norms: [first, second], attention, feed_forward }))
    }

    /// Whether positions are gathered before the first norm instead of behind it: with sequence
    /// parallelism and a cache. What is sent is the same.
    fn joins_early<T: Float>(&self, c: &Context<'_, T>) -> bool {
        self.memory > 0 && c.is_apart()
    }

    /// Adds the gradients of the weights.
    pub fn add<T: Float>(&self, pending: Pending<T>, mut g: Gradients<'_, T>) {
        for (places, pending) in self.norms.iter().zip(&pending.norms) {
            add_norm(&mut g, *places, pending);
        }
        self.attention.add(pending.attention, &mut g);
        self.feed_forward.add(pending.feed_forward, &mut g);
    }

    /// Cached rows and present ones, sequence by sequence.
    fn with_cached<T: Float>(
        &self,
        cached: &Matrix<T>,
        x: &Arc<Matrix<T>>,
        sequences: usize,
    ) -> Arc<Matrix<T>> {
        if cached.rows() == 0 {
            return x.clone();
        }
        let mut rows = Vec::with_capacity(cached.data().len() + x.data().len());
        for (old, new) in pieces(cached, sequences).zip(pieces(x, sequences)) {
            rows.extend_from_slice(old);
            rows.extend_from_slice(new);
        }
        Arc::new(Matrix::from_vec(cached.rows() + x.rows(), self.width, rows))
    }

    /// The last rows of every sequence, as many as the cache holds.
    fn remember<T: Float>(&self, seen: &Matrix<T>, sequences: usize) -> Carry<T> {
        if self.memory == 0 {
            return Carry::None;
        }
        let length = seen.rows() / sequences.max(1);
        let kept = self.memory.min(length);
        let last = pieces(seen, sequences).map(|piece| &piece[(length - kept) * self.width..]);
        let rows: Vec<T> = last.flatten().copied().collect();
        Carry::Memory(Arc::new(Matrix::from_vec(kept * sequences, self.width, rows)))
    }
}

/// The rows of every sequence.
fn pieces<T: Float>(m: &Matrix<T>, sequences: usize) -> impl Iterator<Item = &[T]> {
    let piece = m.data().len() / sequences.max(1);
    m.data().chunks_exact(piece.max(1)).take(sequences)
}

/// Drops the rows of cached positions: no gradient flows into them.
fn without_cached<T: Float>(m: Matrix<T>, cached: usize, sequences: usize) -> Matrix<T> {
    if cached == 0 {
        return m;
    }
    let cols = m.cols();
    let present = pieces(&m, sequences).flat_map(|piece| &piece[cached * cols..]);
    let rows: Vec<T> = present.copied().collect();
    Matrix::from_vec(rows.len() / cols.max(1), cols, rows)
}
