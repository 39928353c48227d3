//! Flags of `plan`.

use super::gpus::Gpus;
use super::pins::{self, Choice, PinArgs};
use super::training::TrainingArgs;
use super::values::{self, MemoryLimit};
use clap::{Args, ValueEnum, ValueHint};
use plan::Dtype;
use plan::units::{Bytes, Seconds};
use std::num::NonZeroU64;

/// Flags of `plan`.
#[derive(Args, Debug)]
#[command(
    before_help = "Examples:
  meshwright plan --gpus 192 --model mlstm4096
  meshwright plan -g 192 -m llama2-70b -c hgx-h100 -o plan.json
  meshwright plan -m mlstm4096 -g 8,64,128,192,256 --svg scaling.svg
  meshwright plan -m llama2-7b -g 8..64:8 -c hgx-h100,dgx-a100 --svg cost.svg
  meshwright plan -m llama2-7b -g 64 -c hgx-h100 --objective time-to-loss --target-loss 2.1",
    after_help = "Next: `meshwright explain plan.json` shows where the time goes; \
                  `meshwright scenarios list` shows models and clusters."
)]
pub struct PlanArgs {
    /// The model: a name or a scenario file.
    #[arg(short, long, value_name = "NAME|FILE", value_hint = ValueHint::FilePath)]
    pub model: String,
    /// How many GPUs; a range or a list sweeps and prints one line each.
    #[arg(short, long, value_name = "N|A..B[:step]|A,B,C")]
    pub gpus: Gpus,
    /// The cluster; default: from the configuration, else the model's. Several, separated by
    /// commas, are put side by side.
    #[arg(short, long, value_name = "NAME|FILE[,..]", value_hint = ValueHint::FilePath)]
    pub cluster: Option<String>,
    /// What a step trains on.
    #[command(flatten)]
    pub batch: BatchArgs,
    /// Decisions that are taken away from the planner.
    #[command(flatten)]
    pub pins: PinArgs,
    /// How to search, and for what.
    #[command(flatten)]
    pub search: SearchArgs,
    /// A whole run instead of a step.
    #[command(flatten)]
    pub training: TrainingArgs,
    /// Which data to use.
    #[command(flatten)]
    pub data: DataArgs,
    /// Draw a sweep: over GPU counts tokens per second beside the ideal, over clusters time
    /// against dollars.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub svg: Option<String>,
    /// Show what was understood, and do not search.
    #[arg(long)]
    pub dry_run: bool,
}

/// What a step trains on; the model's recipe where nothing is said.
#[derive(Args, Debug)]
#[command(next_help_heading = "Batch")]
pub struct BatchArgs {
    /// Sequences per step over all GPUs.
    #[arg(long, value_parser = values::positive, value_name = "N", conflicts_with = "local_batch")]
    pub global_batch: Option<NonZeroU64>,
    /// Sequences per step and GPU.
    #[arg(long, value_parser = values::positive, value_name = "N")]
    pub local_batch: Option<NonZeroU64>,
    /// Tokens per sequence.
    #[arg(long, value_parser = values::positive, value_name = "N")]
    pub seq: Option<NonZeroU64>,
    /// Number format of activations and matrix products.
    #[arg(long, value_parser = dtype, value_name = "fp32|fp16|bf16|fp8")]
    pub dtype: Option<Dtype>,
}

/// What best means, within which memory, by which solver.
#[derive(Args, Debug)]
#[command(next_help_heading = "Search")]
pub struct GoalArgs {
    /// What best means.
    #[arg(long, value_enum, default_value = "step-time", value_name = "GOAL")]
    pub objective: Objective,
    /// Memory of each device that a plan may use: a share or a size.
    #[arg(long, value_parser = values::memory_limit, value_name = "90%|70GiB")]
    pub max_memory: Option<MemoryLimit>,
    /// Memory of each device that a plan must leave free.
    #[arg(long, value_parser = values::size, value_name = "SIZE", hide_short_help = true)]
    pub reserve: Option<Bytes>,
    /// How sure it must be that a plan which splits the model is faster; 50% takes the fastest
    /// prediction.
    #[arg(
        long, value_parser = values::quantile, value_name = "SHARE", default_value = "80%"
    )]
    pub quantile: f64,
    /// Solver of integer programmes.
    #[arg(
        long,
        value_enum,
        default_value = "microlp",
        value_name = "NAME",
        hide_short_help = true
    )]
    pub solver: Solver,
}

/// How to search, and for what.
#[derive(Args, Debug)]
#[command(next_help_heading = "Search")]
pub struct SearchArgs {
    /// What best means, within which memory, by which solver.
    #[command(flatten)]
    pub goal: GoalArgs,
    /// Plans to show: the best and its runners-up.
    #[arg(
        long, value_name = "N", default_value_t = 4,
        value_parser = values::within(1..=1000)
    )]
    pub top: u16,
    /// Stop searching after this long, with what was found.
    #[arg(long, value_parser = values::time, value_name = "TIME")]
    pub time_limit: Option<Seconds>,
    /// Also say what another choice would cost, such as tp=2 or tp=2,pp=4.
    #[arg(long, value_parser = pins::choice, value_name = "CHOICE")]
    pub why_not: Option<Choice>,
    /// Also say what one more of memory, GPUs or bandwidth is worth, by solving again.
    #[arg(long)]
    pub binds: bool,
}

/// Which data to use.
#[derive(Args, Debug)]
#[command(next_help_heading = "Data")]
pub struct DataArgs {
    /// Vocabulary statistics: a name, or a file from `calibrate --corpus`.
    #[arg(long, value_name = "NAME|FILE", value_hint = ValueHint::FilePath)]
    pub corpus: Option<String>,
    /// Software stack whose constants are used: a name or a file.
    #[arg(long, value_name = "NAME|FILE", value_hint = ValueHint::FilePath)]
    pub stack: Option<String>,
}

fn dtype(text: &str) -> Result<Dtype, String> {
    Dtype::from_name(text).ok_or_else(|| "it is fp32, fp16, bf16 or fp8".to_string())
}

/// What best means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Objective {
    /// Shortest step.
    StepTime,
    /// Most tokens per second.
    TokensPerS,
    /// Least memory per GPU.
    Memory,
    /// Fewest GPU-hours per token.
    GpuHours,
    /// Fewest dollars per token, or per run.
    Dollars,
    /// Shortest run to a loss; the batch is a decision.
    TimeToLoss,
    /// Least electricity per token, or per run.
    Kwh,
}

impl Objective {
    /// The objective as the planner takes it.
    pub fn of_planner(self) -> planner::request::Objective {
        use planner::request::Objective as Planner;
        match self {
            Self::StepTime => Planner::StepTime,
            Self::TokensPerS => Planner::TokensPerSecond,
            Self::Memory => Planner::Memory,
            Self::GpuHours => Planner::GpuHours,
            Self::Dollars => Planner::Dollars,
            Self::TimeToLoss => Planner::TimeToLoss,
            Self::Kwh => Planner::KilowattHours,
        }
    }
}

/// Solver of integer programmes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Solver {
    /// Pure Rust, always there.
    Microlp,
    /// HiGHS, in builds with the cargo feature `highs`.
    #[cfg(feature = "highs")]
    Highs,
}

impl Solver {
    /// The solver as the planner takes it.
    pub fn backend(self) -> planner::pipeline::Backend {
        match self {
            Self::Microlp => planner::pipeline::Backend::Microlp,
            #[cfg(feature = "highs")]
            Self::Highs => planner::pipeline::Backend::Highs,
        }
    }
}
