//! Flags of `export`.

use super::SourceArgs;
use clap::{Args, ValueEnum, ValueHint};

/// Flags of `export`.
#[derive(Args, Debug)]
#[command(
    before_help = "Examples:
  meshwright export plan.json --to megatron -o pretrain.sh
  meshwright export plan.json --to torchtitan -o train.toml
  meshwright export plan.json --to html -o report.html
  meshwright export plan.json --to svg --figure memory -o memory.svg",
    after_help = "What a trainer cannot be told is noted on stderr, and in the file where its \
                  format has comments.

Next: `meshwright execute plan.json` trains the plan itself."
)]
pub struct ExportArgs {
    /// The plan, `-` for stdin.
    #[arg(value_name = "PLAN", default_value = "plan.json", value_hint = ValueHint::FilePath)]
    pub plan: String,
    /// What to write.
    #[arg(long, value_enum, value_name = "TARGET")]
    pub to: Target,
    /// What to draw.
    #[command(flatten)]
    pub drawing: DrawingArgs,
    /// Files that the plan was made from, where they are not in the catalog.
    #[command(flatten)]
    pub sources: SourceArgs,
}

/// What a plan is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// Megatron-LM: a script with all its flags.
    Megatron,
    /// Megatron-Bridge: a recipe in Python.
    MegatronBridge,
    /// torchtitan 0.2.2: TOML.
    Torchtitan,
    /// DeepSpeed: JSON; your script builds the model.
    Deepspeed,
    /// Hugging Face Accelerate: YAML; your script builds the model.
    Accelerate,
    /// nanotron: YAML.
    Nanotron,
    /// MaxText: YAML on top of its base.yml.
    Maxtext,
    /// A script for sbatch that runs `meshwright execute`.
    Slurm,
    /// The pipeline schedule as PyTorch reads it: a line per rank, cells such as 2F0.
    Schedule,
    /// A page for a browser, complete in one file: figures, reasons, and the report as data.
    Html,
    /// One figure for a paper, on white: --figure says which.
    Svg,
}

/// What a page or a figure shows.
#[derive(Args, Debug, Default)]
pub struct DrawingArgs {
    /// The figure that --to svg draws.
    #[arg(long, value_enum, value_name = "FIGURE")]
    pub figure: Option<Figure>,
    /// A run of this plan: html and svg show what was measured beside what is predicted.
    #[arg(long, value_name = "RUN", value_hint = ValueHint::FilePath)]
    pub record: Option<String>,
}

/// A figure of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Figure {
    /// Where the step goes.
    Time,
    /// Memory of each stage against the limit.
    Memory,
    /// What is sent: the embedding exchanges by the number of GPUs, else time by cause.
    Communication,
    /// The step in time, rank by rank.
    Pipeline,
    /// Plans that were solved: step against memory.
    Candidates,
}

impl Figure {
    /// All figures.
    pub const ALL: [Self; 5] =
        [Self::Time, Self::Memory, Self::Communication, Self::Pipeline, Self::Candidates];
}

impl Target {
    /// Other people's trainers.
    pub const TRAINERS: [Self; 7] = [
        Self::Megatron,
        Self::MegatronBridge,
        Self::Torchtitan,
        Self::Deepspeed,
        Self::Accelerate,
        Self::Nanotron,
        Self::Maxtext,
    ];

    /// The flag that asks for it.
    pub fn flag(self) -> String {
        let name = self.to_possible_value().map(|v| v.get_name().to_string());
        format!("--to {}", name.unwrap_or_default())
    }
}
