//! Measuring ranks, action by action.
//!
//! A [`Recorder`] belongs to a rank and reads three clocks around every action: the wall's, that of
//! the processor's work for this thread, and the time that the rank's transport spent waiting for
//! messages ([`Watched`]). Where nothing is recorded there is no recorder, and an action costs a
//! test of an option.
//!
//! In [`RecordMode::Serial`] the ranks of a process take turns ([`Turns`]): a rank computes while
//! it
//! holds the turn and gives it back while it waits for a message, so that what is measured is what
//! actions cost alone.

mod samples;
mod turns;
mod watched;

pub use samples::{decode, encode};
pub use turns::{Held, Turns};
pub use watched::Watched;

use plan::record::{ActionSample, RecordMode, StepSamples};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Steps from one that is measured to the next, where not all are.
pub const SAMPLED_EVERY: u64 = 10;

/// What is measured in a run; all ranks share it.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// How much.
    pub mode: RecordMode,
    /// Who computes, where one rank does at a time.
    pub turns: Arc<Turns>,
}

impl Recording {
    /// Of a mode.
    #[must_use]
    pub fn new(mode: RecordMode) -> Self {
        Self { mode, turns: Arc::default() }
    }

    /// Whether any action is measured.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.mode != RecordMode::Off
    }

    /// The turn of a rank, where ranks take turns.
    #[must_use]
    pub fn turn(&self) -> Option<Arc<Turns>> {
        (self.mode == RecordMode::Serial).then(|| self.turns.clone())
    }
}

/// Time that a rank waited for messages so far, in nanoseconds.
#[derive(Debug, Default)]
pub struct Waited(AtomicU64);

impl Waited {
    /// Adds to it.
    pub fn add(&self, time: Duration) {
        self.0.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn get(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

/// What the clocks of a rank show.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    wall: Duration,
    waited: Duration,
    busy: Option<Duration>,
}

/// Measures one rank.
#[derive(Debug)]
pub struct Recorder {
    rank: u32,
    mode: RecordMode,
    waited: Arc<Waited>,
    steps: Vec<StepSamples>,
    is_measuring: bool,
    /// Processor time when the step began.
    began: Option<Duration>,
}

/// All ranks of a process count from the same point in time.
fn origin() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(Instant::now)
}

impl Recorder {
    /// For a rank whose transport counts in `waited`.
    #[must_use]
    pub fn new(rank: u32, mode: RecordMode, waited: Arc<Waited>) -> Self {
        origin();
        Self { rank, mode, waited, steps: Vec::new(), is_measuring: false, began: None }
    }

    /// A step begins.
    pub fn begin(&mut self, step: u64, actions: usize) {
        self.is_measuring = match self.mode {
            RecordMode::Off => false,
            RecordMode::Sampled => step % SAMPLED_EVERY == SAMPLED_EVERY - 1,
            RecordMode::Full | RecordMode::Serial => true,
        };
        if self.is_measuring {
            let start = origin().elapsed().as_secs_f64();
            let actions = Vec::with_capacity(actions);
            let (rank, end) = (self.rank, start);
            self.steps.push(StepSamples { rank, step, start, end, busy: 0.0, actions });
            self.began = busy();
        }
    }

    /// The clocks, where this step is measured.
    #[must_use]
    pub fn mark(&self) -> Option<Mark> {
        self.is_measuring.then(|| Mark {
            wall: origin().elapsed(),
            waited: self.waited.get(),
            busy: busy(),
        })
    }

    /// An action has run since the mark.
    pub fn note(&mut self, action: usize, from: Option<Mark>) {
        let (Some(from), Some(to)) = (from, self.mark()) else { return };
        let wall = to.wall.saturating_sub(from.wall);
        let waited = to.waited.saturating_sub(from.waited);
        let by_clock = to.busy.zip(from.busy).map(|(to, from)| to.saturating_sub(from));
        // Where no clock shows a thread's work, all that is not waiting counts.
        let busy = by_clock.unwrap_or(wall.saturating_sub(waited));
        if let Some(step) = self.steps.last_mut() {
            step.actions.push(ActionSample {
                a: action as u32,
                s: from.wall.as_secs_f64(),
                e: to.wall.as_secs_f64(),
                w: waited.as_secs_f64(),
                b: busy.as_secs_f64(),
            });
        }
    }

    /// A step has ended.
    pub fn end(&mut self) {
        if let Some(step) = self.steps.last_mut().filter(|_| self.is_measuring) {
            step.end = origin().elapsed().as_secs_f64();
            let worked = busy().zip(self.began).map(|(now, then)| now.saturating_sub(then));
            let waited: f64 = step.actions.iter().map(|a| a.w).sum();
            step.busy = worked.map_or(step.end - step.start - waited, |t| t.as_secs_f64());
        }
        self.is_measuring = false;
    }

    /// Everything that was measured.
    #[must_use]
    pub fn take(&mut self) -> Vec<StepSamples> {
        std::mem::take(&mut self.steps)
    }
}

/// Processor time of this thread; `None` where the system does not count it.
#[must_use]
pub fn busy() -> Option<Duration> {
    #[cfg(unix)]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        let seconds = u64::try_from(time.tv_sec).ok()?;
        Some(Duration::new(seconds, u32::try_from(time.tv_nsec).ok()?))
    }
    #[cfg(not(unix))]
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_measured_steps_leave_samples() {
        let mut recorder = Recorder::new(3, RecordMode::Sampled, Arc::default());
        for step in 0..20 {
            recorder.begin(step, 1);
            let mark = recorder.mark();
            recorder.note(7, mark);
            recorder.end();
        }
        let steps = recorder.take();
        assert_eq!(steps.iter().map(|s| s.step).collect::<Vec<_>>(), [9, 19]);
        assert!(steps.iter().all(|s| s.rank == 3 && s.actions.len() == 1 && s.actions[0].a == 7));
    }

    #[test]
    fn waiting_is_no_work() {
        let waited = Arc::new(Waited::default());
        let mut recorder = Recorder::new(0, RecordMode::Full, waited.clone());
        recorder.begin(0, 1);
        let mark = recorder.mark();
        std::thread::sleep(Duration::from_millis(20));
        waited.add(Duration::from_millis(20));
        recorder.note(0, mark);
        recorder.end();
        let action = recorder.take()[0].actions[0];
        assert!(action.seconds() >= 0.02 && action.w == 0.02, "{action:?}");
        assert!(action.b < action.seconds(), "a thread that sleeps works: {action:?}");
    }
}
