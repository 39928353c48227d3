//! Half precision on the wire: numbers rounded to 11 bits, scaled by a power of two per message so
//! that the largest of them just fits (Patwary et al. 2018, arXiv:1810.10045, compress embedding
//! gradients so).

/// Bytes of a number.
pub const BYTES: usize = 2;

/// Bytes in front of a message: the exponent of its scale.
pub const HEAD: usize = 1;

/// The largest exponent of a half.
const TOP: i32 = 15;

/// Writes an exponent, then the numbers times `2^exponent` as halves.
pub fn write(values: &[f32], bytes: &mut Vec<u8>) {
    let most = values.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    // One exponent of room: rounding may carry. 127 keeps the scale a number.
    let exponent = match most.is_normal() {
        true => (TOP - 1 - most.log2().floor() as i32).clamp(-127, 127),
        false => 0,
    };
    bytes.push((exponent as i8).to_le_bytes()[0]);
    let scale = 2f32.powi(exponent);
    values.iter().for_each(|v| bytes.extend_from_slice(&encode(v * scale).to_le_bytes()));
}

/// Reads what [`write()`] has written. `false` where the sizes do not fit.
#[must_use]
pub fn read(bytes: &[u8], values: &mut [f32]) -> bool {
    let Some((&head, rest)) = bytes.split_first() else { return values.is_empty() };
    if rest.len() != values.len() * BYTES {
        return false;
    }
    let scale = 2f32.powi(-i32::from(i8::from_le_bytes([head])));
    for (value, raw) in values.iter_mut().zip(rest.as_chunks().0) {
        *value = decode(u16::from_le_bytes(*raw)) * scale;
    }
    true
}

/// To the nearest half, ties to even.
fn encode(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16) as u16 & 0x8000;
    if !value.is_finite() {
        return sign | 0x7c00 | u16::from(value.is_nan()) << 9;
    }
    let magnitude = f32::from_bits(bits & 0x7fff_ffff);
    // Below 2^-14 halves are multiples of 2^-24; adding and taking away this rounds to them.
    if magnitude < 2f32.powi(-14) {
        return sign | (magnitude * 2f32.powi(24)).round_ties_even() as u16;
    }
    // Halves have 13 bits of fraction less, and an exponent of which 0 means 2^-15.
    let bits = magnitude.to_bits();
    let rounded = bits + 0x0fff + (bits >> 13 & 1);
    let half = (rounded >> 13).saturating_sub(112 << 10);
    sign | half.min(0x7c00) as u16
}

fn decode(half: u16) -> f32 {
    let sign = if half & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(half >> 10 & 0x1f), f32::from(half & 0x3ff));
    sign * match exponent {
        0 => fraction * 2f32.powi(-24),
        0x1f if fraction == 0.0 => f32::INFINITY,
        0x1f => f32::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f32.powi(exponent - TOP),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 1 is 0 01111 0…; 65504 is the largest; 2^-24 the smallest; 1 + 2^-11 ties to even.
    #[test]
    fn known_halves() {
        let halves = [1.0, -2.0, 65504.0, 2f32.powi(-24), 1.0 + 2f32.powi(-11), 1e9, f32::INFINITY];
        let expected = [0x3c00, 0xc000, 0x7bff, 0x0001, 0x3c00, 0x7c00, 0x7c00];
        assert_eq!(halves.map(encode), expected);
        assert_eq!(decode(0x7bff), 65504.0);
        assert!(decode(encode(f32::NAN)).is_nan());
    }

    #[test]
    fn every_half_is_itself() {
        for half in (0..=u16::MAX).filter(|h| h & 0x7c00 != 0x7c00) {
            assert_eq!(encode(decode(half)), half);
        }
    }

    proptest! {
        /// 11 bits: relative to the largest, half a unit in the last place of the smallest normal.
        #[test]
        fn a_message_comes_back_rounded(
            values in prop::collection::vec(-1e-6f32..1e-6, 1..20),
            scale in -30i32..60,
        ) {
            let values: Vec<f32> = values.iter().map(|v| v * 2f32.powi(scale)).collect();
            let mut bytes = Vec::new();
            write(&values, &mut bytes);
            prop_assert_eq!(bytes.len(), HEAD + BYTES * values.len());
            let mut back = vec![0.0; values.len()];
            prop_assert!(read(&bytes, &mut back));
            let most = values.iter().fold(0.0f32, |m, v| m.max(v.abs()));
            for (a, b) in values.iter().zip(&back) {
                let tolerated = a.abs() / 2048.0 + most * 2f32.powi(-38);
                prop_assert!((a - b).abs() <= tolerated, "{} {}", a, b);
            }
        }
    }
}
