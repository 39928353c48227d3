//! Local steps: replicas that train apart and meet now and then.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// When replicas meet (local SGD; DiLoCo, Douillard et al. 2023, arXiv:2311.08105; fragments and
/// delays as in Streaming DiLoCo, Douillard et al. 2025, arXiv:2501.18512).
///
/// Every `every` steps each fragment of the weights is averaged: the difference to the weights of
/// its last synchronisation is summed over replicas, an outer optimizer applies the mean `delay`
/// steps later, and the result is merged into the weights that train. Fragments take their turns
/// evenly over the period.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct LocalSteps {
    /// Steps between two synchronisations of a fragment.
    pub every: u32,
    /// Fragments, each consecutive layers.
    pub fragments: u32,
    /// Steps that a reduction may take beside training before its result is applied.
    pub delay: u32,
}

impl LocalSteps {
    /// Step of the period after which a fragment is sent: `⌊fragment · every / fragments⌋`.
    #[must_use]
    pub fn sent_at(&self, fragment: u32) -> u32 {
        let at = u64::from(fragment) * u64::from(self.every) / u64::from(self.fragments.max(1));
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    /// Step of the period after which the result of a fragment is applied.
    #[must_use]
    pub fn applied_at(&self, fragment: u32) -> u32 {
        (self.sent_at(fragment) + self.delay) % self.every.max(1)
    }

    /// In a few words.
    #[must_use]
    pub fn words(self) -> String {
        let Self { every, fragments, delay } = self;
        match (fragments, delay) {
            (1, 0) => format!("apart for {every} steps"),
            _ => format!("apart for {every} steps, {fragments} fragments, delay {delay}"),
        }
    }

    /// Whether the policy can run: a period, fragments that each have a step of their own, and
    /// results that are applied before the next ones are sent.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.every > 0 && self.fragments > 0 && self.delay < self.every
    }
}

/// `30:3:5`: period, fragments, delay, as flags take them.
impl fmt::Display for LocalSteps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.every, self.fragments, self.delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four fragments of a period of 10: after steps 0, 2, 5, 7; with a delay of 4 applied after
    /// 4, 6, 9 and 11 mod 10 = 1.
    #[test]
    fn fragments_take_turns() {
        let policy = LocalSteps { every: 10, fragments: 4, delay: 4 };
        assert_eq!([0, 1, 2, 3].map(|f| policy.sent_at(f)), [0, 2, 5, 7]);
        assert_eq!([0, 1, 2, 3].map(|f| policy.applied_at(f)), [4, 6, 9, 1]);
        assert!(policy.is_sound());
        assert!(!LocalSteps { delay: 10, ..policy }.is_sound());
    }
}
