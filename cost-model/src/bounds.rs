//! The speed of light: what no implementation on this hardware can beat.

use crate::profile::{Profile, dtype_index};
use crate::{collective, flops, gemm, pointwise};
use plan::Dtype;
use plan::units::Seconds;
use plan::work::{Attention, Collective, Send, Work};

/// Least time of an item: FLOPs the model needs at peak, bytes at peak memory bandwidth, bytes on
/// the wire at link bandwidth; no latency, no gaps, no efficiency below 1.
///
/// Bytes are those the stack's kernels move; for products every operand once. A link's bandwidth
/// is the one its machine file states, which for links inside a node is already a measured bus
/// bandwidth. Checked by `no_price_beats_the_speed_of_light`.
#[must_use]
pub fn speed_of_light(work: &Work, profile: &Profile) -> Seconds {
    let bandwidth = profile.bandwidth.value;
    let seconds = match work {
        Work::Gemm(item) => {
            let compute = at_peak(flops::needed(work).get(), item.dtype, profile);
            compute.max(gemm::operand_bytes(item) / bandwidth)
        }
        Work::RecurrentWeightGradient(item) => {
            at_peak(flops::needed(work).get(), item.step.dtype, profile)
        }
        Work::Attention(item) => attention(item, profile),
        Work::Pointwise(item) => pointwise::bytes(item, profile).get() / bandwidth,
        Work::Scan(scan) => {
            let body = scan.body.iter().map(|item| speed_of_light(item, profile).get());
            body.sum::<f64>() * scan.steps as f64
        }
        Work::Optimizer(item) => {
            let bytes = profile.optimizer[crate::profile::rule_index(item.rule)];
            bytes.map_or(0.0, |b| b.value) * item.parameters as f64 / bandwidth
        }
        Work::Collective(item) => wire(item, profile),
        Work::Send(item) => message(item, profile),
        Work::HostCopy(bytes) => profile.host_link.map_or(0.0, |link| bytes.get() / link.value),
        Work::Traffic(bytes) => bytes.get().max(0.0) / bandwidth,
    };
    Seconds::new(seconds)
}

/// Attention runs in at least 16 bit.
fn attention(item: &Attention, profile: &Profile) -> f64 {
    let dtype = if item.dtype == Dtype::Fp8 { Dtype::Bf16 } else { item.dtype };
    at_peak(flops::needed_attention(item).get(), dtype, profile)
}

fn at_peak(flops: f64, dtype: Dtype, profile: &Profile) -> f64 {
    profile.peaks[dtype_index(dtype)].map_or(0.0, |peak| flops / peak.value)
}

fn wire(item: &Collective, profile: &Profile) -> f64 {
    if item.group.is_alone() {
        return 0.0;
    }
    let network = collective::network_bytes(item).get().max(0.0);
    let network = profile.inter.map_or(0.0, |inter| network / inter.bandwidth.value);
    if item.group.nodes > 1 {
        return network;
    }
    collective::wire_bytes(item).get().max(0.0) / profile.intra.bandwidth.value
}

fn message(item: &Send, profile: &Profile) -> f64 {
    let bandwidth = match item.crosses_nodes {
        true => profile.inter.map(|inter| inter.bandwidth.value),
        false => Some(profile.intra.bandwidth.value),
    };
    bandwidth.map_or(0.0, |bandwidth| item.bytes.get() / bandwidth)
}
