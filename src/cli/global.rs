//! Flags that every command takes.

use super::values;
use crate::output::{ColorChoice, Talk};
use clap::{Args, ValueEnum, ValueHint};

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people on a terminal.
    #[default]
    Human,
    /// For people, without colours and bars.
    Plain,
    /// For programs; the schema is published.
    Json,
    /// Tables for documents.
    Markdown,
    /// Tables for spreadsheets.
    Csv,
}

impl Format {
    /// The word used in flags and configuration files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Plain => "plain",
            Self::Json => "json",
            Self::Markdown => "markdown",
            Self::Csv => "csv",
        }
    }
}

/// Flags that every command takes.
#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
pub struct Global {
    /// How results are written.
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// Short for --format json.
    #[arg(long, global = true, conflicts_with = "format")]
    pub json: bool,
    /// Write the result to a file; `-` is stdout.
    #[arg(short, long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<String>,
    /// Say less: -q for results only, -qq for silence.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "verbose")]
    pub quiet: u8,
    /// Say more: reasons.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, hide_short_help = true)]
    pub verbose: u8,
    /// When to colour; auto honours NO_COLOR, CLICOLOR_FORCE and TERM=dumb.
    #[arg(long, global = true, value_enum, value_name = "WHEN", hide_short_help = true)]
    pub color: Option<ColorChoice>,
    /// Write ASCII only.
    #[arg(long, global = true, hide_short_help = true)]
    pub ascii: bool,
    /// Lay out for this many columns.
    #[arg(
        long, global = true, value_name = "N",
        value_parser = values::within(40..=400), hide_short_help = true
    )]
    pub width: Option<u16>,
    /// Read this configuration file instead of looking for one.
    #[arg(
        long, global = true, value_name = "FILE", conflicts_with = "no_config",
        value_hint = ValueHint::FilePath, hide_short_help = true
    )]
    pub config: Option<String>,
    /// Read no configuration file.
    #[arg(long, global = true, hide_short_help = true)]
    pub no_config: bool,
}

impl Global {
    /// How talkative stderr is.
    pub fn talk(&self) -> Talk {
        match (self.quiet, self.verbose) {
            (2.., _) => Talk::Silent,
            (1, _) => Talk::Quiet,
            (0, 0) => Talk::Normal,
            (0, _) => Talk::Verbose,
        }
    }
}
