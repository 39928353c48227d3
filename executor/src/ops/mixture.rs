//! Mixture of experts (Shazeer et al. 2017, arXiv:1701.06538), as in Mixtral (Jiang et al. 2024,
//! arXiv:2401.04088): each token goes to the `top_k` experts with the highest router logits; their
//! outputs are weighted by a softmax over those logits alone. No token is dropped.

use super::activation::Activation;
use super::embedding;
use crate::float::Float;
use crate::gemm::{add_product, product};
use crate::matrix::{Matrix, View, ViewMut, add_scaled, dot};
use std::ops::Range;
use std::sync::Arc;

/// Weights: router `d × experts`; up `experts·d × w`, down `experts·f × d`, one expert after the
/// other.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a, T> {
    /// Router.
    pub router: View<'a, T>,
    /// Into the experts.
    pub up: View<'a, T>,
    /// Out of the experts.
    pub down: View<'a, T>,
}

/// Where the gradients of [`Weights`] are added.
#[derive(Debug)]
pub struct Gradients<'a, T> {
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

/// Tokens in the order in which experts see them: by expert, then by token.
#[derive(Clone, Debug)]
struct Routes<T> {
    tokens: Vec<u32>,
    /// Weight of each, and its place among the token's experts.
    weights: Vec<T>,
    /// Rows of each expert.
    ranges: Vec<Range<usize>>,
}

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub struct Saved<T> {
    x: Arc<Matrix<T>>,
    routes: Routes<T>,
    up: Matrix<T>,
    /// Outputs of the experts, before their weights.
    outputs: Matrix<T>,
}

impl<T: Float> Saved<T> {
    /// Bytes held, without the input.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.up.bytes() + self.outputs.bytes() + self.routes.tokens.len() * (4 + T::BYTES)
    }
}

/// What is left for the gradients of the weights.
#[derive(Clone, Debug)]
pub struct Pending<T> {
    x: Arc<Matrix<T>>,
    routes: Routes<T>,
    up: Matrix<T>,
    dup: Matrix<T>,
    doutputs: Matrix<T>,
    dlogits: Matrix<T>,
    activation: Activation,
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
        let mut start = 0;
        let range = |routed: &Vec<(u32, T)>| {
            start += routed.len();
            start - routed.len()..start
        };
        let ranges = by_expert.iter().map(range).collect();
        let (tokens, weights) = by_expert.into_iter().flatten().unzip();
        Routes { tokens, weights, ranges }
    }

    /// Outputs of the mixture.
    #[must_use]
    pub fn forward<T: Float>(
        &self,
        w: &Weights<'_, T>,
        x: &Arc<Matrix<T>>,
    ) -> (Matrix<T>, Saved<T>) {
        let routes = self.routes(&product(x.view(), w.router));
        let sent = embedding::forward(x.view(), 0, &routes.tokens);
        let mut up = Matrix::zeros(sent.rows(), w.up.cols());
        for (e, rows) in routes.ranges.iter().enumerate() {
            let weight = expert(w.up, e, x.cols());
            add_product(up.rows_mut(rows.clone()), sent.rows_view(rows.clone()), weight);
        }
        let inner = self.activation.forward(&up);
        let mut outputs = Matrix::zeros(sent.rows(), w.down.cols());
        for (e, rows) in routes.ranges.iter().enumerate() {
            let weight = expert(w.down, e, inner.cols());
            add_product(outputs.rows_mut(rows.clone()), inner.rows_view(rows.clone()), weight);
        }
        let mut y = Matrix::zeros(x.rows(), w.down.cols());
        for (row, &token) in routes.tokens.iter().enumerate() {
            add_scaled(y.row_mut(token as usize), routes.weights[row], outputs.row(row));
        }
        (y, Saved { x: x.clone(), routes, up, outputs })
    }

    /// Gradient of the input.
    #[must_use]
    pub fn backward<T: Float>(
        &self,
        w: &Weights<'_, T>,
        saved: Saved<T>,
        dy: View<'_, T>,
    ) -> (Matrix<T>, Pending<T>) {
        let Saved { x, routes, up, outputs } = saved;
        let mut doutputs = embedding::forward(dy, 0, &routes.tokens);
        let dweights: Vec<T> =
            (0..outputs.rows()).map(|row| dot(outputs.row(row), doutputs.row(row))).collect();
        for (row, &weight) in routes.weights.iter().enumerate() {
            doutputs.row_mut(row).iter_mut().for_each(|d| *d *= weight);
        }
        let mut dinner = Matrix::zeros(up.rows(), up.cols() / self.activation.widening());
        for (e, rows) in routes.ranges.iter().enumerate() {
            let weight = expert(w.down, e, dinner.cols()).t();
            add_product(dinner.rows_mut(rows.clone()), doutputs.rows_view(rows.clone()), weight);
        }
        let dup = self.activation.backward(&up, &dinner);
        let dlogits = router_gradient(&routes, &dweights, x.rows());
        let mut dx = product(dlogits.view(), w.router.t());
        for (e, rows) in routes.ranges.iter().enumerate() {
            let dsent = product(dup.rows_view(rows.clone()), expert(w.up, e, x.cols()).t());
            embedding::backward(dx.view_mut(), 0, &routes.tokens[rows.clone()], dsent.view());
        }
        let activation = self.activation;
        (dx, Pending { x, routes, up, dup, doutputs, dlogits, activation })
    }
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
        let sent = embedding::forward(self.x.view(), 0, &self.routes.tokens);
        let inner = self.activation.forward(&self.up);
        for (e, rows) in self.routes.ranges.iter().enumerate() {
            let part = |m: &mut ViewMut<'_, T>, height: usize, a: &Matrix<T>, d: &Matrix<T>| {
                let cols = m.cols;
                let target = m.again().block(e * height..(e + 1) * height, 0..cols);
                add_product(target, a.rows_view(rows.clone()).t(), d.rows_view(rows.clone()));
            };
            part(&mut g.up, sent.cols(), &sent, &self.dup);
            part(&mut g.down, inner.cols(), &inner, &self.doutputs);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{compare, matrix, weigh};

    const D: usize = 3;
    const F: usize = 2;
    const E: usize = 3;

    fn check(activation: Activation) {
        let routing = Routing { experts: E, top_k: 2, activation };
        let wide = F * activation.widening();
        let x = Arc::new(matrix(5, D, 1));
        let (router, up, down) = (matrix(D, E, 2), matrix(E * D, wide, 3), matrix(E * F, D, 4));
        let w = Weights { router: router.view(), up: up.view(), down: down.view() };
        let (_, saved) = routing.forward(&w, &x);
        let (dx, pending) = routing.backward(&w, saved, matrix(5, D, 7).view());
        let (mut dr, mut du) = (Matrix::zeros(D, E), Matrix::zeros(E * D, wide));
        let mut dd = Matrix::zeros(E * F, D);
        pending.add(Gradients { router: dr.view_mut(), up: du.view_mut(), down: dd.view_mut() });
        let loss = |x: &[f64], w: Weights<'_, f64>| {
            let x = Arc::new(Matrix::from_vec(5, D, x.to_vec()));
            weigh(routing.forward(&w, &x).0.data(), 7)
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
