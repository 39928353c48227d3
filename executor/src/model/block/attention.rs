//! Self-attention: projections, positions, heads, output.

use crate::comm::{Fault, part};
use crate::float::Float;
use crate::gemm::{add_product, product};
use crate::matrix::{Matrix, View, add_rows};
use crate::model::embedding::{SMALL, sinusoids};
use crate::model::layer::Context;
use crate::model::parameter::{Builder, Cut, Gradients, Init};
use crate::ops::across::{gather_positions, scatter_positions};
use crate::ops::attention::{self, Operands, Relative, Shape};
use crate::ops::linear;
use crate::ops::rope::Rope;
use plan::model::{Positions, Stacks, Transformer};
use std::ops::Range;
use std::sync::Arc;

/// Places of the parameters, and the sizes that are held here.
#[derive(Clone, Debug)]
pub(super) struct Attention {
    qkv: usize,
    qkv_bias: Option<usize>,
    out: usize,
    out_bias: Option<usize>,
    /// Projection of relative positions, content bias, position bias.
    relative: Option<[usize; 3]>,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    is_causal: bool,
    turns: bool,
}

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub(super) struct Saved<T: Float> {
    x: Arc<Matrix<T>>,
    qkv: Matrix<T>,
    /// Keys and values of all positions up to those of this rank, where ranks share a sequence.
    shared: Option<Matrix<T>>,
    context: Matrix<T>,
    sums: Vec<T>,
    distances: Option<Distances<T>>,
}

/// Relative positions before and after their projection.
#[derive(Clone, Debug)]
struct Distances<T: Float> {
    waves: Matrix<T>,
    projected: Matrix<T>,
}

/// What is left for the gradients of the weights.
#[derive(Debug)]
pub(super) struct Pending<T: Float> {
    x: Arc<Matrix<T>>,
    dqkv: Matrix<T>,
    context: Matrix<T>,
    dy: Arc<Matrix<T>>,
    relative: Option<RelativeGradients<T>>,
}

#[derive(Debug)]
struct RelativeGradients<T: Float> {
    waves: Matrix<T>,
    distances: Matrix<T>,
    content: Vec<T>,
    position: Vec<T>,
}

impl<T: Float> Saved<T> {
    pub fn bytes(&self) -> usize {
        let distances =
            self.distances.as_ref().map_or(0, |d| d.waves.bytes() + d.projected.bytes());
        let sums = self.sums.len() * T::BYTES;
        let shared = self.shared.as_ref().map_or(0, Matrix::bytes);
        self.x.bytes() + self.qkv.bytes() + shared + self.context.bytes() + sums + distances
    }
}

impl Attention {
    pub fn new(b: &mut Builder, t: &Transformer, (place, size): (usize, usize)) -> Self {
        let (heads, kv, dim) = (t.heads as usize, t.kv_heads as usize, t.head_dim as usize);
        let width = t.d_model as usize;
        let own = |heads: usize, from: usize| {
            let held = part(heads, size, place);
            (from + held.start) * dim..(from + held.end) * dim
        };
        let columns = vec![own(heads, 0), own(kv, heads), own(kv, heads + kv)];
        let cut = |cut| if size == 1 { Cut::Whole } else { cut };
        let all = (heads + 2 * kv) * dim;
        let qkv = b.add("w_qkv", (width, all), cut(Cut::Columns(columns.clone())), SMALL);
        let zero = Init::Constant(0.0);
        // Transformer-XL projects queries, keys and values without bias.
        let has_bias = (t.bias || t.qkv_bias) && t.memory_length == 0;
        let qkv_bias = has_bias.then(|| b.add("b_qkv", (1, all), cut(Cut::Columns(columns)), zero));
        let rows = own(heads, 0);
        let relative = (t.positions == Positions::Relative).then(|| {
            let mine = || cut(Cut::Columns(vec![rows.clone()]));
            let w = b.add("w_r", (width, heads * dim), mine(), SMALL);
            let u = b.add("content_bias", (1, heads * dim), mine(), zero);
            [w, u, b.add("position_bias", (1, heads * dim), mine(), zero)]
        });
        let out = b.add("w_out", (heads * dim, width), cut(Cut::Rows(rows)), deep(t));
        let out_bias = t.bias.then(|| b.vector("b_out", width, zero));
        Self {
            qkv,
            qkv_bias,
            out,
            out_bias,
            relative,
            heads: heads / size,
            kv_heads: kv / size,
            head_dim: dim,
            is_causal: t.stacks == Stacks::Decoder,
            turns: t.positions == Positions::Rope,
        }
    }

    fn columns(&self) -> [Range<usize>; 3] {
        let (q, kv) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        [0..q, q..q + kv, q + kv..q + 2 * kv]
    }

    fn shape<T: Float>(&self, c: &Context<'_, T>, keys: usize) -> Shape {
        let (batch, queries) = (c.batch.sequences, c.batch.length);
        let Self { heads, kv_heads, head_dim, is_causal, .. } = *self;
        Shape { batch, queries, keys: keys / batch, heads, kv_heads, head_dim, is_causal }
    }

    fn rope<T: Float>(&self, c: &Context<'_, T>) -> Rope {
        let (heads, head_dim) = (self.heads + self.kv_heads, self.head_dim);
        Rope { heads, head_dim, sequence: c.batch.length, first: c.batch.first }
    }

    /// Keys and values of the positions that this rank's queries may look at: all, or with causal
    /// attention those up to its own. `None` where nobody else has any.
    fn gather<T: Float>(
        &self,
        c: &Context<'_, T>,
        qkv: &Matrix<T>,
    ) -> Result<Option<Matrix<T>>, Fault> {
        if c.groups.context.size() == 1 {
            return Ok(None);
        }
        let [_, k, v] = self.columns();
        let own = qkv.view().columns(k.start..v.end).to_matrix();
        let all = gather_positions(&own, c.batch.sequences, c.groups.context)?;
        if !self.is_causal {
            return Ok(Some(all));
        }
        let (length, seen) = (all.rows() / c.batch.sequences, c.batch.first + c.batch.length);
        let kept = all.data().chunks_exact(length * all.cols());
        let kept: Vec<T> = kept.flat_map(|s| &s[..seen * all.cols()]).copied().collect();
        Ok(Some(Matrix::from_vec(seen * c.batch.sequences, all.cols(), kept)))
    }

    /// Gradients of the own keys and values: those that all ranks computed, summed. Positions
    /// behind the own ones have none from here.
    fn scatter<T: Float>(
        &self,
        c: &Context<'_, T>,
        g: &HeadGradients<T>,
    ) -> Result<Matrix<T>, Fault> {
        let (sequences, width) = (c.batch.sequences, g.k.cols());
        let length = c.batch.length * c.groups.context.size();
        let seen = g.k.rows() / sequences;
        let mut all = Matrix::zeros(sequences * length, 2 * width);
        for row in 0..g.k.rows() {
            let into = all.row_mut(row / seen * length + row % seen);
            into[..width].copy_from_slice(g.k.row(row));
            into[width..].copy_from_slice(g.v.row(row));
        }
        scatter_positions(&all, sequences, c.groups.context)
    }

    /// Queries of present positions: with a cache, rows of `qkv` include cached ones.
    fn queries<T: Float>(&self, qkv: &Matrix<T>, shape: &Shape) -> Matrix<T> {
        let columns = self.columns()[0].clone();
        let present = qkv.rows() / shape.batch;
        let cached = present - shape.queries;
        let row = |i: usize| {
            let (sequence, position) = (i / shape.queries, i % shape.queries);
            sequence * present + cached + position
        };
        let mut queries = Matrix::zeros(shape.batch * shape.queries, columns.len());
        for i in 0..queries.rows() {
            queries.row_mut(i).copy_from_slice(&qkv.row(row(i))[columns.clone()]);
        }
        queries
    }

    fn distances<T: Float>(&self, c: &Context<'_, T>, keys: usize) -> Option<Distances<T>> {
        let [w, ..] = self.relative?;
        let w = c.weights.matrix(w);
        let waves = sinusoids(keys, w.rows());
        let projected = product(waves.view(), w);
        Some(Distances { waves, projected })
    }

    fn operands<'a, T: Float>(
        &self,
        c: &Context<'a, T>,
        (qkv, shared): (&'a Matrix<T>, Option<&'a Matrix<T>>),
        q: &'a Matrix<T>,
        distances: Option<&'a Distances<T>>,
    ) -> Operands<'a, T> {
        let [_, k, v] = self.columns();
        let relative = self.relative.zip(distances).map(|([_, u, w], d)| Relative {
            distances: d.projected.view(),
            content: c.weights.vector(u),
            position: c.weights.vector(w),
        });
        let start = k.start;
        let columns = |range: Range<usize>| match shared {
            Some(kv) => kv.view().columns(range.start - start..range.end - start),
            None => qkv.view().columns(range),
        };
        Operands { q: q.view(), k: columns(k), v: columns(v), relative }
    }

    /// Forward pass; `x` holds the positions between layers, or all of them.
    pub fn forward<T: Float>(
        &self,
        c: &Context<'_, T>,
        x: Arc<Matrix<T>>,
        is_whole: bool,
    ) -> Result<(Matrix<T>, Saved<T>), Fault> {
        let x = if is_whole { x } else { c.enter(&x)? };
        let bias = self.qkv_bias.map(|place| c.weights.vector(place));
        let mut qkv = linear::forward(x.view(), c.weights.matrix(self.qkv), bias);
        if self.turns {
            self.rope(c).forward(qkv.view_mut());
        }
        let shared = self.gather(c, &qkv)?;
        let shape = self.shape(c, shared.as_ref().map_or(x.rows(), Matrix::rows));
        let q = self.queries(&qkv, &shape);
        let distances = self.distances(c, shape.keys);
        let operands = self.operands(c, (&qkv, shared.as_ref()), &q, distances.as_ref());
        let (context, sums) = attention::forward(&shape, &operands);
        let mut y = c.leave(product(context.view(), c.weights.matrix(self.out)))?;
        if let Some(bias) = self.out_bias {
            linear::add_bias(&mut y, c.weights.vector(bias));
        }
        Ok((y, Saved { x, qkv, shared, context, sums, distances }))
    }

    /// Gradient of the input; where that was whole, the summand of this rank.
    pub fn backward<T: Float>(
        &self,
        c: &Context<'_, T>,
        saved: Saved<T>,
        dy: Arc<Matrix<T>>,
        is_whole: bool,
    ) -> Result<(Matrix<T>, Pending<T>), Fault> {
        let Saved { x, qkv, shared, context, sums, distances } = saved;
        let dy = c.enter(&dy)?;
        let shape = self.shape(c, shared.as_ref().map_or(x.rows(), Matrix::rows));
        let dcontext = linear::backward_input(c.weights.matrix(self.out), dy.view());
        let q = self.queries(&qkv, &shape);
        let operands = self.operands(c, (&qkv, shared.as_ref()), &q, distances.as_ref());
        let mut gradients = HeadGradients::new(&shape, distances.as_ref());
        let into = gradients.views();
        attention::backward(&shape, &operands, (&context, &sums), &dcontext, into);
        let mut dqkv = match &shared {
            Some(_) => self.beside(&gradients.q, &self.scatter(c, &gradients)?),
            None => self.join(&shape, &gradients),
        };
        if self.turns {
            self.rope(c).backward(dqkv.view_mut());
        }
        let dx = linear::backward_input(c.weights.matrix(self.qkv), dqkv.view());
        let dx = if is_whole { dx } else { c.leave(dx)? };
        let relative = distances.map(|d| RelativeGradients {
            waves: d.waves,
            distances: gradients.distances,
            content: gradients.content,
            position: gradients.position,
        });
        Ok((dx, Pending { x, dqkv, context, dy, relative }))
    }

    /// Gradients of queries, keys and values beside each other, as they were projected.
    fn join<T: Float>(&self, shape: &Shape, g: &HeadGradients<T>) -> Matrix<T> {
        let [q, k, v] = self.columns();
        let mut all = Matrix::zeros(shape.batch * shape.keys, v.end);
        let cached = shape.keys - shape.queries;
        for row in 0..all.rows() {
            let (sequence, position) = (row / shape.keys, row % shape.keys);
            let into = all.row_mut(row);
            into[k.clone()].copy_from_slice(g.k.row(row));
            into[v.clone()].copy_from_slice(g.v.row(row));
            if let Some(position) = position.checked_sub(cached) {
                into[q.clone()].copy_from_slice(g.q.row(sequence * shape.queries + position));
            }
        }
        all
    }

    /// Gradients of queries beside those of keys and values.
    fn beside<T: Float>(&self, q: &Matrix<T>, kv: &Matrix<T>) -> Matrix<T> {
        let [queries, _, v] = self.columns();
        let mut all = Matrix::zeros(q.rows(), v.end);
        for row in 0..q.rows() {
            let (left, right) = all.row_mut(row).split_at_mut(queries.end);
            left.copy_from_slice(q.row(row));
            right.copy_from_slice(kv.row(row));
        }
        all
    }

    pub fn add<T: Float>(&self, pending: Pending<T>, g: &mut Gradients<'_, T>) {
        let Pending { x, dqkv, context, dy, relative } = pending;
        let bias = self.qkv_bias.map(|place| g.vector(place));
        linear::backward_weight(x.view(), dqkv.view(), g.matrix(self.qkv), bias);
        add_product(g.matrix(self.out), context.view().t(), dy.view());
        if let Some(bias) = self.out_bias {
            add_rows(g.vector(bias), dy.view());
        }
        if let (Some([w, u, p]), Some(relative)) = (self.relative, relative) {
            add_product(g.matrix(w), relative.waves.view().t(), relative.distances.view());
            crate::matrix::add(g.vector(u), &relative.content);
            crate::matrix::add(g.vector(p), &relative.position);
        }
    }
}

/// Gradients of the operands of the heads.
struct HeadGradients<T: Float> {
    q: Matrix<T>,
    k: Matrix<T>,
    v: Matrix<T>,
    distances: Matrix<T>,
    content: Vec<T>,
    position: Vec<T>,
}

impl<T: Float> HeadGradients<T> {
    fn new(s: &Shape, distances: Option<&Distances<T>>) -> Self {
        let (q, kv) = (s.heads * s.head_dim, s.kv_heads * s.head_dim);
        let projected = distances.map(|d| d.projected.view());
        let (rows, cols) =
            projected.as_ref().map_or((0, 0), |v: &View<'_, T>| (v.rows(), v.cols()));
        Self {
            q: Matrix::zeros(s.batch * s.queries, q),
            k: Matrix::zeros(s.batch * s.keys, kv),
            v: Matrix::zeros(s.batch * s.keys, kv),
            distances: Matrix::zeros(rows, cols),
            content: vec![T::ZERO; cols],
            position: vec![T::ZERO; cols],
        }
    }

    fn views(&mut self) -> attention::Gradients<'_, T> {
        let has_relative = self.distances.rows() > 0;
        let relative = (self.distances.view_mut(), &mut self.content[..], &mut self.position[..]);
        attention::Gradients {
            q: self.q.view_mut(),
            k: self.k.view_mut(),
            v: self.v.view_mut(),
            relative: has_relative.then_some(relative),
        }
    }
}

/// Outputs into the residual stream start smaller the more of them there are (Radford et al. 2019,
/// GPT-2: by `1/√(2 layers)`).
pub(super) fn deep(t: &Transformer) -> Init {
    Init::Normal { deviation: 0.02 / (2.0 * f64::from(t.layers)).sqrt() }
}
