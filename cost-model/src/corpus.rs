//! Vocabulary statistics of a text: how many different tokens a batch contains.
//!
//! Heaps' law, `U(N) = a·N^β`, is fitted to random samples of short blocks, because that is what a
//! global batch is: `G·K` tokens from many places of the corpus. A prefix of the text would repeat
//! its topic and count too few types.
//!
//! One pass, nothing random: every block of [`BLOCK`] tokens gets a *level*, the number of trailing
//! zeros of a hash of its index, so that level `j` or more is a sample of `2⁻ʲ` of the blocks. The
//! smaller samples are contained in the larger ones. Each type keeps the highest level it was seen
//! at; the memory is one entry per type, whatever the length of the text.
//!
//! ```
//! use cost_model::corpus::{Accumulator, Tokenizer, Unit};
//! let mut types = Accumulator::default();
//! let mut tokens = Tokenizer::new(Unit::Word);
//! for chunk in ["one fish, tw", "o fish"] {
//!     tokens.feed(chunk.as_bytes(), &mut |id| types.add(id));
//! }
//! tokens.finish(&mut |id| types.add(id));
//! assert_eq!((types.tokens(), types.types()), (5, 4));
//! ```

mod fit;
mod tokens;

pub use fit::{FitError, Law, Point};
pub use tokens::{Tokenizer, Unit};

use std::collections::HashMap; // lookup only
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};

/// Tokens per block: the length of the sequences in a word model's batch.
pub const BLOCK: u64 = 20;

/// Samples of `2⁻ʲ` of the blocks for `j` below this.
const LEVELS: usize = 40;

/// Counts tokens and types in nested samples of a text.
#[derive(Clone, Debug, Default)]
pub struct Accumulator {
    tokens: u64,
    /// Level of the block that is being read.
    level: u8,
    /// Highest level each type was seen at. Only looked up, never walked through.
    seen: HashMap<u64, u8, BuildHasherDefault<Mixer>>, // lookup only
    /// Tokens in blocks of exactly this level.
    tokens_at: Levels,
    /// Types whose highest level this is.
    types_at: Levels,
}

#[derive(Clone, Debug)]
struct Levels([u64; LEVELS]);

impl Default for Levels {
    fn default() -> Self {
        Self([0; LEVELS])
    }
}

impl Accumulator {
    /// Counts one token, given by its id: any 64-bit hash or index.
    pub fn add(&mut self, token: u64) {
        if self.tokens.is_multiple_of(BLOCK) {
            self.level = level(self.tokens / BLOCK);
        }
        self.tokens += 1;
        let level = usize::from(self.level);
        self.tokens_at.0[level] += 1;
        match self.seen.entry(token) {
            Entry::Vacant(new) => {
                new.insert(self.level);
                self.types_at.0[level] += 1;
            }
            Entry::Occupied(mut known) if *known.get() < self.level => {
                self.types_at.0[usize::from(*known.get())] -= 1;
                self.types_at.0[level] += 1;
                known.insert(self.level);
            }
            Entry::Occupied(_) => {}
        }
    }

    /// Tokens so far.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Different tokens so far.
    #[must_use]
    pub fn types(&self) -> u64 {
        self.seen.len() as u64
    }

    /// Tokens and types of each sample, smallest first; the last is the whole text.
    ///
    /// Checked by `samples_are_nested_and_end_with_the_text`.
    #[must_use]
    pub fn points(&self) -> Vec<Point> {
        let (mut tokens, mut types) = (0, 0);
        let mut points = Vec::new();
        for (t, u) in self.tokens_at.0.iter().zip(self.types_at.0).rev() {
            tokens += t;
            types += u;
            if *t > 0 {
                points.push(Point { tokens, types });
            }
        }
        points
    }

    /// Heaps' law of the text: see [`Law::fit`].
    ///
    /// # Errors
    /// The text is too short, or has so few types that every sample contains nearly all of them.
    pub fn fit(&self) -> Result<Law, FitError> {
        Law::fit(&self.points())
    }
}

/// Trailing zeros of a hash of the block's index: level `j` or more has probability `2⁻ʲ`.
fn level(block: u64) -> u8 {
    let zeros = mix(block).trailing_zeros() as usize;
    zeros.min(LEVELS - 1) as u8
}

/// The finaliser of SplitMix64: neighbouring indices get unrelated bits.
///
/// Source: Steele, Lea and Flood 2014 (doi:10.1145/2660193.2660195).
fn mix(index: u64) -> u64 {
    let mut z = index.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Token ids are hashes or small indices; one mixing step spreads both.
#[derive(Clone, Copy, Debug, Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = mix(self.0 ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = mix(id);
    }
}

#[cfg(test)]
mod tests;
