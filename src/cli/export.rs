//! Flags of `export`.

use super::SourceArgs;
use clap::{Args, ValueEnum, ValueHint};

/// Flags of `export`.
#[derive(Args, Debug)]
#[command(
    before_help = "Examples:
  meshwright export plan.json --to schedule -o schedule.csv",
    after_help = "Next: `meshwright execute plan.json` trains the plan itself."
)]
pub struct ExportArgs {
    /// The plan, `-` for stdin.
    #[arg(value_name = "PLAN", default_value = "plan.json", value_hint = ValueHint::FilePath)]
    pub plan: String,
    /// What to write.
    #[arg(long, value_enum, value_name = "TARGET")]
    pub to: Target,
    /// Files that the plan was made from, where they are not in the catalog.
    #[command(flatten)]
    pub sources: SourceArgs,
}

/// What a plan is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// The pipeline schedule as PyTorch reads it: a line per rank, cells such as 2F0.
    Schedule,
}
