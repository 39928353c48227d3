//! Activations of the feed-forward part.

use crate::float::{Float, widened};
use crate::matrix::Matrix;
use crate::threads::{rows_per_piece, run_each};

/// Which activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// GELU by its tanh form, `x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))` (Hendrycks and Gimpel
    /// 2016, arXiv:1606.08415).
    Gelu,
    /// Gated: the first half of the columns through `x σ(x)`, times the second half (Shazeer 2020,
    /// arXiv:2002.05202).
    SwiGlu,
}

#[inline(always)]
fn gelu_inner<T: Float>(x: T) -> (T, T) {
    let (c, a) = (T::of((2.0 / std::f64::consts::PI).sqrt()), T::of(0.044_715));
    let inner = c * (x + a * x * x * x);
    (inner.tanh(), c * (T::ONE + T::of(3.0) * a * x * x))
}

#[inline(always)]
fn gelu<T: Float>(x: T) -> T {
    T::of(0.5) * x * (T::ONE + gelu_inner(x).0)
}

#[inline(always)]
fn gelu_slope<T: Float>(x: T) -> T {
    let (tanh, slope) = gelu_inner(x);
    let half = T::of(0.5);
    half * (T::ONE + tanh) + half * x * (T::ONE - tanh * tanh) * slope
}

impl Activation {
    /// Input columns per output column.
    #[must_use]
    pub fn widening(self) -> usize {
        match self {
            Self::Gelu => 1,
            Self::SwiGlu => 2,
        }
    }

    /// Applies it.
    #[must_use]
    pub fn forward<T: Float>(self, x: &Matrix<T>) -> Matrix<T> {
        let width = x.cols() / self.widening();
        let mut y = Matrix::zeros(x.rows(), width);
        let each = rows_per_piece(x.rows(), x.cols());
        let outs = y.data_mut().chunks_mut((each * width).max(1));
        let pieces = outs.zip(x.data().chunks((each * x.cols()).max(1))).collect();
        run_each(pieces, |(y, x): (&mut [T], &[T])| match self {
            Self::Gelu => gelu_rows(x, y),
            Self::SwiGlu => swiglu_rows(width, x, y),
        });
        y
    }

    /// Gradient of the input.
    #[must_use]
    pub fn backward<T: Float>(self, x: &Matrix<T>, dy: &Matrix<T>) -> Matrix<T> {
        let width = dy.cols();
        let mut dx = Matrix::zeros(x.rows(), x.cols());
        let each = rows_per_piece(x.rows(), x.cols());
        let wide = (each * x.cols()).max(1);
        let kept = x.data().chunks(wide).zip(dy.data().chunks((each * dy.cols()).max(1)));
        let pieces = dx.data_mut().chunks_mut(wide).zip(kept).collect();
        run_each(pieces, |(dx, (x, dy)): (&mut [T], (&[T], &[T]))| match self {
            Self::Gelu => gelu_rows_back(x, dy, dx),
            Self::SwiGlu => swiglu_rows_back(width, x, dy, dx),
        });
        dx
    }
}

widened! {
    fn gelu_rows<T: Float>(x: &[T], y: &mut [T]) {
        y.iter_mut().zip(x).for_each(|(y, &x)| *y = gelu(x));
    }
}

widened! {
    fn gelu_rows_back<T: Float>(x: &[T], dy: &[T], dx: &mut [T]) {
        let pairs = x.iter().zip(dy);
        dx.iter_mut().zip(pairs).for_each(|(o, (&x, &d))| *o = gelu_slope(x) * d);
    }
}

widened! {
    fn swiglu_rows<T: Float>(width: usize, x: &[T], y: &mut [T]) {
        for (x, y) in x.chunks_exact(2 * width.max(1)).zip(y.chunks_exact_mut(width.max(1))) {
            let (gate, value) = x.split_at(width);
            let pairs = gate.iter().zip(value);
            y.iter_mut().zip(pairs).for_each(|(y, (&g, &v))| *y = g * g.sigmoid() * v);
        }
    }
}

widened! {
    fn swiglu_rows_back<T: Float>(width: usize, x: &[T], dy: &[T], dx: &mut [T]) {
        let rows = x.chunks_exact(2 * width.max(1)).zip(dy.chunks_exact(width.max(1)));
        for ((x, dy), dx) in rows.zip(dx.chunks_exact_mut(2 * width.max(1))) {
            let (gate, value) = x.split_at(width);
            let (dgate, dvalue) = dx.split_at_mut(width);
            for (i, &d) in dy.iter().enumerate() {
                let s = gate[i].sigmoid();
                dgate[i] = d * value[i] * s * (T::ONE + gate[i] * (T::ONE - s));
                dvalue[i] = d * gate[i] * s;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{compare, matrix, weigh};

    #[test]
    fn gradients_are_central_differences() {
        for kind in [Activation::Gelu, Activation::SwiGlu] {
            let x = matrix(3, 8, 1);
            let dx = kind.backward(&x, &matrix(3, 8 / kind.widening(), 4));
            compare(x.data(), dx.data(), |x| {
                weigh(kind.forward(&Matrix::from_vec(3, 8, x.to_vec())).data(), 4)
            });
        }
    }
}
