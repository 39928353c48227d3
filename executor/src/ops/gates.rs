//! Gate arithmetic of LSTM cells (Hochreiter and Schmidhuber 1997; with forget gates, Gers et al.
//! 2000): `i, f, o = σ(z)`, `u = tanh(z)`, `c' = f c + i u`, `h = o tanh(c')`.
//!
//! Columns of `z` are `[i | f | o | u]`, so that what shares a function lies together.

use crate::float::{Float, widened};

widened! {
    /// Rows of `width` cells: turns `z` into gate values and writes cells, their tanh and the
    /// outputs.
    pub fn forward<T: Float>(
        width: usize,
        z: &mut [T],
        before: &[T],
        cells: &mut [T],
        tanh: &mut [T],
        h: &mut [T],
    ) {
        for (row, z) in z.chunks_exact_mut(4 * width.max(1)).enumerate() {
            let at = row * width..(row + 1) * width;
            let (before, cells) = (&before[at.clone()], &mut cells[at.clone()]);
            let (tanh, h) = (&mut tanh[at.clone()], &mut h[at]);
            let (sigmoids, u) = z.split_at_mut(3 * width);
            sigmoids.iter_mut().for_each(|v| *v = v.sigmoid());
            u.iter_mut().for_each(|v| *v = v.tanh());
            let (i, rest) = sigmoids.split_at(width);
            let (f, o) = rest.split_at(width);
            let u = &u[..width];
            for j in 0..width {
                cells[j] = f[j] * before[j] + i[j] * u[j];
            }
            tanh.iter_mut().zip(&*cells).for_each(|(t, &c)| *t = c.tanh());
            for j in 0..width {
                h[j] = o[j] * tanh[j];
            }
        }
    }
}

widened! {
    /// Rows of cells: from the gradient of the outputs, and that of the cells in `dcell`, the
    /// gradient of `z`; leaves the gradient of the cells before in `dcell`. What was kept is gate
    /// values, cells before and the tanh of cells.
    pub fn backward<T: Float>(
        width: usize,
        kept: (&[T], &[T], &[T]),
        dh: &[T],
        dcell: &mut [T],
        dz: &mut [T],
    ) {
        let (gates, before, tanh) = kept;
        for (row, dz) in dz.chunks_exact_mut(4 * width.max(1)).enumerate() {
            let at = row * width..(row + 1) * width;
            let (before, tanh, dh) = (&before[at.clone()], &tanh[at.clone()], &dh[at.clone()]);
            let dcell = &mut dcell[at];
            let (i, rest) = gates[4 * row * width..4 * (row + 1) * width].split_at(width);
            let (f, rest) = rest.split_at(width);
            let (o, u) = rest.split_at(width);
            let (di, rest) = dz.split_at_mut(width);
            let (df, rest) = rest.split_at_mut(width);
            let (do_, du) = rest.split_at_mut(width);
            for j in 0..width {
                let dc = dcell[j] + dh[j] * o[j] * (T::ONE - tanh[j] * tanh[j]);
                do_[j] = dh[j] * tanh[j] * o[j] * (T::ONE - o[j]);
                di[j] = dc * u[j] * i[j] * (T::ONE - i[j]);
                df[j] = dc * before[j] * f[j] * (T::ONE - f[j]);
                du[j] = dc * i[j] * (T::ONE - u[j] * u[j]);
                dcell[j] = dc * f[j];
            }
        }
    }
}
