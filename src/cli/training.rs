//! Flags of a whole run: from a step to a loss.

use super::values;
use clap::Args;
use plan::units::{DollarsPerHour, Quantity, Seconds, Watts};

/// A whole run to a loss; with one of the first three, the batch is a decision.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Run to a loss")]
pub struct TrainingArgs {
    /// Tokens that the loss takes at tiny batches; default: one epoch of the recipe.
    #[arg(long, value_parser = values::tokens, value_name = "300B")]
    pub tokens: Option<f64>,
    /// The loss, nats per token: tokens and critical batch from scaling laws of Transformers.
    #[arg(long, value_parser = values::loss, value_name = "NATS", conflicts_with = "tokens")]
    pub target_loss: Option<f64>,
    /// The batch at which steps and tokens double, tokens.
    #[arg(long, value_parser = values::tokens, value_name = "4M")]
    pub critical_batch: Option<f64>,
    /// Mean time between failures of one GPU; counts failures, checkpoints and restarts.
    #[arg(long, value_parser = values::time, value_name = "TIME", hide_short_help = true)]
    pub gpu_mtbf: Option<Seconds>,
    /// Training stops this long for a checkpoint.
    #[arg(
        long, value_parser = values::time, value_name = "TIME", requires = "gpu_mtbf",
        hide_short_help = true
    )]
    pub checkpoint_pause: Option<Seconds>,
    /// From a failure until training goes on.
    #[arg(
        long, value_parser = values::time, value_name = "TIME", requires = "gpu_mtbf",
        hide_short_help = true
    )]
    pub restart_time: Option<Seconds>,
    /// Rent of one GPU; default: what the device file says.
    #[arg(long, value_parser = price, value_name = "$2.50/h", hide_short_help = true)]
    pub price: Option<DollarsPerHour>,
    /// Share of a GPU's rated power that is drawn.
    #[arg(long, value_parser = values::share, value_name = "SHARE", hide_short_help = true)]
    pub power_share: Option<f64>,
    /// Power of everything else in a node.
    #[arg(long, value_parser = power, value_name = "POWER", hide_short_help = true)]
    pub node_power: Option<Watts>,
    /// Power usage effectiveness of the building.
    #[arg(long, value_parser = values::effectiveness, value_name = "PUE", hide_short_help = true)]
    pub pue: Option<f64>,
}

impl TrainingArgs {
    /// Whether a run is asked about, and not a step.
    pub fn is_run(&self) -> bool {
        self.tokens.is_some() || self.target_loss.is_some() || self.critical_batch.is_some()
    }
}

fn price(text: &str) -> Result<DollarsPerHour, String> {
    DollarsPerHour::parse(text).map_err(|error| error.to_string())
}

fn power(text: &str) -> Result<Watts, String> {
    Watts::parse(text).map_err(|error| error.to_string())
}
