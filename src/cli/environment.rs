//! Every flag has an environment variable: `--max-memory` is `MESHWRIGHT_MAX_MEMORY`.

use clap::builder::FalseyValueParser;
use clap::{Arg, ArgAction, Command};

/// Flags that would be dangerous to inherit from an environment.
const WITHOUT: [&str; 3] = ["output", "help", "version"];

/// The variable of a flag.
pub fn variable(flag: &str) -> String {
    format!("MESHWRIGHT_{}", flag.replace('-', "_").to_uppercase())
}

/// Gives every flag of a command tree its variable, and lets it see negative numbers: they are
/// wrong, and the flag knows how to say so.
pub fn add(command: Command) -> Command {
    command.mut_args(|arg| with_variable(with_negative_numbers(arg))).mut_subcommands(add)
}

fn with_negative_numbers(arg: Arg) -> Arg {
    match arg.get_action() {
        ArgAction::Set => arg.allow_negative_numbers(true),
        _ => arg,
    }
}

fn with_variable(arg: Arg) -> Arg {
    let Some(flag) = arg.get_long().map(str::to_string) else { return arg };
    if WITHOUT.contains(&flag.as_str()) {
        return arg;
    }
    let arg = match arg.get_action() {
        // `=0` and `=false` must not switch a flag on.
        ArgAction::SetTrue => arg.value_parser(FalseyValueParser::new()),
        _ => arg,
    };
    arg.env(variable(&flag)).hide_env(true)
}

#[cfg(test)]
mod tests {
    use super::variable;

    #[test]
    fn the_name_follows_the_flag() {
        assert_eq!(variable("max-memory"), "MESHWRIGHT_MAX_MEMORY");
    }
}
