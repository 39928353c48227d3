//! Flags of `accuracy`.

use crate::accuracy::Axis;
use clap::{Args, ValueHint};

/// Flags of `accuracy`.
#[derive(Args, Debug)]
#[command(
    before_help = "Examples:
  meshwright accuracy
  meshwright accuracy --by gpu --split dev
  meshwright accuracy --runs mine.csv --fit-limits limits.csv --rows scored.csv",
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
    /// Configurations that ran out of memory, or nearly; the same columns and `outcome`.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub fit_limits: Option<String>,
    /// Price software by device and split alone, as if no word of a row named it.
    #[arg(long)]
    pub unnamed: bool,
    /// Worst rows to list.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub worst: u16,
    /// Write every row with its prediction and breakdown to this CSV file.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub rows: Option<String>,
    /// Write one page with all tables and a drawing to this file.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub html: Option<String>,
    /// Write the drawing alone to this file.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub svg: Option<String>,
    /// Print what accuracy.lock holds instead of the screen.
    #[arg(long)]
    pub lock: bool,
}
