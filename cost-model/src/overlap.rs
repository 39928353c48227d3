//! Communication that runs beside computation.
//!
//! Letters: `C` computation, `X` communication, `γ` contention: the part of hidden communication
//! that still costs, because both use the same multiprocessors and memory.

use crate::stack::{CollectiveStack, HostStack, OverlapStack};
use plan::units::{Bytes, Seconds};

/// `max(C, X) + γ·min(C, X)`: both phases start together.
///
/// Source: γ fitted to mosaicml/llm-foundry@8c8dd48 `scripts/train/benchmarking`, 0.32 on A100
/// and 0.49 on H100. Checked by `overlap_by_hand`.
#[must_use]
pub fn together(compute: Seconds, communication: Seconds, contention: f64) -> Seconds {
    compute.max(communication) + compute.min(communication) * contention
}

/// Time that gradient reduction adds to a step:
/// `max(X − window, max(tail, late)·X) + γ/2·min(X, window)` with overlap, `X` without.
///
/// `window` is the backward pass that is still running while gradients become ready; `tail` the
/// last bucket, which nothing hides; `late` the part of the gradients that are those of the input
/// table, complete only when the backward pass has ended. Valid for bucketed reduction with one
/// reduction per step.
/// Source: bucketing as in Li et al. 2020 (arXiv:2006.15704); constants of the stack. Checked by
/// `exposed_gradients_by_hand`.
#[must_use]
pub fn exposed_data_parallel(
    communication: Seconds,
    late: f64,
    window: Seconds,
    overlap: &OverlapStack,
) -> Seconds {
    if !overlap.data.value {
        return communication;
    }
    let last = overlap.data_tail.value.max(late);
    let exposed = (communication - window).max(communication * last);
    let hidden = communication.min(window);
    exposed + hidden * (overlap.contention.value / 2.0)
}

/// Time that buckets of gradients hold computation up: `wait · ⌈S/bucket⌉ · log₂ nodes`. Kernels
/// behind a collective in the one queue of a device start when the last replica has joined it,
/// however well its wire is hidden.
///
/// `S` bytes of gradients on the wire. Valid where gradients are summed once per step; zero on one
/// node. Source: data of the stack; fitted to runs on 2 to 32 nodes, which gave the same constant
/// with sums hidden (ZeRO 0) and not (ZeRO 1). Checked by `each_bucket_waits_for_all_nodes`.
#[must_use]
pub fn bucket_waits(gradients: Bytes, nodes: u32, law: &CollectiveStack) -> Seconds {
    let levels = f64::from(nodes.max(1)).log2();
    law.bucket_wait.value * ((gradients / law.bucket.value).ceil() * levels)
}

/// Time of the host for lists of pieces: `piece · tensors · replicas`, where ZeRO 1 cuts every
/// tensor into a slice per replica, and copies slice by slice into and out of its collectives.
///
/// Source: huggingface/nanotron@069c21c `src/nanotron/distributed.py`, `reduce_scatter_coalesced`
/// and `all_gather_coalesced`; the time of a piece is data of the stack. Checked by
/// `lists_cost_a_call_per_tensor_and_replica`.
#[must_use]
pub fn list_pieces(tensors: u64, replicas: u32, host: &HostStack) -> Seconds {
    host.piece.value * (tensors as f64 * f64::from(replicas))
}

/// Time of one layer when its parameters are sharded: the gather of the next layer runs beside
/// the forward pass, gather and reduce-scatter beside the backward pass.
///
/// Source: Zhao et al. 2023 (arXiv:2304.11277), prefetch of one layer. Checked by
/// `sharded_layers_by_hand`.
#[must_use]
pub fn sharded_layer(layer: &ShardedLayer, contention: f64) -> Seconds {
    let forward = together(layer.forward, layer.gather_forward, contention);
    let backward = layer.gather_backward + layer.scatter;
    forward + together(layer.backward, backward, contention)
}

/// One layer under sharded parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShardedLayer {
    /// Forward computation.
    pub forward: Seconds,
    /// Backward computation, with recompute.
    pub backward: Seconds,
    /// Gather of the parameters for the forward pass.
    pub gather_forward: Seconds,
    /// Gather for the backward pass; zero when parameters stay after the forward pass.
    pub gather_backward: Seconds,
    /// Reduce-scatter of the gradients.
    pub scatter: Seconds,
}

/// Exposed part of tensor-parallel communication: `X·(1 − hidden)`.
///
/// Source: Korthikanti et al. 2022 (arXiv:2205.05198) for 0.5 and 0.33 backward; data of the
/// stack. Checked by `overlap_by_hand`.
#[must_use]
pub fn exposed(communication: Seconds, hidden: f64) -> Seconds {
    communication * (1.0 - hidden)
}

/// A step with stragglers: `t·(1 + jitter·log₂ nodes)`, and once per step `skew` where there are
/// several nodes: hosts that run a loop of their own arrive apart, however many they are.
///
/// Source: data of the stack, fitted to runs of one to 64 nodes. Checked by `overlap_by_hand` and
/// `several_nodes_wait_for_the_last`.
#[must_use]
pub fn with_jitter(step: Seconds, host: &HostStack, nodes: u32) -> Seconds {
    let skew = if nodes > 1 { host.skew.value } else { Seconds::ZERO };
    step * jitter(host, nodes) + skew
}

/// The inverse of [`with_jitter`], not below zero.
#[must_use]
pub fn without_jitter(step: Seconds, host: &HostStack, nodes: u32) -> Seconds {
    let skew = if nodes > 1 { host.skew.value } else { Seconds::ZERO };
    (step - skew).max(Seconds::ZERO) / jitter(host, nodes)
}

fn jitter(host: &HostStack, nodes: u32) -> f64 {
    1.0 + host.jitter.value * f64::from(nodes.max(1)).log2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use plan::{Grade, Sourced};

    fn s(x: f64) -> Seconds {
        Seconds::new(x)
    }

    fn close(a: Seconds, b: f64) {
        assert!((a.get() - b).abs() < 1e-12, "{a:?} against {b}");
    }

    fn host(jitter: f64, skew: f64) -> HostStack {
        let stack = fixtures::a100().stack;
        let of = |value| Sourced::new(value, Grade::Assumed, "a round number for this test");
        let skew = Sourced::new(s(skew), Grade::Assumed, "a round number for this test");
        HostStack { jitter: of(jitter), skew, ..stack.host }
    }

    /// 4 nodes: 10 s · (1 + 2 · 1 %) + 0.5 s; one node: 10 s.
    #[test]
    fn several_nodes_wait_for_the_last() {
        let host = host(0.01, 0.5);
        close(with_jitter(s(10.0), &host, 4), 10.7);
        close(with_jitter(s(10.0), &host, 1), 10.0);
        close(without_jitter(s(10.7), &host, 4), 10.0);
        assert_eq!(without_jitter(s(0.3), &host, 4), Seconds::ZERO);
    }

    /// 1 GB in buckets of 300 MB is 4 of them; 8 nodes are 3 doublings: 4 · 3 · 2 ms.
    #[test]
    fn each_bucket_waits_for_all_nodes() {
        let mut law = fixtures::stack().collective;
        law.bucket = Sourced::new(Bytes::new(300e6), Grade::Assumed, "this test");
        law.bucket_wait = Sourced::new(s(2e-3), Grade::Assumed, "this test");
        close(bucket_waits(Bytes::new(1e9), 8, &law), 24e-3);
        close(bucket_waits(Bytes::new(1e9), 1, &law), 0.0);
        close(bucket_waits(Bytes::ZERO, 8, &law), 0.0);
    }

    /// 100 tensors in 16 slices each, 5 µs a slice.
    #[test]
    fn lists_cost_a_call_per_tensor_and_replica() {
        let piece = Sourced::new(s(5e-6), Grade::Assumed, "this test");
        let host = HostStack { piece, ..host(0.0, 0.0) };
        close(list_pieces(100, 16, &host), 8e-3);
    }

    #[test]
    fn overlap_by_hand() {
        close(together(s(3.0), s(2.0), 0.5), 4.0);
        close(together(s(2.0), s(3.0), 0.0), 3.0);
        close(exposed(s(2.0), 0.25), 1.5);
        let host = host(0.01, 0.0);
        close(with_jitter(s(100.0), &host, 8), 103.0);
        close(with_jitter(s(100.0), &host, 1), 100.0);
    }

    /// X = 10, window 4, γ = 0.5: 6 exposed and ¼·4 contention. Window 100: the tail of 8 %
    /// and ¼·10.
    #[test]
    fn exposed_gradients_by_hand() {
        let mut overlap = fixtures::stack().overlap;
        let of = |x| Sourced::new(x, Grade::Assumed, "a round number for this test");
        overlap.contention = of(0.5);
        overlap.data_tail = of(0.08);
        overlap.data = Sourced::new(true, Grade::Assumed, "this test");
        close(exposed_data_parallel(s(10.0), 0.0, s(4.0), &overlap), 7.0);
        close(exposed_data_parallel(s(10.0), 0.0, s(100.0), &overlap), 3.3);
        // A table with 40 % of the gradients: 4 s are exposed instead of 0.8 s.
        close(exposed_data_parallel(s(10.0), 0.4, s(100.0), &overlap), 6.5);
        overlap.data.value = false;
        close(exposed_data_parallel(s(10.0), 0.4, s(100.0), &overlap), 10.0);
    }

    /// Forward 4 beside 2, backward 8 beside 2 + 10, γ = ½: (4 + 1) + (12 + 4).
    #[test]
    fn sharded_layers_by_hand() {
        let layer = ShardedLayer {
            forward: s(4.0),
            backward: s(8.0),
            gather_forward: s(2.0),
            gather_backward: s(2.0),
            scatter: s(10.0),
        };
        close(sharded_layer(&layer, 0.5), 21.0);
    }
}
