//! Clusters from what machines say of themselves: `nvidia-smi`, Slurm, nccl-tests.
//!
//! Each of them says a part. What they do not say (the speed of a link, mostly) is taken from a
//! shipped cluster of the same device and labelled as an assumption, or the file is refused.

mod nccl;
mod slurm;
#[cfg(test)]
mod tests;
mod topology;
mod write;

pub use write::{Wanted, cluster};

use executor::machine::GpuLink;
use plan::estimate::Sourced;
use plan::units::{Bytes, BytesPerSecond, Seconds};

/// A device as somebody names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceName {
    /// As the driver says it: `NVIDIA H100 80GB HBM3`.
    Driver(String),
    /// As a site calls it in Slurm: `h100`.
    Site(String),
}

/// How fast collectives of whole nodes were.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Bus bandwidth of large messages.
    pub bandwidth: Sourced<BytesPerSecond>,
    /// Time of one hop.
    pub hop: Sourced<Seconds>,
}

/// What a text says of a machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Which program said it.
    pub by: &'static str,
    /// Devices.
    pub device: Option<DeviceName>,
    /// Devices of a node.
    pub per_node: Option<u32>,
    /// Nodes.
    pub nodes: Option<u32>,
    /// Links between the devices of a node.
    pub link: Option<GpuLink>,
    /// Network cards of a node.
    pub cards: Option<u32>,
    /// Host memory of a node.
    pub host_memory: Option<Bytes>,
    /// Speed inside a node.
    pub intra: Option<Measured>,
    /// Speed between nodes, per device.
    pub inter: Option<Measured>,
    /// What was left out or assumed.
    pub notes: Vec<String>,
}

/// What a text says, where it is the output of one of the programs.
///
/// # Errors
/// Output of such a program that contradicts itself or lacks what it should say.
pub fn read(text: &str) -> Option<Result<Seen, String>> {
    [topology::read, slurm::read, nccl::read].into_iter().find_map(|read| read(text))
}

/// What a log of nccl-tests says.
///
/// # Errors
/// Another text, or a log that does not say enough.
pub fn measured(text: &str) -> Result<Seen, String> {
    nccl::read(text).unwrap_or_else(|| Err("this is no log of nccl-tests".into()))
}
