//! `compare`: plans side by side.

use crate::cli::CompareArgs;
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::output::Output;
use crate::settings::Settings;

/// Compares plans.
pub fn run(
    _flags: &CompareArgs,
    _settings: &Settings,
    _output: &mut Output,
) -> Result<Exit, Failure> {
    Err(super::plan::no_search())
}
