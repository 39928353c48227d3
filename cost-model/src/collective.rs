//! Collectives: a message-size law inside a node, rings over all rails and trees across nodes.
//!
//! Letters: `S` bytes of the whole tensor, `n` ranks over `k` nodes, `g = n/k` ranks of the group
//! per node, `B` bus bandwidth inside a node, `N` one device's share of the network cards, `h`
//! time of a hop, `q` what a node adds to a ring; `f` is `2(n−1)/n` for all-reduce and `(n−1)/n`
//! else, `r` is 2 or 1 likewise.
//!
//! ```text
//! node    = (a₀ + a₁·S/(S + S₁))·min(1, n/8 + ¼) + f·S/B        gather, scatter: 0.7a₀, 0.6a₁
//! ring    = base + r·((n − k)·h_in + (k − 1)·h_out + k·q) + max(f·S/B, f·S/(g·N))
//! tree    = base + 2·((g − 1)·h_in + log₂k·h_out) + max(f·S/B, min(k/2, 2)·S/(g·N))/0.8
//!                                                               all-reduce only
//! all-to-all = base + S·(k − 1)/k / N + S/k · (g − 1)/g / (0.8B)
//! dispatch = base + max(S·d(k)·(k − 1)/k / N, S·d(n)·(g − 1)/g / (0.8B)), d = travelling copies
//! ```
//!
//! A ring runs through all ranks, so that a node's cards together carry what every link carries:
//! 4.3 GB over 4 nodes of B200 would take 16.1 ms if sums were made inside of nodes first, 20.8 ms
//! by this law, and took 22.05; gathers over 2 nodes of H100 move as many bytes per second through
//! the cards as sums do by trees (184 against 193 GB/s) only if rings are flat. Each of two trees
//! takes half of the bytes up and down again: a node of a pair sends S, of many nodes 2S. Traffic
//! inside and between nodes overlaps. A group with one rank per node owns one rail. Groups that
//! share a card must be told apart by the caller through the share in `N`. Not modelled: reduction
//! in switches, collisions of flows, the choice among protocols below 32 KiB.
//!
//! Sources: NVIDIA/nccl@5067397 `src/graph/tuning.cc` for hops and the shape of ring and tree;
//! the node law is fitted to published nccl-tests sweeps (stas00/ml-engineering@744d01e).

use crate::constant::{Constant, unsupported};
use crate::profile::Profile;
use crate::stack::CollectiveStack;
use plan::units::{Bytes, Seconds};
use plan::work::{Collective, CollectiveOp, Group};
use plan::{Estimate, Grade};

mod node;
mod tree;

/// How a collective runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Nothing to do: one rank.
    Alone,
    /// Inside one node, after the node's message-size law.
    Node,
    /// Rings over all rails.
    Ring,
    /// Trees between nodes.
    Tree,
    /// Direct exchange.
    Direct,
}

/// What a collective costs, in parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CollectiveCost {
    /// How it runs.
    pub algorithm: Algorithm,
    /// Time that does not depend on bandwidth.
    pub latency: Seconds,
    /// Time of the wire inside a node.
    pub intra: Seconds,
    /// Time of the wire between nodes.
    pub inter: Seconds,
    /// Whether both wires run at the same time.
    pub pipelined: bool,
    /// The weakest constant.
    pub grade: Grade,
}

impl CollectiveCost {
    const ALONE: Self = Self {
        algorithm: Algorithm::Alone,
        latency: Seconds::ZERO,
        intra: Seconds::ZERO,
        inter: Seconds::ZERO,
        pipelined: true,
        grade: Grade::Exact,
    };

    /// Latency and wire time together.
    #[must_use]
    pub fn total(&self) -> Seconds {
        let wire = match self.pipelined {
            true => self.intra.max(self.inter),
            false => self.intra + self.inter,
        };
        self.latency + wire
    }
}

/// The fastest way to run a collective, or `None` when it spans nodes without a network.
///
/// Formula and source: see the [module](self). Checked by
/// `collectives_match_an_independent_program` and `node_law_by_hand`.
#[must_use]
pub fn cost(collective: &Collective, profile: &Profile) -> Option<CollectiveCost> {
    let shape = Shape::of(collective);
    if shape.ranks <= 1.0 || collective.bytes.get() <= 0.0 {
        return Some(CollectiveCost::ALONE);
    }
    if shape.nodes <= 1.0 {
        return Some(node::cost(&shape, profile));
    }
    match collective.op {
        CollectiveOp::AllToAll => return all_to_all(&shape, profile),
        CollectiveOp::Dispatch { .. } => return dispatch(&shape, profile),
        _ => {}
    }
    let ring = ring(&shape, profile)?;
    if collective.op != CollectiveOp::AllReduce || profile.stack.collective.rings_only.value {
        return Some(ring);
    }
    let tree = tree::cost(&shape, &ring, profile);
    Some(if tree.total() < ring.total() { tree } else { ring })
}

/// Time of a collective.
pub(crate) fn price(collective: &Collective, profile: &Profile) -> Estimate<Seconds> {
    let Some(cost) = cost(collective, profile) else { return unsupported() };
    let spread = profile.spread;
    let part = |time: Seconds, spread| Estimate::spread(time, spread, spread, cost.grade);
    let latency = part(cost.latency, spread.latency);
    let (intra, inter) = (part(cost.intra, spread.intra), part(cost.inter, spread.inter));
    match (cost.algorithm, cost.pipelined) {
        (Algorithm::Alone, _) => Estimate::exact(Seconds::ZERO),
        (_, true) => latency + if cost.inter > cost.intra { inter } else { intra },
        (_, false) => latency + intra + inter,
    }
}

/// The group that moves sharded weights and their gradients. Where a stack sends each device its
/// own copy, every rank is a node of its own: `S·(n − 1)/n / N`, not `S·(k − 1)/k / (g·N)`.
///
/// Valid for ZeRO 3 as it was in 2020 and 2021. Source: rows of arXiv:2104.04473 table 2, where
/// 1.05 TB of weights and gradients took 66.7 s, 15.7 GB/s per device. Checked by
/// `flat_shards_take_one_card_each`.
#[must_use]
pub fn of_shards(group: Group, profile: &Profile) -> Group {
    match profile.stack.collective.flat_shards.value && group.nodes > 1 {
        true => Group { nodes: group.size, ..group },
        false => group,
    }
}

/// Bytes that one rank sends: `2(n−1)/n·S` for all-reduce, `(n−1)/n·S` for the others.
///
/// Exact for rings and direct exchange, which move the least a rank can send when every rank
/// sends the same. Source: Patarasuk and Yuan 2009 (doi:10.1016/j.jpdc.2008.09.002). Checked by
/// `wire_bytes_by_hand`.
#[must_use]
pub fn wire_bytes(collective: &Collective) -> Bytes {
    let shape = Shape::of(collective);
    let once = match collective.op {
        CollectiveOp::Dispatch { copies } => travelling(copies, shape.ranks),
        _ => 1.0,
    };
    collective.bytes * (shape.bus_factor * once)
}

/// Part of the copies of a row that travels when its experts' places coincide: of `n` places,
/// `n·(1 − (1 − 1/n)ᶜ)` are hit by `c` copies.
///
/// Valid for balanced, independent routing. Source: DeepEP and HybridEP send a row once per node
/// and rank (deepseek-ai/DeepEP README). Checked by `rows_travel_once_per_node`.
#[must_use]
pub fn travelling(copies: u32, places: f64) -> f64 {
    let copies = f64::from(copies.max(1));
    places * (1.0 - (1.0 - 1.0 / places).powf(copies)) / copies
}

/// Least bytes that one rank's network card carries, by whatever algorithm: `r·S·(k−1)/k / g`, for
/// all-to-all `S·(k−1)/k`. Rings carry more.
///
/// Checked by `wire_bytes_by_hand`.
#[must_use]
pub fn network_bytes(collective: &Collective) -> Bytes {
    let shape = Shape::of(collective);
    let leaving = collective.bytes * ((shape.nodes - 1.0) / shape.nodes);
    match collective.op {
        CollectiveOp::AllToAll => leaving,
        CollectiveOp::Dispatch { copies } => leaving * travelling(copies, shape.nodes),
        _ => leaving * (shape.rounds / shape.per_node),
    }
}

/// A collective in the letters of the module.
pub(crate) struct Shape {
    op: CollectiveOp,
    pub(crate) size: f64,
    pub(crate) ranks: f64,
    pub(crate) nodes: f64,
    pub(crate) per_node: f64,
    pub(crate) rounds: f64,
    pub(crate) bus_factor: f64,
    /// Bytes of a ring through one network card.
    pub(crate) network: f64,
}

impl Shape {
    pub(crate) fn of(collective: &Collective) -> Self {
        let Group { size, nodes } = collective.group;
        let ranks = f64::from(size.max(1));
        let nodes = f64::from(nodes.clamp(1, size.max(1)));
        let per_node = f64::from(collective.group.per_node());
        let rounds = if collective.op == CollectiveOp::AllReduce { 2.0 } else { 1.0 };
        let size = collective.bytes.get().max(0.0);
        let bus_factor = rounds * (ranks - 1.0) / ranks;
        let network = size * bus_factor / per_node;
        Self { op: collective.op, size, ranks, nodes, per_node, rounds, bus_factor, network }
    }
}

/// Rings over all rails: `base + r·((n−k)·h_in + (k−1)·h_out)`, both wires at the same time, each
/// of which carries `f·S`. Checked by `a_ring_carries_all_between_nodes`.
fn ring(shape: &Shape, profile: &Profile) -> Option<CollectiveCost> {
    let (intra, inter) = (profile.intra, profile.inter?);
    let base = Constant::from(&profile.stack.collective.ring_base, |t| t.get());
    let node = Constant::from(&profile.stack.collective.ring_node, |t| t.get());
    let hops = (shape.ranks - shape.nodes) * intra.hop.value
        + (shape.nodes - 1.0) * inter.hop.value
        + shape.nodes * node.value;
    let inside = if shape.per_node > 1.0 { shape.size * shape.bus_factor } else { 0.0 };
    let wire = intra.bandwidth_of(shape.per_node);
    Some(CollectiveCost {
        algorithm: Algorithm::Ring,
        latency: Seconds::new(base.value + shape.rounds * hops),
        intra: Seconds::new(inside / wire.value),
        inter: Seconds::new(shape.network / inter.bandwidth.value),
        pipelined: true,
        grade: [intra.hop, inter.hop, node, wire, inter.bandwidth]
            .iter()
            .fold(base.grade, |grade, constant| grade.max(constant.grade)),
    })
}

/// Every rank sends a part to every other, through its own card and its own link.
fn all_to_all(shape: &Shape, profile: &Profile) -> Option<CollectiveCost> {
    let inter = profile.inter?;
    let law: &CollectiveStack = &profile.stack.collective;
    let base = Constant::from(&law.all_to_all_base, |t| t.get());
    let inside = profile.intra.bandwidth.times(Constant::of(&law.all_to_all_efficiency));
    let local = shape.size / shape.nodes * (shape.per_node - 1.0) / shape.per_node;
    let leaving = shape.size * (shape.nodes - 1.0) / shape.nodes;
    Some(CollectiveCost {
        algorithm: Algorithm::Direct,
        latency: Seconds::new(base.value),
        intra: Seconds::new(local / inside.value),
        inter: Seconds::new(leaving / inter.bandwidth.value),
        pipelined: false,
        grade: base.grade.max(inside.grade).max(inter.bandwidth.grade),
    })
}

/// Tokens go to their experts and come back. A library that knows the routing sends a row once to
/// each node and hands it on inside, while other rows arrive; others run an all-to-all.
fn dispatch(shape: &Shape, profile: &Profile) -> Option<CollectiveCost> {
    let law: &CollectiveStack = &profile.stack.collective;
    let plain = all_to_all(shape, profile)?;
    let CollectiveOp::Dispatch { copies } = shape.op else { return Some(plain) };
    if !law.deduplicates.value {
        return Some(plain);
    }
    let inter = profile.inter?;
    let inside = profile.intra.bandwidth.times(Constant::of(&law.all_to_all_efficiency));
    let arriving = shape.size * travelling(copies, shape.ranks);
    let local = arriving * (shape.per_node - 1.0) / shape.per_node;
    let leaving = shape.size * travelling(copies, shape.nodes) * (shape.nodes - 1.0) / shape.nodes;
    Some(CollectiveCost {
        intra: Seconds::new(local / inside.value),
        inter: Seconds::new(leaving / inter.bandwidth.value),
        pipelined: true,
        grade: plain.grade.max(law.deduplicates.grade),
        ..plain
    })
}

#[cfg(test)]
mod tests;
