//! Hashes of what was read. They cover the parsed content, not the text: a comment changes nothing.

use sha2::{Digest, Sha256};
use std::fmt::{Debug, Write as _};

/// The first 64 bits of SHA-256 in 16 hexadecimal digits.
pub fn hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(8).fold(String::with_capacity(16), |mut hex, byte| {
        let _infallible = write!(hex, "{byte:02x}");
        hex
    })
}

/// The fingerprint of a parsed input.
pub fn of(value: &impl Debug) -> String {
    hash(&format!("{value:?}"))
}

#[cfg(test)]
mod tests {
    /// FIPS 180-2, appendix B.1: SHA-256 of "abc" begins with ba7816bf 8f01cfea.
    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(super::hash("abc"), "ba7816bf8f01cfea");
    }
}
