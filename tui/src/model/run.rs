//! A run: live, or replayed from its record.

use crate::host::{Measured, RunEvent};
use plan::record::{StepRecord, median};

/// A run, step by step.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Where it was read; empty of one that runs here.
    pub file: String,
    /// Id of its plan.
    pub plan: String,
    /// Its steps.
    pub steps: Vec<StepRecord>,
    /// Step under the cursor; `None`: the last one.
    pub at: Option<usize>,
    /// It goes on.
    pub is_live: bool,
    /// The most that the process held, bytes.
    pub peak: Option<f64>,
    /// Steps in all, where that is known.
    pub until: Option<u64>,
    /// Why it could not run.
    pub failed: Option<String>,
    /// Steps that came while the screen was held.
    pub held: Option<usize>,
}

impl Run {
    /// The run that was loaded.
    #[must_use]
    pub fn new(measured: Option<&Measured>) -> Self {
        let Some(Measured { file, record, .. }) = measured else { return Self::default() };
        Self {
            file: file.clone(),
            plan: record.plan.id.clone(),
            steps: record.steps.clone(),
            peak: record.memory.peak_bytes,
            until: Some(record.steps.len() as u64),
            ..Self::default()
        }
    }

    /// The beginning of a run of a plan.
    #[must_use]
    pub fn started(plan: &str, until: u64) -> Self {
        Self { plan: plan.into(), is_live: true, until: Some(until), ..Self::default() }
    }

    /// What happened.
    pub fn hear(&mut self, event: RunEvent) {
        match event {
            RunEvent::Step(step) => self.steps.push(step),
            RunEvent::Ended(result) => {
                self.is_live = false;
                self.failed = result.err();
            }
        }
    }

    /// Steps that are shown: all, or those up to where the screen is held.
    #[must_use]
    pub fn shown(&self) -> &[StepRecord] {
        let most = self.held.unwrap_or(usize::MAX).min(self.steps.len());
        &self.steps[..most]
    }

    /// The step under the cursor.
    #[must_use]
    pub fn now(&self) -> Option<(usize, &StepRecord)> {
        let shown = self.shown();
        let at = self.at.unwrap_or(usize::MAX).min(shown.len().checked_sub(1)?);
        Some((at, &shown[at]))
    }

    /// Median step up to the cursor; the first one is left out where there are others.
    #[must_use]
    pub fn typical(&self) -> Option<f64> {
        let (at, _) = self.now()?;
        let skip = usize::from(at > 0);
        median(self.shown()[skip..=at].iter().map(|s| s.seconds).collect())
    }

    /// How far the value under the cursor lies from the mean of those before it, in standard
    /// deviations; `None` with fewer than four of them, or where they do not differ.
    #[must_use]
    pub fn deviation(&self, of: impl Fn(&StepRecord) -> Option<f64>) -> Option<f64> {
        let (at, now) = self.now()?;
        let before: Vec<f64> =
            self.shown()[at.saturating_sub(WINDOW)..at].iter().filter_map(&of).collect();
        let n = before.len() as f64;
        let mean = before.iter().sum::<f64>() / n;
        let variance = before.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let is_known = before.len() >= FEWEST && variance > 0.0;
        is_known.then_some((of(now)? - mean) / variance.sqrt())
    }
}

/// Steps that a step is compared with.
const WINDOW: usize = 128;
/// Fewest of them.
const FEWEST: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn step(step: u64, loss: f64, seconds: f64) -> StepRecord {
        StepRecord { step, loss, norm: None, seconds }
    }

    #[test]
    fn deviations_are_of_the_steps_before() {
        let mut run = Run::started("p", 5);
        for (i, loss) in [1.0, 2.0, 3.0, 4.0, 6.5].into_iter().enumerate() {
            run.hear(RunEvent::Step(step(i as u64, loss, 1.0 + i as f64)));
        }
        // Mean 2.5, variance (2.25 + 0.25 + 0.25 + 2.25) / 3 = 5/3: (6.5 − 2.5) / √(5/3) = 3.098.
        let z = run.deviation(|s| Some(s.loss)).unwrap();
        assert!((z - 4.0 / (5.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!(run.deviation(|s| s.norm), None);
        // Steps of 2, 3, 4 and 5 s: the first one of 1 s is left out.
        assert_eq!(run.typical(), Some(3.5));
        run.at = Some(2);
        assert_eq!(run.typical(), Some(2.5));
        assert_eq!(run.deviation(|s| Some(s.loss)), None);
    }
}
