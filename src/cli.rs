//! The command line: commands, flags, what they mean. Nothing here does anything yet.

mod accuracy;
mod environment;
mod execute;
mod explore;
mod export;
mod global;
mod gpus;
mod import;
mod pins;
mod plan;
mod simulate;
mod training;
mod usage;
pub mod values;

pub use accuracy::AccuracyArgs;
pub use execute::{ExecuteArgs, RankKind, RateShape};
pub use explore::ExploreArgs;
pub use export::{DrawingArgs, ExportArgs, Figure, Target};
pub use global::{Format, Global};
pub use gpus::{Gpus, GpusError};
pub use import::LayoutArgs;
pub use pins::{Choice, read as read_pins};
pub use plan::{GoalArgs, PlanArgs};
pub use simulate::{Change, ChangeKind, Detail, SimulateArgs};
pub use training::TrainingArgs;

use crate::diagnostics::Failure;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::Path;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "meshwright",
    version,
    about = "Finds the best way to split the training of a language model over N GPUs, proves it, \
             and says why.",
    before_help = "Examples:
  meshwright plan --gpus 192 --model mlstm4096
  meshwright plan -g 192 -m llama2-70b -c hgx-h100 -o plan.json
  meshwright scenarios list",
    after_help = "Next: `meshwright plan --help`, then `meshwright help config` and \
                  `meshwright help exit-codes`.",
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true,
    infer_subcommands = false
)]
pub struct Cli {
    /// Flags that every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Find the best plan for a model on a number of GPUs.
    Plan(Box<PlanArgs>),
    /// Show every number of a plan, and why it was chosen.
    Explain(ExplainArgs),
    /// Run a plan in simulated time, action by action.
    Simulate(Box<SimulateArgs>),
    /// Train a plan on CPU ranks of this machine.
    Execute(ExecuteArgs),
    /// Explore plans on the terminal: candidates, time, memory, what if.
    Explore(Box<ExploreArgs>),
    /// Write a plan for others: trainers, papers, a browser.
    Export(ExportArgs),
    /// Write the layout of another trainer's configuration as a priced plan.
    Import(LayoutArgs),
    /// Show two or more plans side by side.
    Compare(CompareArgs),
    /// Check plan and scenario files.
    Validate(ValidateArgs),
    /// Fit constants of the cost model to data.
    Calibrate(CalibrateArgs),
    /// Hold predictions against published measurements.
    Accuracy(AccuracyArgs),
    /// List, show and start scenario files.
    Scenarios(ScenariosArgs),
    /// Say what was detected and where each setting came from.
    Doctor,
    /// Show help on a command or a topic.
    Help(HelpArgs),
    /// Write completions for a shell to stdout.
    Completions(CompletionsArgs),
    /// Write the man page to stdout.
    Man,
}

/// Flags of `explain`.
#[derive(Args, Debug)]
#[command(
    before_help = "Examples:
  meshwright explain plan.json
  meshwright explain plan.json --why-not tp=2
  meshwright explain --formula comm.hierarchical
  meshwright explain plan.json --program rank=3
  meshwright explain plan.json --analyze run.json",
    after_help = "Next: `meshwright compare --help` puts plans side by side."
)]
pub struct ExplainArgs {
    /// The plan, `-` for stdin.
    #[arg(value_name = "PLAN", default_value = "plan.json", value_hint = clap::ValueHint::FilePath)]
    pub plan: String,
    /// Levels of the tree.
    #[arg(
        long, value_name = "N", default_value_t = 3,
        value_parser = values::within(1..=16)
    )]
    pub depth: u16,
    /// Show only this branch, such as step/backward.
    #[arg(long, value_name = "PATH")]
    pub path: Option<String>,
    /// Show the formula with this id: equation, letters, source, test.
    #[arg(long, value_name = "ID", conflicts_with_all = ["path", "why_not", "ids"])]
    pub formula: Option<String>,
    /// Say what another choice would cost, such as tp=2 or tp=2,pp=4.
    #[arg(long, value_parser = pins::choice, value_name = "CHOICE")]
    pub why_not: Option<Choice>,
    /// Say what one more of memory, GPUs or bandwidth is worth, by solving again.
    #[arg(long)]
    pub binds: bool,
    /// Show the id of every part; --path takes them.
    #[arg(long)]
    pub ids: bool,
    /// Show the program of a rank: every action in order, such as rank=3.
    #[arg(
        long, value_parser = values::rank, value_name = "RANK",
        conflicts_with_all = ["path", "why_not", "ids", "formula", "binds"]
    )]
    pub program: Option<u32>,
    /// Hold the record of a run against the prediction, action by action.
    #[arg(
        long, value_name = "RECORD", value_hint = clap::ValueHint::FilePath,
        conflicts_with_all = ["path", "why_not", "ids", "formula", "binds", "program"]
    )]
    pub analyze: Option<String>,
    /// Files that the plan was made from, where they are not in the catalog.
    #[command(flatten)]
    pub sources: SourceArgs,
}

/// Files that a plan was made from, where their names are not in the catalog.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Inputs")]
pub struct SourceArgs {
    /// The file of the plan's model, where its name is not in the catalog.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub model_file: Option<String>,
    /// The file of the plan's cluster.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub cluster_file: Option<String>,
    /// The file of the plan's software stack.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub stack_file: Option<String>,
    /// The file of the plan's corpus.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub corpus_file: Option<String>,
}

/// Flags of `compare`.
#[derive(Args, Debug)]
#[command(
    before_help = "Examples:
  meshwright compare plan.json zero1.json
  meshwright compare *.json --json
  meshwright compare old.json new.json --exit-code",
    after_help = "Next: `meshwright explain PLAN` shows where the time of one plan goes."
)]
pub struct CompareArgs {
    /// The plans, the first is what the others are compared with.
    #[arg(
        value_name = "PLAN", required = true, num_args = 2..,
        value_hint = clap::ValueHint::FilePath
    )]
    pub plans: Vec<String>,
    /// Exit with 1 when the plans decide differently.
    #[arg(long)]
    pub exit_code: bool,
}

/// Flags of `validate`.
#[derive(Args, Debug)]
#[command(
    before_help = "Examples:
  meshwright validate plan.json
  meshwright validate scenarios/
  meshwright validate my-cluster.toml --json",
    after_help = "Next: `meshwright scenarios new cluster` writes a file to start from."
)]
pub struct ValidateArgs {
    /// Files and folders; `-` is a plan on stdin.
    #[arg(value_name = "FILE", required = true, value_hint = clap::ValueHint::AnyPath)]
    pub files: Vec<String>,
    /// Files that plans were made from, where they are not in the catalog.
    #[command(flatten)]
    pub sources: SourceArgs,
}

/// Flags of `calibrate`.
#[derive(Args, Debug)]
#[command(
    before_help = "Examples:
  meshwright calibrate --corpus text.txt -o corpus.toml
  meshwright calibrate --corpus text.txt --tokens byte
  meshwright calibrate --node
  meshwright calibrate --from run.json
  meshwright calibrate --published llm-foundry -o mine.toml
  meshwright calibrate --nccl-log all_reduce.log -o cluster.toml
  zcat text.gz | meshwright calibrate --corpus - -o corpus.toml
  meshwright calibrate --intervals -o scenarios/published/intervals.toml",
    after_help = "Next: `meshwright plan -m word-lm-1b --corpus corpus.toml` uses what was fitted."
)]
pub struct CalibrateArgs {
    /// Fit how many different tokens a batch holds, from this text (`-` for stdin).
    #[arg(
        long, value_name = "FILE",
        required_unless_present_any = ["published", "intervals", "node", "from", "nccl_log"],
        value_hint = clap::ValueHint::FilePath
    )]
    pub corpus: Option<String>,
    /// Measure this machine: products, memory, messages, and short runs of small models.
    #[arg(long, conflicts_with_all = ["corpus", "published", "intervals", "from"])]
    pub node: bool,
    /// Fit the constants of this machine to recorded runs.
    #[arg(
        long, value_name = "RECORD", num_args = 1..,
        conflicts_with_all = ["corpus", "published", "intervals"],
        value_hint = clap::ValueHint::FilePath
    )]
    pub from: Vec<String>,
    /// Fit links to a log of nccl-tests and write a cluster file.
    #[arg(
        long, value_name = "FILE",
        conflicts_with_all = ["corpus", "published", "intervals", "node", "from"],
        value_hint = clap::ValueHint::FilePath
    )]
    pub nccl_log: Option<String>,
    /// Fit how far measured steps lie from predictions, from the shipped tuning rows.
    #[arg(long, conflicts_with_all = ["corpus", "published"])]
    pub intervals: bool,
    /// What a token is.
    #[arg(long, value_enum, value_name = "KIND", default_value_t = TokenKind::Word)]
    pub tokens: TokenKind,
    /// Fit constants of software stacks to measured steps whose group or source contains this.
    #[arg(long, value_name = "WORD", conflicts_with_all = ["corpus", "tokens"])]
    pub published: Option<String>,
    /// Use only rows of this split.
    #[arg(long, value_name = "SPLIT", default_value = "tune", requires = "published")]
    pub split: String,
    /// The measured steps, where they are not the shipped ones; `-` is stdin.
    #[arg(
        long, value_name = "FILE", requires = "published",
        value_hint = clap::ValueHint::FilePath
    )]
    pub runs: Option<String>,
    /// Constants to fit, such as compute.derate,overlap.contention; all that matter otherwise.
    #[arg(long, value_name = "LIST", value_delimiter = ',', requires = "published")]
    pub free: Vec<String>,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TokenKind {
    /// What stands between white space and punctuation.
    Word,
    /// One byte.
    Byte,
    /// One Unicode character.
    Char,
}

/// Flags of `scenarios`.
#[derive(Args, Debug)]
#[command(
    before_help = "Examples:
  meshwright scenarios list
  meshwright scenarios show mlstm4096
  meshwright scenarios new cluster -o my-cluster.toml
  meshwright scenarios import path/to/config.json -o my-model.toml",
    after_help = "Next: `meshwright plan -m NAME -g N` plans a model of the list."
)]
pub struct ScenariosArgs {
    /// What to do with scenarios.
    #[command(subcommand)]
    pub command: ScenariosCommand,
}

/// What to do with scenarios.
#[derive(Debug, Subcommand)]
pub enum ScenariosCommand {
    /// List models, clusters, devices, profiles and corpora.
    List(ListArgs),
    /// Print the file of one scenario, with the facts that follow from it.
    Show(ShowArgs),
    /// Write a commented file to start from.
    New(NewArgs),
    /// Write a Hugging Face configuration as a model file, or what machines say as a cluster file.
    Import(ImportArgs),
}

/// Flags of `scenarios list`.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// Only this kind.
    #[arg(value_enum, value_name = "KIND")]
    pub kind: Option<crate::catalog::Kind>,
}

/// Flags of `scenarios show`.
#[derive(Args, Debug)]
pub struct ShowArgs {
    /// Name or file.
    #[arg(value_name = "NAME|FILE")]
    pub name: String,
}

/// Flags of `scenarios import`.
#[derive(Args, Debug)]
pub struct ImportArgs {
    /// A config.json or its folder; what nvidia-smi topo -m, scontrol show node, sinfo or
    /// nccl-tests print; `-` for stdin.
    #[arg(value_name = "FILE")]
    pub source: String,
    /// The device of a cluster, where the file does not name it.
    #[arg(long, value_name = "NAME")]
    pub device: Option<String>,
    /// The name of a cluster.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

/// Flags of `scenarios new`.
#[derive(Args, Debug)]
pub struct NewArgs {
    /// What to start.
    #[arg(value_enum, value_name = "KIND")]
    pub kind: NewKind,
}

/// What can be started from a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NewKind {
    /// An accelerator.
    Device,
    /// Nodes and links.
    Cluster,
    /// A model and its training recipe.
    Model,
    /// Vocabulary statistics.
    Corpus,
}

/// Flags of `help`.
#[derive(Args, Debug)]
pub struct HelpArgs {
    /// A command (`plan`, `scenarios list`) or a topic: config, environment, exit-codes, schemas.
    #[arg(value_name = "COMMAND|TOPIC")]
    pub topic: Vec<String>,
}

/// Flags of `completions`.
#[derive(Args, Debug)]
#[command(before_help = "Examples:
  meshwright completions bash > ~/.local/share/bash-completion/completions/meshwright
  meshwright completions zsh > ~/.zfunc/_meshwright
  meshwright completions fish > ~/.config/fish/completions/meshwright.fish")]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

/// The command line as it was understood, and which flags were given how.
pub struct Parsed {
    /// The flags.
    pub cli: Cli,
    /// Where each value came from.
    pub matches: clap::ArgMatches,
}

/// The command tree with its environment variables.
pub fn command() -> clap::Command {
    environment::add(Cli::command().max_term_width(100))
}

/// What a command line asks for.
pub enum Asked {
    /// To run a command.
    Run(Box<Parsed>),
    /// For a text that is already known: help or version.
    Text(String),
}

/// Understands the command line.
pub fn parse(arguments: Vec<OsString>) -> Result<Asked, Failure> {
    let arguments = dispatch_on_name(arguments);
    let path = subcommands(&arguments);
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let matches = match command().try_get_matches_from(&arguments) {
        Ok(matches) => matches,
        Err(error) => return usage::answer(&error, &path).map(Asked::Text),
    };
    let cli = Cli::from_arg_matches(&matches).map_err(|e| usage::failure(&e, &path))?;
    Ok(Asked::Run(Box::new(Parsed { cli, matches })))
}

/// The flags of `plan` and `execute` for a short run of a small model, as a person would type them:
/// decisions that ranks cannot run yet are pinned away.
pub fn small_run(model: &str, ranks: u32, steps: u64) -> Result<(PlanArgs, ExecuteArgs), Failure> {
    let bug = |e: clap::Error| Failure::new(crate::exit::Exit::Bug, e.to_string());
    let of = |words: String| {
        let words = std::iter::once("meshwright").chain(words.split_whitespace());
        Cli::try_parse_from(words).map(|cli| cli.command).map_err(bug)
    };
    let plan = of(format!(
        "plan -m {model} -g {ranks} -c local --dp {ranks} --zero 0 --embedding dense \
         --stack meshwright-cpu"
    ))?;
    let execute = of(format!("execute - --steps {steps} --record -"))?;
    match (plan, execute) {
        (Command::Plan(plan), Command::Execute(execute)) => Ok((*plan, execute)),
        _ => Err(Failure::new(crate::exit::Exit::Bug, "plan is not plan")),
    }
}

/// The flags of a `plan` command, from its words.
pub fn parse_plan(words: &str) -> Result<PlanArgs, Failure> {
    plan_of(words.split_whitespace().map(str::to_string).collect())
}

/// The flags of a `plan` command whose words may hold blanks.
pub fn plan_of(words: Vec<String>) -> Result<PlanArgs, Failure> {
    let words = std::iter::once("meshwright".to_string()).chain(words);
    match Cli::try_parse_from(words).map(|cli| cli.command) {
        Ok(Command::Plan(plan)) => Ok(*plan),
        Ok(_) => Err(Failure::usage("this is no `plan`")),
        Err(error) => Err(usage::failure(&error, &["plan"])),
    }
}

/// The flags of an `execute` command for a run of some steps, everything else as it is by default.
pub fn execute_for(steps: u64) -> Result<ExecuteArgs, Failure> {
    let words = ["meshwright", "execute", "-", "--steps", &steps.to_string()].map(str::to_string);
    match Cli::try_parse_from(words).map(|cli| cli.command) {
        Ok(Command::Execute(execute)) => Ok(execute),
        _ => Err(Failure::new(crate::exit::Exit::Bug, "execute is not execute")),
    }
}

/// The subcommands that the arguments name, as far as they can be told.
fn subcommands(arguments: &[OsString]) -> Vec<String> {
    let mut level = Cli::command();
    let mut path = Vec::new();
    for argument in arguments.iter().skip(1).filter_map(|a| a.to_str()) {
        if let Some(found) = level.find_subcommand(argument) {
            path.push(argument.to_string());
            level = found.clone();
        }
    }
    path
}

/// The binary linked as `plan` or `execute` is that command.
fn dispatch_on_name(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let name = arguments.first().and_then(|a| Path::new(a).file_stem()?.to_str());
    match name {
        Some("plan") => arguments.insert(1, "plan".into()),
        Some("execute") => arguments.insert(1, "execute".into()),
        _ => {}
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_table_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn linked_as_plan_it_plans() {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let as_plan = dispatch_on_name(words(&["/usr/bin/plan", "-g", "8"]));
        assert_eq!(as_plan, words(&["/usr/bin/plan", "plan", "-g", "8"]));
        let as_is = dispatch_on_name(words(&["meshwright", "plan"]));
        assert_eq!(as_is, words(&["meshwright", "plan"]));
        let as_execute = dispatch_on_name(words(&["./execute", "plan.json"]));
        assert_eq!(as_execute, words(&["./execute", "execute", "plan.json"]));
        assert_eq!(dispatch_on_name(Vec::new()), words(&[]));
    }
}
