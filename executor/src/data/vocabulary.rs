//! Tokens of a text: bytes, characters or words, the last two numbered by how often they occur.

use std::collections::BTreeMap;
use thiserror::Error;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokens {
    /// A byte.
    Bytes,
    /// A character.
    Characters,
    /// What stands between white space; line ends count as a word.
    Words,
}

/// Tokens and their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    tokens: Tokens,
    /// By number; empty for bytes. Number 0 is what does not occur among the others.
    entries: Vec<String>,
    numbers: BTreeMap<String, u32>,
}

/// Why a vocabulary does not fit.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum VocabularyError {
    /// The model has no room for all bytes.
    #[error("the model has {vocab} words; bytes need 256; take characters, or a larger vocabulary")]
    Small {
        /// Words of the model.
        vocab: u64,
    },
    /// What should be a word is none.
    #[error("the text has a word of more than {most} bytes at byte {at}; train on bytes")]
    Long {
        /// Where it starts.
        at: u64,
        /// Bytes that a word may have.
        most: usize,
    },
    /// The text is no UTF-8.
    #[error("the text is no UTF-8 at byte {at}; train on bytes, or convert it")]
    Encoding {
        /// First byte that is none.
        at: usize,
    },
}

/// What stands for everything that is not in the vocabulary.
const UNKNOWN: &str = "\u{fffd}";

/// Cuts a text into words: runs of anything but white space, and line ends.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n').flat_map(|line| {
        let end = line.ends_with('\n').then(|| &line[line.len() - 1..]);
        line.split_whitespace().chain(end)
    })
}

fn pieces<'a>(tokens: Tokens, text: &'a str) -> Box<dyn Iterator<Item = &'a str> + 'a> {
    match tokens {
        Tokens::Words => Box::new(words(text)),
        _ => Box::new(text.char_indices().map(|(at, c)| &text[at..at + c.len_utf8()])),
    }
}

/// Pieces with the bytes before them.
pub(super) fn offset_pieces(tokens: Tokens, text: &str) -> impl Iterator<Item = (usize, &str)> {
    // Pieces are slices of the text.
    let offset = |piece: &str| piece.as_ptr().addr() - text.as_ptr().addr();
    pieces(tokens, text).map(move |piece| (offset(piece), piece))
}

/// A text as characters.
///
/// # Errors
/// Where it is no UTF-8.
fn utf8(text: &[u8]) -> Result<&str, VocabularyError> {
    std::str::from_utf8(text).map_err(|e| VocabularyError::Encoding { at: e.valid_up_to() })
}

impl Vocabulary {
    /// The tokens of a text, the most frequent first (ties in the order of the alphabet), at most
    /// as many as the model has words. What is left over becomes number 0.
    ///
    /// # Errors
    /// The text is no UTF-8, or the model cannot hold all bytes.
    pub fn build(tokens: Tokens, text: &[u8], vocab: u64) -> Result<Self, VocabularyError> {
        if tokens == Tokens::Bytes {
            let is_enough = vocab >= 256;
            let bytes = Self { tokens, entries: Vec::new(), numbers: BTreeMap::new() };
            return if is_enough { Ok(bytes) } else { Err(VocabularyError::Small { vocab }) };
        }
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for piece in pieces(tokens, utf8(text)?) {
            *counts.entry(piece).or_default() += 1;
        }
        Ok(Self::of_counts(tokens, counts, vocab))
    }

    /// Of pieces that were counted, in the order of the alphabet.
    pub(super) fn of_counts<S: Into<String>>(
        tokens: Tokens,
        counts: BTreeMap<S, u64>,
        vocab: u64,
    ) -> Self {
        let mut order: Vec<(S, u64)> = counts.into_iter().collect();
        order.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        order.truncate((vocab as usize).saturating_sub(1));
        let known = order.into_iter().map(|(piece, _)| piece.into());
        let entries: Vec<String> = std::iter::once(UNKNOWN.to_string()).chain(known).collect();
        let numbers = entries.iter().cloned().zip(0..).collect();
        Self { tokens, entries, numbers }
    }

    /// The number of a character or word.
    pub(super) fn number(&self, piece: &str) -> u32 {
        self.numbers.get(piece).copied().unwrap_or(0)
    }

    /// How many numbers are used.
    #[must_use]
    pub fn size(&self) -> usize {
        if self.tokens == Tokens::Bytes { 256 } else { self.entries.len() }
    }

    /// Numbers of a text's tokens.
    ///
    /// # Errors
    /// The text is no UTF-8.
    pub fn encode(&self, text: &[u8]) -> Result<Vec<u32>, VocabularyError> {
        if self.tokens == Tokens::Bytes {
            return Ok(text.iter().copied().map(u32::from).collect());
        }
        Ok(pieces(self.tokens, utf8(text)?).map(|piece| self.number(piece)).collect())
    }

    /// The text of some tokens; words get a blank between them.
    #[must_use]
    pub fn decode(&self, tokens: &[u32]) -> String {
        if self.tokens == Tokens::Bytes {
            let bytes: Vec<u8> = tokens.iter().map(|&token| token as u8).collect();
            return String::from_utf8_lossy(&bytes).into_owned();
        }
        let entry = |&token: &u32| self.entries.get(token as usize).map_or(UNKNOWN, |e| e.as_str());
        let separator = if self.tokens == Tokens::Words { " " } else { "" };
        tokens.iter().map(entry).collect::<Vec<_>>().join(separator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn frequent_words_have_low_numbers() {
        let text = b"to be or not to be\nto do";
        let vocabulary = Vocabulary::build(Tokens::Words, text, 100).unwrap();
        assert_eq!(vocabulary.encode(b"to be do\nhamlet").unwrap(), [1, 2, 4, 3, 0]);
        let small = Vocabulary::build(Tokens::Words, text, 3).unwrap();
        assert_eq!(small.encode(b"to be or").unwrap(), [1, 2, 0]);
        assert_eq!(small.decode(&[1, 2, 0]), "to be \u{fffd}");
    }

    proptest! {
        #[test]
        fn characters_and_bytes_come_back(text in "\\PC{0,40}") {
            for tokens in [Tokens::Bytes, Tokens::Characters] {
                let vocabulary = Vocabulary::build(tokens, text.as_bytes(), 1000).unwrap();
                let numbers = vocabulary.encode(text.as_bytes()).unwrap();
                prop_assert_eq!(vocabulary.decode(&numbers), &text[..]);
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let error = Vocabulary::build(Tokens::Bytes, b"", 98).unwrap_err();
        assert_eq!(error, VocabularyError::Small { vocab: 98 });
        let error = Vocabulary::build(Tokens::Words, b"ab\xff", 98).unwrap_err();
        assert_eq!(error, VocabularyError::Encoding { at: 2 });
    }

    /// The shipped text: 26,457 words by `wc -w`, and as many line ends as lines.
    #[test]
    fn the_sample_text_is_read_whole() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/text/alice.txt");
        let text = std::fs::read(path).unwrap();
        let vocabulary = Vocabulary::build(Tokens::Words, &text, 10_000).unwrap();
        assert_eq!(vocabulary.encode(&text).unwrap().len(), 26_457 + 3_608);
        assert!(vocabulary.size() < 10_000);
    }
}
