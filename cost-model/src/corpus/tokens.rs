//! Tokens of a text that arrives in chunks.

/// What one token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A run of letters and digits (an apostrophe between letters belongs to it), or one other
    /// character that is not blank.
    Word,
    /// A byte.
    Byte,
    /// A Unicode character; bytes that are not UTF-8 count as the replacement character.
    Char,
}

/// Turns chunks of bytes into token ids. Chunks may end anywhere, inside a word or a character.
///
/// Ids of words are 64-bit hashes: among a million types two collide with probability 3·10⁻⁸.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    unit: Unit,
    /// Bytes of a character whose rest has not arrived.
    rest: Vec<u8>,
    word: Word,
}

/// A word that is being read: only its hash is kept, so a word may be as long as the text.
#[derive(Clone, Copy, Debug, Default)]
struct Word {
    hash: Option<u64>,
    apostrophe: bool,
}

impl Tokenizer {
    /// A tokenizer at the start of a text.
    #[must_use]
    pub fn new(unit: Unit) -> Self {
        Self { unit, rest: Vec::new(), word: Word::default() }
    }

    /// Reads a chunk and hands every finished token to `sink`.
    pub fn feed(&mut self, chunk: &[u8], sink: &mut impl FnMut(u64)) {
        if self.unit == Unit::Byte {
            chunk.iter().for_each(|byte| sink(u64::from(*byte)));
            return;
        }
        let joined;
        let mut bytes = chunk;
        if !self.rest.is_empty() {
            joined = [std::mem::take(&mut self.rest).as_slice(), chunk].concat();
            bytes = &joined;
        }
        self.decode(bytes, sink);
    }

    /// Ends the text: hands over what is still open.
    pub fn finish(&mut self, sink: &mut impl FnMut(u64)) {
        if !std::mem::take(&mut self.rest).is_empty() {
            self.character(char::REPLACEMENT_CHARACTER, sink);
        }
        self.word.end(sink);
    }

    /// Splits bytes into characters and keeps an incomplete last one.
    fn decode(&mut self, mut bytes: &[u8], sink: &mut impl FnMut(u64)) {
        loop {
            let error = match std::str::from_utf8(bytes) {
                Ok(text) => return text.chars().for_each(|c| self.character(c, sink)),
                Err(error) => error,
            };
            let (valid, after) = bytes.split_at(error.valid_up_to());
            // The prefix is valid, so nothing is replaced here.
            String::from_utf8_lossy(valid).chars().for_each(|c| self.character(c, sink));
            let Some(bad) = error.error_len() else {
                self.rest = after.to_vec();
                return;
            };
            self.character(char::REPLACEMENT_CHARACTER, sink);
            bytes = &after[bad..];
        }
    }

    fn character(&mut self, c: char, sink: &mut impl FnMut(u64)) {
        match self.unit {
            Unit::Word => self.word.read(c, sink),
            Unit::Char | Unit::Byte => sink(u64::from(u32::from(c))),
        }
    }
}

impl Word {
    fn read(&mut self, c: char, sink: &mut impl FnMut(u64)) {
        let apostrophe = matches!(c, '\'' | '’');
        if c.is_alphanumeric() {
            if std::mem::take(&mut self.apostrophe) {
                self.hash = Some(extend(self.hash.unwrap_or(SEED), '\''));
            }
            self.hash = Some(extend(self.hash.unwrap_or(SEED), c));
        } else if apostrophe && self.hash.is_some() && !self.apostrophe {
            self.apostrophe = true;
        } else {
            self.end(sink);
            if !c.is_whitespace() {
                sink(extend(SEED, c));
            }
        }
    }

    /// Hands over the open word, and an apostrophe that nothing followed.
    fn end(&mut self, sink: &mut impl FnMut(u64)) {
        if let Some(hash) = self.hash.take() {
            sink(hash);
        }
        if std::mem::take(&mut self.apostrophe) {
            sink(extend(SEED, '\''));
        }
    }
}

/// Start of a word's hash (FNV-1a, 64 bit).
const SEED: u64 = 0xcbf2_9ce4_8422_2325;

/// The hash of a word with one more character, by FNV-1a over its UTF-8 bytes.
fn extend(hash: u64, c: char) -> u64 {
    let mut buffer = [0; 4];
    c.encode_utf8(&mut buffer)
        .bytes()
        .fold(hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}
