//! Usage errors in the words and order of all other messages.

use crate::diagnostics::Failure;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

/// clap hands help and version out as errors; here they are answers.
pub fn answer(error: &Error) -> Result<String, Failure> {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(error.to_string()),
        _ => Err(failure(error)),
    }
}

/// The failure that a clap error stands for.
pub fn failure(error: &Error) -> Failure {
    match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Failure::usage("no command given").hint("`meshwright help` lists the commands")
        }
        _ => with_hints(error, Failure::usage(headline(error))),
    }
}

fn headline(error: &Error) -> String {
    let arg = words(error, ContextKind::InvalidArg).unwrap_or_default();
    let value = words(error, ContextKind::InvalidValue).unwrap_or_default();
    let prior = words(error, ContextKind::PriorArg).unwrap_or_default();
    match error.kind() {
        ErrorKind::UnknownArgument => format!("no flag `{arg}` here"),
        ErrorKind::InvalidSubcommand => {
            let name = words(error, ContextKind::InvalidSubcommand).unwrap_or_default();
            format!("no command named `{name}`")
        }
        ErrorKind::MissingSubcommand => "no command given".to_string(),
        ErrorKind::InvalidValue if value.is_empty() => format!("`{arg}` needs a value"),
        ErrorKind::InvalidValue => format!("`{value}` is not a value of `{arg}`"),
        ErrorKind::ValueValidation => format!("`{value}` is not a value of `{arg}`{}", why(error)),
        ErrorKind::MissingRequiredArgument => format!("missing: {arg}"),
        ErrorKind::ArgumentConflict if prior == arg => format!("`{arg}` is given twice"),
        ErrorKind::ArgumentConflict => format!("`{arg}` and `{prior}` exclude each other"),
        _ => first_line(error),
    }
}

/// What the parser of the value said.
fn why(error: &Error) -> String {
    std::error::Error::source(error).map_or_else(String::new, |source| format!(": {source}"))
}

/// clap's own words, where there are none of ours.
fn first_line(error: &Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.trim_start_matches("error: ").trim_end_matches('.').to_string()
}

fn with_hints(error: &Error, mut failure: Failure) -> Failure {
    let suggestions =
        [ContextKind::SuggestedArg, ContextKind::SuggestedValue, ContextKind::SuggestedSubcommand];
    for kind in suggestions {
        let name = words(error, kind);
        failure = failure.did_you_mean(name.as_deref().map(|n| n.trim_start_matches("'")));
    }
    if let Some(values) = words(error, ContextKind::ValidValue) {
        failure = failure.hint(format!("one of: {values}"));
    }
    if words(error, ContextKind::InvalidSubcommand).as_deref() == Some("execute") {
        return execute_is_not_here();
    }
    match words(error, ContextKind::Usage) {
        Some(usage) => failure.hint(usage_hint(&usage)),
        None => failure.hint("`meshwright help` lists commands and flags"),
    }
}

/// Points to the help of the command whose usage clap shows.
fn usage_hint(usage: &str) -> String {
    let command: Vec<&str> = usage
        .split_whitespace()
        .skip_while(|word| *word != "meshwright")
        .skip(1)
        .take_while(|word| word.bytes().all(|b| b.is_ascii_lowercase()))
        .collect();
    match command.as_slice() {
        [] => "`meshwright help` lists commands and flags".to_string(),
        words => format!("`meshwright {} --help` shows its flags", words.join(" ")),
    }
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

/// Running plans comes later; say what there is instead.
pub fn execute_is_not_here() -> Failure {
    Failure::usage("this release plans but does not execute: there is no command `execute` yet")
        .hint("`meshwright plan` finds a plan, `meshwright explain` shows its every number")
}
