//! Collectives inside one node.

use super::{Algorithm, CollectiveCost, Shape, travelling};
use crate::constant::Constant;
use crate::profile::{IntraLatency, Profile};
use plan::Grade;
use plan::units::Seconds;
use plan::work::CollectiveOp;

/// The message-size law of a node: latency that saturates with size, and the wire.
///
/// Source: fitted to nccl-tests sweeps of 32 KiB to 16 GiB on eight devices (H200 1.8 %, A100
/// 8.9 %, B200 6.0 %); smaller groups scale the latency by `n/8 + ¼`. Checked by
/// `node_law_by_hand`.
pub(super) fn cost(shape: &Shape, profile: &Profile) -> CollectiveCost {
    let law = &profile.stack.collective;
    let (latency, grade) = latency(shape, profile);
    let wire = profile.intra.bandwidth_of(shape.ranks);
    let bandwidth = match shape.op {
        CollectiveOp::AllToAll | CollectiveOp::Dispatch { .. } => {
            wire.times(Constant::of(&law.all_to_all_efficiency))
        }
        _ => wire,
    };
    let once = match shape.op {
        CollectiveOp::Dispatch { copies } if law.deduplicates.value => {
            travelling(copies, shape.ranks)
        }
        _ => 1.0,
    };
    CollectiveCost {
        algorithm: Algorithm::Node,
        latency: Seconds::new(latency),
        intra: Seconds::new(shape.size * once * shape.bus_factor / bandwidth.value),
        inter: Seconds::ZERO,
        pipelined: true,
        grade: grade.max(bandwidth.grade),
    }
}

fn latency(shape: &Shape, profile: &Profile) -> (f64, Grade) {
    let law = &profile.stack.collective;
    if matches!(shape.op, CollectiveOp::AllToAll | CollectiveOp::Dispatch { .. }) {
        let base = Constant::from(&law.all_to_all_base, |t| t.get());
        return (base.value, base.grade);
    }
    let hop = profile.intra.hop;
    match profile.intra.latency {
        IntraLatency::PerHop => (shape.rounds * (shape.ranks - 1.0) * hop.value, hop.grade),
        IntraLatency::Saturating { base, ramp, ramp_size } => {
            let (base, ramp) = match shape.op {
                CollectiveOp::AllReduce => (base, ramp),
                _ => (
                    base.times(Constant::of(&law.shard_base)),
                    ramp.times(Constant::of(&law.shard_ramp)),
                ),
            };
            let full = base.value + ramp.value * shape.size / (shape.size + ramp_size);
            (full * f64::min(1.0, shape.ranks / 8.0 + 0.25), base.grade.max(ramp.grade))
        }
    }
}
