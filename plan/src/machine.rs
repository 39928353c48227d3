//! Machines: devices, links, nodes, clusters. Every constant carries its origin.

use crate::dtype::Dtype;
use crate::estimate::Sourced;
use crate::units::{Bytes, BytesPerSecond, DollarsPerHour, FlopsPerSecond, Seconds, Watts};
use crate::work::AttentionKernel;
use std::collections::BTreeMap;

/// An accelerator (or a CPU used as one).
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// Name that people type: `v100-sxm2-16gb`.
    pub name: String,
    /// Name that people read: `V100-SXM2-16GB`.
    pub label: String,
    /// Dense peak per number format; never a sparse or doubled peak.
    pub peak: BTreeMap<Dtype, Sourced<FlopsPerSecond>>,
    /// Memory that a process can allocate from.
    pub memory: Sourced<Bytes>,
    /// Peak memory bandwidth.
    pub memory_bandwidth: Sourced<BytesPerSecond>,
    /// Independent processors (SMs, CUs, MXU cores): the width of one wave.
    pub multiprocessors: Sourced<u32>,
    /// Constants of the matrix-product law.
    pub gemm: GemmLaw,
    /// Fraction of the peak memory bandwidth that streaming kernels reach.
    pub stream_efficiency: Sourced<f64>,
    /// Constants of recurrent steps, where they are known.
    pub recurrent: Option<RecurrentLaw>,
    /// Fraction of the 16-bit peak that each attention kernel reaches, forward and backward.
    pub attention: BTreeMap<AttentionKernel, Sourced<(f64, f64)>>,
    /// One direction of the link to the host.
    pub host_link: Option<Sourced<BytesPerSecond>>,
    /// Board power.
    pub power: Option<Sourced<Watts>>,
    /// Rental price.
    pub price: Option<Sourced<DollarsPerHour>>,
}

/// Constants of the matrix-product law (see `cost_model::gemm`).
#[derive(Clone, Debug, PartialEq)]
pub struct GemmLaw {
    /// Fraction of the peak at full occupancy and infinite tiles.
    pub efficiency: Sourced<f64>,
    /// Operand-feed penalty of small tiles, per 64 elements of tile edge.
    pub tile_penalty: Sourced<f64>,
    /// Prologue and epilogue of a tile, in elements of the contracted dimension.
    pub prologue: Sourced<f64>,
    /// Time between kernels on the device when the host runs ahead.
    pub kernel_gap: Sourced<Seconds>,
    /// Number formats whose units are fed differently: CUDA cores beside tensor cores.
    pub formats: BTreeMap<Dtype, FormatLaw>,
}

/// Constants of the matrix-product law for one number format; as in [`GemmLaw`].
#[derive(Clone, Debug, PartialEq)]
pub struct FormatLaw {
    /// Fraction of the peak at full occupancy and infinite tiles.
    pub efficiency: Sourced<f64>,
    /// Operand-feed penalty of small tiles, per 64 elements of tile edge.
    pub tile_penalty: Sourced<f64>,
    /// Prologue and epilogue of a tile, in elements of the contracted dimension.
    pub prologue: Sourced<f64>,
}

impl GemmLaw {
    /// The constants of a format: its own, or those of all.
    #[must_use]
    pub fn of(&self, dtype: Dtype) -> FormatLaw {
        self.formats.get(&dtype).cloned().unwrap_or_else(|| FormatLaw {
            efficiency: self.efficiency.clone(),
            tile_penalty: self.tile_penalty.clone(),
            prologue: self.prologue.clone(),
        })
    }
}

/// Constants of recurrent steps.
#[derive(Clone, Debug, PartialEq)]
pub struct RecurrentLaw {
    /// Fixed time of one step.
    pub step_overhead: Sourced<Seconds>,
    /// Fraction of the memory bandwidth at which weights are re-read each step.
    pub weight_read_efficiency: Sourced<f64>,
}

/// The network between ranks at one level.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// What it is, for people: "NVLink 2, hybrid cube mesh".
    pub label: String,
    /// Inside a node: all-reduce bus bandwidth per device. Between nodes: what one device's share
    /// of the network cards carries, one direction.
    pub bandwidth: Sourced<BytesPerSecond>,
    /// Where devices are wired to each other without a switch: what one pair reaches. A group of
    /// `n` then has at most `n − 1` times as much per device.
    pub pair_bandwidth: Option<Sourced<BytesPerSecond>>,
    /// How small messages fall short.
    pub latency: LatencyLaw,
}

/// How small messages fall short of the bandwidth.
#[derive(Clone, Debug, PartialEq)]
pub enum LatencyLaw {
    /// `t = base + ramp·S/(S + ramp_size) + …`, fitted to sweeps of whole collectives in a node.
    Saturating {
        /// Time of an empty message.
        base: Sourced<Seconds>,
        /// Additional time of messages far above `ramp_size`.
        ramp: Sourced<Seconds>,
        /// Size at which half of the ramp is paid.
        ramp_size: Sourced<Bytes>,
        /// Time per hop, for rings that leave the node.
        hop: Sourced<Seconds>,
    },
    /// Every step of a ring pays one hop.
    PerHop {
        /// Time of one hop.
        hop: Sourced<Seconds>,
    },
}

/// Nodes that are all alike.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeGroup {
    /// The accelerator.
    pub device: Device,
    /// Accelerators per node (for a pod: per pod).
    pub devices_per_node: u32,
    /// Nodes of this kind; `None` grows to what is asked for.
    pub nodes: Option<u32>,
    /// The network inside a node.
    pub intra: Link,
    /// The network between nodes; `None` where there is only one node.
    pub inter: Option<Link>,
    /// Host memory per node.
    pub host_memory: Option<Sourced<Bytes>>,
}

/// A cluster: one or more groups of nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// Name that people type.
    pub name: String,
    /// Name that people read.
    pub label: String,
    /// Groups of like nodes; more than one makes the cluster heterogeneous.
    pub groups: Vec<NodeGroup>,
    /// Software stack used when the model does not name one.
    pub default_stack: Option<String>,
}

impl Cluster {
    /// Devices available, or `None` when the cluster grows to what is asked for.
    #[must_use]
    pub fn capacity(&self) -> Option<u32> {
        self.groups.iter().try_fold(0u32, |sum, g| {
            g.nodes.map(|n| sum.saturating_add(n.saturating_mul(g.devices_per_node)))
        })
    }

    /// Whether all devices and nodes are alike.
    #[must_use]
    pub fn is_homogeneous(&self) -> bool {
        self.groups.len() == 1
    }
}
