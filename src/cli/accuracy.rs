//! Flags of `accuracy`.

use crate::accuracy::Axis;
use clap::{Args, ValueHint};

/// Flags of `accuracy`.
#[derive(Args, Debug)]
#[command(
    before_help = "Examples:
  meshwright accuracy
  meshwright accuracy --by gpu --split dev
  meshwright accuracy --runs mine.csv --rows scored.csv",
    after_help = "Next: docs/accuracy.md says how to read the table."
)]
pub struct AccuracyArgs {
    /// Put rows together by this.
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    pub by: Axis,
    /// Only rows whose group or source contains this.
    #[arg(long, value_name = "WORD")]
    pub source: Option<String>,
    /// Only rows of this split, such as tune or dev.
    #[arg(long, value_name = "SPLIT")]
    pub split: Option<String>,
    /// Score this table instead of what is shipped; `-` is stdin.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub runs: Option<String>,
    /// Write every row with its prediction and breakdown to this CSV file.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub rows: Option<String>,
}
