//! Decisions that are taken away from the planner, as flags and as `tp=2,pp=4`.

use super::values::{self, Pin};
use clap::{Args, FromArgMatches, ValueEnum};
use cost_model::memory::Zero;
use plan::exchange::Exchange;
use plan::lower::Recompute;
use plan::schedule::{LocalSteps, ScheduleKind};
use planner::request::Pins;
use std::num::NonZeroU32;

/// Decisions that are taken away from the planner; `auto` leaves them to it.
#[derive(Args, Debug)]
#[command(next_help_heading = "Pins")]
pub struct PinArgs {
    /// Tensor-parallel degree.
    #[arg(long, value_parser = values::degree, default_value = "auto", value_name = "N")]
    pub tp: Pin<NonZeroU32>,
    /// Pipeline-parallel degree.
    #[arg(long, value_parser = values::degree, default_value = "auto", value_name = "N")]
    pub pp: Pin<NonZeroU32>,
    /// Data-parallel degree.
    #[arg(long, value_parser = values::degree, default_value = "auto", value_name = "N")]
    pub dp: Pin<NonZeroU32>,
    /// Context-parallel degree.
    #[arg(
        long, value_parser = values::degree, default_value = "auto", value_name = "N",
        hide_short_help = true
    )]
    pub cp: Pin<NonZeroU32>,
    /// Expert-parallel degree.
    #[arg(
        long, value_parser = values::degree, default_value = "auto", value_name = "N",
        hide_short_help = true
    )]
    pub ep: Pin<NonZeroU32>,
    /// ZeRO stage.
    #[arg(long, value_parser = values::zero_stage, default_value = "auto", value_name = "0..3")]
    pub zero: Pin<u8>,
    /// Sequences per micro-batch.
    #[arg(long, value_parser = values::degree, default_value = "auto", value_name = "N")]
    pub micro_batch: Pin<NonZeroU32>,
    /// Recomputation of activations.
    #[arg(long, value_enum, default_value = "auto", value_name = "KIND")]
    pub recompute: RecomputePin,
    /// Pipeline schedule.
    #[arg(long, value_enum, default_value = "auto", value_name = "KIND", hide_short_help = true)]
    pub schedule: SchedulePin,
    /// Virtual stages per pipeline rank.
    #[arg(
        long, value_parser = values::degree, default_value = "auto", value_name = "N",
        hide_short_help = true
    )]
    pub chunks: Pin<NonZeroU32>,
    /// Sequence parallelism between the blocks of tensor parallelism.
    #[arg(long, value_enum, default_value = "auto", value_name = "WHEN", hide_short_help = true)]
    pub sequence_parallel: SwitchPin,
    /// Exchange of embedding gradients.
    #[arg(long, value_enum, default_value = "auto", value_name = "KIND")]
    pub embedding: EmbeddingPin,
    /// Number format of embedding gradients on the wire.
    #[arg(long, value_enum, default_value = "auto", value_name = "FORMAT")]
    pub embedding_wire: WirePin,
    /// Replicas train apart and meet every STEPS steps (DiLoCo). It changes what is learned, so it
    /// is never chosen for you.
    #[arg(
        long, value_parser = values::local_steps, value_name = "STEPS[:FRAGMENTS:DELAY]",
        hide_short_help = true
    )]
    pub local_steps: Option<LocalSteps>,
    /// Activations wait for their backward pass in host memory.
    #[arg(long, value_enum, default_value = "auto", value_name = "WHEN", hide_short_help = true)]
    pub offload: SwitchPin,
}

impl PinArgs {
    /// The pins as the planner takes them.
    pub fn pins(&self) -> Pins {
        let degree = |pin: Pin<NonZeroU32>| pin.value().map(NonZeroU32::get);
        Pins {
            tp: degree(self.tp),
            pp: degree(self.pp),
            dp: degree(self.dp),
            cp: degree(self.cp),
            ep: degree(self.ep),
            zero: self.zero.value().and_then(Zero::from_stage),
            micro_sequences: degree(self.micro_batch).map(u64::from),
            recompute: self.recompute.value(),
            schedule: self.schedule.value(),
            chunks: degree(self.chunks),
            sequence_parallel: self.sequence_parallel.value(),
            exchange: self.embedding.value(),
            exchange_wire: self.embedding_wire.value(),
            local_steps: self.local_steps,
            offload: self.offload.value(),
        }
    }
}

/// Reads pins from the words of a command line, such as `--tp 8`.
pub fn read(words: &[String]) -> Result<Pins, String> {
    let command = PinArgs::augment_args(clap::Command::new("pins").no_binary_name(true));
    let matches = command.disable_help_flag(true).try_get_matches_from(words);
    let matches = matches.map_err(|e| super::usage::failure(&e, &[]).headline().to_string())?;
    let args = PinArgs::from_arg_matches(&matches).map_err(|e| e.to_string())?;
    Ok(args.pins())
}

/// Another choice, as `--why-not` takes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice(pub Pins);

/// Reads `tp=2,pp=4`.
pub fn choice(text: &str) -> Result<Choice, String> {
    let mut words = Vec::new();
    for item in text.split(',') {
        let (name, value) =
            item.split_once('=').ok_or("a choice is written like tp=2 or tp=2,pp=4")?;
        words.push(format!("--{}", name.trim()));
        words.push(value.trim().to_string());
    }
    read(&words).map(Choice)
}

/// Recomputation: pinned, or left to the planner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RecomputePin {
    /// The planner decides per layer.
    Auto,
    /// All activations are kept.
    None,
    /// Only attention is recomputed.
    Selective,
    /// Whole layers are recomputed.
    Full,
}

impl RecomputePin {
    fn value(self) -> Option<Recompute> {
        match self {
            Self::Auto => None,
            Self::None => Some(Recompute::None),
            Self::Selective => Some(Recompute::Selective),
            Self::Full => Some(Recompute::Full),
        }
    }
}

/// Pipeline schedule: pinned, or left to the planner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchedulePin {
    /// The planner decides.
    Auto,
    /// All forward passes, then all backward passes.
    Gpipe,
    /// One forward, one backward pass.
    #[value(name = "1f1b")]
    OneForwardOneBackward,
    /// 1F1B over several virtual stages per rank.
    Interleaved,
    /// All micro-batches through one virtual stage before the next.
    BreadthFirst,
    /// Gradients of weights where 1F1B waits.
    ZeroBubbleH1,
    /// The same with twice the activations and no bubble.
    ZeroBubbleH2,
    /// Two virtual stages per rank, down and up again, and no bubble.
    ZeroBubbleV,
    /// Modules that do not wait for gradients of this step. It changes what is learned, so it is
    /// never chosen for you.
    Ouroboros,
}

impl SchedulePin {
    fn value(self) -> Option<ScheduleKind> {
        match self {
            Self::Auto => None,
            Self::Gpipe => Some(ScheduleKind::GPipe),
            Self::OneForwardOneBackward => Some(ScheduleKind::OneForwardOneBackward),
            Self::Interleaved => Some(ScheduleKind::Interleaved),
            Self::BreadthFirst => Some(ScheduleKind::BreadthFirst),
            Self::ZeroBubbleH1 => Some(ScheduleKind::ZeroBubbleH1),
            Self::ZeroBubbleH2 => Some(ScheduleKind::ZeroBubbleH2),
            Self::ZeroBubbleV => Some(ScheduleKind::ZeroBubbleV),
            Self::Ouroboros => Some(ScheduleKind::Ouroboros),
        }
    }
}

/// Something that is on or off: pinned, or left to the planner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SwitchPin {
    /// The planner decides.
    Auto,
    /// On.
    On,
    /// Off.
    Off,
}

impl SwitchPin {
    fn value(self) -> Option<bool> {
        match self {
            Self::Auto => None,
            Self::On => Some(true),
            Self::Off => Some(false),
        }
    }
}

/// Exchange of embedding gradients: pinned, or left to the planner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EmbeddingPin {
    /// The planner decides per table.
    Auto,
    /// All-gather of every token's gradient (G·K·D).
    Gather,
    /// All-gather after summing each rank's repeated tokens.
    DedupGather,
    /// Agree on the different tokens, then all-reduce those rows (G·K + U·D).
    Unique,
    /// All-reduce of the whole table (V·D).
    Dense,
    /// Each rank keeps a part of the vocabulary.
    Sharded,
}

impl EmbeddingPin {
    fn value(self) -> Option<Exchange> {
        match self {
            Self::Auto => None,
            Self::Gather => Some(Exchange::Gather),
            Self::DedupGather => Some(Exchange::DedupGather),
            Self::Unique => Some(Exchange::Unique),
            Self::Dense => Some(Exchange::Dense),
            Self::Sharded => Some(Exchange::Sharded),
        }
    }
}

/// Format of embedding gradients on the wire: pinned, or that of the recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WirePin {
    /// As the recipe's other gradients.
    Auto,
    /// Two bytes per element.
    Fp16,
    /// Four bytes per element.
    Fp32,
}

impl WirePin {
    fn value(self) -> Option<u64> {
        match self {
            Self::Auto => None,
            Self::Fp16 => Some(2),
            Self::Fp32 => Some(4),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_pins() {
        let Choice(pins) = choice("tp=2, pp=4,schedule=1f1b").unwrap();
        let expected = Pins {
            tp: Some(2),
            pp: Some(4),
            schedule: Some(ScheduleKind::OneForwardOneBackward),
            ..Pins::default()
        };
        assert_eq!(pins, expected);
        assert!(choice("tp").unwrap_err().contains("tp=2"));
        assert!(choice("tq=2").unwrap_err().contains("--tq"));
        assert!(choice("tp=0").unwrap_err().contains("from 1 on"));
    }

    /// What a plan file keeps of the pins is enough to set them again.
    #[test]
    fn flags_of_pins_read_back() {
        let all = "--tp 2 --pp 4 --dp 3 --cp 2 --ep 3 --zero 1 --micro-batch 5 --recompute full \
                   --schedule interleaved --chunks 2 --sequence-parallel on --embedding unique \
                   --embedding-wire fp16 --local-steps 30:3:5 --offload on";
        let words: Vec<String> = all.split_whitespace().map(str::to_string).collect();
        let pins = read(&words).unwrap();
        let again: Vec<String> = pins.flags().join(" ").split(' ').map(str::to_string).collect();
        assert_eq!(again.len(), words.len());
        assert_eq!(read(&again).unwrap(), pins);
    }
}
