//! A machine without GPUs: every core is a device that holds one rank.

use crate::diagnostics::Failure;
use crate::exit::Exit;
use executor::machine::{Cpu, Machine};
use plan::Dtype;
use plan::estimate::{Grade, Sourced};
use plan::machine::{Cluster, Device, GemmLaw, LatencyLaw, Link, NodeGroup};
use plan::units::{Bytes, BytesPerSecond, FlopsPerSecond, Seconds};
use planner::combinations::Combination;
use std::collections::BTreeMap;

/// Vector units per core that multiply at the same time: two on server and desktop cores of the
/// last ten years. Some cores have one.
const VECTOR_UNITS: u32 = 2;

/// The software that runs on cores.
pub const STACK: &str = "meshwright-cpu";

/// What it does not run together: the executor refuses each with a message of its own.
pub const REFUSES: [Combination; 6] = [
    Combination::TiedShards,
    Combination::UnevenPositions,
    Combination::SplitMemory,
    Combination::SplitExperts,
    Combination::TablePieces,
    Combination::ApartExperts,
];

/// The cluster of one node whose devices are its cores.
///
/// # Errors
/// When clock or memory of the machine cannot be found.
pub fn cluster(machine: &Machine) -> Result<Cluster, Failure> {
    let cores = machine.cpu.cores.max(1);
    let memory = machine.available_memory.ok_or_else(|| unknown("how much memory is free"))?;
    let device = core(&machine.cpu, memory, cores)?;
    Ok(Cluster {
        name: "local".into(),
        label: format!("this machine, {cores} × {}", device.label),
        groups: vec![NodeGroup {
            device,
            devices_per_node: cores,
            nodes: Some(1),
            intra: shared_memory(),
            inter: None,
            host_memory: None,
        }],
        default_stack: Some(STACK.into()),
    })
}

/// One core as a device. Peak: `clock × vector units × lanes × (2 if fused, else 1)`.
fn core(cpu: &Cpu, memory: Bytes, cores: u32) -> Result<Device, Failure> {
    let clock = cpu.cycles_per_second.ok_or_else(|| unknown("the clock of the processor"))?;
    let per_cycle = VECTOR_UNITS * cpu.simd.lanes() * if cpu.simd.is_fused() { 2 } else { 1 };
    let peak = FlopsPerSecond::new(clock * f64::from(per_cycle));
    let derivation = format!(
        "{:.2} GHz × {per_cycle} FLOP per cycle ({}, {VECTOR_UNITS} vector units assumed)",
        clock / 1e9,
        cpu.simd.name(),
    );
    let share = format!("available memory of this machine over {cores} cores");
    Ok(Device {
        name: "cpu-core".into(),
        label: format!("core of {}", cpu.name.as_deref().unwrap_or("an unnamed processor")),
        peak: BTreeMap::from([(Dtype::Fp32, Sourced::new(peak, Grade::Derived, derivation))]),
        memory: Sourced::new(memory / f64::from(cores), Grade::Derived, share),
        memory_bandwidth: assumed(
            BytesPerSecond::new(10e9),
            "one core of a machine with two channels of DDR4",
        ),
        multiprocessors: Sourced::new(1, Grade::Exact, "one core is one processor"),
        gemm: gemm_law(),
        stream_efficiency: assumed(0.8, "as on accelerators"),
        recurrent: None,
        attention: BTreeMap::new(),
        host_link: None,
        power: None,
        price: None,
    })
}

/// Ranks that share each core: `ranks_per_core` of them, each with its part of the core's time
/// and of the memory.
pub fn share(group: &mut NodeGroup, ranks_per_core: f64) {
    let device = &mut group.device;
    for peak in device.peak.values_mut() {
        peak.value = peak.value / ranks_per_core;
    }
    device.memory.value = device.memory.value / ranks_per_core;
    device.memory_bandwidth.value = device.memory_bandwidth.value / ranks_per_core;
    device.gemm.kernel_gap.value = device.gemm.kernel_gap.value * ranks_per_core;
    if let Some(law) = &mut device.recurrent {
        law.step_overhead.value = law.step_overhead.value * ranks_per_core;
    }
    let link = &mut group.intra;
    link.bandwidth.value = link.bandwidth.value / ranks_per_core;
    if let LatencyLaw::PerHop { hop } = &mut link.latency {
        hop.value = hop.value * ranks_per_core;
    }
    device.label = format!("1/{ranks_per_core:.1} of a {}", device.label);
}

fn gemm_law() -> GemmLaw {
    GemmLaw {
        efficiency: assumed(0.7, "a good library on large products"),
        tile_penalty: assumed(0.05, "packing an element of an operand takes as long as 6 FLOPs"),
        prologue: assumed(4.0, "writing an element of the result takes as long as 8 FLOPs"),
        kernel_gap: assumed(Seconds::new(1e-6), "a function call and its bookkeeping"),
        formats: BTreeMap::new(),
    }
}

/// Ranks of one machine exchange tensors through memory.
fn shared_memory() -> Link {
    Link {
        label: "shared memory".into(),
        bandwidth: assumed(BytesPerSecond::new(1e9), "reduction through memory by two cores"),
        pair_bandwidth: None,
        latency: LatencyLaw::PerHop {
            hop: assumed(Seconds::new(30e-6), "one wake-up of another thread"),
        },
    }
}

fn assumed<T>(value: T, why: &str) -> Sourced<T> {
    Sourced::new(value, Grade::Assumed, format!("{why}, not measured here"))
}

fn unknown(what: &str) -> Failure {
    Failure::new(Exit::InvalidInput, format!("cannot find out {what}"))
        .hint("name a cluster with --cluster; `meshwright scenarios list clusters` shows all")
}

#[cfg(test)]
mod tests {
    use super::*;
    use executor::machine::{GpuProbe, Simd};

    fn machine(clock: Option<f64>) -> Machine {
        Machine {
            cpu: Cpu {
                name: Some("Testium".into()),
                cores: 4,
                cycles_per_second: clock,
                simd: Simd::Avx2,
            },
            available_memory: Some(Bytes::new(8.0 * 1_073_741_824.0)),
            total_memory: None,
            gpus: GpuProbe::NoDriver,
        }
    }

    #[test]
    fn the_peak_follows_from_clock_and_vector_unit() {
        let cluster = cluster(&machine(Some(2.5e9))).unwrap();
        let group = &cluster.groups[0];
        let peak = &group.device.peak[&Dtype::Fp32];
        // 2 units × 8 lanes × 2 (multiply and add) = 32 per cycle; 2.5 GHz: 80 GFLOP/s a core.
        assert_eq!(peak.value, FlopsPerSecond::new(80e9));
        assert_eq!(peak.grade, Grade::Derived);
        assert!(peak.source.contains("2.50 GHz × 32 FLOP per cycle"), "{}", peak.source);
        assert_eq!(group.device.memory.value, Bytes::new(2.0 * 1_073_741_824.0));
        assert_eq!(cluster.capacity(), Some(4));
    }

    /// 8 ranks on 4 cores: half a core each, and messages take twice as long.
    #[test]
    fn ranks_beyond_the_cores_share_them() {
        let mut shared = cluster(&machine(Some(2.5e9))).unwrap();
        crate::local::shared(&mut shared, 4);
        assert_eq!(shared.capacity(), Some(4));
        crate::local::shared(&mut shared, 8);
        let group = &shared.groups[0];
        assert_eq!(group.device.peak[&Dtype::Fp32].value, FlopsPerSecond::new(40e9));
        assert_eq!(group.device.memory.value, Bytes::new(1_073_741_824.0));
        assert_eq!(shared.capacity(), Some(8));
        assert_eq!(shared.label, "this machine, 8 ranks on 4 cores");
    }

    #[test]
    fn a_clock_that_is_unknown_is_not_guessed() {
        assert_eq!(cluster(&machine(None)).unwrap_err().exit(), Exit::InvalidInput);
    }
}
