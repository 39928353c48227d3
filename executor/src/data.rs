//! Text in, micro-batches out.
//!
//! The sequences of a step are lanes: lane `i` of `n` reads the `i`-th part of the text from its
//! start, one window per step, so that what a recurrent model carries over belongs to what comes
//! next. A micro-batch depends on step and sequence numbers alone, never on how many ranks there
//! are; the number of the step is all that has to be remembered to go on.

mod stream;
mod vocabulary;

pub use stream::Stream;
pub use vocabulary::{Tokens, Vocabulary, VocabularyError};

use crate::model::MicroBatch;
use crate::ops::sampled::Sample;
use crate::optimizer::BatchRamp;
use crate::random::Random;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use thiserror::Error;

/// Why a text cannot be trained on.
#[derive(Debug, Error)]
pub enum DataError {
    /// The text is too short.
    #[error(
        "the text has {tokens} tokens; {sequences} sequences of {length} need at least {needed}; \
         take a longer text, a smaller batch or shorter sequences"
    )]
    Short {
        /// Tokens there are.
        tokens: u64,
        /// Sequences per step.
        sequences: u64,
        /// Tokens per sequence.
        length: usize,
        /// Tokens needed.
        needed: u64,
    },
    /// A token that the model does not know.
    #[error("the text has a token {token}; the model's vocabulary ends at {vocab}")]
    Token {
        /// The token.
        token: u32,
        /// Words of the model.
        vocab: u64,
    },
    /// The text cannot be read.
    #[error("cannot read the text: {0}")]
    Read(#[from] io::Error),
    /// Tokens do not fit the model.
    #[error(transparent)]
    Vocabulary(#[from] VocabularyError),
}

/// Tokens of a text, wherever they are.
#[derive(Clone, Debug)]
pub enum Source {
    /// In memory, shared by all ranks of a process.
    Memory(Arc<Vec<u32>>),
    /// Bytes of a file, read as they are needed.
    File(Arc<Mutex<File>>, u64),
    /// Characters or words of a file, read as they are needed.
    Text(Arc<Stream>),
}

impl Source {
    /// The bytes of a file as tokens, without reading it all.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn bytes_of(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        Ok(Self::File(Arc::new(Mutex::new(file)), len))
    }

    /// The characters or words of a file as tokens, without holding it: it is read once to count
    /// them, and then where they are needed.
    ///
    /// # Errors
    /// The file cannot be read, or is no text.
    pub fn text_of(path: &Path, tokens: Tokens, vocab: u64) -> Result<Self, DataError> {
        Stream::open(path, tokens, vocab, stream::SIZES).map(|text| Self::Text(Arc::new(text)))
    }

    /// How many tokens there are.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        match self {
            Self::Memory(tokens) => tokens.len() as u64,
            Self::File(_, len) => *len,
            Self::Text(text) => text.tokens(),
        }
    }

    /// A number that no token exceeds.
    #[must_use]
    pub fn largest(&self) -> u32 {
        match self {
            Self::Memory(tokens) => tokens.iter().copied().max().unwrap_or(0),
            Self::File(..) => 255,
            Self::Text(text) => (text.vocabulary().size() as u32).saturating_sub(1),
        }
    }

    /// Some tokens.
    ///
    /// # Errors
    /// The file cannot be read, or ends before.
    pub fn read(&self, at: u64, count: usize) -> io::Result<Vec<u32>> {
        match self {
            Self::Memory(tokens) => Ok(tokens[at as usize..at as usize + count].to_vec()),
            Self::File(file, _) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                let mut bytes = vec![0; count];
                file.seek(SeekFrom::Start(at))?;
                file.read_exact(&mut bytes)?;
                Ok(bytes.into_iter().map(u32::from).collect())
            }
            Self::Text(text) => text.read(at, count).map_err(io::Error::other),
        }
    }
}

/// What the model should predict.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Objective {
    /// The next token, everywhere.
    Next,
    /// Hidden tokens, at this share of the positions of every sequence; the last word of the
    /// vocabulary stands in their place.
    Hidden {
        /// Share of positions.
        share: f64,
        /// Word that hides the others.
        mask: u32,
    },
}

/// Micro-batches of a text.
#[derive(Clone, Debug)]
pub struct Batches {
    source: Source,
    /// Sequences per step over all replicas.
    pub sequences: u64,
    /// Tokens per sequence.
    pub length: usize,
    /// What to predict.
    pub objective: Objective,
    /// Vocabulary and number of words drawn, for a sampled softmax.
    pub sampled: Option<(u64, u64)>,
    /// Whether rows are ordered by time first.
    pub in_time: bool,
    /// How the batch grows; a sequence begins to read its part of the text when it joins.
    pub ramp: Option<BatchRamp>,
    seed: u64,
}

/// Which micro-batch.
#[derive(Clone, Debug)]
pub struct Slice {
    /// Step.
    pub step: u64,
    /// Sequences of the step.
    pub sequences: Range<u64>,
    /// Piece along time, and how many there are.
    pub piece: (usize, usize),
    /// What the loss is multiplied with.
    pub loss_scale: f64,
    /// Ranks with the same number draw the same words for a sampled softmax.
    pub draw: u64,
}

impl Batches {
    /// Micro-batches for next-token prediction.
    ///
    /// # Errors
    /// The text is too short for one step.
    pub fn new(
        source: Source,
        sequences: u64,
        length: usize,
        seed: u64,
    ) -> Result<Self, DataError> {
        let (tokens, needed) = (source.tokens(), sequences * (length as u64 + 1));
        if tokens < needed || sequences == 0 || length == 0 {
            return Err(DataError::Short { tokens, sequences, length, needed });
        }
        let (objective, sampled, in_time, ramp) = (Objective::Next, None, false, None);
        Ok(Self { source, sequences, length, objective, sampled, in_time, ramp, seed })
    }

    /// The text.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Makes sure that a model knows all tokens.
    ///
    /// # Errors
    /// It does not.
    pub fn check_vocabulary(&self, vocab: u64) -> Result<(), DataError> {
        let token = self.source.largest();
        if u64::from(token) < vocab { Ok(()) } else { Err(DataError::Token { token, vocab }) }
    }

    /// Steps until every lane has been read once.
    #[must_use]
    pub fn steps_per_epoch(&self) -> u64 {
        let lane = self.source.tokens() / self.sequences;
        ((lane - 1) / self.length as u64).max(1)
    }

    /// First token of a sequence at a step.
    fn start(&self, step: u64, sequence: u64) -> u64 {
        let lane = sequence * (self.source.tokens() / self.sequences);
        let begins = self.ramp.map_or(0, |ramp| ramp.begins(sequence));
        lane + step.saturating_sub(begins) % self.steps_per_epoch() * self.length as u64
    }

    /// Positions of a sequence that are predicted.
    fn predictions(&self) -> usize {
        match self.objective {
            Objective::Next => self.length,
            Objective::Hidden { share, .. } => {
                ((self.length as f64 * share).round() as usize).clamp(1, self.length)
            }
        }
    }

    /// Sequences of a step: while the batch grows, those up to this number.
    #[must_use]
    pub fn at(&self, step: u64) -> u64 {
        self.ramp.map_or(self.sequences, |ramp| ramp.at(step))
    }

    /// The share of one prediction in the mean over a step.
    #[must_use]
    pub fn per_prediction(&self, step: u64) -> f64 {
        1.0 / (self.at(step) * self.predictions() as u64) as f64
    }

    /// The micro-batch of a slice.
    ///
    /// # Errors
    /// The text cannot be read.
    pub fn micro_batch(&self, slice: &Slice) -> io::Result<MicroBatch> {
        let piece = crate::comm::part(self.length, slice.piece.1, slice.piece.0);
        let (mut inputs, mut targets) = (Vec::new(), Vec::new());
        for sequence in slice.sequences.clone() {
            let at = self.start(slice.step, sequence) + piece.start as u64;
            let window = self.source.read(at, piece.len() + 1)?;
            inputs.extend_from_slice(&window[..piece.len()]);
            targets.extend_from_slice(&window[1..]);
        }
        let count = slice.sequences.clone().count();
        let mut batch = MicroBatch::new(&inputs, &targets, count, self.in_time);
        batch.first = piece.start;
        if let Objective::Hidden { mask, .. } = self.objective {
            self.hide(&mut batch, slice, mask);
        }
        batch.scale = slice.loss_scale * self.per_prediction(slice.step);
        batch.sample = self.sampled.map(|(vocab, count)| {
            let draw = Random::new(self.seed, "sampled words").at(slice.step).at(slice.draw);
            let mut numbers = 0..;
            Sample::draw(vocab, count, || draw.uniform(numbers.next().unwrap_or(0)))
        });
        Ok(batch)
    }

    /// Hides as many tokens of each sequence as are to be predicted: those with the lowest of
    /// random numbers.
    fn hide(&self, batch: &mut MicroBatch, slice: &Slice, mask: u32) {
        let draw = Random::new(self.seed, "hidden tokens").at(slice.step);
        let mut rows = Vec::new();
        for (i, sequence) in slice.sequences.clone().enumerate() {
            let draw = draw.at(sequence);
            // Drawn among all positions, whichever of them this piece holds.
            let mut order: Vec<usize> = (0..self.length).collect();
            order.sort_by_key(|&position| draw.bits(position as u64));
            order.truncate(self.predictions());
            order.sort_unstable();
            let held = order.into_iter().filter_map(|position| position.checked_sub(batch.first));
            let held = held.filter(|&position| position < batch.length);
            rows.extend(held.map(|position| (i * batch.length + position) as u32));
        }
        batch.targets = rows.iter().map(|&row| batch.inputs[row as usize]).collect();
        rows.iter().for_each(|&row| batch.inputs[row as usize] = mask);
        batch.rows = Some(rows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(step: u64, sequences: Range<u64>) -> Slice {
        Slice { step, sequences, piece: (0, 1), loss_scale: 1.0, draw: 0 }
    }

    fn counting(n: u32) -> Source {
        Source::Memory(Arc::new((0..n).collect()))
    }

    /// 26 tokens in 2 lanes of 13: four windows of 3 each.
    #[test]
    fn lanes_go_on_where_they_stopped() {
        let batches = Batches::new(counting(26), 2, 3, 0).unwrap();
        assert_eq!(batches.steps_per_epoch(), 4);
        let first = batches.micro_batch(&slice(0, 0..2)).unwrap();
        assert_eq!(first.inputs, [0, 1, 2, 13, 14, 15]);
        assert_eq!(first.targets, [1, 2, 3, 14, 15, 16]);
        let second = batches.micro_batch(&slice(1, 1..2)).unwrap();
        assert_eq!(second.inputs, [16, 17, 18]);
        let again = batches.micro_batch(&slice(4, 0..2)).unwrap();
        assert_eq!(again, first);
        assert_eq!(first.scale, 1.0 / 6.0);
    }

    /// Of 2 lanes of 13 tokens the second joins at step 2, and starts at its beginning.
    #[test]
    fn lanes_that_join_late_miss_nothing() {
        let mut batches = Batches::new(counting(26), 2, 3, 0).unwrap();
        batches.ramp = Some(BatchRamp { from: 1, to: 2, steps: 4 });
        assert_eq!([0, 1, 2, 9].map(|step| batches.at(step)), [1, 1, 2, 2]);
        let second = batches.micro_batch(&slice(1, 0..1)).unwrap();
        assert_eq!((second.inputs, second.scale), (vec![3, 4, 5], 1.0 / 3.0));
        let third = batches.micro_batch(&slice(2, 0..2)).unwrap();
        assert_eq!((third.inputs, third.scale), (vec![6, 7, 8, 13, 14, 15], 1.0 / 6.0));
    }

    #[test]
    fn pieces_along_time_follow_each_other() {
        let batches = Batches::new(counting(20), 1, 6, 0).unwrap();
        let piece = |i| {
            let slice = Slice { piece: (i, 2), ..slice(1, 0..1) };
            batches.micro_batch(&slice).unwrap()
        };
        assert_eq!((piece(0).inputs, piece(1).inputs), (vec![6, 7, 8], vec![9, 10, 11]));
        assert_eq!(piece(1).targets, [10, 11, 12]);
        assert_eq!(piece(0).scale, 1.0 / 6.0);
    }

    #[test]
    fn hidden_tokens_are_the_targets() {
        let mut batches = Batches::new(counting(200), 2, 20, 3).unwrap();
        batches.objective = Objective::Hidden { share: 0.15, mask: 999 };
        let batch = batches.micro_batch(&slice(0, 0..2)).unwrap();
        let rows = batch.rows.unwrap();
        assert_eq!(rows.iter().filter(|&&row| row < 20).count(), 3);
        assert_eq!(batch.inputs.iter().filter(|&&token| token == 999).count(), 6);
        let right: Vec<u32> = rows.iter().map(|&r| if r < 20 { r } else { r - 20 + 100 }).collect();
        assert_eq!(batch.targets, right);
    }

    #[test]
    fn words_are_drawn_per_step_and_group() {
        let mut batches = Batches::new(counting(100), 2, 4, 3).unwrap();
        batches.sampled = Some((1000, 16));
        let words = |step, draw| {
            let slice = Slice { draw, ..slice(step, 0..1) };
            batches.micro_batch(&slice).unwrap().sample.unwrap().words
        };
        assert_eq!(words(0, 0), words(0, 0));
        assert_ne!(words(0, 0), words(0, 1));
        assert_ne!(words(0, 0), words(1, 0));
        assert_eq!(words(0, 0).len(), 16);
    }

    #[test]
    fn a_short_text_is_refused_with_numbers() {
        let error = Batches::new(counting(7), 2, 3, 0).unwrap_err().to_string();
        assert!(error.contains("has 7 tokens") && error.contains("at least 8"), "{error}");
    }

    #[test]
    fn a_file_gives_its_bytes() {
        let path = std::env::temp_dir().join(format!("meshwright-bytes-{}", std::process::id()));
        std::fs::write(&path, [5, 6, 7, 8, 9]).unwrap();
        let source = Source::bytes_of(&path).unwrap();
        assert_eq!((source.tokens(), source.read(1, 3).unwrap()), (5, vec![6, 7, 8]));
        std::fs::remove_file(&path).unwrap();
    }
}
