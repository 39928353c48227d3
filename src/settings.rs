//! What applies: flag, then environment, then configuration files, then default.

use crate::cli::{Command, Format, Parsed};
use crate::config::{self, Loaded};
use crate::diagnostics::Failure;
use crate::output::{ColorChoice, Look, Output};
use clap::parser::ValueSource;

/// Where a setting came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Typed.
    Flag,
    /// A `MESHWRIGHT_…` variable.
    Environment(String),
    /// A configuration file.
    File(String),
    /// Nobody said anything.
    Default,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Environment(name) => f.write_str(name),
            Self::File(path) => f.write_str(path),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A setting as `doctor` lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name in flags and files.
    pub name: &'static str,
    /// What applies, in words.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// What applies to the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How results are written.
    pub format: Format,
    /// Where results are written.
    pub output: Option<String>,
    /// The cluster that flag, environment or file names.
    pub cluster: Option<(String, Origin)>,
    /// Everything that applies, for `doctor`.
    pub all: Vec<Setting>,
    /// The configuration files that were read, the strongest first.
    pub files: Vec<Loaded>,
}

/// Works out what applies and opens the output accordingly.
///
/// # Errors
/// When a configuration file is wrong.
pub fn resolve(parsed: &Parsed) -> Result<(Output, Settings), Failure> {
    let global = &parsed.cli.global;
    let files = if global.no_config { Vec::new() } else { config::load(global.config.as_deref())? };
    let mut sources = Sources { parsed, files: &files, all: Vec::new() };
    let cluster_flag = match &parsed.cli.command {
        Command::Plan(plan) => plan.cluster.clone(),
        Command::Explore(explore) => explore.cluster.clone(),
        Command::Import(import) => import.cluster.clone(),
        _ => std::env::var("MESHWRIGHT_CLUSTER").ok().filter(|v| !v.is_empty()),
    };
    let cluster = sources.pick("cluster", cluster_flag, |c| c.config.cluster.clone(), Clone::clone);
    let format_flag = if global.json { Some(Format::Json) } else { global.format };
    let format = sources.pick("format", format_flag, |c| c.config.format, |f| f.name().into());
    let color = sources.pick("color", global.color, |c| c.config.color, |c| c.name().into());
    let ascii_flag = global.ascii.then_some(true);
    let ascii = sources.pick("ascii", ascii_flag, |c| c.config.ascii, bool::to_string);
    let width = sources.pick("width", global.width, |c| c.config.width, u16::to_string);
    let all = sources.all;
    let format = format.map_or_else(Format::default, |(format, _)| format);
    let color = color.map_or_else(ColorChoice::default, |(color, _)| color);
    // A plan goes to the file, and its screen still to the terminal.
    let is_plan =
        matches!(parsed.cli.command, Command::Plan(_) | Command::Explore(_) | Command::Import(_));
    let look = Look {
        color: if format == Format::Plain { ColorChoice::Never } else { color },
        is_ascii: ascii.is_some_and(|(is_ascii, _)| is_ascii),
        width: width.map(|(width, _)| width),
        talk: global.talk(),
        has_file: global.output.as_deref().is_some_and(|file| file != "-") && !is_plan,
    };
    let output = global.output.clone();
    Ok((Output::new(look), Settings { format, output, cluster, all, files }))
}

struct Sources<'a> {
    parsed: &'a Parsed,
    files: &'a [Loaded],
    all: Vec<Setting>,
}

impl Sources<'_> {
    /// The strongest value with its origin; remembered for `doctor`.
    fn pick<T: Clone>(
        &mut self,
        name: &'static str,
        given: Option<T>,
        from_file: impl Fn(&Loaded) -> Option<T>,
        word: impl Fn(&T) -> String,
    ) -> Option<(T, Origin)> {
        let in_files = || {
            let found = self.files.iter().find_map(|file| Some((from_file(file)?, &file.path)));
            found.map(|(value, path)| (value, Origin::File(path.clone())))
        };
        let picked = given.map(|value| (value, self.given_by(name))).or_else(in_files);
        let (value, origin) = match &picked {
            Some((value, origin)) => (word(value), origin.clone()),
            None => (default_word(name).to_string(), Origin::Default),
        };
        self.all.push(Setting { name, value, origin });
        picked
    }

    /// Whether a given value was typed or stands in the environment.
    fn given_by(&self, name: &str) -> Origin {
        let chain = std::iter::successors(Some(&self.parsed.matches), |matches| {
            matches.subcommand().map(|(_, inner)| inner)
        });
        let sources: Vec<ValueSource> = chain.filter_map(|m| source_of(m, name)).collect();
        if sources.contains(&ValueSource::CommandLine) {
            return Origin::Flag;
        }
        Origin::Environment(format!("MESHWRIGHT_{}", name.to_uppercase()))
    }
}

/// What applies when nobody says anything.
fn default_word(name: &str) -> &'static str {
    match name {
        "cluster" => "the model's",
        "format" => "human",
        "color" => "auto",
        "ascii" => "false",
        _ => "the terminal's",
    }
}

/// Where a value came from, on a command that may not have the flag at all.
fn source_of(matches: &clap::ArgMatches, name: &str) -> Option<ValueSource> {
    let is_known = matches.ids().any(|id| id.as_str() == name);
    let by_json = name == "format" && matches.ids().any(|id| id.as_str() == "json");
    match is_known {
        true => matches.value_source(name),
        false if by_json => matches.value_source("json"),
        false => None,
    }
}
