//! Flags of `execute`.

use super::values;
use super::{SourceArgs, TokenKind};
use clap::{Args, ValueEnum, ValueHint};
use plan::record::RecordMode;
use plan::units::Seconds;
use std::num::NonZeroU64;

/// Flags of `execute`.
#[derive(Args, Debug)]
#[command(
    before_help = "Examples:
  meshwright plan -m mlstm-tiny -g 2 -c local -o plan.json
  meshwright execute plan.json --steps 20
  meshwright execute plan.json --text book.txt --steps 200 --save book.safetensors
  meshwright execute plan.json --record run.json
  meshwright execute plan.json --dry-run
  meshwright execute big.json --slice rank=0",
    after_help = "Ranks are CPU threads of this process, or processes: those that torchrun, srun \
                  or mpirun started, or with `--ranks processes` those that this command starts. \
                  Plans for other machines are refused: `plan --cluster local` makes one for this \
                  machine.

Next: `meshwright explain plan.json --analyze run.json` holds a record against the prediction."
)]
pub struct ExecuteArgs {
    /// The plan, `-` for stdin.
    #[arg(value_name = "PLAN", default_value = "plan.json", value_hint = ValueHint::FilePath)]
    pub plan: String,
    /// Text to train on; default: a small one that ships.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub text: Option<String>,
    /// What a token is; default: bytes for small vocabularies, else words.
    #[arg(long, value_enum, value_name = "WHAT")]
    pub tokens: Option<TokenKind>,
    /// Steps to train.
    #[arg(long, value_parser = values::positive, value_name = "N", default_value = "20")]
    pub steps: NonZeroU64,
    /// Learning rate; the highest, where it changes.
    #[arg(long, value_parser = values::rate, value_name = "RATE", default_value = "0.001")]
    pub rate: f64,
    /// How the learning rate goes over the run.
    #[arg(long, value_enum, value_name = "SHAPE", default_value = "constant")]
    pub schedule: RateShape,
    /// Steps of that shape; default: to the last step of this run.
    #[arg(long, value_parser = values::positive, value_name = "N")]
    pub schedule_steps: Option<NonZeroU64>,
    /// Steps over which the batch grows to the plan's along a line; replicas leave out their last
    /// micro-batches.
    #[arg(long, value_parser = values::positive, value_name = "N")]
    pub ramp_steps: Option<NonZeroU64>,
    /// Sequences that a growing batch starts with, and grows by; default: one micro-batch on every
    /// replica.
    #[arg(
        long, value_parser = values::positive, value_name = "SEQUENCES", requires = "ramp_steps"
    )]
    pub ramp_from: Option<NonZeroU64>,
    /// Largest norm of all gradients.
    #[arg(long, value_parser = values::rate, value_name = "NORM", default_value = "1")]
    pub clip: f64,
    /// Where initial values and draws start.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Write the state after the last step.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub save: Option<String>,
    /// Go on from a state, of any plan of the same model.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub resume: Option<String>,
    /// Write what was measured: a record for people and programs, with raw samples beside it.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub record: Option<String>,
    /// How much is measured; default: every action with --record, else nothing.
    #[arg(long, value_enum, value_name = "MODE")]
    pub profile: Option<ProfileMode>,
    /// Threads that each rank computes with; plans count on one.
    #[arg(long, value_parser = values::positive, value_name = "N", default_value = "1")]
    pub threads: NonZeroU64,
    /// Show ranks, memory and the command that launches them, and run nothing.
    #[arg(long, conflicts_with_all = ["record", "save", "resume", "slice"])]
    pub dry_run: bool,
    /// Run one rank's share of the plan here at its true shapes, with the network priced.
    #[arg(long, value_parser = values::rank, value_name = "RANK", conflicts_with = "resume")]
    pub slice: Option<u32>,
    /// What ranks are; default: the processes that a launcher started, else threads.
    #[arg(long, value_enum, value_name = "WHAT")]
    pub ranks: Option<RankKind>,
    /// Least time that an action may wait for other ranks before all of them end; actions that are
    /// predicted to take long may wait 20 times as long as that.
    #[arg(long, value_parser = values::time, value_name = "TIME", default_value = "60 s")]
    pub deadline: Seconds,
    /// Make messages take as long as on the network of another cluster; plans for any cluster run
    /// then, on processors.
    #[arg(long, value_name = "CLUSTER")]
    pub network: Option<String>,
    /// Ranks on a node of that network; default: as many as it has devices.
    #[arg(long, value_parser = values::positive, value_name = "N", requires = "network")]
    pub ranks_per_node: Option<NonZeroU64>,
    /// Files that the plan was made from, where they are not in the catalog.
    #[command(flatten)]
    pub sources: SourceArgs,
}

/// How a learning rate goes over a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RateShape {
    /// The same in every step.
    Constant,
    /// Along a line to 0.
    Linear,
    /// Along a cosine to 0.
    Cosine,
    /// Up along a line for half of the steps, then down to 0, as in Cramming.
    OneCycle,
    /// Of the multiplicative LSTM in large batches: grows with the batch (whatever --rate says),
    /// then falls along a line to 0 over 100,000 steps.
    LargeBatchMlstm,
}

/// What ranks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RankKind {
    /// Threads of this process.
    Threads,
    /// Processes on this host that talk over TCP.
    Processes,
}

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProfileMode {
    /// Whole steps only.
    Off,
    /// Every action of every tenth step.
    Sampled,
    /// Every action of every step.
    Full,
    /// Every action, and one rank computes at a time: what actions cost alone.
    Serial,
}

impl ExecuteArgs {
    /// The flags of a short slice.
    #[must_use]
    pub fn slice_of(rank: u32) -> Self {
        Self {
            plan: "-".into(),
            text: None,
            tokens: None,
            steps: NonZeroU64::MIN,
            rate: 0.001,
            schedule: RateShape::Constant,
            schedule_steps: None,
            ramp_steps: None,
            ramp_from: None,
            clip: 1.0,
            seed: 1,
            save: None,
            resume: None,
            record: None,
            profile: None,
            threads: NonZeroU64::MIN,
            dry_run: false,
            slice: Some(rank),
            ranks: Some(RankKind::Threads),
            deadline: Seconds::new(60.0),
            network: None,
            ranks_per_node: None,
            sources: SourceArgs::default(),
        }
    }

    /// How much is measured.
    #[must_use]
    pub fn mode(&self) -> RecordMode {
        match (self.profile, &self.record) {
            (Some(ProfileMode::Off), _) | (None, None) => RecordMode::Off,
            (Some(ProfileMode::Sampled), _) => RecordMode::Sampled,
            (Some(ProfileMode::Full), _) | (None, Some(_)) => RecordMode::Full,
            (Some(ProfileMode::Serial), _) => RecordMode::Serial,
        }
    }
}
