//! Flags of `import`.

use super::values;
use clap::{Args, ValueHint};
use std::num::NonZeroU32;

/// Flags of `import`.
#[derive(Args, Debug)]
#[command(
    before_help = "Examples:
  meshwright import train.toml -m llama3-8b -g 64 -o mine.json
  meshwright import pretrain.sh -m llama3-70b -c hgx-h100 -g 128 -o mine.json
  meshwright import nanotron.yaml -m path/to/config.json -o mine.json",
    after_help = "Reads scripts and flags of Megatron-LM, TOML of torchtitan 0.2.2 and YAML of \
                  nanotron; docs/trainers.md says what of them.

Next: `meshwright compare mine.json best.json` says what the layout costs."
)]
pub struct LayoutArgs {
    /// The trainer's configuration, `-` for stdin.
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: String,
    /// The model that it trains: a name, a scenario file or a config.json.
    #[arg(short, long, value_name = "NAME|FILE", value_hint = ValueHint::FilePath)]
    pub model: String,
    /// On how many GPUs; default: as many as the file says.
    #[arg(short, long, value_name = "N", value_parser = values::devices)]
    pub gpus: Option<NonZeroU32>,
    /// The cluster; default: from the configuration, else the model's.
    #[arg(short, long, value_name = "NAME|FILE", value_hint = ValueHint::FilePath)]
    pub cluster: Option<String>,
    /// Software stack whose constants are used: a name or a file; default: the trainer's.
    #[arg(long, value_name = "NAME|FILE", value_hint = ValueHint::FilePath)]
    pub stack: Option<String>,
}
