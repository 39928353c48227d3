//! Multiplicative LSTM (Krause et al. 2016, arXiv:1609.07959): `m_t = (x_t W_mx) ∘ (h_{t−1} W_mh)`,
//! `z_t = x_t W_x + m_t W_h + b`, then the gates of an LSTM. Rows are time-major.
//!
//! Ranks that share the layer hold columns of `m` and of every gate; each step gathers `m` and `h`.

use super::across::{Across, own_columns};
use super::linear;
use super::lstm::{
    Backward, Carry, Forward, Scan, add_recurrent, narrow, previous, put_whole, state_back,
};
use crate::comm::Fault;
use crate::float::Float;
use crate::gemm::{Packed, add_product, gemm_packed, product};
use crate::matrix::{Matrix, View, ViewMut, add_rows};
use std::sync::Arc;

/// Weights: `W_mx: in × h`, `W_mh: h × h`, `W_x: in × 4h`, `W_h: h × 4h`, `b: 4h`.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a, T: Float> {
    /// Input to the multiplier.
    pub input_factor: View<'a, T>,
    /// State to the multiplier.
    pub state_factor: View<'a, T>,
    /// Input to the gates.
    pub input: View<'a, T>,
    /// Multiplied state to the gates.
    pub recurrent: View<'a, T>,
    /// Bias of the gates.
    pub bias: &'a [T],
}

/// Where the gradients of [`Weights`] are added.
#[derive(Debug)]
pub struct Gradients<'a, T: Float> {
    /// Input to the multiplier.
    pub input_factor: ViewMut<'a, T>,
    /// State to the multiplier.
    pub state_factor: ViewMut<'a, T>,
    /// Input to the gates.
    pub input: ViewMut<'a, T>,
    /// Multiplied state to the gates.
    pub recurrent: ViewMut<'a, T>,
    /// Bias of the gates.
    pub bias: &'a mut [T],
}

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub struct Saved<T: Float> {
    x: Arc<Matrix<T>>,
    outputs: Arc<Matrix<T>>,
    scan: Scan<T>,
    factors: Factors<T>,
    before: Carry<T>,
}

/// Both factors of the multiplied state, and their product, which is whole on every rank.
#[derive(Clone, Debug)]
struct Factors<T: Float> {
    input: Matrix<T>,
    state: Matrix<T>,
    product: Matrix<T>,
}

impl<T: Float> Saved<T> {
    /// Bytes held, without input and output, which neighbours hold too.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let f = &self.factors;
        self.scan.bytes() + f.input.bytes() + f.state.bytes() + f.product.bytes()
    }
}

/// What is left for the gradients of the weights.
#[derive(Clone, Debug)]
pub struct Pending<T: Float> {
    x: Arc<Matrix<T>>,
    outputs: Arc<Matrix<T>>,
    first: Matrix<T>,
    product: Matrix<T>,
    dz: Matrix<T>,
    dinput: Matrix<T>,
    dstate: Matrix<T>,
}

/// Runs all steps. Returns the outputs and what the next piece of the sequence starts from.
///
/// # Errors
/// The ranks that share the layer cannot go on.
pub fn forward<T: Float>(
    w: &Weights<'_, T>,
    x: &Arc<Matrix<T>>,
    before: &Carry<T>,
    across: &dyn Across<T>,
) -> Result<Forward<T, Saved<T>>, Fault> {
    let (batch, width) = (before.cell.rows(), before.cell.cols());
    let rows = x.rows();
    let mut scan = Scan::new(linear::forward(x.view(), w.input, Some(w.bias)), width);
    let mut factors = Factors {
        input: product(x.view(), w.input_factor),
        state: Matrix::zeros(rows, width),
        product: Matrix::zeros(rows, before.state.cols()),
    };
    let mut outputs = Matrix::zeros(rows, before.state.cols());
    let mut h = Matrix::zeros(batch, width);
    let [factor, recurrent] = [w.state_factor, w.recurrent].map(Packed::new);
    for start in (0..rows).step_by(batch) {
        let step = start..start + batch;
        let state = previous(&outputs, &before.state, start, batch);
        gemm_packed(factors.state.rows_mut(step.clone()), T::ZERO, state, &factor);
        factors.multiply(start, &mut h, across)?;
        let m = factors.product.rows_view(step.clone());
        gemm_packed(scan.gates.rows_mut(step), T::ONE, m, &recurrent);
        scan.step(start, &before.cell, &mut h);
        put_whole(&mut outputs, start, &h, across)?;
    }
    let state = outputs.rows_view(rows - batch..rows).to_matrix();
    let after = Carry { state, cell: scan.last_cell(batch) };
    let outputs = Arc::new(outputs);
    let before = before.clone();
    Ok((outputs.clone(), after, Saved { x: x.clone(), outputs, scan, factors, before }))
}

impl<T: Float> Factors<T> {
    /// The product of the rows from `start` on; `m` is room for those of this rank.
    fn multiply(
        &mut self,
        start: usize,
        m: &mut Matrix<T>,
        across: &dyn Across<T>,
    ) -> Result<(), Fault> {
        let at = start * m.cols()..start * m.cols() + m.data().len();
        let pairs = self.input.data()[at.clone()].iter().zip(&self.state.data()[at]);
        m.data_mut().iter_mut().zip(pairs).for_each(|(m, (&a, &b))| *m = a * b);
        put_whole(&mut self.product, start, m, across)
    }
}

/// Gradients of the input and of what came before; that of the state has the own columns alone.
///
/// # Errors
/// The ranks that share the layer cannot go on.
pub fn backward<T: Float>(
    w: &Weights<'_, T>,
    saved: Saved<T>,
    dy: &Matrix<T>,
    after: Carry<T>,
    across: &dyn Across<T>,
) -> Result<Backward<T, Pending<T>>, Fault> {
    let Saved { x, outputs, scan, factors, before } = saved;
    let (batch, width) = (before.cell.rows(), before.cell.cols());
    let Carry { state: mut dh, cell: mut dcell } = after;
    let own_dy;
    let mut dy = dy;
    if dy.cols() != width {
        own_dy = own_columns(dy, across);
        (dy, dh) = (&own_dy, narrow(dh, width, across));
    }
    let mut dm = Matrix::zeros(batch, width);
    let mut dz = Matrix::zeros(x.rows(), scan.gates.cols());
    let mut dinput = Matrix::zeros(x.rows(), width);
    let mut dstate = Matrix::zeros(x.rows(), width);
    let [factor, recurrent] = [w.state_factor, w.recurrent].map(|w| Packed::new(w.t()));
    for start in (0..x.rows()).step_by(batch).rev() {
        let rows = start..start + batch;
        crate::matrix::add(dh.data_mut(), dy.rows_view(rows.clone()).data);
        scan.step_back(start, &before.cell, dh.view(), &mut dcell, &mut dz);
        state_back(&mut dm, T::ZERO, dz.rows_view(rows.clone()), &recurrent, across)?;
        let at = start * width..start * width + dm.data().len();
        let times = |into: &mut Matrix<T>, factor: &Matrix<T>| {
            let pairs = dm.data().iter().zip(&factor.data()[at.clone()]);
            let into = into.data_mut()[at.clone()].iter_mut();
            into.zip(pairs).for_each(|(into, (&d, &factor))| *into = d * factor);
        };
        times(&mut dinput, &factors.state);
        times(&mut dstate, &factors.input);
        state_back(&mut dh, T::ZERO, dstate.rows_view(rows), &factor, across)?;
    }
    let mut dx = linear::backward_input(w.input, dz.view());
    add_product(dx.view_mut(), dinput.view(), w.input_factor.t());
    across.sum(dx.data_mut())?;
    let (first, product) = (before.state, factors.product);
    let pending = Pending { x, outputs, first, product, dz, dinput, dstate };
    Ok((dx, Carry { state: dh, cell: dcell }, pending))
}

impl<T: Float> Pending<T> {
    /// Adds the gradients of the weights, each as one product over all steps.
    pub fn add(self, g: Gradients<'_, T>) {
        let (x, dz) = (self.x.view(), self.dz.view());
        add_product(g.input_factor, x.t(), self.dinput.view());
        add_recurrent(g.state_factor, &self.outputs, &self.first, &self.dstate);
        add_product(g.input, x.t(), dz);
        add_product(g.recurrent, self.product.view().t(), dz);
        add_rows(g.bias, dz);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::across::Alone;
    use crate::ops::check::{self, compare, matrix, numbers, weigh};

    const BATCH: usize = 2;
    const ROWS: usize = 3 * BATCH;
    const INPUT: usize = 3;
    const H: usize = 2;
    const SIZES: [usize; 8] =
        [ROWS * INPUT, INPUT * H, H * H, INPUT * 4 * H, H * 4 * H, 4 * H, BATCH * H, BATCH * H];

    fn parts(values: &[f64]) -> Vec<&[f64]> {
        check::parts(values, &SIZES)
    }

    fn weights<'a>(p: &[&'a [f64]]) -> Weights<'a, f64> {
        Weights {
            input_factor: View::new(p[1], INPUT, H),
            state_factor: View::new(p[2], H, H),
            input: View::new(p[3], INPUT, 4 * H),
            recurrent: View::new(p[4], H, 4 * H),
            bias: p[5],
        }
    }

    fn inputs(p: &[&[f64]]) -> (Arc<Matrix<f64>>, Carry<f64>) {
        let carry = |v: &[f64]| Matrix::from_vec(BATCH, H, v.to_vec());
        let before = Carry { state: carry(p[6]), cell: carry(p[7]) };
        (Arc::new(Matrix::from_vec(ROWS, INPUT, p[0].to_vec())), before)
    }

    #[test]
    fn gradients_are_central_differences() {
        let values = numbers(SIZES.iter().sum(), 3);
        let p = parts(&values);
        let (x, before) = inputs(&p);
        let (_, _, saved) = forward(&weights(&p), &x, &before, &Alone).unwrap();
        let after = Carry { state: matrix(BATCH, H, 8), cell: matrix(BATCH, H, 9) };
        let (dx, dbefore, pending) =
            backward(&weights(&p), saved, &matrix(ROWS, H, 7), after, &Alone).unwrap();
        let mut g: Vec<Vec<f64>> = SIZES.iter().map(|&n| vec![0.0; n]).collect();
        {
            let [_, mx, mh, wx, wh, b, ..] = &mut g[..] else { panic!("eight parts") };
            pending.add(Gradients {
                input_factor: ViewMut::new(mx, INPUT, H),
                state_factor: ViewMut::new(mh, H, H),
                input: ViewMut::new(wx, INPUT, 4 * H),
                recurrent: ViewMut::new(wh, H, 4 * H),
                bias: b,
            });
        }
        g[0] = dx.into_vec();
        g[6] = dbefore.state.into_vec();
        g[7] = dbefore.cell.into_vec();
        compare(&values, &g.concat(), |v| {
            let p = parts(v);
            let (x, before) = inputs(&p);
            let (y, after, _) = forward(&weights(&p), &x, &before, &Alone).unwrap();
            let carry = weigh(after.state.data(), 8) + weigh(after.cell.data(), 9);
            weigh(y.data(), 7) + carry
        });
    }
}
