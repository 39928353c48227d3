//! bfloat16 as a storage format: the upper half of an `f32`, rounded to nearest even.

/// The nearest bfloat16; NaN stays NaN.
#[inline]
#[must_use]
pub fn to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() {
        // Rounding could carry a NaN into infinity; a quiet NaN cannot.
        return ((bits >> 16) | 0x40) as u16;
    }
    let round = 0x7fff + ((bits >> 16) & 1);
    (bits.wrapping_add(round) >> 16) as u16
}

/// The value of a bfloat16.
#[inline]
#[must_use]
pub fn from_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// Every value as bfloat16 would keep it.
pub fn round_to_bf16(values: &mut [f32]) {
    values.iter_mut().for_each(|value| *value = from_bf16(to_bf16(*value)));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Between 1 and 1 + 2⁻⁷ lies nothing; the middle goes to the even neighbour.
    #[test]
    fn ties_go_to_even() {
        let unit = 2f32.powi(-7);
        let mut values = [1.0 + unit / 2.0, 1.0 + 1.5 * unit, 1.0 + 0.51 * unit, -0.0, f32::MAX];
        round_to_bf16(&mut values);
        assert_eq!(values, [1.0, 1.0 + 2.0 * unit, 1.0 + unit, -0.0, f32::INFINITY]);
    }

    #[test]
    fn every_bf16_comes_back() {
        for bits in 0..=u16::MAX {
            let value = from_bf16(bits);
            assert!(value.is_nan() && from_bf16(to_bf16(value)).is_nan() || to_bf16(value) == bits);
        }
    }
}
