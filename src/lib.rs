//! The face of Meshwright: flags, files, rendering and exit codes around the pure crates.
//!
//! Text for people that is not the answer goes to stderr; stdout is the answer. Nothing outside of
//! this crate prints, reads the environment or exits.

mod accuracy;
mod analysis;
mod bug;
mod calibration;
mod catalog;
mod cli;
mod commands;
mod config;
pub mod diagnostics;
mod exit;
mod export;
mod figures;
mod files;
mod fingerprint;
mod layout;
mod local;
mod machines;
mod output;
pub mod planfile;
mod progress;
mod published;
mod question;
mod record;
pub mod render;
mod schemas;
mod settings;
pub mod style;

pub use cli::{Gpus, GpusError};
pub use exit::Exit;

use cli::Asked;
use diagnostics::Failure;
use output::Output;
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the program with the arguments and environment of this process.
#[must_use]
pub fn run() -> ExitCode {
    bug::install();
    ExitCode::from(run_with(std::env::args_os().collect()).code())
}

fn run_with(arguments: Vec<OsString>) -> Exit {
    let parsed = match cli::parse(arguments) {
        Ok(Asked::Run(parsed)) => parsed,
        Ok(Asked::Text(text)) => return answer(&text),
        Err(failure) => return fail(&Output::from_environment(), &failure),
    };
    let (mut output, settings) = match settings::resolve(&parsed) {
        Ok(ready) => ready,
        Err(failure) => return fail(&Output::from_environment(), &failure),
    };
    match commands::dispatch(&parsed, &settings, &mut output) {
        Ok(exit) => exit,
        Err(failure) => fail(&output, &failure),
    }
}

/// Help and version.
fn answer(text: &str) -> Exit {
    let mut output = Output::from_environment();
    match output.data(text) {
        Ok(()) => Exit::Done,
        Err(failure) => fail(&output, &failure),
    }
}

/// Reports a failure; a reader that has gone away is not one.
fn fail(output: &Output, failure: &Failure) -> Exit {
    if failure.is_closed_pipe() {
        return Exit::Done;
    }
    output.report(failure);
    failure.exit()
}
