//! Trees between nodes: fewer hops, less bandwidth.

use super::{Algorithm, CollectiveCost, Shape};
use crate::constant::Constant;
use crate::profile::Profile;
use plan::units::Seconds;

/// `base + 2·((g − 1)·h_in + log₂k·h_out)`, the wire at a fraction of the ring's bandwidth. Two
/// trees take half of the bytes each, up and down again. Of two nodes each is the root of one: its
/// cards send S/2 up and S/2 down. Of many nodes each is a leaf of one and has two children in the
/// other: S/2 up, S/2 up and 2·S/2 down. In between `min(k/2, 2)·S`.
///
/// Source: NVIDIA/nccl@5067397 `src/graph/tuning.cc`; efficiency 0.85–0.92 there with a size
/// correction, 0.8 here. Checked by `collectives_match_an_independent_program`.
pub(super) fn cost(shape: &Shape, ring: &CollectiveCost, profile: &Profile) -> CollectiveCost {
    let law = &profile.stack.collective;
    let base = Constant::from(&law.tree_base, |t| t.get());
    let intra = Constant::from(&law.tree_hop_intra, |t| t.get());
    let inter = Constant::from(&law.tree_hop_inter, |t| t.get());
    let efficiency = Constant::of(&law.tree_efficiency);
    let levels = shape.nodes.max(2.0).log2();
    let crossing = (shape.nodes / 2.0).min(2.0);
    let hops = (shape.per_node - 1.0) * intra.value + levels * inter.value;
    CollectiveCost {
        algorithm: Algorithm::Tree,
        latency: Seconds::new(base.value + 2.0 * hops),
        intra: ring.intra / efficiency.value,
        inter: ring.inter * (crossing / shape.bus_factor / efficiency.value),
        pipelined: true,
        grade: [base, intra, inter, efficiency]
            .iter()
            .fold(ring.grade, |grade, constant| grade.max(constant.grade)),
    }
}
