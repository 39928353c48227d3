//! `calibrate --corpus`: how many different tokens a batch holds.

use crate::cli::CalibrateArgs;
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::output::Output;
use crate::settings::Settings;

/// Fits the law of a corpus.
pub fn run(
    _flags: &CalibrateArgs,
    _settings: &Settings,
    _output: &mut Output,
) -> Result<Exit, Failure> {
    Err(super::plan::no_search())
}
