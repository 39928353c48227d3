//! Flags of `explore`.

use super::SourceArgs;
use super::pins::PinArgs;
use super::plan::{BatchArgs, DataArgs, GoalArgs};
use super::values;
use clap::{Args, ValueHint};
use std::num::{NonZeroU32, NonZeroU64};

/// Flags of `explore`.
#[derive(Args, Debug)]
#[command(
    before_help = "Examples:
  meshwright explore -g 192 -m mlstm4096
  meshwright explore plan.json
  meshwright explore plan.json --replay run.json
  meshwright explore -g 192 -m mlstm4096 --keys 2 --size 100x30",
    after_help = "Needs a terminal of 80 × 24; `--keys` prints a screen without one. \
                  docs/explore.md lists the keys, as does `?`.

Next: `meshwright plan` says the same in lines."
)]
pub struct ExploreArgs {
    /// A plan to start from, instead of a question.
    #[arg(
        value_name = "PLAN", value_hint = ValueHint::FilePath,
        conflicts_with_all = ["model", "gpus", "cluster"]
    )]
    pub plan: Option<String>,
    /// The model: a name or a scenario file.
    #[arg(short, long, value_name = "NAME|FILE", value_hint = ValueHint::FilePath)]
    #[arg(requires = "gpus")]
    pub model: Option<String>,
    /// How many GPUs to begin with.
    #[arg(short, long, value_name = "N", value_parser = values::devices, requires = "model")]
    pub gpus: Option<NonZeroU32>,
    /// The cluster; default: from the configuration, else the model's.
    #[arg(short, long, value_name = "NAME|FILE", value_hint = ValueHint::FilePath)]
    pub cluster: Option<String>,
    /// A recorded run to hold against the plan.
    #[arg(long, value_name = "RECORD", value_hint = ValueHint::FilePath)]
    pub replay: Option<String>,
    /// Print the screen after these keys instead of opening the explorer, such as "2 j w".
    #[arg(long, value_name = "KEYS")]
    pub keys: Option<String>,
    /// Columns and rows of that screen.
    #[arg(long, value_name = "WxH", value_parser = values::screen, default_value = "100x30")]
    pub size: (u16, u16),
    /// Steps of a run that is started from the explorer.
    #[arg(long, value_parser = values::positive, value_name = "N", default_value = "20")]
    pub steps: NonZeroU64,
    /// What a step trains on.
    #[command(flatten)]
    pub batch: BatchArgs,
    /// Decisions that are taken away from the planner.
    #[command(flatten)]
    pub pins: PinArgs,
    /// What best means, within which memory, by which solver.
    #[command(flatten)]
    pub goal: GoalArgs,
    /// Which data to use.
    #[command(flatten)]
    pub data: DataArgs,
    /// Files that the plan was made from, where they are not in the catalog.
    #[command(flatten)]
    pub sources: SourceArgs,
}
