//! Links, resolved.

use crate::constant::Constant;
use plan::machine::{LatencyLaw, Link};

/// The network inside a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Intra {
    pub(crate) bandwidth: Constant,
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
        Self { bandwidth, latency, hop: hop(&link.latency) }
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
