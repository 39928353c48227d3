//! Flags of `simulate`.

use super::SourceArgs;
use super::values;
use clap::{Args, ValueEnum, ValueHint};
use plan::units::{BytesPerSecond, Quantity, Seconds};

/// Flags of `simulate`.
#[derive(Args, Debug)]
#[command(
    before_help = "Examples:
  meshwright simulate plan.json
  meshwright simulate plan.json --trace step.trace.json
  meshwright simulate plan.json --what-if link=10GbE --what-if straggler=3:1.2
  meshwright simulate plan.json --steps 100 --jitter 1.5% --seed 7",
    after_help = "Next: open the trace in ui.perfetto.dev; docs/trace.md says what is where."
)]
pub struct SimulateArgs {
    /// The plan, `-` for stdin.
    #[arg(value_name = "PLAN", default_value = "plan.json", value_hint = ValueHint::FilePath)]
    pub plan: String,
    /// Write the step as a trace that Chrome and Perfetto open.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub trace: Option<String>,
    /// How finely passes are simulated and drawn.
    #[arg(long, value_enum, value_name = "HOW", default_value_t = Detail::Layer)]
    pub granularity: Detail,
    /// The step under another circumstance: link=10GbE, link=8x400GbE, link=5GB/s (per device),
    /// intra=300GB/s, hop=50us, or straggler=RANK:FACTOR.
    #[arg(long, value_name = "CHANGE", value_parser = change)]
    pub what_if: Vec<Change>,
    /// Standard deviation of the factor that a whole step has for all ranks.
    #[arg(long, value_name = "PERCENT", value_parser = percent, default_value = "0%")]
    pub jitter: f64,
    /// Standard deviation of the factor on one rank's computation.
    #[arg(long, value_name = "PERCENT", value_parser = percent, default_value = "0%")]
    pub rank_jitter: f64,
    /// Steps to draw, where there is jitter.
    #[arg(
        long, value_name = "N", default_value_t = 100,
        value_parser = values::within(1..=10_000)
    )]
    pub steps: u16,
    /// Where the draws start.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Mean time between failures of one device, such as 50000h: says what failures leave.
    #[arg(long, value_name = "TIME", value_parser = values::time)]
    pub mtbf: Option<Seconds>,
    /// Time for which saving the state stops training.
    #[arg(long, value_name = "TIME", value_parser = values::time, requires = "mtbf")]
    pub checkpoint: Option<Seconds>,
    /// Time from a failure until training goes on.
    #[arg(long, value_name = "TIME", value_parser = values::time, requires = "mtbf")]
    pub restart: Option<Seconds>,
    /// Files that the plan was made from, where they are not in the catalog.
    #[command(flatten)]
    pub sources: SourceArgs,
}

/// How finely passes are simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Detail {
    /// One action per stage and micro-batch.
    Stage,
    /// One per layer and micro-batch.
    Layer,
    /// Collectives inside layers as actions of their own.
    Operator,
}

/// Another circumstance.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// As it was written.
    pub text: String,
    /// What it is.
    pub kind: ChangeKind,
}

/// What is different.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ChangeKind {
    /// Network cards of a node, all together, at their line rate.
    Cards(BytesPerSecond),
    /// What one device reaches between nodes.
    Link(BytesPerSecond),
    /// Bandwidth inside a node.
    Intra(BytesPerSecond),
    /// Time of one hop between nodes.
    Hop(Seconds),
    /// One rank computes slower.
    Straggler {
        /// The rank.
        rank: u32,
        /// How many times as long it takes.
        factor: f64,
    },
}

/// Reads `link=10GbE`.
fn change(text: &str) -> Result<Change, String> {
    const KNOWN: &str = "it is link=…, intra=…, hop=… or straggler=RANK:FACTOR";
    let (key, value) = text.split_once('=').ok_or(KNOWN)?;
    let kind = match key {
        "link" => match cards(value) {
            Some(rate) => ChangeKind::Cards(rate),
            None => ChangeKind::Link(bandwidth(value)?),
        },
        "intra" => ChangeKind::Intra(bandwidth(value)?),
        "hop" => ChangeKind::Hop(values::time(value)?),
        "straggler" => straggler(value)?,
        _ => return Err(KNOWN.into()),
    };
    Ok(Change { text: text.to_string(), kind })
}

/// `10GbE`, `8x400GbE`: cards of a node and their line rate.
fn cards(text: &str) -> Option<BytesPerSecond> {
    let rate = text.strip_suffix("GbE")?;
    let (count, rate) = rate.split_once(['x', '×']).unwrap_or(("1", rate));
    let count: u32 = count.trim().parse().ok()?;
    let rate: u32 = rate.trim().parse().ok()?;
    let bits = f64::from(count) * f64::from(rate) * 1e9;
    (bits > 0.0).then(|| BytesPerSecond::new(bits / 8.0))
}

fn bandwidth(text: &str) -> Result<BytesPerSecond, String> {
    let rate = BytesPerSecond::parse(text).map_err(|error| error.to_string())?;
    match rate > BytesPerSecond::ZERO {
        true => Ok(rate),
        false => Err("a link without bandwidth carries nothing".into()),
    }
}

fn straggler(text: &str) -> Result<ChangeKind, String> {
    let wrong = || "a straggler is a rank and a factor of 1 to 100, such as 3:1.2".to_string();
    let (rank, factor) = text.split_once(':').ok_or_else(wrong)?;
    let rank = rank.parse().map_err(|_| wrong())?;
    let factor: f64 = factor.parse().map_err(|_| wrong())?;
    match (1.0..=100.0).contains(&factor) {
        true => Ok(ChangeKind::Straggler { rank, factor }),
        false => Err(wrong()),
    }
}

/// Reads `1.5%`.
fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim().strip_suffix('%').and_then(|n| n.trim().parse::<f64>().ok());
    let share = number.filter(|n| (0.0..=50.0).contains(n)).map(|n| n / 100.0);
    share.ok_or_else(|| "it is a share from 0% to 50%, such as 1.5%".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_read() {
        let kind = |text| change(text).map(|c| c.kind);
        // 10 Gbit/s are 1.25 GB/s.
        assert_eq!(kind("link=10GbE"), Ok(ChangeKind::Cards(BytesPerSecond::new(1.25e9))));
        assert_eq!(kind("link=8x400GbE"), Ok(ChangeKind::Cards(BytesPerSecond::new(400e9))));
        assert_eq!(kind("link=5GB/s"), Ok(ChangeKind::Link(BytesPerSecond::new(5e9))));
        assert_eq!(kind("hop=50us"), Ok(ChangeKind::Hop(Seconds::parse("50us").unwrap())));
        let slow = ChangeKind::Straggler { rank: 3, factor: 1.2 };
        assert_eq!(kind("straggler=3:1.2"), Ok(slow));
        for wrong in ["link", "link=fast", "link=0GB/s", "speed=2", "straggler=3", "straggler=3:0"]
        {
            assert!(kind(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn jitter_is_a_share() {
        assert_eq!(percent("1.5%"), Ok(0.015));
        for wrong in ["1.5", "-1%", "51%", "nan%", "%"] {
            assert!(percent(wrong).is_err(), "{wrong}");
        }
    }
}
