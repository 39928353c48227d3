//! LSTM layer, with an output projection where there is one (Sak et al. 2014, arXiv:1402.1128):
//! `z_t = x_t W + s_{t−1} R + b`, gates as in [`super::gates`], `s_t = h_t P` (or `h_t`).
//!
//! Rows are time-major, `t·batch + b`. What does not depend on the step before is one product over
//! all steps.
//!
//! Ranks that share the layer hold columns of every gate, so of `h` and of the cell; the state is
//! whole on all of them. Each step gathers `h`, or sums `h P`; each step back scatters or sums the
//! gradient of the state.

use super::across::{Across, gather_columns, own_columns, scatter_columns};
use super::{gates, linear};
use crate::comm::Fault;
use crate::float::Float;
use crate::gemm::{Packed, add_product, gemm_packed};
use crate::matrix::{Matrix, View, ViewMut, add_rows};
use crate::threads::{rows_per_piece, run_each};
use std::sync::Arc;

/// Weights: `W: in × 4h`, `b: 4h`, `R: s × 4h`, `P: h × s`.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a, T: Float> {
    /// Of the input.
    pub input: View<'a, T>,
    /// Bias.
    pub bias: &'a [T],
    /// Of the state.
    pub recurrent: View<'a, T>,
    /// Of the output.
    pub projection: Option<View<'a, T>>,
}

/// Where the gradients of [`Weights`] are added.
#[derive(Debug)]
pub struct Gradients<'a, T: Float> {
    /// Of the input.
    pub input: ViewMut<'a, T>,
    /// Bias.
    pub bias: &'a mut [T],
    /// Of the state.
    pub recurrent: ViewMut<'a, T>,
    /// Of the output.
    pub projection: Option<ViewMut<'a, T>>,
}

/// What one piece of a sequence hands to the next: state and cell, `batch` rows each. Backward, the
/// gradients of both.
#[derive(Clone, Debug, PartialEq)]
pub struct Carry<T: Float> {
    /// Output of the last step.
    pub state: Matrix<T>,
    /// Cell after the last step.
    pub cell: Matrix<T>,
}

impl<T: Float> Carry<T> {
    /// The state before the first step of all.
    #[must_use]
    pub fn zeros(batch: usize, state: usize, cell: usize) -> Self {
        Self { state: Matrix::zeros(batch, state), cell: Matrix::zeros(batch, cell) }
    }
}

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub struct Saved<T: Float> {
    x: Arc<Matrix<T>>,
    outputs: Arc<Matrix<T>>,
    pub(super) scan: Scan<T>,
    /// Outputs before the projection.
    hidden: Option<Matrix<T>>,
    before: Carry<T>,
}

/// Gates, cells and their tanh of every step.
#[derive(Clone, Debug)]
pub(super) struct Scan<T: Float> {
    pub gates: Matrix<T>,
    pub cells: Matrix<T>,
    pub tanh: Matrix<T>,
}

impl<T: Float> Scan<T> {
    pub fn new(z: Matrix<T>, hidden: usize) -> Self {
        let rows = z.rows();
        Self { gates: z, cells: Matrix::zeros(rows, hidden), tanh: Matrix::zeros(rows, hidden) }
    }

    /// Gate arithmetic of rows `start..start + batch`, from cells before to outputs `h`.
    pub fn step(&mut self, start: usize, first: &Matrix<T>, h: &mut Matrix<T>) {
        let (batch, width) = (first.rows(), first.cols());
        let each = rows_per_piece(batch, 4 * width) * width;
        let rows = start * width..(start + batch) * width;
        let (done, cells) = self.cells.data_mut().split_at_mut(rows.start);
        let before = done.chunks_exact((batch * width).max(1)).next_back();
        let before = before.unwrap_or(first.data()).chunks(each);
        let cells = cells[..batch * width].chunks_mut(each);
        let tanh = self.tanh.data_mut()[rows.clone()].chunks_mut(each);
        let z = self.gates.data_mut()[4 * rows.start..4 * rows.end].chunks_mut(4 * each);
        let pieces = z.zip(before).zip(cells).zip(tanh).zip(h.data_mut().chunks_mut(each));
        run_each(pieces.collect(), |((((z, before), cells), tanh), h)| {
            gates::forward(width, z, before, cells, tanh, h);
        });
    }

    /// Gradient of `z` of rows `start..start + batch`; `dcell` goes from after to before.
    pub fn step_back(
        &self,
        start: usize,
        first: &Matrix<T>,
        dh: View<'_, T>,
        dcell: &mut Matrix<T>,
        dz: &mut Matrix<T>,
    ) {
        let (batch, width) = (first.rows(), first.cols());
        let each = rows_per_piece(batch, 4 * width) * width;
        let rows = start * width..(start + batch) * width;
        let before = match start {
            0 => first.data(),
            _ => &self.cells.data()[rows.start - batch * width..rows.start],
        };
        let gates = self.gates.data()[4 * rows.start..4 * rows.end].chunks(4 * each);
        let dz = dz.data_mut()[4 * rows.start..4 * rows.end].chunks_mut(4 * each);
        let tanh = self.tanh.data()[rows].chunks(each);
        let saved = gates.zip(before.chunks(each)).zip(tanh).zip(dh.data.chunks(each));
        let pieces = saved.zip(dcell.data_mut().chunks_mut(each)).zip(dz);
        run_each(pieces.collect(), |(((((gates, before), tanh), dh), dcell), dz)| {
            gates::backward(width, (gates, before, tanh), dh, dcell, dz);
        });
    }

    pub fn last_cell(&self, batch: usize) -> Matrix<T> {
        let rows = self.cells.rows();
        self.cells.rows_view(rows - batch..rows).to_matrix()
    }

    pub fn bytes(&self) -> usize {
        self.gates.bytes() + self.cells.bytes() + self.tanh.bytes()
    }
}

impl<T: Float> Saved<T> {
    /// Bytes held, without input and output, which neighbours hold too.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.scan.bytes() + self.hidden.as_ref().map_or(0, Matrix::bytes)
    }
}

/// What is left for the gradients of the weights.
#[derive(Clone, Debug)]
pub struct Pending<T: Float> {
    x: Arc<Matrix<T>>,
    outputs: Arc<Matrix<T>>,
    first: Matrix<T>,
    dz: Matrix<T>,
    /// Outputs before the projection, and the gradient after it.
    projected: Option<(Matrix<T>, Matrix<T>)>,
}

/// Outputs, what the next piece of the sequence starts from, what the backward pass needs.
pub(super) type Forward<T, S> = (Arc<Matrix<T>>, Carry<T>, S);

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
    let mut scan = Scan::new(linear::forward(x.view(), w.input, Some(w.bias)), width);
    let mut outputs = Matrix::zeros(x.rows(), before.state.cols());
    let mut hidden = w.projection.map(|_| Matrix::zeros(x.rows(), width));
    let mut h = Matrix::zeros(batch, width);
    let (recurrent, projection) = (Packed::new(w.recurrent), w.projection.map(Packed::new));
    for start in (0..x.rows()).step_by(batch) {
        let rows = start..start + batch;
        let state = previous(&outputs, &before.state, start, batch);
        gemm_packed(scan.gates.rows_mut(rows.clone()), T::ONE, state, &recurrent);
        scan.step(start, &before.cell, &mut h);
        match (&projection, &mut hidden) {
            (Some(p), Some(hidden)) => {
                gemm_packed(outputs.rows_mut(rows.clone()), T::ZERO, h.view(), p);
                let state = before.state.cols();
                across.sum(&mut outputs.data_mut()[rows.start * state..rows.end * state])?;
                hidden.data_mut()[rows.start * width..rows.end * width].copy_from_slice(h.data());
            }
            _ => put_whole(&mut outputs, start, &h, across)?,
        }
    }
    let state = outputs.rows_view(x.rows() - batch..x.rows()).to_matrix();
    let after = Carry { state, cell: scan.last_cell(batch) };
    let outputs = Arc::new(outputs);
    let before = before.clone();
    Ok((outputs.clone(), after, Saved { x: x.clone(), outputs, scan, hidden, before }))
}

/// Puts rows of which each rank has its columns where they belong, whole.
pub(super) fn put_whole<T: Float>(
    all: &mut Matrix<T>,
    start: usize,
    own: &Matrix<T>,
    across: &dyn Across<T>,
) -> Result<(), Fault> {
    let gathered;
    let rows = match across.size() {
        1 => own,
        _ => {
            gathered = gather_columns(own.view(), across)?;
            &gathered
        }
    };
    let at = start * all.cols();
    all.data_mut()[at..at + rows.data().len()].copy_from_slice(rows.data());
    Ok(())
}

/// `d Wᵀ`, with `Wᵀ` packed, for a state of which each rank needs its own columns: those of the sum
/// over ranks.
pub(super) fn state_back<T: Float>(
    into: &mut Matrix<T>,
    beta: T,
    d: View<'_, T>,
    turned: &Packed<'_, T>,
    across: &dyn Across<T>,
) -> Result<(), Fault> {
    if across.size() == 1 {
        gemm_packed(into.view_mut(), beta, d, turned);
        return Ok(());
    }
    let mut whole = Matrix::zeros(d.rows(), turned.cols());
    gemm_packed(whole.view_mut(), T::ZERO, d, turned);
    let own = scatter_columns(whole.view(), across)?;
    if beta == T::ZERO {
        *into = own;
    } else {
        into.add(&own);
    }
    Ok(())
}

/// The columns of a gradient that this rank goes on with, unless they are all that came.
pub(super) fn narrow<T: Float>(d: Matrix<T>, width: usize, across: &dyn Across<T>) -> Matrix<T> {
    if d.cols() == width { d } else { own_columns(&d, across) }
}

/// The state before the step whose rows begin at `start`.
pub(super) fn previous<'a, T: Float>(
    outputs: &'a Matrix<T>,
    first: &'a Matrix<T>,
    start: usize,
    batch: usize,
) -> View<'a, T> {
    if start == 0 { first.view() } else { outputs.rows_view(start - batch..start) }
}

/// Gradients of the input and of the carry before, and what is left for the weights.
pub(super) type Backward<T, P> = (Matrix<T>, Carry<T>, P);

/// Gradients of the input and of what came before, from those of the outputs and of what comes
/// after. Without a projection, the gradient of the state has the own columns alone.
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
    let Saved { x, outputs, scan, hidden, before } = saved;
    let (batch, width) = (before.cell.rows(), before.cell.cols());
    let Carry { state: mut dstate, cell: mut dcell } = after;
    let own_dy;
    let mut dy = dy;
    if w.projection.is_none() && dy.cols() != width {
        own_dy = own_columns(dy, across);
        (dy, dstate) = (&own_dy, narrow(dstate, width, across));
    }
    let mut dz = Matrix::zeros(x.rows(), scan.gates.cols());
    let recurrent = Packed::new(w.recurrent.t());
    let projection = w.projection.map(|p| Packed::new(p.t()));
    let mut dh = Matrix::zeros(batch, width);
    // With a projection, the gradient of every step's state is needed once more for it.
    let mut dstates = hidden.as_ref().map(|_| dy.clone());
    for start in (0..x.rows()).step_by(batch).rev() {
        let rows = start..start + batch;
        crate::matrix::add(dstate.data_mut(), dy.rows_view(rows.clone()).data);
        if let Some(all) = &mut dstates {
            let width = all.cols();
            all.data_mut()[start * width..][..batch * width].copy_from_slice(dstate.data());
        }
        match &projection {
            Some(p) => {
                gemm_packed(dh.view_mut(), T::ZERO, dstate.view(), p);
                scan.step_back(start, &before.cell, dh.view(), &mut dcell, &mut dz);
            }
            None => scan.step_back(start, &before.cell, dstate.view(), &mut dcell, &mut dz),
        }
        let step = dz.rows_view(rows);
        if w.projection.is_some() {
            gemm_packed(dstate.view_mut(), T::ZERO, step, &recurrent);
            across.sum(dstate.data_mut())?;
        } else {
            state_back(&mut dstate, T::ZERO, step, &recurrent, across)?;
        }
    }
    let mut dx = linear::backward_input(w.input, dz.view());
    across.sum(dx.data_mut())?;
    let projected = hidden.zip(dstates);
    let pending = Pending { x, outputs, first: before.state, dz, projected };
    Ok((dx, Carry { state: dstate, cell: dcell }, pending))
}

impl<T: Float> Pending<T> {
    /// Adds the gradients of the weights, each as one product over all steps.
    pub fn add(self, g: Gradients<'_, T>) {
        let dz = self.dz.view();
        add_product(g.input, self.x.view().t(), dz);
        add_rows(g.bias, dz);
        add_recurrent(g.recurrent, &self.outputs, &self.first, &self.dz);
        if let (Some(dp), Some((hidden, dstates))) = (g.projection, &self.projected) {
            add_product(dp, hidden.view().t(), dstates.view());
        }
    }
}

/// Adds `Σ_t s_{t−1}ᵀ dz_t`.
pub(super) fn add_recurrent<T: Float>(
    mut dr: ViewMut<'_, T>,
    states: &Matrix<T>,
    first: &Matrix<T>,
    dz: &Matrix<T>,
) {
    let (rows, batch) = (dz.rows(), first.rows());
    add_product(dr.again(), first.view().t(), dz.rows_view(0..batch));
    if rows > batch {
        add_product(dr, states.rows_view(0..rows - batch).t(), dz.rows_view(batch..rows));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::across::Alone;
    use crate::ops::check::{self, compare, matrix, numbers, weigh};

    const STEPS: usize = 3;
    const BATCH: usize = 2;
    const INPUT: usize = 3;
    const HIDDEN: usize = 4;

    /// Everything the loss depends on, one after the other.
    struct Point {
        state: usize,
        values: Vec<f64>,
    }

    impl Point {
        fn new(state: usize) -> Self {
            let sizes = Self::sizes(state);
            Self { state, values: numbers(sizes.iter().sum(), 3) }
        }

        fn sizes(s: usize) -> [usize; 7] {
            let x = STEPS * BATCH * INPUT;
            [x, INPUT * 4 * HIDDEN, 4 * HIDDEN, s * 4 * HIDDEN, HIDDEN * s, BATCH * s, 8]
        }

        fn parts(values: &[f64], s: usize) -> Vec<&[f64]> {
            check::parts(values, &Self::sizes(s))
        }
    }

    fn weights<'a>(p: &[&'a [f64]], s: usize, projects: bool) -> Weights<'a, f64> {
        let (gates, hidden) = (4 * HIDDEN, HIDDEN);
        Weights {
            input: View::new(p[1], INPUT, gates),
            bias: p[2],
            recurrent: View::new(p[3], s, gates),
            projection: projects.then(|| View::new(p[4], hidden, s)),
        }
    }

    fn inputs(p: &[&[f64]], s: usize) -> (Arc<Matrix<f64>>, Carry<f64>) {
        let x = Matrix::from_vec(STEPS * BATCH, INPUT, p[0].to_vec());
        let state = Matrix::from_vec(BATCH, s, p[5].to_vec());
        (Arc::new(x), Carry { state, cell: Matrix::from_vec(BATCH, HIDDEN, p[6].to_vec()) })
    }

    fn loss(values: &[f64], s: usize, projects: bool) -> f64 {
        let p = Point::parts(values, s);
        let (x, before) = inputs(&p, s);
        let (y, after, _) = forward(&weights(&p, s, projects), &x, &before, &Alone).unwrap();
        let carry = weigh(after.state.data(), 8) + weigh(after.cell.data(), 9);
        weigh(y.data(), 7) + carry
    }

    fn check(s: usize, projects: bool) {
        let point = Point::new(s);
        let p = Point::parts(&point.values, point.state);
        let (x, before) = inputs(&p, s);
        let w = weights(&p, s, projects);
        let (_, _, saved) = forward(&w, &x, &before, &Alone).unwrap();
        let after = Carry { state: matrix(BATCH, s, 8), cell: matrix(BATCH, HIDDEN, 9) };
        let (dx, dbefore, pending) =
            backward(&w, saved, &matrix(STEPS * BATCH, s, 7), after, &Alone).unwrap();
        let mut dw = Matrix::zeros(INPUT, 4 * HIDDEN);
        let mut db = vec![0.0; 4 * HIDDEN];
        let mut dr = Matrix::zeros(s, 4 * HIDDEN);
        let mut dp = Matrix::zeros(HIDDEN, s);
        pending.add(Gradients {
            input: dw.view_mut(),
            bias: &mut db,
            recurrent: dr.view_mut(),
            projection: projects.then(|| dp.view_mut()),
        });
        let carry = [dbefore.state.data(), dbefore.cell.data()].concat();
        let all = [dx.data(), dw.data(), &db, dr.data(), dp.data(), &carry].concat();
        compare(&point.values, &all, |v| loss(v, s, projects));
    }

    #[test]
    fn gradients_are_central_differences() {
        check(HIDDEN, false);
        check(3, true);
    }

    /// A sequence in two pieces gives the outputs and the input gradients of the whole.
    #[test]
    fn pieces_along_time_join() {
        let point = Point::new(3);
        let p = Point::parts(&point.values, 3);
        let (x, before) = inputs(&p, 3);
        let w = weights(&p, 3, true);
        let (whole, _, saved) = forward(&w, &x, &before, &Alone).unwrap();
        let piece = |rows| Arc::new(x.rows_view(rows).to_matrix());
        let (y1, middle, saved1) = forward(&w, &piece(0..BATCH), &before, &Alone).unwrap();
        let (y2, _, saved2) = forward(&w, &piece(BATCH..3 * BATCH), &middle, &Alone).unwrap();
        assert_eq!([y1.data(), y2.data()].concat(), whole.data());
        let (dy, zero) = (matrix(6, 3, 7), Carry::zeros(BATCH, 3, HIDDEN));
        let (dx, _, _) = backward(&w, saved, &dy, zero.clone(), &Alone).unwrap();
        let part = |rows| dy.rows_view(rows).to_matrix();
        let (dx2, dmiddle, _) = backward(&w, saved2, &part(BATCH..6), zero, &Alone).unwrap();
        let (dx1, _, _) = backward(&w, saved1, &part(0..BATCH), dmiddle, &Alone).unwrap();
        assert_eq!([dx1.data(), dx2.data()].concat(), dx.data());
    }
}
