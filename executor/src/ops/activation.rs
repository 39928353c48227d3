//! Activations of the feed-forward part.

use crate::float::Float;
use crate::matrix::Matrix;

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

fn gelu_inner<T: Float>(x: T) -> (T, T) {
    let (c, a) = (T::of((2.0 / std::f64::consts::PI).sqrt()), T::of(0.044_715));
    let inner = c * (x + a * x * x * x);
    (inner.tanh(), c * (T::ONE + T::of(3.0) * a * x * x))
}

fn gelu<T: Float>(x: T) -> T {
    T::of(0.5) * x * (T::ONE + gelu_inner(x).0)
}

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
        for row in 0..x.rows() {
            let (from, to) = (x.row(row), y.row_mut(row));
            match self {
                Self::Gelu => to.iter_mut().zip(from).for_each(|(y, &x)| *y = gelu(x)),
                Self::SwiGlu => {
                    let (gate, value) = from.split_at(width);
                    let pairs = gate.iter().zip(value);
                    to.iter_mut().zip(pairs).for_each(|(y, (&g, &v))| *y = g * g.sigmoid() * v);
                }
            }
        }
        y
    }

    /// Gradient of the input.
    #[must_use]
    pub fn backward<T: Float>(self, x: &Matrix<T>, dy: &Matrix<T>) -> Matrix<T> {
        let mut dx = Matrix::zeros(x.rows(), x.cols());
        for row in 0..x.rows() {
            let (from, dy, dx) = (x.row(row), dy.row(row), dx.row_mut(row));
            match self {
                Self::Gelu => {
                    let pairs = from.iter().zip(dy);
                    dx.iter_mut().zip(pairs).for_each(|(o, (&x, &d))| *o = gelu_slope(x) * d);
                }
                Self::SwiGlu => swiglu_row(from, dy, dx),
            }
        }
        dx
    }
}

fn swiglu_row<T: Float>(x: &[T], dy: &[T], dx: &mut [T]) {
    let (gate, value) = x.split_at(dy.len());
    let (dgate, dvalue) = dx.split_at_mut(dy.len());
    for (i, &d) in dy.iter().enumerate() {
        let s = gate[i].sigmoid();
        dgate[i] = d * value[i] * s * (T::ONE + gate[i] * (T::ONE - s));
        dvalue[i] = d * gate[i] * s;
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
