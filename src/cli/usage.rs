//! Usage errors in the words and order of all other messages.

use crate::diagnostics::Failure;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

/// clap hands help and version out as errors; here they are answers.
pub fn answer(error: &Error, command: &[&str]) -> Result<String, Failure> {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(error.to_string()),
        _ => Err(failure(error, command)),
    }
}

/// The failure that a clap error stands for; `command` is the path of subcommands it is about.
pub fn failure(error: &Error, command: &[&str]) -> Failure {
    let failure = with_suggestions(error, Failure::usage(headline(error)));
    match command {
        [] => failure.hint("`meshwright help` lists commands and flags"),
        path => failure.hint(format!("`meshwright {} --help` shows how", path.join(" "))),
    }
}

fn headline(error: &Error) -> String {
    let arg = names(&words(error, ContextKind::InvalidArg).unwrap_or_default());
    let value = words(error, ContextKind::InvalidValue).unwrap_or_default();
    let prior = names(&words(error, ContextKind::PriorArg).unwrap_or_default());
    match error.kind() {
        ErrorKind::UnknownArgument => format!("no flag `{arg}` here"),
        ErrorKind::InvalidSubcommand => {
            let name = words(error, ContextKind::InvalidSubcommand).unwrap_or_default();
            format!("no command named `{name}`")
        }
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "no command given".to_string()
        }
        ErrorKind::InvalidValue if value.is_empty() => format!("`{arg}` needs a value"),
        ErrorKind::InvalidValue => format!("`{value}` is not a value of `{arg}`"),
        ErrorKind::ValueValidation => format!("`{arg} {value}`: {}", why(error)),
        ErrorKind::MissingRequiredArgument => format!("missing: {arg}"),
        ErrorKind::ArgumentConflict if prior == arg => format!("`{arg}` is given twice"),
        ErrorKind::ArgumentConflict => format!("`{arg}` and `{prior}` exclude each other"),
        _ => first_line(error),
    }
}

/// What the parser of the value said.
fn why(error: &Error) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| "not a value of this flag".to_string(), ToString::to_string)
}

/// Flags without the description of their values: `--gpus <N>, --model <NAME>` is `--gpus,
/// --model`. A positional argument is its description.
fn names(arguments: &str) -> String {
    let short = |argument: &str| match argument.split_once(" <") {
        Some((flag, _)) => flag.to_string(),
        None => argument.trim_matches(['<', '>']).to_string(),
    };
    arguments.split(", ").map(short).collect::<Vec<_>>().join(", ")
}

/// clap's own words, where there are none of ours.
fn first_line(error: &Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.trim_start_matches("error: ").trim_end_matches('.').to_string()
}

fn with_suggestions(error: &Error, mut failure: Failure) -> Failure {
    let suggestions =
        [ContextKind::SuggestedArg, ContextKind::SuggestedValue, ContextKind::SuggestedSubcommand];
    for kind in suggestions {
        let name = words(error, kind);
        failure = failure.did_you_mean(name.as_deref().map(|n| n.trim_start_matches("'")));
    }
    if let Some(values) = words(error, ContextKind::ValidValue) {
        failure = failure.hint(format!("one of: {values}"));
    }
    failure
}

/// The text of one piece of context.
fn words(error: &Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) if texts.is_empty() => None,
        ContextValue::Strings(texts) => Some(texts.join(", ")),
        ContextValue::StyledStr(text) => Some(text.to_string()),
        ContextValue::Number(n) => Some(n.to_string()),
        ContextValue::Bool(b) => Some(b.to_string()),
        _ => None,
    }
}
