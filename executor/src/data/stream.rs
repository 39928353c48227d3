//! Texts that need not fit in memory: read once to count and to note where tokens are, then window
//! by window as steps need them.
//!
//! What is held is the vocabulary, one offset per [`STRIDE`] tokens, and a buffer. Where a window
//! is follows from the number of its first token alone, so every rank reads its own part of the
//! file and nothing else, and a run goes on from the number of its step.

use super::vocabulary::{Tokens, Vocabulary, VocabularyError, offset_pieces};
use super::{DataError, io};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Tokens from one whose place is noted to the next: 8 bytes for this many.
const STRIDE: u64 = 1024;
/// Bytes that are read at once.
const BUFFER: usize = 1 << 16;
/// A word of more bytes is none.
const LONGEST: usize = 1 << 20;
/// Different words that are counted at once; beyond it the rarest are forgotten.
const COUNTED: usize = 1 << 22;

/// What a text is read with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub buffer: usize,
    pub stride: u64,
    pub counted: usize,
}

pub(super) const SIZES: Sizes = Sizes { buffer: BUFFER, stride: STRIDE, counted: COUNTED };

/// A text in a file.
#[derive(Debug)]
pub struct Stream {
    file: Mutex<File>,
    tokens: Tokens,
    vocabulary: Vocabulary,
    sizes: Sizes,
    /// Where every token is whose number is a multiple of the stride.
    places: Vec<u64>,
    /// Tokens.
    total: u64,
}

impl Stream {
    /// Reads a file once: its vocabulary, and where its tokens are.
    pub(super) fn open(
        path: &Path,
        tokens: Tokens,
        vocab: u64,
        sizes: Sizes,
    ) -> Result<Self, DataError> {
        let mut file = File::open(path)?;
        let (mut counts, mut places, mut total) = (Counts::default(), Vec::new(), 0);
        scan(&mut file, 0, tokens, sizes.buffer, &mut |at, piece| {
            if u64::is_multiple_of(total, sizes.stride) {
                places.push(at);
            }
            total += 1;
            counts.add(piece, sizes.counted);
            true
        })?;
        let vocabulary = Vocabulary::of_counts(tokens, counts.counts, vocab);
        Ok(Self { file: Mutex::new(file), tokens, vocabulary, sizes, places, total })
    }

    /// Tokens of the text.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.total
    }

    /// The vocabulary that was counted.
    #[must_use]
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Numbers of some tokens.
    pub(super) fn read(&self, at: u64, count: usize) -> Result<Vec<u32>, DataError> {
        let ends = || DataError::Read(io::ErrorKind::UnexpectedEof.into());
        let place = self.places.get((at / self.sizes.stride) as usize).ok_or_else(ends)?;
        let mut before = at % self.sizes.stride;
        let mut numbers = Vec::with_capacity(count);
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(*place))?;
        scan(&mut *file, *place, self.tokens, self.sizes.buffer, &mut |_, piece| {
            match before {
                0 => numbers.push(self.vocabulary.number(piece)),
                _ => before -= 1,
            }
            numbers.len() < count
        })?;
        if numbers.len() == count { Ok(numbers) } else { Err(ends()) }
    }
}

/// How often pieces occur. Where there are too many different ones, those that have occurred least
/// are forgotten, so that the frequent ones stay (lossy counting, Manku and Motwani 2002).
#[derive(Default)]
struct Counts {
    counts: BTreeMap<String, u64>,
    rare: u64,
}

impl Counts {
    fn add(&mut self, piece: &str, most: usize) {
        if let Some(count) = self.counts.get_mut(piece) {
            *count += 1;
            return;
        }
        while self.counts.len() >= most.max(1) {
            self.rare += 1;
            let rare = self.rare;
            self.counts.retain(|_, count| *count > rare);
        }
        // What was forgotten may have occurred as often as those that were.
        self.counts.insert(piece.to_string(), self.rare + 1);
    }
}

/// Shows the pieces of a text, with their places, until `visit` has seen enough.
fn scan(
    text: &mut impl Read,
    mut at: u64,
    tokens: Tokens,
    buffer: usize,
    visit: &mut dyn FnMut(u64, &str) -> bool,
) -> Result<(), DataError> {
    let mut held = Vec::new();
    loop {
        let wanted = buffer.max(4) as u64;
        let is_end = (text.by_ref().take(wanted).read_to_end(&mut held)? as u64) < wanted;
        let whole = whole(&held, at, tokens, is_end)?;
        for (offset, piece) in offset_pieces(tokens, whole) {
            if !visit(at + offset as u64, piece) {
                return Ok(());
            }
        }
        let used = whole.len();
        if is_end {
            return Ok(());
        }
        if held.len() - used > LONGEST {
            return Err(VocabularyError::Long { at: at + used as u64, most: LONGEST }.into());
        }
        held.drain(..used);
        at += used as u64;
    }
}

/// The part of what was read in which no piece is cut.
fn whole(held: &[u8], at: u64, tokens: Tokens, is_end: bool) -> Result<&str, VocabularyError> {
    let (text, error) = match std::str::from_utf8(held) {
        Ok(text) => (text, None),
        Err(e) => {
            let start = held.split_at(e.valid_up_to()).0;
            (std::str::from_utf8(start).unwrap_or_default(), Some(e))
        }
    };
    // What is cut at the end of a buffer goes on in the next one.
    if error.is_some_and(|e| e.error_len().is_some() || is_end) {
        return Err(VocabularyError::Encoding { at: at as usize + text.len() });
    }
    if is_end || tokens != Tokens::Words {
        return Ok(text);
    }
    let last = text.char_indices().rev().find(|(_, c)| c.is_whitespace());
    Ok(&text[..last.map_or(0, |(i, c)| i + c.len_utf8())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Source;
    use proptest::prelude::*;
    use std::path::PathBuf;
    use std::sync::Arc;

    fn file(name: &str, text: &[u8]) -> PathBuf {
        let path = std::env::temp_dir().join(format!("meshwright-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path
    }

    fn sizes(buffer: usize, stride: u64) -> Sizes {
        Sizes { buffer, stride, ..SIZES }
    }

    /// Streamed, and held in memory.
    fn both(name: &str, text: &str, tokens: Tokens, sizes: Sizes) -> (Stream, Vec<u32>) {
        let path = file(name, text.as_bytes());
        let stream = Stream::open(&path, tokens, 3000, sizes).unwrap();
        std::fs::remove_file(path).unwrap();
        let vocabulary = Vocabulary::build(tokens, text.as_bytes(), 3000).unwrap();
        assert_eq!(stream.vocabulary(), &vocabulary);
        let numbers = vocabulary.encode(text.as_bytes()).unwrap();
        assert_eq!(stream.tokens(), numbers.len() as u64);
        (stream, numbers)
    }

    proptest! {
        /// Buffers of a few bytes cut words, characters and line ends everywhere.
        #[test]
        fn a_stream_reads_what_memory_holds(
            text in "[a-c \u{a0}\u{2003}é€😀\r\n]{0,60}",
            buffer in 4usize..12, stride in 1u64..6, at in 0usize..60, count in 0usize..20,
        ) {
            for tokens in [Tokens::Words, Tokens::Characters] {
                let (stream, all) = both("any", &text, tokens, sizes(buffer, stride));
                let at = at.min(all.len().saturating_sub(1));
                let count = count.min(all.len() - at);
                if count > 0 {
                    prop_assert_eq!(stream.read(at as u64, count).unwrap(), &all[at..at + count]);
                }
            }
        }
    }

    /// The shipped text is 90 times as long as the buffer.
    #[test]
    fn a_text_longer_than_the_buffer_gives_the_same_windows() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/text/alice.txt");
        let text = std::fs::read_to_string(path).unwrap();
        for tokens in [Tokens::Words, Tokens::Characters] {
            let sizes = sizes(text.len() / 90, 512);
            let (stream, all) = both("alice", &text, tokens, sizes);
            let stream = Source::Text(Arc::new(stream));
            for at in (0..all.len() - 300).step_by(4999) {
                assert_eq!(stream.read(at as u64, 300).unwrap(), &all[at..at + 300]);
            }
            assert!(stream.read(all.len() as u64 - 5, 6).is_err(), "it ends before");
            assert_eq!(stream.largest(), *all.iter().max().unwrap());
        }
    }

    #[test]
    fn what_is_no_text_is_named_with_its_place() {
        let open = |name, text: &[u8], buffer| {
            let path = file(name, text);
            let opened = Stream::open(&path, Tokens::Words, 99, sizes(buffer, 4));
            std::fs::remove_file(path).unwrap();
            opened.unwrap_err().to_string()
        };
        let broken = open("broken", b"one two three \xff four", 8);
        assert!(broken.contains("no UTF-8 at byte 14"), "{broken}");
        let cut = open("cut", b"one two \xe2\x82", 64);
        assert!(cut.contains("no UTF-8 at byte 8"), "{cut}");
        let mut long = b"a ".to_vec();
        long.resize(3 << 20, b'x');
        let long = open("long", &long, 1 << 16);
        assert!(long.contains("word of more than 1048576 bytes at byte 2"), "{long}");
    }

    /// `b` and `c` are forgotten when `d` comes; `a` has stayed.
    #[test]
    fn frequent_words_stay_where_there_are_too_many() {
        let mut counts = Counts::default();
        "a b a c a d a".split(' ').for_each(|word| counts.add(word, 3));
        assert_eq!(
            counts.counts.into_iter().collect::<Vec<_>>(),
            [("a".to_string(), 4), ("d".to_string(), 2)]
        );
    }
}
