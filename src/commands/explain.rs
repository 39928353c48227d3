//! `explain`: every number of a plan.

use crate::cli::ExplainArgs;
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::output::Output;
use crate::settings::Settings;

/// Explains a plan.
pub fn run(
    _flags: &ExplainArgs,
    _settings: &Settings,
    _output: &mut Output,
) -> Result<Exit, Failure> {
    Err(super::plan::no_search())
}
