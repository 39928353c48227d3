//! GPipe: labels that are exact.
//!
//! Identical micro-batches pass down a chain of stages in `Σ F + (m − 1)·max F` plus a message per
//! boundary, then back up in the same way; the last forward of the last stage separates the two
//! waves. A stage's tail follows its last backward. With the suffix from stage `s`:
//!
//! ```text
//! down_s = Σ_{i≥s} F_i + c(P − 1 − s)         slow_s = max_{i≥s} F_i
//! up_s   = Σ_{i≥s} B_i + c(P − 1 − s)         late_s = max_{i≥s} B_i
//! end_s  = max over r ≥ s of ( up_r + (m − 1)·late_r + tail_r )
//! T      = down_0 + (m − 1)·slow_0 + end_0
//! ```
//!
//! So for GPipe the label program alone is a proof.

use super::{Basis, Rules};
use crate::pipeline::instance::Span;
use crate::pipeline::pattern::Pattern;

/// `down, slow, up, late, end` of the module's text.
#[derive(Clone, Copy)]
pub(crate) struct GPipe<'a>(pub &'a Basis);

impl Rules for GPipe<'_> {
    type Values = [f64; 5];

    fn empty(&self) -> Self::Values {
        [0.0; 5]
    }

    fn extend(&self, stage: usize, pattern: &Pattern, rest: &Self::Values) -> Self::Values {
        let [down, slow, up, late, end] = *rest;
        let c = if stage + 1 < self.0.stages { self.0.send } else { 0.0 };
        let (up, late) = (up + pattern.backward + c, late.max(pattern.backward));
        [
            down + pattern.forward + c,
            slow.max(pattern.forward),
            up,
            late,
            end.max(up + (self.0.m - 1.0) * late + pattern.tail),
        ]
    }

    fn floor(&self, stage: usize, start: usize, values: &Self::Values) -> f64 {
        let [down, slow, up, late, end] = *values;
        let (floors, messages) = (&self.0.floors, self.0.send * stage as f64);
        let wave = (self.0.m - 1.0) * slow;
        let first = up + floors.backward[start] + messages + (self.0.m - 1.0) * late;
        let tail = if stage > 0 { self.0.tail } else { 0.0 };
        down + floors.forward[start] + messages + wave + end.max(first + tail)
    }

    fn span_floor(&self, _stage: usize, span: Span) -> f64 {
        let both = &self.0.floors.both;
        let messages = 2.0 * self.0.send * (self.0.stages - 1) as f64;
        let slowest = both[span.end] - both[span.start];
        both[both.len() - 1] + (self.0.m - 1.0) * slowest + messages + self.0.tail
    }
}
