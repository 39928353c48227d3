//! Replicas that train apart and meet now and then (local SGD; DiLoCo, Douillard et al. 2023,
//! arXiv:2311.08105; fragments and delays as in Streaming DiLoCo, arXiv:2501.18512).
//!
//! Per fragment, once per period: `d` is the mean over replicas of the weights of the last
//! synchronisation less those of now; some steps later `v = µ v + d` and the synchronised weights
//! become `θ −= η (d + µ v)`, Nesterov's form. Without a delay they replace those that train; with
//! one, what was learnt meanwhile is kept: `w = α w + (1 − α) θ`.

use super::rank::Rank;
use crate::comm::{Call, Elements, Fault, Reduction};
use plan::program::{Action, Purpose};

/// The outer optimizer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outer {
    /// Learning rate, `η`.
    pub rate: f32,
    /// Share of the velocity that stays, `µ`.
    pub momentum: f32,
    /// Share of the weights that train in the merge, where results come late: `α`.
    pub mixing: f32,
}

impl Default for Outer {
    /// Rate 0.7 and momentum 0.9 as in DiLoCo, half and half as in Streaming DiLoCo.
    fn default() -> Self {
        Self { rate: 0.7, momentum: 0.9, mixing: 0.5 }
    }
}

/// What a block needs besides to meet the other replicas.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meeting {
    /// Weights of the last synchronisation.
    pub anchor: Vec<f32>,
    /// Velocity of the outer optimizer.
    pub velocity: Vec<f32>,
    /// The difference that is under way, or has come.
    pub delta: Vec<f32>,
}

impl Meeting {
    /// All replicas start with the same weights.
    #[must_use]
    pub fn new(weights: &[f32]) -> Self {
        let zeros = vec![0.0; weights.len()];
        Self { anchor: weights.to_vec(), velocity: zeros.clone(), delta: zeros }
    }
}

impl Rank<'_> {
    /// Blocks of the fragment that an action is about.
    fn fragment(&self, action: &Action, call: &Call) -> Result<Vec<usize>, Fault> {
        let found = self.tables.fragments.get(&action.at.part).cloned();
        found.ok_or_else(|| self.unsupported(call, "an action is about no fragment of this rank"))
    }

    pub(super) fn difference(&mut self, action: &Action, call: &Call) -> Result<(), Fault> {
        for at in self.fragment(action, call)? {
            let block = &mut self.blocks[at];
            let now = block.precise();
            let Some(meeting) = &mut block.meeting else { continue };
            let pairs = meeting.anchor.iter().zip(&now);
            meeting.delta.iter_mut().zip(pairs).for_each(|(d, (&a, &w))| *d = a - w);
        }
        Ok(())
    }

    /// The mean over replicas, as one message for the whole fragment.
    pub(super) fn reduce_difference(&mut self, action: &Action, call: &Call) -> Result<(), Fault> {
        let missing = || self.unsupported(call, "replicas have nobody to meet");
        let group = self.links.with(Purpose::Outer).cloned().ok_or_else(missing)?;
        let blocks = self.fragment(action, call)?;
        let delta = |&at: &usize| self.blocks[at].meeting.iter().flat_map(|m| m.delta.clone());
        let mut all: Vec<f32> = blocks.iter().flat_map(delta).collect();
        group.all_reduce(Elements::F32(&mut all), Reduction::Sum, call)?;
        let share = 1.0 / group.size() as f32;
        let mut rest = all.into_iter().map(|d| d * share);
        for at in blocks {
            if let Some(meeting) = &mut self.blocks[at].meeting {
                meeting.delta.iter_mut().zip(&mut rest).for_each(|(d, sum)| *d = sum);
            }
        }
        Ok(())
    }

    pub(super) fn outer_step(&mut self, action: &Action, call: &Call) -> Result<(), Fault> {
        let Outer { rate, momentum, .. } = self.job.outer;
        for at in self.fragment(action, call)? {
            let Some(Meeting { anchor, velocity, delta }) = &mut self.blocks[at].meeting else {
                continue;
            };
            for ((a, v), &d) in anchor.iter_mut().zip(velocity).zip(&*delta) {
                *v = momentum * *v + d;
                *a -= rate * (d + momentum * *v);
            }
        }
        Ok(())
    }

    pub(super) fn merge(&mut self, action: &Action, call: &Call) -> Result<(), Fault> {
        let is_late = self.job.decision.local_steps.is_some_and(|local| local.delay > 0);
        let mixing = if is_late { self.job.outer.mixing } else { 0.0 };
        for at in self.fragment(action, call)? {
            let block = &mut self.blocks[at];
            let mut now = block.precise();
            let Some(meeting) = &block.meeting else { continue };
            for (w, &a) in now.iter_mut().zip(&meeting.anchor) {
                *w = mixing * *w + (1.0 - mixing) * a;
            }
            block.set_precise(now);
        }
        Ok(())
    }
}
