//! What this machine is: processors, memory, GPUs. Facts only; what they are worth is data.
//!
//! Reads `/proc`, `/sys` and the output of `nvidia-smi`; links to no driver, so the same binary
//! starts on machines without one. Where a fact cannot be found it is `None`, never a guess.

mod cpu;
mod gpu;
mod memory;

pub use cpu::{Cpu, Simd};
pub use gpu::{Gpu, GpuLink, GpuProbe, parse_topology};
pub use memory::{ProcessMemory, process_memory};

use plan::units::Bytes;
use std::fs;

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// The processor.
    pub cpu: Cpu,
    /// Host memory that a new process can use without swapping.
    pub available_memory: Option<Bytes>,
    /// Host memory.
    pub total_memory: Option<Bytes>,
    /// The GPUs.
    pub gpus: GpuProbe,
}

/// Looks at this machine.
#[must_use]
pub fn detect() -> Machine {
    let read = |path: &str| fs::read_to_string(path).ok();
    let memory = read("/proc/meminfo").unwrap_or_default();
    Machine {
        cpu: Cpu::from_files(&read),
        available_memory: memory::field(&memory, "MemAvailable")
            .map(|available| memory::limited(available, &read)),
        total_memory: memory::field(&memory, "MemTotal"),
        gpus: gpu::probe(),
    }
}
