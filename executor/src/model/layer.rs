//! Layers of all kinds behind one enum.

use super::batch::MicroBatch;
use super::block::{self, Block};
use super::embedding::{self, Embedding};
use super::head::{self, Head};
use super::parameter::{Gradients, Parameter, Weights};
use super::recurrent::{self, Recurrent};
use super::split::{Groups, Split};
use crate::comm::Fault;
use crate::float::Float;
use crate::matrix::Matrix;
use crate::ops::across::{gather_positions, own_positions, scatter_positions};
use crate::ops::lstm;
use std::ops::Range;
use std::sync::Arc;

/// What a layer hands from one piece of a sequence to the next, and from one step to the next.
#[derive(Clone, Debug, PartialEq)]
pub enum Carry<T: Float> {
    /// Nothing.
    None,
    /// State and cell of an LSTM.
    Lstm(lstm::Carry<T>),
    /// State of a recurrent highway layer.
    State(Matrix<T>),
    /// Inputs of earlier positions, one sequence after the other; no gradient flows into them.
    Memory(Arc<Matrix<T>>),
}

impl<T: Float> Carry<T> {
    /// The matrices that it is made of; the rows of a sequence lie together.
    #[must_use]
    pub fn parts(&self) -> Vec<&Matrix<T>> {
        match self {
            Self::None => Vec::new(),
            Self::Lstm(carry) => vec![&carry.state, &carry.cell],
            Self::State(state) => vec![state],
            Self::Memory(memory) => vec![memory],
        }
    }

    /// A carry of this kind made of other elements, part by part. `None` where they do not fit.
    #[must_use]
    pub fn with(&self, parts: Vec<Vec<T>>) -> Option<Self> {
        let matrix = |like: &Matrix<T>, values: Vec<T>| {
            let fits = values.len().is_multiple_of(like.cols().max(1));
            let rows = values.len() / like.cols().max(1);
            fits.then(|| Matrix::from_vec(rows, like.cols(), values))
        };
        let likes = self.parts();
        let made = likes.into_iter().zip(parts).map(|(like, values)| matrix(like, values));
        let mut made = made.collect::<Option<Vec<_>>>()?.into_iter();
        Some(match self {
            Self::None => Self::None,
            Self::Lstm(_) => Self::Lstm(lstm::Carry { state: made.next()?, cell: made.next()? }),
            Self::State(_) => Self::State(made.next()?),
            Self::Memory(_) => Self::Memory(Arc::new(made.next()?)),
        })
    }
}

/// One layer of the chain.
#[derive(Clone, Debug)]
pub enum Layer {
    /// Token table.
    Embedding(Embedding),
    /// Attention and feed-forward part.
    Block(Box<Block>),
    /// LSTM, mLSTM or recurrent highway layer.
    Recurrent(Recurrent),
    /// Output distribution and loss.
    Head(Head),
}

/// What comes out of a layer.
#[derive(Clone, Debug)]
pub enum Out<T: Float> {
    /// Activations.
    Activation(Arc<Matrix<T>>),
    /// Sum of the losses of all predictions.
    Loss(f64),
}

/// What a layer keeps for its backward pass.
#[derive(Clone, Debug)]
pub enum Saved<T: Float> {
    /// Of an embedding.
    Embedding(embedding::Saved<T>),
    /// Of a block.
    Block(Box<block::Saved<T>>),
    /// Of a recurrent layer.
    Recurrent(Box<recurrent::Saved<T>>),
    /// Of a head.
    Head(Box<head::Saved<T>>),
}

/// What is left for the gradients of the weights.
#[derive(Debug)]
pub enum Pending<T: Float> {
    /// Of an embedding.
    Embedding(embedding::Pending<T>),
    /// Of a block.
    Block(Box<block::Pending<T>>),
    /// Of a recurrent layer.
    Recurrent(Box<recurrent::Pending<T>>),
    /// Of a head.
    Head(Box<head::Saved<T>>),
}

/// What a forward pass makes: its output, the carry after it, what the backward pass needs.
pub type Forward<T> = (Out<T>, Carry<T>, Saved<T>);

/// What a backward pass makes: the gradient of the input, where there is one, that of the carry
/// before, and what is left for the weights.
pub type Backward<T> = (Option<Arc<Matrix<T>>>, Carry<T>, Pending<T>);

/// What a layer works with.
#[derive(Clone)]
pub struct Context<'a, T: Float> {
    /// Its weights.
    pub weights: Weights<'a, T>,
    /// Tokens.
    pub batch: &'a MicroBatch,
    /// Ranks that share it.
    pub groups: Groups<'a, T>,
    /// How it is shared.
    pub split: Split,
}

impl<T: Float> Context<'_, T> {
    /// Whether rows between layers are a part of the positions.
    pub fn is_apart(&self) -> bool {
        self.split.sequence && self.groups.tensor.size() > 1
    }

    /// All positions, from those that are held between layers.
    pub fn enter(&self, x: &Arc<Matrix<T>>) -> Result<Arc<Matrix<T>>, Fault> {
        if !self.is_apart() {
            return Ok(x.clone());
        }
        let all = gather_positions(x, self.batch.sequences, self.groups.tensor)?;
        Ok(Arc::new(all))
    }

    /// Sums what tensor-parallel ranks computed, at the positions that are held between layers.
    pub fn leave(&self, mut y: Matrix<T>) -> Result<Matrix<T>, Fault> {
        if self.is_apart() {
            return scatter_positions(&y, self.batch.sequences, self.groups.tensor);
        }
        self.groups.tensor.sum(y.data_mut())?;
        Ok(y)
    }

    /// The positions that are held between layers, of what every rank has computed whole.
    pub fn own(&self, y: Matrix<T>) -> Matrix<T> {
        match self.is_apart() {
            true => own_positions(&y, self.batch.sequences, self.groups.tensor),
            false => y,
        }
    }

    /// The first position that is held between layers, and how many are.
    pub fn positions(&self) -> (usize, usize) {
        let n = if self.is_apart() { self.groups.tensor.size() } else { 1 };
        let length = self.batch.length / n;
        let place = if n > 1 { self.groups.tensor.place() } else { 0 };
        (self.batch.first + place * length, length)
    }
}

impl Layer {
    /// Parameters, in the order in which they lie.
    #[must_use]
    pub fn parameters(&self) -> &[Parameter] {
        match self {
            Self::Embedding(layer) => &layer.parameters,
            Self::Block(layer) => &layer.parameters,
            Self::Recurrent(layer) => &layer.parameters,
            Self::Head(layer) => &layer.parameters,
        }
    }

    /// The carry before the first piece of all.
    #[must_use]
    pub fn start<T: Float>(&self, sequences: usize) -> Carry<T> {
        match self {
            Self::Recurrent(layer) => layer.start(sequences),
            Self::Block(layer) => layer.start(),
            Self::Embedding(_) | Self::Head(_) => Carry::None,
        }
    }

    /// Of a part of the carry that ranks share: its whole width, and the columns held here.
    #[must_use]
    pub fn carried_columns(&self, part: usize) -> Option<(usize, Range<usize>)> {
        match self {
            Self::Recurrent(layer) => layer.carried_columns(part),
            Self::Embedding(_) | Self::Block(_) | Self::Head(_) => None,
        }
    }

    /// Forward pass. The embedding takes no activations.
    ///
    /// # Errors
    /// The ranks that share the layer cannot go on.
    pub fn forward<T: Float>(
        &self,
        c: &Context<'_, T>,
        x: &Arc<Matrix<T>>,
        carry: Carry<T>,
    ) -> Result<Forward<T>, Fault> {
        Ok(match self {
            Self::Embedding(layer) => {
                let (y, saved) = layer.forward(c)?;
                (Out::Activation(y), Carry::None, Saved::Embedding(saved))
            }
            Self::Block(layer) => {
                let (y, carry, saved) = layer.forward(c, x, carry)?;
                (Out::Activation(y), carry, Saved::Block(Box::new(saved)))
            }
            Self::Recurrent(layer) => {
                let (y, carry, saved) = layer.forward(c, x, carry)?;
                (Out::Activation(y), carry, Saved::Recurrent(Box::new(saved)))
            }
            Self::Head(layer) => {
                let (loss, saved) = layer.forward(c, x)?;
                (Out::Loss(loss), Carry::None, Saved::Head(Box::new(saved)))
            }
        })
    }

    /// Gradient of the input and of the carry before, from those of the output and the carry after.
    ///
    /// # Errors
    /// The ranks that share the layer cannot go on.
    pub fn backward<T: Float>(
        &self,
        c: &Context<'_, T>,
        saved: Saved<T>,
        dy: Arc<Matrix<T>>,
        after: Carry<T>,
    ) -> Result<Backward<T>, Fault> {
        Ok(match (self, saved) {
            (Self::Block(layer), Saved::Block(saved)) => {
                let (dx, pending) = layer.backward(c, *saved, dy)?;
                (Some(Arc::new(dx)), Carry::None, Pending::Block(Box::new(pending)))
            }
            (Self::Recurrent(layer), Saved::Recurrent(saved)) => {
                let (dx, before, pending) = layer.backward(c, *saved, &dy, after)?;
                (Some(Arc::new(dx)), before, Pending::Recurrent(Box::new(pending)))
            }
            (Self::Head(layer), Saved::Head(mut saved)) => {
                let dx = layer.backward(c, &mut saved)?;
                (Some(Arc::new(dx)), Carry::None, Pending::Head(saved))
            }
            (Self::Embedding(layer), Saved::Embedding(saved)) => {
                let pending = layer.backward(c, saved, dy)?;
                (None, Carry::None, Pending::Embedding(pending))
            }
            _ => unreachable!("a layer gets back what it kept"),
        })
    }

    /// Adds the gradients of the weights.
    pub fn add<T: Float>(&self, c: &Context<'_, T>, pending: Pending<T>, g: Gradients<'_, T>) {
        match (self, pending) {
            (Self::Embedding(layer), Pending::Embedding(p)) => layer.add(c, &p, g),
            (Self::Block(layer), Pending::Block(p)) => layer.add(*p, g),
            (Self::Recurrent(layer), Pending::Recurrent(p)) => layer.add(c, *p, g),
            (Self::Head(layer), Pending::Head(p)) => layer.add(&p, g),
            _ => unreachable!("a layer gets back what it left"),
        }
    }
}

impl<T: Float> Saved<T> {
    /// Bytes held besides what neighbours hold too.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Embedding(saved) => saved.bytes(),
            Self::Block(saved) => saved.bytes(),
            Self::Recurrent(saved) => saved.bytes(),
            Self::Head(saved) => saved.bytes(),
        }
    }
}

/// Standard deviation with which `inputs` summed terms keep their size.
pub(super) fn fan_in(inputs: usize) -> super::Init {
    super::Init::Normal { deviation: 1.0 / (inputs as f64).sqrt() }
}
