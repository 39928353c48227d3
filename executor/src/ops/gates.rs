//! Gate arithmetic of LSTM cells (Hochreiter and Schmidhuber 1997; with forget gates, Gers et al.
//! 2000): `i, f, o = σ(z)`, `u = tanh(z)`, `c' = f c + i u`, `h = o tanh(c')`.
//!
//! Columns of `z` are `[i | f | o | u]`, so that what shares a function lies together.

use crate::float::Float;

/// One row: turns `z` into gate values and writes cell, its tanh and the output.
pub fn forward<T: Float>(z: &mut [T], before: &[T], cell: &mut [T], tanh: &mut [T], h: &mut [T]) {
    let n = cell.len();
    let (sigmoids, u) = z.split_at_mut(3 * n);
    sigmoids.iter_mut().for_each(|v| *v = v.sigmoid());
    u.iter_mut().for_each(|v| *v = v.tanh());
    let (i, rest) = sigmoids.split_at(n);
    let (f, o) = rest.split_at(n);
    for j in 0..n {
        cell[j] = f[j] * before[j] + i[j] * u[j];
    }
    tanh.iter_mut().zip(&*cell).for_each(|(t, &c)| *t = c.tanh());
    for j in 0..n {
        h[j] = o[j] * tanh[j];
    }
}

/// One row: from the gradient of the output, and that of the cell in `dcell`, the gradient of `z`;
/// leaves the gradient of the cell before in `dcell`.
pub fn backward<T: Float>(
    gates: &[T],
    before: &[T],
    tanh: &[T],
    dh: &[T],
    dcell: &mut [T],
    dz: &mut [T],
) {
    let n = dh.len();
    let (i, rest) = gates.split_at(n);
    let (f, rest) = rest.split_at(n);
    let (o, u) = rest.split_at(n);
    let (di, rest) = dz.split_at_mut(n);
    let (df, rest) = rest.split_at_mut(n);
    let (do_, du) = rest.split_at_mut(n);
    for j in 0..n {
        let dc = dcell[j] + dh[j] * o[j] * (T::ONE - tanh[j] * tanh[j]);
        do_[j] = dh[j] * tanh[j] * o[j] * (T::ONE - o[j]);
        di[j] = dc * u[j] * i[j] * (T::ONE - i[j]);
        df[j] = dc * before[j] * f[j] * (T::ONE - f[j]);
        du[j] = dc * i[j] * (T::ONE - u[j] * u[j]);
        dcell[j] = dc * f[j];
    }
}
