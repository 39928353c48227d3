//! Mixture of experts (Shazeer et al. 2017, arXiv:1701.06538), as in Mixtral (Jiang et al. 2024,
//! arXiv:2401.04088): each token goes to the `top_k` experts with the highest router logits; their
//! outputs are weighted by a softmax over those logits alone. No token is dropped.
//!
//! Ranks of an expert-parallel group hold consecutive experts each: rows travel to the rank of
//! their
//! expert and back. Ranks of a tensor-parallel group hold columns of every expert: outputs are
//! summands, and so are gradients of the input that come through the experts.

use super::across::Across;
use super::activation::Activation;
use super::embedding;
use crate::comm::{Fault, part};
use crate::float::Float;
use crate::gemm::{add_product, product};
use crate::matrix::{Matrix, View, ViewMut, add_scaled, dot};
use std::ops::Range;
use std::sync::Arc;

/// Weights: router `d × experts`; up `own·d × w`, down `own·f × d`, one own expert after the other.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a, T: Float> {
    /// Router.
    pub router: View<'a, T>,
    /// Into the experts.
    pub up: View<'a, T>,
    /// Out of the experts.
    pub down: View<'a, T>,
}

/// Where the gradients of [`Weights`] are added.
#[derive(Debug)]
pub struct Gradients<'a, T: Float> {
    /// Router.
    pub router: ViewMut<'a, T>,
    /// Into the experts.
    pub up: ViewMut<'a, T>,
    /// Out of the experts.
    pub down: ViewMut<'a, T>,
}

/// How tokens are routed.
#[derive(Clone, Copy, Debug)]
pub struct Routing {
    /// Experts.
    pub experts: usize,
    /// Experts per token.
    pub top_k: usize,
    /// Activation inside the experts.
    pub activation: Activation,
}

/// Tokens in the order in which they are sent: by expert, then by token.
#[derive(Clone, Debug)]
struct Routes<T: Float> {
    tokens: Vec<u32>,
    /// Weight of each among the token's experts.
    weights: Vec<T>,
    /// Rows of each expert.
    ranges: Vec<Range<usize>>,
}

/// Rows as they lie where their experts are: by own expert, then by rank, then by token.
#[derive(Clone, Debug)]
struct Arrivals {
    /// Rows of each own expert.
    ranges: Vec<Range<usize>>,
    /// For each rank, in the order in which it sent them, where its rows lie.
    places: Vec<Vec<usize>>,
}

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub struct Saved<T: Float> {
    x: Arc<Matrix<T>>,
    routes: Routes<T>,
    arrivals: Arrivals,
    /// Inputs of the own experts, and what is between their products.
    inputs: Matrix<T>,
    up: Matrix<T>,
    /// Outputs of the experts, before their weights, as the tokens were sent.
    outputs: Matrix<T>,
}

impl<T: Float> Saved<T> {
    /// Bytes held, without the input.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let rows = self.inputs.bytes() + self.up.bytes() + self.outputs.bytes();
        rows + self.routes.tokens.len() * (4 + T::BYTES)
    }
}

/// What is left for the gradients of the weights.
#[derive(Clone, Debug)]
pub struct Pending<T: Float> {
    x: Arc<Matrix<T>>,
    ranges: Vec<Range<usize>>,
    inputs: Matrix<T>,
    up: Matrix<T>,
    dup: Matrix<T>,
    doutputs: Matrix<T>,
    dlogits: Matrix<T>,
    activation: Activation,
}

/// Gradients of the input: the summand that came through the experts, what came through the router,
/// and what is left for the weights.
pub type Backward<T> = (Matrix<T>, Matrix<T>, Pending<T>);

/// The ranks that share the experts.
#[derive(Clone, Copy)]
pub struct Ranks<'a, T: Float> {
    /// They hold other columns.
    pub tensor: &'a dyn Across<T>,
    /// They hold other experts.
    pub expert: &'a dyn Across<T>,
}

impl Routing {
    /// The experts of a token, highest logit first (the lower expert on a tie), and their weights.
    fn choose<T: Float>(&self, logits: &[T]) -> Vec<(usize, T)> {
        let mut order: Vec<usize> = (0..logits.len()).collect();
        let higher = |a: &usize, b: &usize| logits[*b].partial_cmp(&logits[*a]);
        order.sort_by(|a, b| higher(a, b).unwrap_or(std::cmp::Ordering::Equal).then(a.cmp(b)));
        order.truncate(self.top_k);
        let most = order.first().map_or(T::ZERO, |&e| logits[e]);
        let powers: Vec<T> = order.iter().map(|&e| (logits[e] - most).exp()).collect();
        let sum: T = powers.iter().copied().sum();
        order.into_iter().zip(powers).map(|(e, p)| (e, p / sum)).collect()
    }

    fn routes<T: Float>(&self, logits: &Matrix<T>) -> Routes<T> {
        let mut by_expert: Vec<Vec<(u32, T)>> = vec![Vec::new(); self.experts];
        for token in 0..logits.rows() {
            for (expert, weight) in self.choose(logits.row(token)) {
                by_expert[expert].push((token as u32, weight));
            }
        }
        let ranges = ranges(by_expert.iter().map(Vec::len));
        let (tokens, weights) = by_expert.into_iter().flatten().unzip();
        Routes { tokens, weights, ranges }
    }

    /// Summands of the outputs of the mixture.
    ///
    /// # Errors
    /// The ranks that share the experts cannot go on.
    pub fn forward<T: Float>(
        &self,
        w: &Weights<'_, T>,
        x: &Arc<Matrix<T>>,
        ranks: Ranks<'_, T>,
    ) -> Result<(Matrix<T>, Saved<T>), Fault> {
        let routes = self.routes(&product(x.view(), w.router));
        let arrivals = self.arrivals(&routes, ranks.expert)?;
        let sent = embedding::forward(x.view(), 0, &routes.tokens);
        let inputs = self.dispatch(sent, &routes, &arrivals, ranks.expert)?;
        let mut up = Matrix::zeros(inputs.rows(), w.up.cols());
        for (e, rows) in arrivals.ranges.iter().enumerate() {
            let weight = expert(w.up, e, x.cols());
            add_product(up.rows_mut(rows.clone()), inputs.rows_view(rows.clone()), weight);
        }
        let inner = self.activation.forward(&up);
        let mut there = Matrix::zeros(inputs.rows(), w.down.cols());
        for (e, rows) in arrivals.ranges.iter().enumerate() {
            let weight = expert(w.down, e, inner.cols());
            add_product(there.rows_mut(rows.clone()), inner.rows_view(rows.clone()), weight);
        }
        let outputs = self.combine(there, &routes, &arrivals, ranks.expert)?;
        let mut y = Matrix::zeros(x.rows(), w.down.cols());
        for (row, &token) in routes.tokens.iter().enumerate() {
            add_scaled(y.row_mut(token as usize), routes.weights[row], outputs.row(row));
        }
        Ok((y, Saved { x: x.clone(), routes, arrivals, inputs, up, outputs }))
    }

    /// Gradients of the input.
    ///
    /// # Errors
    /// The ranks that share the experts cannot go on.
    pub fn backward<T: Float>(
        &self,
        w: &Weights<'_, T>,
        saved: Saved<T>,
        dy: View<'_, T>,
        ranks: Ranks<'_, T>,
    ) -> Result<Backward<T>, Fault> {
        let Saved { x, routes, arrivals, inputs, up, outputs } = saved;
        let mut sent = embedding::forward(dy, 0, &routes.tokens);
        let mut dweights: Vec<T> =
            (0..outputs.rows()).map(|row| dot(outputs.row(row), sent.row(row))).collect();
        ranks.tensor.sum(&mut dweights)?;
        for (row, &weight) in routes.weights.iter().enumerate() {
            sent.row_mut(row).iter_mut().for_each(|d| *d *= weight);
        }
        let doutputs = self.dispatch(sent, &routes, &arrivals, ranks.expert)?;
        let mut dinner = Matrix::zeros(up.rows(), up.cols() / self.activation.widening());
        for (e, rows) in arrivals.ranges.iter().enumerate() {
            let weight = expert(w.down, e, dinner.cols()).t();
            add_product(dinner.rows_mut(rows.clone()), doutputs.rows_view(rows.clone()), weight);
        }
        let dup = self.activation.backward(&up, &dinner);
        let mut dinputs = Matrix::zeros(inputs.rows(), inputs.cols());
        for (e, rows) in arrivals.ranges.iter().enumerate() {
            let weight = expert(w.up, e, x.cols()).t();
            add_product(dinputs.rows_mut(rows.clone()), dup.rows_view(rows.clone()), weight);
        }
        let dsent = self.combine(dinputs, &routes, &arrivals, ranks.expert)?;
        let mut through = Matrix::zeros(x.rows(), x.cols());
        embedding::backward(through.view_mut(), 0, &routes.tokens, dsent.view());
        let dlogits = router_gradient(&routes, &dweights, x.rows());
        let dx = product(dlogits.view(), w.router.t());
        let (ranges, activation) = (arrivals.ranges, self.activation);
        Ok((through, dx, Pending { x, ranges, inputs, up, dup, doutputs, dlogits, activation }))
    }

    /// The rows of a rank's experts, among those that are sent.
    fn rows_of<T: Float>(&self, routes: &Routes<T>, n: usize, rank: usize) -> Range<usize> {
        let experts = part(self.experts, n, rank);
        let start = |e: usize| routes.ranges.get(e).map_or(routes.tokens.len(), |r| r.start);
        start(experts.start)..start(experts.end)
    }

    /// How many rows of each rank arrive at each own expert, and where they go.
    fn arrivals<T: Float>(
        &self,
        routes: &Routes<T>,
        across: &dyn Across<T>,
    ) -> Result<Arrivals, Fault> {
        let n = across.size();
        let count = |e: usize| T::of(routes.ranges[e].len() as f64);
        let counts = (0..n).map(|rank| part(self.experts, n, rank).map(count).collect());
        let came = across.exchange(counts.collect())?;
        let own = part(self.experts, n, across.place()).len();
        let counted = |rank: usize, e: usize| {
            came.get(rank).and_then(|counts| counts.get(e)).map_or(0, |n| n.to_f64() as usize)
        };
        let total = |e: usize| (0..n).map(|rank| counted(rank, e)).sum::<usize>();
        let ranges = ranges((0..own).map(total));
        let mut places = vec![Vec::new(); n];
        for (e, rows) in ranges.iter().enumerate() {
            let mut next = rows.start;
            for (rank, places) in places.iter_mut().enumerate() {
                places.extend(next..next + counted(rank, e));
                next += counted(rank, e);
            }
        }
        Ok(Arrivals { ranges, places })
    }

    /// Takes rows to the ranks of their experts.
    fn dispatch<T: Float>(
        &self,
        sent: Matrix<T>,
        routes: &Routes<T>,
        arrivals: &Arrivals,
        across: &dyn Across<T>,
    ) -> Result<Matrix<T>, Fault> {
        let n = across.size();
        if n == 1 {
            return Ok(sent);
        }
        let rows = |rank| sent.rows_view(self.rows_of(routes, n, rank)).data.to_vec();
        let came = across.exchange((0..n).map(rows).collect())?;
        let total = arrivals.places.iter().map(Vec::len).sum();
        let places = |rank: usize| arrivals.places[rank].iter().copied();
        Ok(joined((total, sent.cols()), &came, places))
    }

    /// Takes rows back to the ranks of their tokens.
    fn combine<T: Float>(
        &self,
        there: Matrix<T>,
        routes: &Routes<T>,
        arrivals: &Arrivals,
        across: &dyn Across<T>,
    ) -> Result<Matrix<T>, Fault> {
        let n = across.size();
        if n == 1 {
            return Ok(there);
        }
        let rows = |places: &Vec<usize>| {
            places.iter().flat_map(|&place| there.row(place)).copied().collect()
        };
        let came = across.exchange(arrivals.places.iter().map(rows).collect())?;
        let size = (routes.tokens.len(), there.cols());
        Ok(joined(size, &came, |rank| self.rows_of(routes, n, rank)))
    }
}

/// Rows that came from each rank, in their places.
fn joined<T: Float, I: Iterator<Item = usize>>(
    (rows, cols): (usize, usize),
    came: &[Vec<T>],
    places: impl Fn(usize) -> I,
) -> Matrix<T> {
    let mut all = Matrix::zeros(rows, cols);
    for (rank, values) in came.iter().enumerate() {
        for (place, row) in places(rank).zip(values.chunks_exact(cols.max(1))) {
            all.row_mut(place).copy_from_slice(row);
        }
    }
    all
}

/// Consecutive ranges of these lengths.
fn ranges(lengths: impl Iterator<Item = usize>) -> Vec<Range<usize>> {
    let mut start = 0;
    let range = |length| {
        start += length;
        start - length..start
    };
    lengths.map(range).collect()
}

/// Rows of one expert in weights that lie one expert after the other.
fn expert<T: Float>(w: View<'_, T>, e: usize, rows: usize) -> View<'_, T> {
    w.block(e * rows..(e + 1) * rows, 0..w.cols())
}

/// Through the softmax over a token's experts: `dl_e = w_e (dw_e − Σ w dw)`; zero for the others.
fn router_gradient<T: Float>(routes: &Routes<T>, dweights: &[T], tokens: usize) -> Matrix<T> {
    let mut means = vec![T::ZERO; tokens];
    for (row, &token) in routes.tokens.iter().enumerate() {
        means[token as usize] += routes.weights[row] * dweights[row];
    }
    let mut dlogits = Matrix::zeros(tokens, routes.ranges.len());
    for (e, rows) in routes.ranges.iter().enumerate() {
        for row in rows.clone() {
            let token = routes.tokens[row] as usize;
            dlogits.row_mut(token)[e] = routes.weights[row] * (dweights[row] - means[token]);
        }
    }
    dlogits
}

impl<T: Float> Pending<T> {
    /// Adds the gradients of the weights.
    pub fn add(self, mut g: Gradients<'_, T>) {
        add_product(g.router, self.x.view().t(), self.dlogits.view());
        let inner = self.activation.forward(&self.up);
        for (e, rows) in self.ranges.iter().enumerate() {
            let part = |m: &mut ViewMut<'_, T>, height: usize, a: &Matrix<T>, d: &Matrix<T>| {
                let cols = m.cols;
                let target = m.again().block(e * height..(e + 1) * height, 0..cols);
                add_product(target, a.rows_view(rows.clone()).t(), d.rows_view(rows.clone()));
            };
            part(&mut g.up, self.inputs.cols(), &self.inputs, &self.dup);
            part(&mut g.down, inner.cols(), &inner, &self.doutputs);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::across::Alone;
    use crate::ops::check::{compare, matrix, weigh};

    const ALONE: Ranks<'static, f64> = Ranks { tensor: &Alone, expert: &Alone };

    const D: usize = 3;
    const F: usize = 2;
    const E: usize = 3;

    fn check(activation: Activation) {
        let routing = Routing { experts: E, top_k: 2, activation };
        let wide = F * activation.widening();
        let x = Arc::new(matrix(5, D, 1));
        let (router, up, down) = (matrix(D, E, 2), matrix(E * D, wide, 3), matrix(E * F, D, 4));
        let w = Weights { router: router.view(), up: up.view(), down: down.view() };
        let (_, saved) = routing.forward(&w, &x, ALONE).unwrap();
        let dy = matrix(5, D, 7);
        let (through, mut dx, pending) = routing.backward(&w, saved, dy.view(), ALONE).unwrap();
        dx.add(&through);
        let (mut dr, mut du) = (Matrix::zeros(D, E), Matrix::zeros(E * D, wide));
        let mut dd = Matrix::zeros(E * F, D);
        pending.add(Gradients { router: dr.view_mut(), up: du.view_mut(), down: dd.view_mut() });
        let loss = |x: &[f64], w: Weights<'_, f64>| {
            let x = Arc::new(Matrix::from_vec(5, D, x.to_vec()));
            weigh(routing.forward(&w, &x, ALONE).unwrap().0.data(), 7)
        };
        compare(x.data(), dx.data(), |x| loss(x, w));
        compare(router.data(), dr.data(), |r| {
            loss(x.data(), Weights { router: View::new(r, D, E), ..w })
        });
        compare(up.data(), du.data(), |u| {
            loss(x.data(), Weights { up: View::new(u, E * D, wide), ..w })
        });
        compare(down.data(), dd.data(), |d| {
            loss(x.data(), Weights { down: View::new(d, E * F, D), ..w })
        });
    }

    #[test]
    fn gradients_are_central_differences() {
        check(Activation::Gelu);
        check(Activation::SwiGlu);
    }

    /// ln 3 and 0 are the two highest: weights 3/4 and 1/4.
    #[test]
    fn the_highest_logits_win() {
        let routing = Routing { experts: 3, top_k: 2, activation: Activation::Gelu };
        let chosen = routing.choose(&[0.0, -5.0, 3f64.ln()]);
        assert_eq!([chosen[0].0, chosen[1].0], [2, 0]);
        assert!((chosen[0].1 - 0.75).abs() < 1e-12);
        assert_eq!(routing.choose(&[1.0, 1.0, 1.0]).iter().map(|c| c.0).sum::<usize>(), 1);
    }
}
