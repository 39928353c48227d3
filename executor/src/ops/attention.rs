//! Attention of every head, in blocks of queries: `softmax(q kᵀ/√d) v` (Vaswani et al. 2017,
//! arXiv:1706.03762). Scores are not kept: one log-sum-exp per query brings the probabilities back
//! (Dao et al. 2022, arXiv:2205.14135).
//!
//! Columns of queries are `heads × head_dim`; several query heads may share one key and value head.
//! With positions relative to the key (Dai et al. 2019, arXiv:1901.02860) a score is
//! `(q_i + u)·k_j + (q_i + w)·r_{i−j}` with learned `u`, `w` and one row `r` per distance.

use super::loss::exponentials;
use crate::float::Float;
use crate::gemm::{add_product, gemm, product};
use crate::matrix::{Matrix, View, ViewMut, add, add_rows, dot, largest};
use crate::threads::map_each;
use std::ops::Range;

/// Queries per block: what lies beyond the last allowed key of a block is not computed.
const BLOCK: usize = 64;

/// Sizes.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Sequences.
    pub batch: usize,
    /// Queries per sequence.
    pub queries: usize,
    /// Keys per sequence; the last query stands at the last key.
    pub keys: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Whether a query sees keys up to its own position only.
    pub is_causal: bool,
}

/// Operands; rows are `sequence · length + position`.
#[derive(Clone, Copy, Debug)]
pub struct Operands<'a, T: Float> {
    /// `heads × head_dim` columns.
    pub q: View<'a, T>,
    /// `kv_heads × head_dim` columns.
    pub k: View<'a, T>,
    /// `kv_heads × head_dim` columns.
    pub v: View<'a, T>,
    /// Relative positions, where there are some.
    pub relative: Option<Relative<'a, T>>,
}

/// Relative positions; needs `is_causal`.
#[derive(Clone, Copy, Debug)]
pub struct Relative<'a, T: Float> {
    /// One row per distance, from 0; `heads × head_dim` columns.
    pub distances: View<'a, T>,
    /// `u`, for all heads.
    pub content: &'a [T],
    /// `w`, for all heads.
    pub position: &'a [T],
}

/// Where gradients of the operands are added.
#[derive(Debug)]
pub struct Gradients<'a, T: Float> {
    /// Of the queries.
    pub q: ViewMut<'a, T>,
    /// Of the keys.
    pub k: ViewMut<'a, T>,
    /// Of the values.
    pub v: ViewMut<'a, T>,
    /// Of the relative positions: distances, `u`, `w`.
    pub relative: Option<(ViewMut<'a, T>, &'a mut [T], &'a mut [T])>,
}

/// One block of queries of one head.
struct Block<'a, T: Float> {
    q: View<'a, T>,
    k: View<'a, T>,
    v: View<'a, T>,
    /// Queries with `u` and with `w` added, distances.
    biased: Option<(Matrix<T>, Matrix<T>, View<'a, T>)>,
    /// Key position of the first query.
    first: usize,
    is_causal: bool,
}

impl Shape {
    fn scale<T: Float>(&self) -> T {
        T::ONE / T::of(self.head_dim as f64).sqrt()
    }

    fn blocks(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let queries = self.queries;
        (0..queries).step_by(BLOCK).map(move |start| start..(start + BLOCK).min(queries))
    }

    /// Sequences and heads.
    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let heads = self.heads;
        (0..self.batch * heads).map(move |n| (n / heads, n % heads))
    }

    fn columns(&self, head: usize) -> Range<usize> {
        head * self.head_dim..(head + 1) * self.head_dim
    }

    fn kv_columns(&self, head: usize) -> Range<usize> {
        self.columns(head / (self.heads / self.kv_heads))
    }

    /// The heads that share one key and value head, as if there were no others.
    fn alone(&self) -> Self {
        Self { heads: self.heads / self.kv_heads.max(1), kv_heads: 1, ..*self }
    }

    /// Columns of the query heads that share a key and value head.
    fn own(&self, kv: usize) -> Range<usize> {
        let width = self.alone().heads * self.head_dim;
        kv * width..(kv + 1) * width
    }

    /// Log-sum-exps of a sequence.
    fn per_sequence(&self) -> usize {
        self.heads * self.queries
    }

    /// Where those of the heads that share a key and value head are, by sequence.
    fn own_sums(&self, kv: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let (all, own) = (self.per_sequence(), self.alone().per_sequence());
        (0..self.batch).map(move |s| s * all + kv * own..s * all + (kv + 1) * own)
    }

    /// Keys that a block of queries may see.
    fn seen(&self, block: &Range<usize>) -> usize {
        if self.is_causal { self.keys - self.queries + block.end } else { self.keys }
    }

    fn block<'a, T: Float>(
        &self,
        x: &Operands<'a, T>,
        (sequence, head): (usize, usize),
        block: &Range<usize>,
    ) -> Block<'a, T> {
        let (at, seen) = (sequence * self.queries, self.seen(block));
        let rows = at + block.start..at + block.end;
        let keys = sequence * self.keys..sequence * self.keys + seen;
        let columns = self.columns(head);
        let q = x.q.block(rows, columns.clone());
        let biased = x.relative.map(|r| {
            let plus = |bias: &[T]| {
                let mut biased = q.to_matrix();
                super::linear::add_bias(&mut biased, &bias[columns.clone()]);
                biased
            };
            (plus(r.content), plus(r.position), r.distances.block(0..seen, columns.clone()))
        });
        Block {
            q,
            k: x.k.block(keys.clone(), self.kv_columns(head)),
            v: x.v.block(keys, self.kv_columns(head)),
            biased,
            first: self.keys - self.queries + block.start,
            is_causal: self.is_causal,
        }
    }
}

impl<'a, T: Float> Operands<'a, T> {
    /// The heads that share one key and value head.
    fn part(&self, shape: &Shape, kv: usize) -> Self {
        let (own, shared) = (shape.own(kv), shape.columns(kv));
        let relative = self.relative.map(|r| Relative {
            distances: r.distances.columns(own.clone()),
            content: &r.content[own.clone()],
            position: &r.position[own.clone()],
        });
        let (k, v) = (self.k.columns(shared.clone()), self.v.columns(shared));
        Self { q: self.q.columns(own), k, v, relative }
    }
}

impl<T: Float> Block<'_, T> {
    /// Keys that query `i` of the block may see.
    fn seen(&self, i: usize) -> usize {
        if self.is_causal { self.first + i + 1 } else { self.k.rows() }
    }

    fn scores(&self, scale: T) -> Matrix<T> {
        let mut scores = Matrix::zeros(self.q.rows(), self.k.rows());
        let Some((content, position, distances)) = &self.biased else {
            gemm(scores.view_mut(), T::ZERO, scale, self.q, self.k.t());
            return scores;
        };
        gemm(scores.view_mut(), T::ZERO, scale, content.view(), self.k.t());
        let far = product(position.view(), distances.t());
        for i in 0..scores.rows() {
            let seen = self.seen(i);
            let near = far.row(i)[..seen].iter().rev();
            scores.row_mut(i).iter_mut().zip(near).for_each(|(s, &f)| *s += scale * f);
        }
        scores
    }

    /// Turns scores into probabilities; returns the log-sum-exp of every query.
    fn softmax(&self, scores: &mut Matrix<T>) -> Vec<T> {
        let row = |i: usize| {
            let seen = self.seen(i);
            let (row, hidden) = scores.row_mut(i).split_at_mut(seen);
            hidden.fill(T::ZERO);
            let most = largest(row);
            let sum = exponentials(row, most);
            row.iter_mut().for_each(|s| *s = *s / sum);
            most + sum.ln()
        };
        (0..self.q.rows()).map(row).collect()
    }

    /// Turns scores into the probabilities that had this log-sum-exp.
    fn probabilities(&self, scores: &mut Matrix<T>, sums: &[T]) {
        for (i, &sum) in sums.iter().enumerate() {
            let (row, hidden) = scores.row_mut(i).split_at_mut(self.seen(i));
            exponentials(row, sum);
            hidden.fill(T::ZERO);
        }
    }
}

/// Returns the outputs (`heads × head_dim` columns) and, per sequence, head and query, the
/// log-sum-exp of its scores.
#[must_use]
pub fn forward<T: Float>(shape: &Shape, x: &Operands<'_, T>) -> (Matrix<T>, Vec<T>) {
    let alone = shape.alone();
    let parts = (0..shape.kv_heads).map(|kv| x.part(shape, kv)).collect();
    let parts = map_each(parts, |x| forward_alone(&alone, &x));
    let mut out = Matrix::zeros(shape.batch * shape.queries, shape.heads * shape.head_dim);
    let mut sums = vec![T::ZERO; shape.batch * shape.heads * shape.queries];
    for (kv, (part, own)) in parts.iter().enumerate() {
        put(out.view_mut().columns(shape.own(kv)), part);
        for (at, own) in shape.own_sums(kv).zip(own.chunks_exact(alone.per_sequence().max(1))) {
            sums[at].copy_from_slice(own);
        }
    }
    (out, sums)
}

/// Heads that share keys and values.
fn forward_alone<T: Float>(shape: &Shape, x: &Operands<'_, T>) -> (Matrix<T>, Vec<T>) {
    let mut out = Matrix::zeros(shape.batch * shape.queries, shape.heads * shape.head_dim);
    let mut sums = Vec::with_capacity(shape.batch * shape.heads * shape.queries);
    for (sequence, head) in shape.pairs() {
        for queries in shape.blocks() {
            let block = shape.block(x, (sequence, head), &queries);
            let mut scores = block.scores(shape.scale());
            sums.extend(block.softmax(&mut scores));
            let at = sequence * shape.queries;
            let rows = at + queries.start..at + queries.end;
            let target = out.view_mut().block(rows, shape.columns(head));
            gemm(target, T::ZERO, T::ONE, scores.view(), block.v);
        }
    }
    (out, sums)
}

fn put<T: Float>(mut into: ViewMut<'_, T>, part: &Matrix<T>) {
    (0..part.rows()).for_each(|row| into.row_mut(row).copy_from_slice(part.row(row)));
}

fn add_to<T: Float>(mut into: ViewMut<'_, T>, part: &Matrix<T>) {
    (0..part.rows()).for_each(|row| add(into.row_mut(row), part.row(row)));
}

/// Gradients of heads that share keys and values.
struct Part<T: Float> {
    q: Matrix<T>,
    k: Matrix<T>,
    v: Matrix<T>,
    relative: Option<(Matrix<T>, Vec<T>, Vec<T>)>,
}

/// Adds the gradients of the operands, from the outputs, their log-sum-exps and the gradient of the
/// outputs.
pub fn backward<T: Float>(
    shape: &Shape,
    x: &Operands<'_, T>,
    (out, sums): (&Matrix<T>, &[T]),
    dout: &Matrix<T>,
    mut g: Gradients<'_, T>,
) {
    let alone = shape.alone();
    let parts = map_each((0..shape.kv_heads).collect(), |kv| {
        let own: Vec<T> = shape.own_sums(kv).flat_map(|at| &sums[at]).copied().collect();
        let [out, dout] = [out, dout].map(|m| m.view().columns(shape.own(kv)));
        backward_alone(&alone, &x.part(shape, kv), (out, &own), dout)
    });
    for (kv, part) in parts.into_iter().enumerate() {
        let (own, shared) = (shape.own(kv), shape.columns(kv));
        add_to(g.q.again().columns(own.clone()), &part.q);
        add_to(g.k.again().columns(shared.clone()), &part.k);
        add_to(g.v.again().columns(shared), &part.v);
        if let (Some((r, u, w)), Some((dr, du, dw))) = (&mut g.relative, part.relative) {
            add_to(r.again().columns(own.clone()), &dr);
            add(&mut u[own.clone()], &du);
            add(&mut w[own], &dw);
        }
    }
}

fn backward_alone<T: Float>(
    shape: &Shape,
    x: &Operands<'_, T>,
    (out, sums): (View<'_, T>, &[T]),
    dout: View<'_, T>,
) -> Part<T> {
    let zeros = |m: View<'_, T>| Matrix::zeros(m.rows(), m.cols());
    let relative = x.relative.map(|r| {
        let bias = vec![T::ZERO; r.content.len()];
        (zeros(r.distances), bias.clone(), bias)
    });
    let mut part = Part { q: zeros(x.q), k: zeros(x.k), v: zeros(x.v), relative };
    let mut g = part.views();
    for (n, (sequence, head)) in shape.pairs().enumerate() {
        for queries in shape.blocks() {
            let block = shape.block(x, (sequence, head), &queries);
            let at = sequence * shape.queries;
            let rows = at + queries.start..at + queries.end;
            let sums = &sums[n * shape.queries..][queries.clone()];
            let mut scores = block.scores(shape.scale());
            block.probabilities(&mut scores, sums);
            let columns = shape.columns(head);
            let dout = dout.block(rows.clone(), columns.clone());
            let seen = sequence * shape.keys..sequence * shape.keys + block.k.rows();
            let values = g.v.again().block(seen.clone(), shape.kv_columns(head));
            add_product(values, scores.view().t(), dout);
            let out = out.block(rows.clone(), columns);
            score_gradients(&block, &mut scores, out, dout, shape.scale());
            add_scores(shape, &block, &scores, &mut g, (rows, seen, head));
        }
    }
    part
}

impl<T: Float> Part<T> {
    fn views(&mut self) -> Gradients<'_, T> {
        let relative = self.relative.as_mut();
        Gradients {
            q: self.q.view_mut(),
            k: self.k.view_mut(),
            v: self.v.view_mut(),
            relative: relative.map(|(r, u, w)| (r.view_mut(), &mut u[..], &mut w[..])),
        }
    }
}

/// Turns probabilities `p` into gradients of unscaled scores, `p ∘ (dp − Σ p dp)/√d` with
/// `dp = dout vᵀ`; the sum is `out · dout`.
fn score_gradients<T: Float>(
    block: &Block<'_, T>,
    p: &mut Matrix<T>,
    out: View<'_, T>,
    dout: View<'_, T>,
    scale: T,
) {
    let dp = product(dout, block.v.t());
    for i in 0..p.rows() {
        let mean = dot(out.row(i), dout.row(i));
        let pairs = p.row_mut(i).iter_mut().zip(dp.row(i));
        pairs.for_each(|(p, &d)| *p *= (d - mean) * scale);
    }
}

fn add_scores<T: Float>(
    shape: &Shape,
    block: &Block<'_, T>,
    ds: &Matrix<T>,
    g: &mut Gradients<'_, T>,
    (rows, seen, head): (Range<usize>, Range<usize>, usize),
) {
    let columns = shape.columns(head);
    let dk = g.k.again().block(seen, shape.kv_columns(head));
    let mut dq = product(ds.view(), block.k);
    match (&block.biased, &mut g.relative) {
        (Some((content, position, distances)), Some((drelative, du, dw))) => {
            add_product(dk, ds.view().t(), content.view());
            add_rows(&mut du[columns.clone()], dq.view());
            let far = by_distance(block, ds);
            let dposition = product(far.view(), *distances);
            add_rows(&mut dw[columns.clone()], dposition.view());
            let dr = drelative.again().block(0..far.cols(), columns.clone());
            add_product(dr, far.view().t(), position.view());
            dq.add(&dposition);
        }
        _ => add_product(dk, ds.view().t(), block.q),
    }
    add_to(g.q.again().block(rows, columns), &dq);
}

/// Columns by key, turned into columns by distance.
fn by_distance<T: Float>(block: &Block<'_, T>, ds: &Matrix<T>) -> Matrix<T> {
    let mut far = Matrix::zeros(ds.rows(), ds.cols());
    for i in 0..ds.rows() {
        let near = ds.row(i)[..block.seen(i)].iter().rev();
        far.row_mut(i).iter_mut().zip(near).for_each(|(f, &d)| *f = d);
    }
    far
}

#[cfg(test)]
mod tests;
