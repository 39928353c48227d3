//! Passes as people see them: consecutive actions of one forward or backward are one block.

use crate::program::{Action, Op};

/// Consecutive actions of one pass, or of an update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Block {
    /// `F`, `B`, `I`, `W`, `R`, `U`: see [`letter`].
    pub letter: char,
    /// Micro-batch, where it has one.
    pub micro_batch: Option<u32>,
    /// Virtual stage.
    pub stage: u32,
    /// Start, seconds.
    pub start: f64,
    /// End, seconds.
    pub end: f64,
}

/// The letter of a pass: forward, backward, its inputs, its weights, recomputation, or update.
#[must_use]
pub fn letter(op: Op) -> char {
    match op {
        Op::Forward => 'F',
        Op::Backward => 'B',
        Op::BackwardInput => 'I',
        Op::BackwardWeight => 'W',
        Op::Recompute => 'R',
        _ => 'U',
    }
}

/// Adds an action, in seconds from start to end, to blocks in order. It continues the last one
/// where both are of one pass and no gap of half its own length is between them.
pub fn extend(blocks: &mut Vec<Block>, action: &Action, (start, end): (f64, f64)) {
    let (letter, at) = (letter(action.op), action.at);
    let continues = |b: &&mut Block| {
        let same = (b.letter, b.micro_batch, b.stage) == (letter, at.micro_batch, at.stage);
        same && start - b.end < 0.5 * (end - start)
    };
    match blocks.last_mut().filter(continues) {
        Some(last) => last.end = end,
        None => {
            blocks.push(Block { letter, micro_batch: at.micro_batch, stage: at.stage, start, end })
        }
    }
}
