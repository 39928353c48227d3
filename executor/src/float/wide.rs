//! Loops over elements, for vectors as wide as the processor has.

#[cfg(target_arch = "x86_64")]
use std::sync::OnceLock;

/// Whether loops may use vectors of eight single-precision numbers.
#[cfg(target_arch = "x86_64")]
pub(crate) fn is_wide() -> bool {
    static WIDE: OnceLock<bool> = OnceLock::new();
    *WIDE.get_or_init(|| is_x86_feature_detected!("avx2"))
}

/// Compiles a function twice: for every processor, and for those with wide vectors. Multiplications
/// and additions are never fused, so both give the same bits.
macro_rules! widened {
    (
        $(#[$doc:meta])*
        $visible:vis fn $name:ident $(<$t:ident: Float>)? ($($arg:ident: $kind:ty),* $(,)?)
        $(-> $result:ty)? $body:block
    ) => {
        $(#[$doc])*
        $visible fn $name$(<$t: Float>)?($($arg: $kind),*) $(-> $result)? {
            #[inline(always)]
            fn plain$(<$t: Float>)?($($arg: $kind),*) $(-> $result)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            fn wide$(<$t: Float>)?($($arg: $kind),*) $(-> $result)? {
                plain($($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            if $crate::float::is_wide() {
                // SAFETY: this processor has been asked.
                #[expect(unsafe_code, reason = "the processor has what the function needs")]
                return unsafe { wide($($arg),*) };
            }
            plain($($arg),*)
        }
    };
}

pub(crate) use widened;
