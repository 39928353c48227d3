//! Text corpora: how many different tokens a batch of tokens contains.

use crate::estimate::Sourced;

/// What counts as one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// Words between blanks.
    Word,
    /// Bytes.
    Byte,
    /// Unicode characters.
    Char,
    /// Pieces of a learned vocabulary (BPE, WordPiece, SentencePiece).
    Subword,
}

impl TokenKind {
    /// The words used in files, with what they mean.
    pub const ALL: [(&'static str, Self); 4] = [
        ("word", Self::Word),
        ("byte", Self::Byte),
        ("char", Self::Char),
        ("subword", Self::Subword),
    ];
}

/// Statistics of a corpus.
#[derive(Clone, Debug, PartialEq)]
pub struct Corpus {
    /// Name that people type.
    pub name: String,
    /// Name that people read.
    pub label: String,
    /// What the counts are counts of.
    pub token: TokenKind,
    /// Tokens in the whole corpus, where it is known.
    pub tokens: Option<Sourced<f64>>,
    /// `a` of the law `U(N) = a·N^β`.
    pub prefactor: Sourced<f64>,
    /// `β` of the law.
    pub exponent: Sourced<f64>,
    /// Where the corpus is described.
    pub source: String,
}

impl Corpus {
    /// Expected number of different tokens among `tokens` tokens, when only `vocab` exist:
    /// `U(N) = min(V, N, a·N^β)` (Heaps' law, cut off by the vocabulary and by `N` itself).
    ///
    /// `tokens` is dimensionless and at least 0. Source of the form: Patwary et al. 2018
    /// (arXiv:1810.10045), where β = 0.64 over four corpora. Checked in `corpus::tests`.
    #[must_use]
    pub fn unique(&self, tokens: f64, vocab: u64) -> f64 {
        let grown = self.prefactor.value * tokens.max(0.0).powf(self.exponent.value);
        grown.min(tokens.max(0.0)).min(vocab as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::Grade;
    use proptest::prelude::*;

    fn corpus(prefactor: f64, exponent: f64) -> Corpus {
        let sourced = |value| Sourced::new(value, Grade::Assumed, "a test");
        Corpus {
            name: "test".into(),
            label: "test".into(),
            token: TokenKind::Word,
            tokens: None,
            prefactor: sourced(prefactor),
            exponent: sourced(exponent),
            source: "a test".into(),
        }
    }

    #[test]
    fn a_batch_of_a_word_model_touches_few_rows() {
        // 8 ranks × 128 sequences × 20 words: 7.02 · 20480^0.64 = 7.02 · 574.6 = 4033.
        let words = corpus(7.02, 0.64);
        assert!((words.unique(20_480.0, 100_000) - 4033.0).abs() < 1.5);
        assert_eq!(words.unique(1e12, 100_000), 100_000.0, "the vocabulary is the limit");
        assert_eq!(words.unique(1.0, 100_000), 1.0, "one token is one type");
    }

    #[test]
    fn every_byte_occurs() {
        let bytes = corpus(256.0, 0.0);
        assert_eq!(bytes.unique(65_536.0, 257), 256.0);
        assert_eq!(bytes.unique(100.0, 257), 100.0);
        assert_eq!(bytes.unique(0.0, 257), 0.0);
    }

    proptest! {
        #[test]
        fn more_tokens_never_have_fewer_types(
            n in 0.0f64..1e12,
            more in 0.0f64..1e12,
            v in 1u64..1_000_000,
        ) {
            let words = corpus(7.02, 0.64);
            prop_assert!(words.unique(n, v) <= words.unique(n + more, v));
            prop_assert!(words.unique(n, v) <= n.min(v as f64));
        }
    }
}
