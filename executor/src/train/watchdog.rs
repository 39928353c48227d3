//! How long each action may wait for other ranks before it ends all of them.
//!
//! The limit is a multiple of what the action takes when the program is simulated, waiting
//! included, and never below a floor: prices are wrong by less than the factor, and nobody wants to
//! lose a run to a machine that was busy for a moment.

use plan::timeline::Timeline;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often an action may take what it was predicted to take.
pub const PATIENCE: f64 = 20.0;

/// Limits of all actions.
#[derive(Clone, Debug, PartialEq)]
pub struct Watchdog {
    least: Duration,
    /// By class and place in its list.
    priced: BTreeMap<(u32, u32), Duration>,
}

impl Watchdog {
    /// The same limit for every action.
    #[must_use]
    pub fn flat(limit: Duration) -> Self {
        Self { least: limit, priced: BTreeMap::new() }
    }

    /// From a simulated step: [`PATIENCE`] times the time by which an action ends after everything
    /// that its rank issued before it, but at least `least`.
    #[must_use]
    pub fn priced(least: Duration, simulated: &Timeline) -> Self {
        let mut priced = BTreeMap::new();
        for rank in &simulated.ranks {
            let mut before = 0.0f64;
            for span in rank.spans.iter().filter(|span| span.step == 0) {
                let alone = span.end_seconds - span.start_seconds;
                let takes = alone.max(span.end_seconds - before);
                before = before.max(span.end_seconds);
                let limit = Duration::try_from_secs_f64(PATIENCE * takes).unwrap_or(Duration::MAX);
                if limit > least {
                    let known = priced.entry((rank.class, span.action)).or_insert(limit);
                    *known = limit.max(*known);
                }
            }
        }
        Self { least, priced }
    }

    /// How long an action may wait.
    #[must_use]
    pub fn limit(&self, class: u32, action: u32) -> Duration {
        self.priced.get(&(class, action)).copied().unwrap_or(self.least)
    }

    /// How long what is outside of the program may wait.
    #[must_use]
    pub fn least(&self) -> Duration {
        self.least
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plan::timeline::TIMELINE_SCHEMA;
    use plan::timeline::{Origin, RankMemory, RankTime, RankTimeline, Span, Wait};

    fn span(action: u32, start_seconds: f64, end_seconds: f64) -> Span {
        Span { action, step: 0, start_seconds, end_seconds, waited_for: Wait::Lane }
    }

    /// Action 1 ends 4 s after action 0: 80 s. Action 2 ran beside it and took 3 s: 60 s.
    /// Action 0 took 1 s, which 20-fold is below the floor of 30 s.
    #[test]
    fn limits_are_twenty_times_the_price() {
        let spans = vec![span(0, 0.0, 1.0), span(1, 4.0, 5.0), span(2, 2.0, 5.0)];
        let time = RankTime::default();
        let memory = RankMemory::default();
        let rank = RankTimeline { rank: 0, stands_for: 1, class: 3, spans, time, memory };
        let timeline = Timeline {
            schema: TIMELINE_SCHEMA.into(),
            plan: String::new(),
            origin: Origin::Simulated,
            seconds: 5.0,
            step_seconds: vec![5.0],
            ranks: vec![rank],
            critical_path: Vec::new(),
        };
        let watchdog = Watchdog::priced(Duration::from_secs(30), &timeline);
        let seconds = [0, 1, 2].map(|action| watchdog.limit(3, action).as_secs());
        assert_eq!(seconds, [30, 80, 60]);
    }
}
