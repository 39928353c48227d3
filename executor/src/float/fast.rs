//! Single-precision exponentials that the compiler can vectorise.
//!
//! The gates of recurrent layers are five of these per cell and step; a call into the C library for
//! each would cost more than the small matrix products around them.

/// `e^x` within two units in the last place; 0 below the smallest normal number, infinite above the
/// largest.
///
/// `x = n ln 2 + r` with `|r| ≤ ln 2 / 2`, and `e^r` by its Taylor series up to `r⁷/7!`: the first
/// term left out is at most `0.3466⁸/8! = 5e-9`, under an eighth of a unit in the last place.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Adding and taking away 1.5·2²³ rounds to the nearest whole number.
    const ROUND: f32 = 12_582_912.0;
    let clamped = x.clamp(-87.3, 88.7);
    let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (clamped - n * LN2_HIGH) - n * LN2_LOW;
    let mut p = 1.0 / 5040.0;
    for c in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = p * r + c;
    }
    // In two factors, as 2¹²⁸ is not a number.
    let whole = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    let half = whole >> 1;
    let power = |k: i32| f32::from_bits((k.wrapping_add(127) as u32) << 23);
    let value = p * power(half) * power(whole.wrapping_sub(half));
    // Written so that NaN stays NaN.
    if x < -87.3 {
        0.0
    } else if x > 88.7 {
        f32::INFINITY
    } else {
        value
    }
}

/// Hyperbolic tangent, relative error below 1e-6.
///
/// `1 − 2/(e^{2x} + 1)` loses digits near zero, so there the odd series up to `x⁹` takes over.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let y = 1.0 - 2.0 / (exp(2.0 * x) + 1.0);
    let s = x * x;
    let series =
        x * (1.0 + s * (-1.0 / 3.0 + s * (2.0 / 15.0 + s * (-17.0 / 315.0 + s * (62.0 / 2835.0)))));
    if x.abs() < 0.3 { series } else { y }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> impl Iterator<Item = f32> {
        (-870_000..=880_000).step_by(37).map(|i| i as f32 / 10_000.0)
    }

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        let error = |x: f32| ((f64::from(exp(x)) / f64::from(x).exp()) - 1.0).abs();
        let worst = grid().map(error).fold(0.0, f64::max);
        assert!(worst < 2.4e-7, "{worst}");
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn tanh_is_close_and_odd() {
        let error = |x: f32| ((f64::from(tanh(x)) / f64::from(x).tanh()) - 1.0).abs();
        let worst = grid().filter(|x| *x != 0.0).map(error).fold(0.0, f64::max);
        assert!(worst < 1e-6, "{worst}");
        assert_eq!(tanh(0.0), 0.0);
        assert_eq!((tanh(100.0), tanh(-100.0)), (1.0, -1.0));
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        assert!(exp(f32::NAN).is_nan() && tanh(f32::NAN).is_nan());
        assert_eq!((exp(f32::NEG_INFINITY), exp(f32::INFINITY)), (0.0, f32::INFINITY));
    }
}
