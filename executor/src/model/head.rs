//! Output distribution and loss: normalisation, BERT's transform, logits, cross-entropy.

use super::embedding::{SMALL, add_norm, norm_parameters};
use super::layer::{Context, fan_in};
use super::parameter::{Builder, Cut, Gradients, Init, Parameter};
use super::split::Split;
use crate::comm::{Fault, part};
use crate::float::Float;
use crate::gemm::{add_product, product};
use crate::matrix::{Matrix, add_rows};
use crate::ops::activation::Activation;
use crate::ops::loss::{Targets, cross_entropy};
use crate::ops::{embedding, linear, norm, sampled};
use plan::model::{Norm, Transformer};
use std::sync::Arc;

/// The last layer.
#[derive(Clone, Debug)]
pub struct Head {
    /// Its parameters.
    pub parameters: Vec<Parameter>,
    norm: Option<(usize, Option<usize>)>,
    transform: Option<Transform>,
    table: usize,
    bias: Option<usize>,
    first: u32,
    is_sampled: bool,
}

/// BERT's transform: square product, GELU, normalisation.
#[derive(Clone, Debug)]
struct Transform {
    weight: usize,
    bias: usize,
    norm: (usize, Option<usize>),
}

/// What the backward pass needs, and what the gradients of the weights need after it.
#[derive(Clone, Debug)]
pub struct Saved<T: Float> {
    norm: Option<norm::Saved<T>>,
    dnorm: Option<norm::Pending<T>>,
    transform: Option<TransformSaved<T>>,
    /// Rows of the activations whose loss is computed.
    rows: Option<Vec<u32>>,
    /// All rows of the activations.
    all: usize,
    x: Arc<Matrix<T>>,
    scores: Scores<T>,
}

#[derive(Clone, Debug)]
struct TransformSaved<T: Float> {
    x: Arc<Matrix<T>>,
    linear: Matrix<T>,
    norm: norm::Saved<T>,
    dlinear: Option<Matrix<T>>,
    dnorm: Option<norm::Pending<T>>,
}

/// Gradients of the logits.
#[derive(Clone, Debug)]
enum Scores<T: Float> {
    Full(Matrix<T>),
    Sampled(sampled::Saved<T>),
}

impl<T: Float> Saved<T> {
    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let scores = match &self.scores {
            Scores::Full(logits) => logits.bytes(),
            Scores::Sampled(saved) => saved.bytes(),
        };
        let transform = |t: &TransformSaved<T>| t.x.bytes() + t.linear.bytes() + t.norm.bytes();
        let norm = self.norm.as_ref().map_or(0, norm::Saved::bytes);
        scores + self.x.bytes() + norm + self.transform.as_ref().map_or(0, transform)
    }
}

/// The output table, part of its rows in a tensor-parallel group. It is the last parameter: where
/// it is a copy of the embedding, it is left out of what replicas exchange.
fn add_table(
    b: &mut Builder,
    (vocab, width): (usize, usize),
    init: Init,
    tied: bool,
    (place, size): (usize, usize),
) -> (usize, u32) {
    let held = part(vocab, size, place);
    let first = held.start as u32;
    let cut = if size == 1 { Cut::Whole } else { Cut::Rows(held) };
    let table = b.add("w_vocab", (vocab, width), cut, init);
    b.parameters[table].copy_of = tied.then_some("embedding.table");
    (table, first)
}

/// One element per word, of those words whose rows are held.
fn add_bias(b: &mut Builder, vocab: usize, (place, size): (usize, usize)) -> usize {
    let held = part(vocab, size, place);
    let cut = if size == 1 { Cut::Whole } else { Cut::Columns(vec![held]) };
    b.add("b_vocab", (1, vocab), cut, Init::Constant(0.0))
}

impl Head {
    /// Of a recurrent model.
    #[must_use]
    pub fn recurrent(
        (vocab, width): (usize, usize),
        tied: bool,
        is_sampled: bool,
        tensor: (usize, usize),
    ) -> Self {
        let mut b = Builder::new("head".into());
        let bias = Some(add_bias(&mut b, vocab, tensor));
        let (table, first) = add_table(&mut b, (vocab, width), fan_in(width), tied, tensor);
        let parameters = b.parameters;
        Self { parameters, norm: None, transform: None, table, bias, first, is_sampled }
    }

    /// Of a transformer.
    #[must_use]
    pub fn transformer(t: &Transformer, split: Split) -> Self {
        let (vocab, width, tensor) = (t.vocab as usize, t.d_model as usize, split.tensor);
        let mut b = Builder::new("head".into());
        let zero = Init::Constant(0.0);
        b.sums = split.sequence;
        let norm = t.final_norm.then(|| norm_parameters(&mut b, t.norm, "norm", width));
        b.sums = false;
        if t.pooler {
            // Part of the model, but masked-language training does not use it.
            b.add("w_pooler", (width, width), Cut::Whole, SMALL);
            b.vector("b_pooler", width, zero);
        }
        let transform = t.mlm_head.then(|| Transform {
            weight: b.add("w_transform", (width, width), Cut::Whole, SMALL),
            bias: b.vector("b_transform", width, zero),
            norm: norm_parameters(&mut b, Norm::LayerNorm, "norm_t", width),
        });
        let bias = t.mlm_head.then(|| add_bias(&mut b, vocab, tensor));
        let (table, first) = add_table(&mut b, (vocab, width), SMALL, t.tied, tensor);
        let parameters = b.parameters;
        Self { parameters, norm, transform, table, bias, first, is_sampled: false }
    }

    /// Sum of the losses, in double precision.
    ///
    /// # Errors
    /// The ranks that share the table cannot go on.
    pub fn forward<T: Float>(
        &self,
        c: &Context<'_, T>,
        x: &Arc<Matrix<T>>,
    ) -> Result<(f64, Saved<T>), Fault> {
        let (x, norm) = match self.norm {
            None => (x.clone(), None),
            Some((scale, shift)) => {
                let shift = shift.map(|place| c.weights.vector(place));
                let (y, saved) = norm::forward(x.view(), c.weights.vector(scale), shift);
                (Arc::new(y), Some(saved))
            }
        };
        let mut x = c.enter(&x)?;
        let (all, rows) = (x.rows(), c.batch.rows.clone());
        if let Some(rows) = &rows {
            x = Arc::new(embedding::forward(x.view(), 0, rows));
        }
        let mut transform = None;
        if let Some(layer) = &self.transform {
            let (y, saved) = layer.forward(c, x);
            x = Arc::new(y);
            transform = Some(saved);
        }
        let (loss, scores) = self.scores(c, &x)?;
        Ok((loss, Saved { norm, dnorm: None, transform, rows, all, x, scores }))
    }

    fn scores<T: Float>(
        &self,
        c: &Context<'_, T>,
        x: &Matrix<T>,
    ) -> Result<(f64, Scores<T>), Fault> {
        let (table, scale) = (c.weights.matrix(self.table), T::of(c.batch.scale));
        let bias = self.bias.map(|place| c.weights.vector(place));
        let words = &c.batch.targets;
        if let (true, Some(sample), Some(bias)) = (self.is_sampled, &c.batch.sample, bias) {
            let w = sampled::Weights { table, bias, first: self.first };
            let (loss, saved) =
                sampled::forward(&w, x.view(), words, sample, scale, c.groups.tensor)?;
            return Ok((loss, Scores::Sampled(saved)));
        }
        let mut logits = linear::forward(x.view(), table.t(), bias);
        let targets = Targets { words, first: self.first };
        let loss = cross_entropy(&mut logits, targets, scale, c.groups.tensor)?;
        Ok((loss, Scores::Full(logits)))
    }

    /// Gradient of the input.
    ///
    /// # Errors
    /// The ranks that share the table cannot go on.
    pub fn backward<T: Float>(
        &self,
        c: &Context<'_, T>,
        saved: &mut Saved<T>,
    ) -> Result<Matrix<T>, Fault> {
        let table = c.weights.matrix(self.table);
        let mut dx = match &saved.scores {
            Scores::Full(dlogits) => product(dlogits.view(), table),
            Scores::Sampled(scores) => {
                let bias = self.bias.map_or(&[][..], |place| c.weights.vector(place));
                let w = sampled::Weights { table, bias, first: self.first };
                sampled::backward_input(&w, scores)
            }
        };
        if saved.transform.is_none() && saved.rows.is_none() {
            dx = c.leave(dx)?;
        } else {
            c.groups.tensor.sum(dx.data_mut())?;
            dx = self.before_rows(c, saved, dx);
        }
        if let (Some((scale, _)), Some(norm)) = (self.norm, &saved.norm) {
            let (d, pending) = norm::backward(norm, c.weights.vector(scale), dx.view());
            dx = d;
            saved.dnorm = Some(pending);
        }
        Ok(dx)
    }

    /// Back through the transform, and from the rows that are predicted to all.
    fn before_rows<T: Float>(
        &self,
        c: &Context<'_, T>,
        saved: &mut Saved<T>,
        mut dx: Matrix<T>,
    ) -> Matrix<T> {
        if let (Some(layer), Some(inner)) = (&self.transform, &mut saved.transform) {
            dx = layer.backward(c, inner, &dx);
        }
        if let Some(rows) = &saved.rows {
            let mut spread = Matrix::zeros(saved.all, dx.cols());
            embedding::backward(spread.view_mut(), 0, rows, dx.view());
            dx = spread;
        }
        c.own(dx)
    }

    /// Adds the gradients of the weights.
    pub fn add<T: Float>(&self, saved: &Saved<T>, mut g: Gradients<'_, T>) {
        let (x, table) = (saved.x.view(), g.matrix(self.table));
        match &saved.scores {
            Scores::Full(dlogits) => {
                add_product(table, dlogits.view().t(), x);
                if let Some(bias) = self.bias {
                    add_rows(g.vector(bias), dlogits.view());
                }
            }
            Scores::Sampled(scores) => {
                let bias = self.bias.map(|place| g.vector(place)).unwrap_or_default();
                sampled::backward_weight(scores, x, table, bias);
            }
        }
        if let (Some(places), Some(pending)) = (self.norm, &saved.dnorm) {
            add_norm(&mut g, places, pending);
        }
        if let (Some(layer), Some(inner)) = (&self.transform, &saved.transform) {
            layer.add(inner, &mut g);
        }
    }
}

impl Transform {
    fn forward<T: Float>(
        &self,
        c: &Context<'_, T>,
        x: Arc<Matrix<T>>,
    ) -> (Matrix<T>, TransformSaved<T>) {
        let bias = Some(c.weights.vector(self.bias));
        let linear = linear::forward(x.view(), c.weights.matrix(self.weight), bias);
        let active = Activation::Gelu.forward(&linear);
        let shift = self.norm.1.map(|place| c.weights.vector(place));
        let (y, norm) = norm::forward(active.view(), c.weights.vector(self.norm.0), shift);
        (y, TransformSaved { x, linear, norm, dlinear: None, dnorm: None })
    }

    fn backward<T: Float>(
        &self,
        c: &Context<'_, T>,
        saved: &mut TransformSaved<T>,
        dy: &Matrix<T>,
    ) -> Matrix<T> {
        let scale = c.weights.vector(self.norm.0);
        let (dactive, dnorm) = norm::backward(&saved.norm, scale, dy.view());
        let dlinear = Activation::Gelu.backward(&saved.linear, &dactive);
        let dx = linear::backward_input(c.weights.matrix(self.weight), dlinear.view());
        (saved.dlinear, saved.dnorm) = (Some(dlinear), Some(dnorm));
        dx
    }

    fn add<T: Float>(&self, saved: &TransformSaved<T>, g: &mut Gradients<'_, T>) {
        if let (Some(dlinear), Some(dnorm)) = (&saved.dlinear, &saved.dnorm) {
            let (dw, db) = (g.matrix(self.weight), g.vector(self.bias));
            linear::backward_weight(saved.x.view(), dlinear.view(), dw, Some(db));
            add_norm(g, self.norm, dnorm);
        }
    }
}
