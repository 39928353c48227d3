//! Links, resolved.

use crate::constant::Constant;
use plan::machine::{LatencyLaw, Link};

/// The network inside a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Intra {
    pub(crate) bandwidth: Constant,
    /// What one pair reaches, where there is no switch.
    pub(crate) pair: Option<Constant>,
    pub(crate) latency: IntraLatency,
    /// Time of one hop of a ring.
    pub(crate) hop: Constant,
}

/// How small messages fall short inside a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum IntraLatency {
    /// `base + ramp·S/(S + ramp_size)`.
    Saturating { base: Constant, ramp: Constant, ramp_size: f64 },
    /// One hop per step of a ring.
    PerHop,
}

/// The network between nodes: one device's share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Inter {
    pub(crate) bandwidth: Constant,
    pub(crate) hop: Constant,
}

impl Intra {
    pub(crate) fn of(link: &Link) -> Self {
        let bandwidth = Constant::from(&link.bandwidth, |b| b.get());
        let latency = match &link.latency {
            LatencyLaw::Saturating { base, ramp, ramp_size, .. } => IntraLatency::Saturating {
                base: Constant::from(base, |t| t.get()),
                ramp: Constant::from(ramp, |t| t.get()),
                ramp_size: ramp_size.value.get(),
            },
            LatencyLaw::PerHop { .. } => IntraLatency::PerHop,
        };
        let pair = link.pair_bandwidth.as_ref().map(|pair| Constant::from(pair, |b| b.get()));
        Self { bandwidth, pair, latency, hop: hop(&link.latency) }
    }

    /// Bus bandwidth per device in a group of `ranks`: `min(B, (n − 1)·pair)` where devices are
    /// wired to each other, `B` behind a switch. Checked by `wired_pairs_are_slower_than_all`.
    pub(crate) fn bandwidth_of(&self, ranks: f64) -> Constant {
        match self.pair {
            Some(pair) if pair.value * (ranks - 1.0) < self.bandwidth.value => {
                Constant { value: pair.value * (ranks - 1.0).max(1.0), ..pair }
            }
            _ => self.bandwidth,
        }
    }
}

impl Inter {
    pub(crate) fn of(link: &Link) -> Self {
        Self { bandwidth: Constant::from(&link.bandwidth, |b| b.get()), hop: hop(&link.latency) }
    }
}

fn hop(law: &LatencyLaw) -> Constant {
    match law {
        LatencyLaw::Saturating { hop, .. } | LatencyLaw::PerHop { hop } => {
            Constant::from(hop, |t| t.get())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plan::Grade;

    /// Wired at 40 GB/s per pair, 130 GB/s for all: two devices reach 40, three 80, four 120.
    #[test]
    fn wired_pairs_are_slower_than_all() {
        let of = |value| Constant { value, grade: Grade::Assumed };
        let wired = Intra {
            bandwidth: of(130e9),
            pair: Some(of(40e9)),
            latency: IntraLatency::PerHop,
            hop: Constant::ZERO,
        };
        let reached = [2.0, 3.0, 4.0, 5.0, 8.0].map(|n| wired.bandwidth_of(n).value / 1e9);
        assert_eq!(reached, [40.0, 80.0, 120.0, 130.0, 130.0]);
        let switched = Intra { pair: None, ..wired };
        assert_eq!(switched.bandwidth_of(2.0).value, 130e9);
    }
}
