//! The numbers that operators compute with: `f32` in training, `f64` where gradients are checked.
//!
//! Operators are written once over [`Float`], so that the code whose gradient is checked in double
//! precision is the code that trains.

use crate::comm::Elements;
use crate::gemm::{Kernel, Panels, Product};
use crate::matrix::{Spare, View};
use std::fmt::{Debug, Display};
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};
use std::sync::Mutex;

mod bf16;
mod fast;
pub mod half;
mod wide;

#[cfg(target_arch = "x86_64")]
pub(crate) use wide::is_wide;
pub(crate) use wide::widened;

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
    /// Room for such elements that nobody uses just now.
    fn spare() -> &'static Mutex<Spare<Self>>;

    /// A right operand in the order in which the kernel reads it, where there is a kernel.
    fn panels(b: View<'_, Self>) -> Option<Panels>;

    /// `C ← α A B + β C` for `m × k` by `k × n`; the right operand in panels too, where it is, with
    /// the panel's column at which it begins.
    ///
    /// # Safety
    /// Every element that the shapes and strides address must lie in its allocation, and `c` must
    /// alias neither itself nor the operands.
    #[expect(unsafe_code, reason = "the kernel takes pointers; crate::gemm checks the bounds")]
    unsafe fn product(
        shape: [usize; 3],
        scale: [Self; 2],
        a: Operand<*const Self>,
        b: (Operand<*const Self>, Option<(&Panels, usize)>),
        c: Operand<*mut Self>,
    );

    /// Logistic function.
    #[inline(always)]
    fn sigmoid(self) -> Self {
        Self::ONE / (Self::ONE + (-self).exp())
    }
}

macro_rules! float {
    ($t:ty, $elements:path, $exp:path, $tanh:path, { $($products:item)* }) => {
        impl Float for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const LOWEST: Self = <$t>::NEG_INFINITY;
            const BYTES: usize = size_of::<$t>();

            #[inline(always)]
            fn of(value: f64) -> Self {
                value as Self
            }
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn exp(self) -> Self {
                $exp(self)
            }
            fn ln(self) -> Self {
                <$t>::ln(self)
            }
            #[inline(always)]
            fn tanh(self) -> Self {
                $tanh(self)
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                <$t>::sqrt(self)
            }
            #[inline(always)]
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
            fn spare() -> &'static Mutex<Spare<Self>> {
                static SPARE: Mutex<Spare<$t>> = Mutex::new(Spare::new());
                &SPARE
            }
            $($products)*
        }
    };
}

/// The product by the crate `matrixmultiply`.
macro_rules! portable {
    ($kernel:path, $shape:ident, $scale:ident, $a:ident, $b:ident, $c:ident) => {{
        let ([m, k, n], [alpha, beta]) = ($shape, $scale);
        let ((a, rsa, csa), (b, rsb, csb), (c, rsc, csc)) = ($a, $b.0, $c);
        // SAFETY: the caller's promise is the kernel's condition.
        unsafe { $kernel(m, k, n, alpha, a, rsa, csa, b, rsb, csb, beta, c, rsc, csc) }
    }};
}

float!(f32, Elements::F32, fast::exp, fast::tanh, {
    #[expect(unsafe_code, reason = "passes pointers on")]
    fn panels(b: View<'_, Self>) -> Option<Panels> {
        let stride = |s: usize| s as isize;
        let operand = (b.data.as_ptr(), stride(b.strides.0), stride(b.strides.1));
        // SAFETY: whether a view lies in its slice is checked by whoever packs it.
        unsafe { Panels::new((b.rows, b.cols), operand) }
    }

    #[expect(unsafe_code, reason = "passes pointers on; crate::gemm checks the bounds")]
    unsafe fn product(
        shape: [usize; 3],
        scale: [Self; 2],
        a: Operand<*const Self>,
        b: (Operand<*const Self>, Option<(&Panels, usize)>),
        c: Operand<*mut Self>,
    ) {
        let Some(kernel) = Kernel::find() else {
            return portable!(matrixmultiply::sgemm, shape, scale, a, b, c);
        };
        let (b, panels) = b;
        let c = (c.0, c.1 as usize);
        // SAFETY: the caller's promise; rows of a result are contiguous.
        unsafe { Product { shape, scale, a, b, panels, c }.run(&kernel) }
    }
});

float!(f64, Elements::F64, f64::exp, f64::tanh, {
    fn panels(_: View<'_, Self>) -> Option<Panels> {
        None
    }

    #[expect(unsafe_code, reason = "passes pointers on; crate::gemm checks the bounds")]
    unsafe fn product(
        shape: [usize; 3],
        scale: [Self; 2],
        a: Operand<*const Self>,
        b: (Operand<*const Self>, Option<(&Panels, usize)>),
        c: Operand<*mut Self>,
    ) {
        portable!(matrixmultiply::dgemm, shape, scale, a, b, c)
    }
});
