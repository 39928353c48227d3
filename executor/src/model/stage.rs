//! Consecutive layers that one rank holds, and their passes.

use super::MicroBatch;
use super::block::Block;
use super::embedding::Embedding;
use super::head::Head;
use super::layer::{Carry, Context, Layer, Out, Pending, Saved};
use super::parameter::{Gradients, Parameter, Weights};
use super::recurrent::Recurrent;
use super::split::{Groups, Split};
use super::support::{Unsupported, check};
use crate::comm::Fault;
use crate::float::Float;
use crate::matrix::Matrix;
use crate::ops::across::Alone;
use plan::model::{Family, LayerRole, Model, Softmax};
use std::ops::Range;
use std::sync::Arc;

/// Layers of a stage.
#[derive(Clone, Debug)]
pub struct Stage {
    layers: Vec<Layer>,
    /// Elements of each layer in the stage's flat parameters.
    places: Vec<Range<usize>>,
    /// Layers of the chain.
    chain: Range<usize>,
    split: Split,
}

/// Per layer, what goes from one piece of a sequence to the next.
#[derive(Clone, Debug, PartialEq)]
pub struct Carries<T: Float>(pub Vec<Carry<T>>);

/// What a stage keeps of a forward pass until the backward pass.
#[derive(Debug)]
pub struct Kept<T: Float> {
    layers: Vec<KeptLayer<T>>,
}

#[derive(Debug)]
enum KeptLayer<T: Float> {
    /// Everything.
    All(Saved<T>),
    /// The input, to run the layer again.
    Input(Arc<Matrix<T>>, Carry<T>),
}

/// What a backward pass leaves for the gradients of the weights.
#[derive(Debug)]
pub struct Remainder<T: Float> {
    layers: Vec<Pending<T>>,
}

/// The gradient for the stage before, where there is one, and what is left for the weights.
pub type Backward<T> = (Option<Arc<Matrix<T>>>, Remainder<T>);

/// What comes out of a stage.
#[derive(Clone, Debug)]
pub enum Output<T: Float> {
    /// Activations for the next stage.
    Activation(Arc<Matrix<T>>),
    /// Sum of the losses of all predictions.
    Loss(f64),
}

impl<T: Float> Kept<T> {
    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let bytes = |layer: &KeptLayer<T>| match layer {
            KeptLayer::All(saved) => saved.bytes(),
            KeptLayer::Input(x, _) => x.bytes(),
        };
        self.layers.iter().map(bytes).sum()
    }
}

impl Stage {
    /// Layers `chain` of the model's chain, as a rank holds them; a pair is a place in a
    /// tensor-parallel group, and its size.
    ///
    /// # Errors
    /// What cannot be run, and what can.
    pub fn new(
        model: &Model,
        chain: Range<usize>,
        split: impl Into<Split>,
    ) -> Result<Self, Unsupported> {
        let split = split.into();
        check(model, split.tensor.1)?;
        let all = model.chain.iter().flat_map(|run| (0..run.layers).map(|_| run.kind));
        let kinds = all.enumerate().skip(chain.start).take(chain.len());
        let layers: Vec<Layer> = kinds.map(|(at, kind)| layer(model, kind, at, split)).collect();
        let mut start = 0;
        let place = |layer: &Layer| {
            let from = start;
            start += layer.parameters().iter().map(Parameter::len).sum::<usize>();
            from..start
        };
        let places = layers.iter().map(place).collect();
        Ok(Self { layers, places, chain, split })
    }

    /// Parameters in the order in which they lie.
    pub fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.layers.iter().flat_map(Layer::parameters)
    }

    /// Parameters with their places in the flat values.
    pub fn placed(&self) -> impl Iterator<Item = (&Parameter, Range<usize>)> {
        let mut start = 0;
        self.parameters().map(move |parameter| {
            start += parameter.len();
            (parameter, start - parameter.len()..start)
        })
    }

    /// Elements of all parameters.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.places.last().map_or(0, |place| place.end)
    }

    /// Layers of the chain.
    #[must_use]
    pub fn chain(&self) -> Range<usize> {
        self.chain.clone()
    }

    /// Initial values, which do not depend on how the model is split.
    #[must_use]
    pub fn initial<T: Float>(&self, seed: u64) -> Vec<T> {
        let mut values = vec![T::ZERO; self.elements()];
        for (parameter, place) in self.placed() {
            parameter.initialise(seed, &mut values[place]);
        }
        values
    }

    /// Carries before the first piece of all.
    #[must_use]
    pub fn start<T: Float>(&self, sequences: usize) -> Carries<T> {
        Carries(self.layers.iter().map(|layer| layer.start(sequences)).collect())
    }

    /// Of a part of a layer's carry that ranks share: its whole width, and the columns held here.
    #[must_use]
    pub fn carried_columns(&self, layer: usize, part: usize) -> Option<(usize, Range<usize>)> {
        self.layers.get(layer)?.carried_columns(part)
    }

    fn context<'a, T: Float>(
        &self,
        i: usize,
        weights: &'a [T],
        batch: &'a MicroBatch,
        groups: Groups<'a, T>,
    ) -> Context<'a, T> {
        let own = &weights[self.places[i].clone()];
        let weights = Weights::new(own, self.layers[i].parameters());
        Context { weights, batch, groups, split: self.split }
    }

    /// Forward pass. `x` comes from the stage before; the first stage takes none. Layers for which
    /// `recompute` says so keep their input only. Carries go from before to after.
    ///
    /// # Errors
    /// The ranks that share the stage cannot go on.
    pub fn forward<'a, T: Float>(
        &self,
        weights: &'a [T],
        batch: &'a MicroBatch,
        groups: impl Into<Groups<'a, T>>,
        x: Option<Arc<Matrix<T>>>,
        carries: &mut Carries<T>,
        recompute: &dyn Fn(usize) -> bool,
    ) -> Result<(Output<T>, Kept<T>), Fault> {
        let (mut x, groups) = (x.unwrap_or_default(), groups.into());
        let mut kept = Vec::with_capacity(self.layers.len());
        for (i, layer) in self.layers.iter().enumerate() {
            let c = self.context(i, weights, batch, groups);
            let before = std::mem::replace(&mut carries.0[i], Carry::None);
            let again = recompute(self.chain.start + i);
            let copy = again.then(|| before.clone());
            let (out, after, saved) = layer.forward(&c, &x, before)?;
            carries.0[i] = after;
            kept.push(match copy {
                Some(before) => KeptLayer::Input(x.clone(), before),
                None => KeptLayer::All(saved),
            });
            match out {
                Out::Activation(y) => x = y,
                Out::Loss(loss) => return Ok((Output::Loss(loss), Kept { layers: kept })),
            }
        }
        Ok((Output::Activation(x), Kept { layers: kept }))
    }

    /// Runs layers again that kept their input only, so that the backward pass finds everything.
    ///
    /// # Errors
    /// The ranks that share the stage cannot go on.
    pub fn again<'a, T: Float>(
        &self,
        weights: &'a [T],
        batch: &'a MicroBatch,
        groups: impl Into<Groups<'a, T>>,
        kept: Kept<T>,
    ) -> Result<Kept<T>, Fault> {
        let groups = groups.into();
        let one = |(i, kept)| match kept {
            KeptLayer::Input(x, before) => {
                let c = self.context(i, weights, batch, groups);
                Ok(KeptLayer::All(self.layers[i].forward(&c, &x, before)?.2))
            }
            all @ KeptLayer::All(_) => Ok(all),
        };
        let layers: Result<_, Fault> = kept.layers.into_iter().enumerate().map(one).collect();
        Ok(Kept { layers: layers? })
    }

    /// Backward pass: the gradient for the stage before (the first stage has none). `dy` comes from
    /// the stage behind; the last one takes none. Gradients of carries go from after to before.
    ///
    /// # Errors
    /// The ranks that share the stage cannot go on.
    pub fn backward<'a, T: Float>(
        &self,
        weights: &'a [T],
        batch: &'a MicroBatch,
        groups: impl Into<Groups<'a, T>>,
        kept: Kept<T>,
        dy: Option<Arc<Matrix<T>>>,
        carries: &mut Carries<T>,
    ) -> Result<Backward<T>, Fault> {
        let (mut dy, groups) = (dy.unwrap_or_default(), groups.into());
        let mut first = None;
        let mut left = Vec::with_capacity(self.layers.len());
        for (i, kept) in kept.layers.into_iter().enumerate().rev() {
            let (c, layer) = (self.context(i, weights, batch, groups), &self.layers[i]);
            let saved = match kept {
                KeptLayer::All(saved) => saved,
                KeptLayer::Input(x, before) => layer.forward(&c, &x, before)?.2,
            };
            let after = std::mem::replace(&mut carries.0[i], Carry::None);
            let (dx, before, pending) = layer.backward(&c, saved, dy, after)?;
            carries.0[i] = before;
            left.push(pending);
            first = dx.clone();
            dy = dx.unwrap_or_default();
        }
        left.reverse();
        Ok((first, Remainder { layers: left }))
    }

    /// Adds the gradients of the weights.
    pub fn add<T: Float>(
        &self,
        weights: &[T],
        batch: &MicroBatch,
        left: Remainder<T>,
        gradients: &mut [T],
    ) {
        for (i, pending) in left.layers.into_iter().enumerate() {
            let layer = &self.layers[i];
            let own = &mut gradients[self.places[i].clone()];
            let c = self.context(i, weights, batch, Groups::from(&Alone));
            layer.add(&c, pending, Gradients::new(own, layer.parameters()));
        }
    }
}

fn layer(model: &Model, kind: usize, at: usize, split: Split) -> Layer {
    let kind = &model.kinds[kind];
    match (&model.spec.family, kind.role) {
        (Family::Transformer(t), LayerRole::Embedding) => {
            Layer::Embedding(Embedding::transformer(t, split))
        }
        (Family::Transformer(t), LayerRole::Head) => Layer::Head(Head::transformer(t, split)),
        (Family::Transformer(t), LayerRole::Body) => {
            let experts = t.experts.as_ref().filter(|_| kind.name.starts_with("mixture"));
            Layer::Block(Box::new(Block::new(t, at - 1, experts, split)))
        }
        (family, role) => recurrent(family, role, at, split.tensor),
    }
}

fn recurrent(family: &Family, role: LayerRole, at: usize, tensor: (usize, usize)) -> Layer {
    let (vocab, embedding, output, tied, sampled) = match family {
        Family::Lstm(m) => {
            let output = m.projection.unwrap_or(m.hidden);
            (m.vocab, m.embedding, output, m.tied, m.softmax != Softmax::Full)
        }
        Family::Mlstm(m) => (m.vocab, m.embedding, m.hidden, false, false),
        Family::Rhn(m) => (m.vocab, m.hidden, m.hidden, false, false),
        Family::Transformer(_) | Family::Einsum(_) => (0, 0, 0, false, false),
    };
    let (vocab, embedding, output) = (vocab as usize, embedding as usize, output as usize);
    match (role, family) {
        (LayerRole::Head, _) => {
            Layer::Head(Head::recurrent((vocab, output), tied, sampled, tensor))
        }
        (LayerRole::Body, Family::Lstm(m)) => Layer::Recurrent(Recurrent::lstm(m, at - 1, tensor)),
        (LayerRole::Body, Family::Mlstm(m)) => Layer::Recurrent(Recurrent::mlstm(m, tensor)),
        (LayerRole::Body, Family::Rhn(m)) => Layer::Recurrent(Recurrent::rhn(m, tensor)),
        _ => Layer::Embedding(Embedding::plain(vocab, embedding, tensor)),
    }
}
