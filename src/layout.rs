//! What people train with today: layouts in the files of other trainers, read back into pins.
//!
//! A reader pins what its file decides, what the file leaves to the trainer's defaults, and what
//! the trainer cannot do otherwise. What it does not understand, and what the language of plans
//! lacks, comes back as remarks with the line that they are about.

mod megatron;
mod nanotron;
mod sheet;
mod shell;
#[cfg(test)]
mod tests;
mod torchtitan;
mod yaml;

use crate::diagnostics::Failure;
use crate::exit::Exit;
use plan::Dtype;
use planner::request::Pins;

/// Somebody's trainer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trainer {
    /// Megatron-LM: a script or a list of flags.
    Megatron,
    /// torchtitan 0.2.2: TOML.
    Torchtitan,
    /// nanotron: YAML.
    Nanotron,
}

/// A sentence about the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Line, from 1; `None` where it is about something that the file does not say.
    pub line: Option<usize>,
    /// What is not carried over, or not understood.
    pub text: String,
}

/// A size of the model that the file states, to hold against the model that is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Layers.
    Layers,
    /// Width.
    Width,
    /// Heads.
    Heads,
}

/// A size, its value and its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stated {
    /// Which.
    pub size: Size,
    /// How much.
    pub value: u64,
    /// Line, from 1.
    pub line: usize,
}

/// What a file decides.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    /// Decisions.
    pub pins: Pins,
    /// Ranks, where the file says how many.
    pub ranks: Option<u32>,
    /// Sequences of a step.
    pub global_sequences: Option<u64>,
    /// Tokens of a sequence.
    pub tokens: Option<u64>,
    /// Format of products.
    pub compute: Option<Dtype>,
    /// The software stack whose constants are those of the trainer.
    pub stack: &'static str,
    /// Sizes of the model.
    pub stated: Vec<Stated>,
    /// What is not carried over.
    pub remarks: Vec<Remark>,
}

impl Layout {
    /// The flags of `plan` that ask for this layout, but for model, cluster, GPUs and software.
    pub fn flags(&self) -> Vec<String> {
        let mut flags = self.pins.flags();
        flags.extend(self.global_sequences.map(|n| format!("--global-batch {n}")));
        flags.extend(self.tokens.map(|n| format!("--seq {n}")));
        flags.extend(self.compute.map(|format| format!("--dtype {format}")));
        flags
    }
}

/// Whose file a text is.
pub fn recognise(text: &str) -> Option<Trainer> {
    let starts = |word: &str| text.lines().any(|line| line.trim_end().starts_with(word));
    if starts("[parallelism]") || starts("[training]") {
        Some(Trainer::Torchtitan)
    } else if starts("parallelism:") && starts("tokens:") {
        Some(Trainer::Nanotron)
    } else if text.contains("--tensor-model-parallel-size") || text.contains("--micro-batch-size") {
        Some(Trainer::Megatron)
    } else {
        None
    }
}

/// Reads a layout; `gpus` is how many ranks there are, where somebody said so.
///
/// # Errors
/// A file of no known trainer, syntax that is broken, and numbers that contradict each other.
pub fn read(name: &str, text: &str, gpus: Option<u32>) -> Result<Layout, Failure> {
    match recognise(text) {
        Some(Trainer::Megatron) => megatron::read(text, gpus),
        Some(Trainer::Torchtitan) => torchtitan::read(name, text, gpus),
        Some(Trainer::Nanotron) => nanotron::read(name, text),
        None => Err(Failure::new(
            Exit::InvalidInput,
            format!("{name} is no configuration of a trainer that is read"),
        )
        .evidence(
            "Megatron-LM   a script or list of flags, such as --tensor-model-parallel-size 2\n\
             torchtitan    TOML of 0.2.2 with a table [parallelism]\n\
             nanotron      YAML with parallelism: and tokens:",
        )
        .hint("a plan of meshwright is JSON, and needs no import")),
    }
}
