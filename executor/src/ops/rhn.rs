//! Recurrent highway layer with coupled gates (Zilly et al. 2016, arXiv:1607.03474): `depth`
//! micro-steps per time step, `s_l = h_l t_l + s_{l−1} (1 − t_l)` with `[h | t] = [tanh | σ](z_l)`
//! and `z_l = s_{l−1} R_l + b_l`, the first with `x_t W` besides. Rows are time-major.
//!
//! Ranks that share the layer hold columns of `h` and `t`; every micro-step gathers the state.

use super::across::{Across, own_columns};
use super::linear;
use super::lstm::{narrow, put_whole, state_back};
use crate::comm::Fault;
use crate::float::Float;
use crate::gemm::{Packed, add_product, gemm_packed, product};
use crate::matrix::{Matrix, View, ViewMut, add_rows};
use std::sync::Arc;

/// Weights: `W: in × 2h`; per micro-step `R_l: h × 2h` and `b_l: 2h`.
#[derive(Clone, Debug)]
pub struct Weights<'a, T: Float> {
    /// Of the input.
    pub input: View<'a, T>,
    /// Per micro-step.
    pub steps: Vec<(View<'a, T>, &'a [T])>,
}

/// Where the gradients of [`Weights`] are added.
#[derive(Debug)]
pub struct Gradients<'a, T: Float> {
    /// Of the input.
    pub input: ViewMut<'a, T>,
    /// Per micro-step.
    pub steps: Vec<(ViewMut<'a, T>, &'a mut [T])>,
}

/// What the backward pass needs: per micro-step `[h | t]` and the state before it.
#[derive(Clone, Debug)]
pub struct Saved<T: Float> {
    x: Arc<Matrix<T>>,
    activated: Vec<Matrix<T>>,
    states: Vec<Matrix<T>>,
    batch: usize,
}

impl<T: Float> Saved<T> {
    /// Bytes held, without the input.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.activated.iter().chain(&self.states).map(Matrix::bytes).sum()
    }
}

/// What is left for the gradients of the weights.
#[derive(Clone, Debug)]
pub struct Pending<T: Float> {
    x: Arc<Matrix<T>>,
    states: Vec<Matrix<T>>,
    dz: Vec<Matrix<T>>,
}

/// Outputs, the state after, what the backward pass needs.
type Forward<T> = (Arc<Matrix<T>>, Matrix<T>, Saved<T>);

/// Runs all steps from the state `before`. Returns the outputs and the state after.
///
/// # Errors
/// The ranks that share the layer cannot go on.
pub fn forward<T: Float>(
    w: &Weights<'_, T>,
    x: &Arc<Matrix<T>>,
    before: &Matrix<T>,
    across: &dyn Across<T>,
) -> Result<Forward<T>, Fault> {
    let (batch, whole, rows) = (before.rows(), before.cols(), x.rows());
    let width = whole / across.size();
    let first = product(x.view(), w.input);
    let mut activated: Vec<_> = w.steps.iter().map(|_| Matrix::zeros(rows, 2 * width)).collect();
    let mut states: Vec<_> = w.steps.iter().map(|_| Matrix::zeros(rows, whole)).collect();
    let mut outputs = Matrix::zeros(rows, whole);
    let mut state = before.clone();
    let mut own = narrow(before.clone(), width, across);
    let packed: Vec<_> = w.steps.iter().map(|(r, _)| Packed::new(*r)).collect();
    for start in (0..rows).step_by(batch) {
        for (level, (_, b)) in w.steps.iter().enumerate() {
            put(&mut states[level], start, &state);
            let mut z = Matrix::zeros(batch, 2 * width);
            gemm_packed(z.view_mut(), T::ZERO, state.view(), &packed[level]);
            linear::add_bias(&mut z, b);
            if level == 0 {
                crate::matrix::add(z.data_mut(), first.rows_view(start..start + batch).data);
            }
            highway(&mut z, &mut own);
            put_whole(&mut state, 0, &own, across)?;
            put(&mut activated[level], start, &z);
        }
        put(&mut outputs, start, &state);
    }
    Ok((Arc::new(outputs), state, Saved { x: x.clone(), activated, states, batch }))
}

fn put<T: Float>(all: &mut Matrix<T>, start: usize, part: &Matrix<T>) {
    let at = start * all.cols();
    all.data_mut()[at..at + part.data().len()].copy_from_slice(part.data());
}

/// Activates `z` in place and moves the state on.
fn highway<T: Float>(z: &mut Matrix<T>, state: &mut Matrix<T>) {
    let width = state.cols();
    for row in 0..z.rows() {
        let (h, t) = z.row_mut(row).split_at_mut(width);
        h.iter_mut().for_each(|v| *v = v.tanh());
        t.iter_mut().for_each(|v| *v = v.sigmoid());
        let gates = h.iter().zip(&*t);
        let state = state.row_mut(row).iter_mut();
        state.zip(gates).for_each(|(s, (&h, &t))| *s = h * t + *s * (T::ONE - t));
    }
}

/// Gradients of the input and of the state before, and what is left for the weights.
type Backward<T> = (Matrix<T>, Matrix<T>, Pending<T>);

/// Gradients of the input and of the state before; that of the state has the own columns alone.
///
/// # Errors
/// The ranks that share the layer cannot go on.
pub fn backward<T: Float>(
    w: &Weights<'_, T>,
    saved: Saved<T>,
    dy: &Matrix<T>,
    after: Matrix<T>,
    across: &dyn Across<T>,
) -> Result<Backward<T>, Fault> {
    let Saved { x, activated, states, batch } = saved;
    let width = dy.cols() / across.size();
    let own = across.place() * width..(across.place() + 1) * width;
    let own_dy;
    let mut dy = dy;
    if across.size() > 1 {
        own_dy = own_columns(dy, across);
        dy = &own_dy;
    }
    let mut dz: Vec<_> = activated.iter().map(|a| Matrix::zeros(a.rows(), a.cols())).collect();
    let mut dstate = narrow(after, width, across);
    let turned: Vec<_> = w.steps.iter().map(|(r, _)| Packed::new(r.t())).collect();
    for start in (0..x.rows()).step_by(batch).rev() {
        let rows = start..start + batch;
        crate::matrix::add(dstate.data_mut(), dy.rows_view(rows.clone()).data);
        for (level, turned) in turned.iter().enumerate().rev() {
            for b in 0..batch {
                let (gates, state) =
                    (activated[level].row(start + b), states[level].row(start + b));
                let state = &state[own.clone()];
                highway_back(gates, state, dstate.row_mut(b), dz[level].row_mut(start + b));
            }
            let step = dz[level].rows_view(rows.clone());
            state_back(&mut dstate, T::ONE, step, turned, across)?;
        }
    }
    let mut dx = dz.first().map_or_else(
        || Matrix::zeros(x.rows(), x.cols()),
        |first| linear::backward_input(w.input, first.view()),
    );
    across.sum(dx.data_mut())?;
    Ok((dx, dstate, Pending { x, states, dz }))
}

fn highway_back<T: Float>(gates: &[T], state: &[T], dstate: &mut [T], dz: &mut [T]) {
    let (h, t) = gates.split_at(state.len());
    let (dh, dt) = dz.split_at_mut(state.len());
    for j in 0..state.len() {
        let d = dstate[j];
        dh[j] = d * t[j] * (T::ONE - h[j] * h[j]);
        dt[j] = d * (h[j] - state[j]) * t[j] * (T::ONE - t[j]);
        dstate[j] = d * (T::ONE - t[j]);
    }
}

impl<T: Float> Pending<T> {
    /// Adds the gradients of the weights, each as one product over all steps.
    pub fn add(self, g: Gradients<'_, T>) {
        if let Some(first) = self.dz.first() {
            add_product(g.input, self.x.view().t(), first.view());
        }
        for ((dr, db), (state, dz)) in g.steps.into_iter().zip(self.states.iter().zip(&self.dz)) {
            add_product(dr, state.view().t(), dz.view());
            add_rows(db, dz.view());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::across::Alone;
    use crate::ops::check::{self, compare, matrix, numbers, weigh};

    const BATCH: usize = 2;
    const ROWS: usize = 2 * BATCH;
    const H: usize = 3;
    const SIZES: [usize; 7] = [ROWS * H, H * 2 * H, H * 2 * H, 2 * H, H * 2 * H, 2 * H, BATCH * H];

    fn parts(values: &[f64]) -> Vec<&[f64]> {
        check::parts(values, &SIZES)
    }

    fn weights<'a>(p: &[&'a [f64]]) -> Weights<'a, f64> {
        let view = |i: usize| View::new(p[i], H, 2 * H);
        Weights { input: view(1), steps: vec![(view(2), p[3]), (view(4), p[5])] }
    }

    fn inputs(p: &[&[f64]]) -> (Arc<Matrix<f64>>, Matrix<f64>) {
        let before = Matrix::from_vec(BATCH, H, p[6].to_vec());
        (Arc::new(Matrix::from_vec(ROWS, H, p[0].to_vec())), before)
    }

    #[test]
    fn gradients_are_central_differences() {
        let values = numbers(SIZES.iter().sum(), 3);
        let p = parts(&values);
        let (x, before) = inputs(&p);
        let (_, _, saved) = forward(&weights(&p), &x, &before, &Alone).unwrap();
        let (dx, dbefore, pending) =
            backward(&weights(&p), saved, &matrix(ROWS, H, 7), matrix(BATCH, H, 8), &Alone)
                .unwrap();
        let mut g: Vec<Vec<f64>> = SIZES.iter().map(|&n| vec![0.0; n]).collect();
        {
            let [_, w, r1, b1, r2, b2, _] = &mut g[..] else { panic!("seven parts") };
            pending.add(Gradients {
                input: ViewMut::new(w, H, 2 * H),
                steps: vec![(ViewMut::new(r1, H, 2 * H), b1), (ViewMut::new(r2, H, 2 * H), b2)],
            });
        }
        g[0] = dx.into_vec();
        g[6] = dbefore.into_vec();
        compare(&values, &g.concat(), |v| {
            let p = parts(v);
            let (x, before) = inputs(&p);
            let (y, after, _) = forward(&weights(&p), &x, &before, &Alone).unwrap();
            weigh(y.data(), 7) + weigh(after.data(), 8)
        });
    }
}
