//! A record against what was predicted: where the step went, and which of three terms is off.
//!
//! ```text
//! predicted   prices, simulated   work, replayed   own times, replayed   measured
//!      └─ form ──┘ └───── cost ──────┘ └── others ────┘ └─── structure ─────┘
//! ```
//!
//! *Structure*: the run's own action times, put through the simulator, against the measured step;
//! what is left is how the schedule is modelled. *Others*: the same with what processors worked
//! instead of what the clock showed; what is left is the time that other programs had. *Cost*:
//! prices of the same actions through the same simulator against that; what is left are the
//! constants. *Form*: the closed form that a search uses against that simulation. *Drift* is beside
//! them: a small known piece of work then and when the constants were measured.

mod own;
mod rows;

pub use own::{Window, share, windows};
pub use rows::{Row, rows, rows_of_slice};

use cost_model::events::{Durations, EventError, Fold, Options, Prepared, Prices, Recorded};
use plan::program::Program;
use plan::record::{StepSamples, median};
use plan::units::Seconds;

/// Steps that are replayed at once at most.
const WINDOW: usize = 8;

/// The measured step and the ways to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Ledger {
    /// As the plan predicts it.
    pub predicted: f64,
    /// The same program with prices, simulated as processors run it.
    pub simulated: f64,
    /// With what processors worked; absent where no action was measured.
    pub undisturbed: Option<f64>,
    /// With the run's own times.
    pub replayed: Option<f64>,
    /// What the clock showed.
    pub measured: f64,
    /// How far replays lie from what they replay, window by window: the median of absolute values.
    pub replay_error: Option<f64>,
    /// Share of the ranks' time, waiting left out, in which a processor worked for them.
    pub share: Option<f64>,
}

impl Ledger {
    /// The ledger of a run.
    ///
    /// # Errors
    /// A program that cannot be simulated.
    pub fn new(
        program: &Program,
        prices: &Prices,
        samples: &[StepSamples],
        predicted: f64,
        measured: f64,
    ) -> Result<Self, EventError> {
        let windows = windows(program, samples, WINDOW);
        let mut ratios = Vec::new();
        let mut replays = Vec::new();
        let mut undisturbed = Vec::new();
        for window in &windows {
            let steps = window.steps() as f64;
            let replayed = replay(program, &window.recorded)?;
            ratios.push(replayed / window.seconds - 1.0);
            replays.push(replayed / steps);
            undisturbed.push(replay(program, &window.undisturbed)? / steps);
        }
        let error = median(ratios.iter().map(|r| r.abs()).collect());
        // The median replayed step stands beside the median measured step.
        let replayed = median(replays);
        Ok(Self {
            predicted,
            simulated: simulated(program, prices)?.get(),
            undisturbed: median(undisturbed),
            replayed,
            measured,
            replay_error: error,
            share: share(samples),
        })
    }

    /// Prediction over simulation with prices.
    #[must_use]
    pub fn form(&self) -> f64 {
        self.predicted / self.simulated - 1.0
    }

    /// Simulation with prices over replay of work.
    #[must_use]
    pub fn cost(&self) -> Option<f64> {
        self.undisturbed.map(|undisturbed| self.simulated / undisturbed - 1.0)
    }

    /// Replay of own times over replay of work.
    #[must_use]
    pub fn others(&self) -> Option<f64> {
        Some(self.replayed? / self.undisturbed? - 1.0)
    }
}

/// The step without other programs: the median of windows, replayed with what processors worked.
///
/// # Errors
/// A program that cannot be simulated.
pub fn undisturbed(program: &Program, windows: &[Window]) -> Result<f64, EventError> {
    let one = |w: &Window| Ok(replay(program, &w.undisturbed)? / w.steps() as f64);
    let all: Result<Vec<f64>, EventError> = windows.iter().map(one).collect();
    Ok(median(all?).unwrap_or(f64::NAN))
}

/// Time of recorded steps, simulated.
fn replay(program: &Program, recorded: &Recorded) -> Result<f64, EventError> {
    let steps = recorded.first..recorded.first + recorded.times.len() as u64;
    let options = Options { steps, ..Options::PROCESSORS };
    let durations = Durations::Recorded(recorded);
    let prepared = Prepared::new(program, durations, Fold::nobody(program), &options)?;
    Ok(prepared.run()?.makespan().get())
}

/// A step with prices, as ranks on processors run it: the second of two, because ranks do not begin
/// and end together.
///
/// # Errors
/// A program that cannot be simulated.
pub fn simulated(program: &Program, prices: &Prices) -> Result<Seconds, EventError> {
    let options = Options { steps: 0..2, ..Options::PROCESSORS };
    let durations = Durations::Prices(prices);
    let prepared = Prepared::new(program, durations, Fold::classes(program), &options)?;
    let steps = prepared.run()?.steps();
    Ok(steps.last().copied().unwrap_or(Seconds::ZERO))
}
