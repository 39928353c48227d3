//! Point-to-point messages.
//!
//! `t = base + S/B`, with `B` the share of the network cards between nodes, and a fraction of the
//! all-reduce bandwidth inside a node. Messages between stages that are themselves tensor parallel
//! send `S/t` per rank and gather afterwards (Megatron's scatter-gather): two work items.

use crate::constant::{Constant, term, unsupported};
use crate::profile::Profile;
use plan::Estimate;
use plan::units::Seconds;
use plan::work::Send;

/// Time of a message. Checked by `a_message_pays_its_base_and_the_wire`.
pub(crate) fn price(send: &Send, profile: &Profile) -> Estimate<Seconds> {
    let law = &profile.stack.collective;
    let (bandwidth, spread) = match (send.crosses_nodes, profile.inter) {
        (true, None) => return unsupported(),
        (true, Some(inter)) => (inter.bandwidth, profile.spread.inter),
        (false, _) => {
            let efficiency = Constant::of(&law.send_efficiency);
            (profile.intra.bandwidth_of(2.0).times(efficiency), profile.spread.intra)
        }
    };
    let base = Constant::from(&law.send_base, |t| t.get());
    term(base.value, profile.spread.latency, base.grade)
        + term(send.bytes.get() / bandwidth.value, spread, bandwidth.grade)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use plan::units::Bytes;

    /// 12 µs and 21 MB at 21 GB/s between nodes; at 0.8 · 232 GB/s inside.
    #[test]
    fn a_message_pays_its_base_and_the_wire() {
        let profile = fixtures::a100();
        let far = Send { bytes: Bytes::new(21e6), crosses_nodes: true };
        let time = price(&far, &profile).value.get();
        assert!((time - 1.012e-3).abs() < 1e-9, "{time}");
        let near = Send { crosses_nodes: false, ..far };
        let time = price(&near, &profile).value.get();
        assert!((time - (12e-6 + 21e6 / (0.8 * 232e9))).abs() < 1e-12, "{time}");
    }
}
