//! 1F1B: labels from two families of paths.
//!
//! With `τ = F + B`, `c` a message, `w = min(m − 1, P − 1 − s)` the forwards that stage `s` runs
//! ahead, and `Y, X, S` of the stages after `s`:
//!
//! ```text
//! Y_s = max( m·τ_s,                          all passes of stage s                    (A)
//!            loops(s, S),                    some replaced by trips to the end        (C)
//!            F_s + c + Y + c + B_s )         there, the later stages' longest, back
//! X_s = max( Y_s + tail_s,                   the path ends with this stage's tail,
//!            F_s + c + X )                   or with a later one's
//! S_s = τ_s + 2c + S                         one micro-batch to the end and back
//! ```
//!
//! `T ≥ X_0`. A trip: micro-batch `d` goes from stage `s` to the last and back while `s` itself
//! runs other passes; the path takes the trip and leaves those out. Before `B(s,d)` stage `s` runs
//! `F(s,d+1) … F(s,d+w)` and `B(s,d−w) … B(s,d−1)`, as far as these exist. Trips of micro-batches
//! at least `w + 1` apart can follow each other, so with `k` trips, the first with micro-batch 0
//! (no backwards left out) and the last with `m − 1` (no forwards left out):
//!
//! ```text
//! loops(s, S) = max over k of  k·S + (m − (k−1)·w)·τ_s,   2 ≤ k ≤ ⌊(m−1)/(w+1)⌋ + 1
//!               S + (m − w)·F_s + m·B_s                    one trip, micro-batch 0
//!               S + m·F_s + (m − w)·B_s                    one trip, micro-batch m − 1
//! ```
//!
//! It is linear in `k`, so the ends suffice. [`seeds`](crate::pipeline::seeds) spells the same
//! paths out pass by pass; a test holds the two against each other and against the simulation.

use super::{Basis, Rules};
use crate::pipeline::instance::Span;
use crate::pipeline::pattern::Pattern;

/// `Y, X, S` of the module's text.
#[derive(Clone, Copy)]
pub(crate) struct OneForwardOneBackward<'a>(pub &'a Basis);

/// Forwards that `stage` runs ahead of its first backward.
pub(crate) fn ahead(stages: usize, stage: usize, m: f64) -> f64 {
    ((stages - 1 - stage) as f64).min(m - 1.0)
}

/// The most trips to the end that one path can make from a stage with `w` forwards ahead.
pub(crate) fn most_trips(w: f64, m: f64) -> f64 {
    ((m - 1.0) / (w + 1.0)).floor() + 1.0
}

impl OneForwardOneBackward<'_> {
    fn loops(&self, stage: usize, pattern: &Pattern, trip: f64) -> f64 {
        let m = self.0.m;
        let w = ahead(self.0.stages, stage, m);
        let one = trip + m * pattern.both() - w * pattern.forward.min(pattern.backward);
        let most = most_trips(w, m);
        if most < 2.0 {
            return one;
        }
        let trips = |k: f64| k * trip + (m - (k - 1.0) * w) * pattern.both();
        one.max(trips(2.0)).max(trips(most))
    }
}

impl Rules for OneForwardOneBackward<'_> {
    type Values = [f64; 3];

    fn empty(&self) -> Self::Values {
        [f64::NEG_INFINITY, f64::NEG_INFINITY, 0.0]
    }

    fn extend(&self, stage: usize, pattern: &Pattern, rest: &Self::Values) -> Self::Values {
        let [x, y, s] = *rest;
        let c = self.0.send;
        let mut longest = (self.0.m * pattern.both()).max(y + pattern.both() + 2.0 * c);
        let mut sum = pattern.both();
        if stage + 1 < self.0.stages {
            longest = longest.max(self.loops(stage, pattern, s + 2.0 * c));
            sum += s + 2.0 * c;
        }
        [(longest + pattern.tail).max(x + pattern.forward + c), longest, sum]
    }

    fn floor(&self, stage: usize, start: usize, values: &Self::Values) -> f64 {
        let [x, y, _] = *values;
        if stage == 0 {
            return x;
        }
        let down = self.0.floors.forward[start] + self.0.send * stage as f64;
        (x + down).max(y + self.0.there_and_back(stage, start) + self.0.tail)
    }

    fn span_floor(&self, stage: usize, span: Span) -> f64 {
        let both = self.0.floors.both[span.end] - self.0.floors.both[span.start];
        self.0.there_and_back(stage, span.start) + self.0.m * both + self.0.tail
    }
}
