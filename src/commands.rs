//! What each command does.

mod accuracy;
mod calibrate;
mod compare;
mod completions;
mod doctor;
mod execute;
pub mod explain;
mod explore;
mod export;
mod help;
mod import;
pub mod plan;
mod scenarios;
mod simulate;
mod validate;

use crate::cli::{Command, Parsed};
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::output::Output;
use crate::settings::Settings;

/// Runs the command.
pub fn dispatch(
    parsed: &Parsed,
    settings: &Settings,
    output: &mut Output,
) -> Result<Exit, Failure> {
    match &parsed.cli.command {
        Command::Plan(flags) => plan::run(flags, settings, output),
        Command::Explain(flags) => explain::run(flags, settings, output),
        Command::Simulate(flags) => simulate::run(flags, settings, output),
        Command::Execute(flags) => execute::run(flags, settings, output),
        Command::Explore(flags) => explore::run(flags, settings, output),
        Command::Export(flags) => export::run(flags, settings, output),
        Command::Import(flags) => import::run(flags, settings, output),
        Command::Compare(flags) => compare::run(flags, settings, output),
        Command::Validate(flags) => validate::run(flags, settings, output),
        Command::Calibrate(flags) => calibrate::run(flags, settings, output),
        Command::Accuracy(flags) => accuracy::run(flags, settings, output),
        Command::Scenarios(flags) => scenarios::run(&flags.command, settings, output),
        Command::Doctor => doctor::run(settings, output),
        Command::Help(flags) => help::run(&flags.topic, settings, output),
        Command::Completions(flags) => completions::completions(flags.shell, settings, output),
        Command::Man => completions::man(settings, output),
    }
}
