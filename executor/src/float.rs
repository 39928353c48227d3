//! The numbers that operators compute with: `f32` in training, `f64` where gradients are checked.
//!
//! Operators are written once over [`Float`], so that the code whose gradient is checked in double
//! precision is the code that trains.

use crate::comm::Elements;
use std::fmt::{Debug, Display};
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

mod bf16;
mod fast;
pub mod half;

pub use bf16::{from_bf16, round_to_bf16, to_bf16};

/// Where the operands of a matrix product lie: pointer, row stride, column stride.
pub type Operand<P> = (P, isize, isize);

/// A floating-point number.
pub trait Float:
    Copy
    + Send
    + Sync
    + 'static
    + Debug
    + Display
    + Default
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + Sum
{
    /// Zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
    /// Smaller than every other number.
    const LOWEST: Self;
    /// Bytes of one element.
    const BYTES: usize;

    /// The nearest number.
    fn of(value: f64) -> Self;
    /// The same number in double precision.
    fn to_f64(self) -> f64;
    /// `e^x`.
    fn exp(self) -> Self;
    /// Natural logarithm.
    fn ln(self) -> Self;
    /// Hyperbolic tangent.
    fn tanh(self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// The larger of two.
    fn max(self, other: Self) -> Self;
    /// Whether it is neither infinite nor NaN.
    fn is_finite(self) -> bool;
    /// The elements, in the form in which communicators take them.
    fn elements(values: &mut [Self]) -> Elements<'_>;
    /// Appends the elements' little-endian bytes.
    fn write(values: &[Self], bytes: &mut Vec<u8>);
    /// Reads elements from little-endian bytes; as many as both sides hold.
    fn read(bytes: &[u8], values: &mut [Self]);

    /// `C ← α A B + β C` for `m × k` by `k × n`.
    ///
    /// # Safety
    /// Every element that the shapes and strides address must lie in its allocation, and `c` must
    /// alias neither itself nor the operands.
    #[expect(unsafe_code, reason = "the kernel takes pointers; crate::gemm checks the bounds")]
    unsafe fn product(
        shape: [usize; 3],
        scale: [Self; 2],
        a: Operand<*const Self>,
        b: Operand<*const Self>,
        c: Operand<*mut Self>,
    );

    /// Logistic function.
    fn sigmoid(self) -> Self {
        Self::ONE / (Self::ONE + (-self).exp())
    }
}

macro_rules! float {
    ($t:ty, $elements:path, $kernel:path, $exp:path, $tanh:path) => {
        impl Float for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const LOWEST: Self = <$t>::NEG_INFINITY;
            const BYTES: usize = size_of::<$t>();

            fn of(value: f64) -> Self {
                value as Self
            }
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            #[inline]
            fn exp(self) -> Self {
                $exp(self)
            }
            fn ln(self) -> Self {
                <$t>::ln(self)
            }
            #[inline]
            fn tanh(self) -> Self {
                $tanh(self)
            }
            fn sqrt(self) -> Self {
                <$t>::sqrt(self)
            }
            #[inline]
            fn max(self, other: Self) -> Self {
                if self > other { self } else { other }
            }
            fn is_finite(self) -> bool {
                <$t>::is_finite(self)
            }
            fn elements(values: &mut [Self]) -> Elements<'_> {
                $elements(values)
            }
            fn write(values: &[Self], bytes: &mut Vec<u8>) {
                let start = bytes.len();
                bytes.resize(start + values.len() * Self::BYTES, 0);
                let places = bytes[start..].chunks_exact_mut(Self::BYTES);
                places.zip(values).for_each(|(at, v)| at.copy_from_slice(&v.to_le_bytes()));
            }
            fn read(bytes: &[u8], values: &mut [Self]) {
                for (value, raw) in values.iter_mut().zip(bytes.chunks_exact(Self::BYTES)) {
                    let mut fixed = [0; size_of::<$t>()];
                    fixed.copy_from_slice(raw);
                    *value = Self::from_le_bytes(fixed);
                }
            }
            #[expect(unsafe_code, reason = "passes pointers on; crate::gemm checks the bounds")]
            unsafe fn product(
                [m, k, n]: [usize; 3],
                [alpha, beta]: [Self; 2],
                (a, rsa, csa): Operand<*const Self>,
                (b, rsb, csb): Operand<*const Self>,
                (c, rsc, csc): Operand<*mut Self>,
            ) {
                // SAFETY: the caller's promise is the kernel's condition.
                unsafe {
                    $kernel(m, k, n, alpha, a, rsa, csa, b, rsb, csb, beta, c, rsc, csc);
                }
            }
        }
    };
}

float!(f32, Elements::F32, matrixmultiply::sgemm, fast::exp, fast::tanh);
float!(f64, Elements::F64, matrixmultiply::dgemm, f64::exp, f64::tanh);
