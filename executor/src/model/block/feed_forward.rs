//! The feed-forward part: dense, or a mixture of experts with or without shared ones.

use super::attention::deep;
use crate::comm::{Fault, part};
use crate::float::Float;
use crate::gemm::{add_product, product};
use crate::matrix::{Matrix, add_rows};
use crate::model::embedding::SMALL;
use crate::model::layer::Context;
use crate::model::parameter::{Builder, Cut, Gradients, Init};
use crate::model::split::Split;
use crate::ops::activation::Activation;
use crate::ops::linear;
use crate::ops::mixture::{self, Routing};
use plan::model::{Experts, Transformer};
use std::sync::Arc;

#[derive(Clone, Debug)]
pub(super) struct FeedForward {
    dense: Option<Dense>,
    mixture: Option<Mixture>,
    /// Bias after the sum over ranks.
    bias: Option<usize>,
}

/// Up, activation, down.
#[derive(Clone, Debug)]
struct Dense {
    up: usize,
    up_bias: Option<usize>,
    down: usize,
    activation: Activation,
}

#[derive(Clone, Debug)]
struct Mixture {
    /// Router, into the experts, out of them.
    places: [usize; 3],
    routing: Routing,
}

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub(super) struct Saved<T: Float> {
    x: Arc<Matrix<T>>,
    dense: Option<DenseSaved<T>>,
    mixture: Option<mixture::Saved<T>>,
}

#[derive(Clone, Debug)]
struct DenseSaved<T: Float> {
    up: Matrix<T>,
    inner: Matrix<T>,
}

/// What is left for the gradients of the weights.
#[derive(Debug)]
pub(super) struct Pending<T: Float> {
    x: Arc<Matrix<T>>,
    dy: Arc<Matrix<T>>,
    dense: Option<(Matrix<T>, Matrix<T>)>,
    mixture: Option<mixture::Pending<T>>,
}

impl<T: Float> Saved<T> {
    pub fn bytes(&self) -> usize {
        let dense = self.dense.as_ref().map_or(0, |d| d.up.bytes() + d.inner.bytes());
        self.x.bytes() + dense + self.mixture.as_ref().map_or(0, mixture::Saved::bytes)
    }
}

impl FeedForward {
    pub fn new(b: &mut Builder, t: &Transformer, experts: Option<&Experts>, split: Split) -> Self {
        let tensor = split.tensor;
        let Some(e) = experts else {
            let dense = Dense::new(b, t, "", t.d_ff as usize, tensor);
            let zero = Init::Constant(0.0);
            let bias = t.bias.then(|| b.vector("b_down", t.d_model as usize, zero));
            return Self { dense: Some(dense), mixture: None, bias };
        };
        let unbiased = Transformer { bias: false, ..t.clone() };
        let dense = (e.d_shared > 0)
            .then(|| Dense::new(b, &unbiased, "shared.", e.d_shared as usize, tensor));
        // Last, so that the experts' parameters end the layer's.
        let mixture = Mixture::new(b, t, e, split);
        Self { dense, mixture: Some(mixture), bias: None }
    }

    pub fn forward<T: Float>(
        &self,
        c: &Context<'_, T>,
        x: Arc<Matrix<T>>,
    ) -> Result<(Matrix<T>, Saved<T>), Fault> {
        let x = c.enter(&x)?;
        let mut y = Matrix::zeros(x.rows(), x.cols());
        let (mut dense, mut mixture) = (None, None);
        if let Some(layer) = &self.dense {
            let (part, saved) = layer.forward(c, &x);
            (y, dense) = (part, Some(saved));
        }
        if let Some(layer) = &self.mixture {
            let (part, saved) = layer.routing.forward(&layer.weights(c), &x, ranks(c))?;
            y.add(&part);
            mixture = Some(saved);
        }
        let mut y = c.leave(y)?;
        if let Some(bias) = self.bias {
            linear::add_bias(&mut y, c.weights.vector(bias));
        }
        Ok((y, Saved { x, dense, mixture }))
    }

    pub fn backward<T: Float>(
        &self,
        c: &Context<'_, T>,
        saved: Saved<T>,
        dy: Arc<Matrix<T>>,
    ) -> Result<(Matrix<T>, Pending<T>), Fault> {
        let Saved { x, dense, mixture } = saved;
        let dy = c.enter(&dy)?;
        let mut dx = Matrix::zeros(x.rows(), x.cols());
        let mut pending = Pending { x, dy: dy.clone(), dense: None, mixture: None };
        if let (Some(layer), Some(saved)) = (&self.dense, dense) {
            let dinner = linear::backward_input(c.weights.matrix(layer.down), dy.view());
            let dup = layer.activation.backward(&saved.up, &dinner);
            dx = linear::backward_input(c.weights.matrix(layer.up), dup.view());
            pending.dense = Some((saved.inner, dup));
        }
        let mut through_router = None;
        if let (Some(layer), Some(saved)) = (&self.mixture, mixture) {
            let weights = layer.weights(c);
            let (through, whole, left) =
                layer.routing.backward(&weights, saved, dy.view(), ranks(c))?;
            dx.add(&through);
            (through_router, pending.mixture) = (Some(whole), Some(left));
        }
        let mut dx = c.leave(dx)?;
        // Every rank of a tensor-parallel group has computed this whole.
        if let Some(whole) = through_router {
            dx.add(&c.own(whole));
        }
        Ok((dx, pending))
    }

    pub fn add<T: Float>(&self, pending: Pending<T>, g: &mut Gradients<'_, T>) {
        let Pending { x, dy, dense, mixture } = pending;
        if let (Some(layer), Some((inner, dup))) = (&self.dense, dense) {
            let bias = layer.up_bias.map(|place| g.vector(place));
            linear::backward_weight(x.view(), dup.view(), g.matrix(layer.up), bias);
            add_product(g.matrix(layer.down), inner.view().t(), dy.view());
        }
        if let (Some(layer), Some(pending)) = (&self.mixture, mixture) {
            let [router, up, down] = layer.places.map(|place| g.matrix(place));
            pending.add(mixture::Gradients { router, up, down });
        }
        if let Some(bias) = self.bias {
            add_rows(g.vector(bias), dy.view());
        }
    }
}

/// The ranks that share experts.
fn ranks<'a, T: Float>(c: &Context<'a, T>) -> mixture::Ranks<'a, T> {
    mixture::Ranks { tensor: c.groups.tensor, expert: c.groups.expert }
}

fn activation(t: &Transformer) -> Activation {
    if t.gated { Activation::SwiGlu } else { Activation::Gelu }
}

impl Dense {
    fn new(
        b: &mut Builder,
        t: &Transformer,
        prefix: &str,
        inner: usize,
        (place, size): (usize, usize),
    ) -> Self {
        let width = t.d_model as usize;
        let activation = activation(t);
        let mine = part(inner, size, place);
        let halves = (0..activation.widening()).map(|half| {
            let from = half * inner;
            from + mine.start..from + mine.end
        });
        let columns = if size == 1 { Cut::Whole } else { Cut::Columns(halves.collect()) };
        let rows = if size == 1 { Cut::Whole } else { Cut::Rows(mine) };
        let wide = activation.widening() * inner;
        let up = b.add(&format!("{prefix}w_up"), (width, wide), columns.clone(), SMALL);
        let zero = Init::Constant(0.0);
        let up_bias = t.bias.then(|| b.add(&format!("{prefix}b_up"), (1, wide), columns, zero));
        let down = b.add(&format!("{prefix}w_down"), (inner, width), rows, deep(t));
        Self { up, up_bias, down, activation }
    }

    fn forward<T: Float>(&self, c: &Context<'_, T>, x: &Matrix<T>) -> (Matrix<T>, DenseSaved<T>) {
        let bias = self.up_bias.map(|place| c.weights.vector(place));
        let up = linear::forward(x.view(), c.weights.matrix(self.up), bias);
        let inner = self.activation.forward(&up);
        (product(inner.view(), c.weights.matrix(self.down)), DenseSaved { up, inner })
    }
}

impl Mixture {
    fn new(b: &mut Builder, t: &Transformer, e: &Experts, split: Split) -> Self {
        let (width, experts) = (t.d_model as usize, e.count as usize);
        let (inner, activation) = (e.d_expert as usize, activation(t));
        let wide = activation.widening() * inner;
        let own = part(experts, split.expert.1, split.expert.0);
        let mine = part(inner, split.tensor.1, split.tensor.0);
        let is_whole = split.expert.1 == 1 && split.tensor.1 == 1;
        let cut = |rows, columns| if is_whole { Cut::Whole } else { Cut::Both(rows, columns) };
        let halves = (0..activation.widening()).map(|half| {
            let from = half * inner;
            from + mine.start..from + mine.end
        });
        let rows = own.clone().map(|e| e * width..(e + 1) * width);
        let up_cut = cut(rows.collect(), halves.collect());
        let down = own.map(|e| e * inner + mine.start..e * inner + mine.end);
        let all = std::iter::once(0..width).collect();
        let down_cut = cut(down.collect(), all);
        let router = b.add("w_router", (width, experts), Cut::Whole, SMALL);
        let up = b.add("experts.w_up", (experts * width, wide), up_cut, SMALL);
        let down = b.add("experts.w_down", (experts * inner, width), down_cut, deep(t));
        let routing = Routing { experts, top_k: e.top_k as usize, activation };
        Self { places: [router, up, down], routing }
    }

    fn weights<'a, T: Float>(&self, c: &Context<'a, T>) -> mixture::Weights<'a, T> {
        let [router, up, down] = self.places.map(|place| c.weights.matrix(place));
        mixture::Weights { router, up, down }
    }
}
