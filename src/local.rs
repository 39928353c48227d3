//! The cluster `local`: from what was detected to a machine that can be planned for.
//!
//! What a device can do is data, never a guess from its name: an unknown GPU is an error.

pub mod calibrated;
mod processor;
mod recognise;

pub use processor::{REFUSES, STACK, cluster as processor_cluster};
pub use recognise::device_name;

use crate::catalog::{Catalog, Kind};
use crate::diagnostics::Failure;
use crate::exit::Exit;
use cost_model::Stack;
use executor::machine::{Gpu, GpuLink, GpuProbe, Machine};
use plan::estimate::{Grade, Sourced};
use plan::machine::{Cluster, Device, Link, NodeGroup};
use planner::combinations::Combination;

/// The cluster that this machine is.
///
/// # Errors
/// A GPU that no device file describes, GPUs that differ, or a processor whose clock is unknown.
pub fn cluster(catalog: &Catalog, machine: &Machine) -> Result<Cluster, Failure> {
    match &machine.gpus {
        GpuProbe::Found(gpus, link) if !gpus.is_empty() => {
            gpu_cluster(catalog, machine, gpus, *link)
        }
        GpuProbe::Failed(said) => Err(Failure::new(Exit::InvalidInput, "nvidia-smi failed")
            .evidence(said.clone())
            .hint("name a cluster with --cluster; `meshwright scenarios list clusters` shows all")),
        GpuProbe::Found(..) | GpuProbe::NoDriver => processor_cluster(machine),
    }
}

/// The cluster of this machine's cores for more ranks than it has: ranks share cores in equal
/// parts. Any other cluster stays as it is.
pub fn shared(cluster: &mut Cluster, ranks: u32) {
    let on_cores = calibrated::is_of_cores(cluster);
    let Some(group) = cluster.groups.first_mut().filter(|_| on_cores) else { return };
    let cores = group.devices_per_node;
    if ranks > cores {
        processor::share(group, f64::from(ranks) / f64::from(cores));
        group.devices_per_node = ranks;
        let word = if cores == 1 { "core" } else { "cores" };
        cluster.label = format!("this machine, {ranks} ranks on {cores} {word}");
    }
}

/// What the software of a machine does not run together.
#[must_use]
pub fn refuses(cluster: &Cluster, stack: &Stack) -> &'static [Combination] {
    match calibrated::is_of_cores(cluster) || stack.name == STACK {
        true => &REFUSES,
        false => &[],
    }
}

fn gpu_cluster(
    catalog: &Catalog,
    machine: &Machine,
    gpus: &[Gpu],
    link: Option<GpuLink>,
) -> Result<Cluster, Failure> {
    let first = &gpus[0];
    if let Some(other) = gpus.iter().find(|gpu| gpu.name != first.name) {
        return Err(Failure::new(Exit::InvalidInput, "the GPUs of this machine differ")
            .evidence(format!("{}\n{}", first.name, other.name))
            .hint("describe the machine: `meshwright scenarios new cluster -o lab.toml`"));
    }
    let device = known_device(catalog, first)?;
    let (intra, default_stack) = intra_link(catalog, &device, gpus.len(), link)?;
    let count = u32::try_from(gpus.len()).unwrap_or(u32::MAX);
    let host_memory = machine
        .total_memory
        .map(|total| Sourced::new(total, Grade::Measured, "MemTotal of this machine"));
    Ok(Cluster {
        name: "local".into(),
        label: format!("this machine, {count} × {}", device.label),
        groups: vec![NodeGroup {
            device,
            devices_per_node: count,
            nodes: Some(1),
            intra,
            inter: None,
            host_memory,
        }],
        default_stack,
    })
}

/// The device file that describes a GPU, checked against the memory that the driver states.
pub fn known_device(catalog: &Catalog, gpu: &Gpu) -> Result<Device, Failure> {
    let name = device_name(&gpu.name);
    let device = match catalog.find(Kind::Device, &name) {
        Ok(_) => catalog.device(&name)?,
        Err(_) => return Err(unknown_gpu(gpu, &name)),
    };
    let ratio = gpu.memory / device.memory.value;
    if (0.9..=1.15).contains(&ratio) {
        return Ok(device);
    }
    Err(unknown_gpu(gpu, &name)
        .evidence(format!("it has {}, and {} has {}", gpu.memory, name, device.memory.value)))
}

fn unknown_gpu(gpu: &Gpu, name: &str) -> Failure {
    Failure::new(Exit::InvalidInput, format!("no peak FLOP/s known for \"{}\"", gpu.name))
        .hint(format!("add {name}.toml (template: `meshwright scenarios new device`)"))
        .hint("name a cluster with --cluster; `meshwright scenarios list clusters` shows all")
}

/// The link between GPUs of this machine: as in a shipped cluster of the same device, labelled as
/// an assumption, and only where the kind of link agrees; with the software stack of that cluster.
fn intra_link(
    catalog: &Catalog,
    device: &Device,
    count: usize,
    link: Option<GpuLink>,
) -> Result<(Link, Option<String>), Failure> {
    for scenario in catalog.all(Kind::Cluster)?.values() {
        let Ok(cluster) = catalog.read_cluster(scenario) else { continue };
        let like = cluster.groups.iter().find(|g| g.device.name == device.name);
        if let Some(group) = like.filter(|g| count == 1 || agrees(&g.intra, link)) {
            let intra = relabelled(&group.intra, &cluster.name);
            return Ok((intra, cluster.default_stack));
        }
    }
    Err(Failure::new(
        Exit::InvalidInput,
        format!("no bandwidth known between the {count} × {} of this machine", device.label),
    )
    .evidence(match link {
        Some(GpuLink::Nvlink { links }) => format!("every pair has {links} NVLinks or more"),
        Some(GpuLink::Pcie) => "some pair talks over PCIe".to_string(),
        Some(GpuLink::Alone) => "there is one GPU".to_string(),
        None => "`nvidia-smi topo -m` said nothing that can be read".to_string(),
    })
    .hint("describe the machine: `meshwright scenarios new cluster -o lab.toml`, then -c lab.toml"))
}

/// Whether a link is of the kind that was seen.
pub fn agrees(link: &Link, seen: Option<GpuLink>) -> bool {
    let is_nvlink = link.label.to_lowercase().contains("nvlink");
    match seen {
        Some(GpuLink::Nvlink { .. }) => is_nvlink,
        Some(GpuLink::Pcie) => !is_nvlink,
        Some(GpuLink::Alone) | None => false,
    }
}

fn relabelled(link: &Link, cluster: &str) -> Link {
    let mut link = link.clone();
    link.bandwidth.grade = Grade::Assumed;
    link.bandwidth.source = format!("as in {cluster} ({})", link.bandwidth.source);
    link
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::style::Canvas;
    use executor::machine::{Cpu, Simd};
    use plan::units::Bytes;

    fn machine(gpus: &[(&str, u64)], link: GpuLink) -> Machine {
        let gpus = gpus
            .iter()
            .map(|(name, mib)| Gpu {
                name: (*name).to_string(),
                memory: Bytes::from_count(mib << 20),
            })
            .collect();
        Machine {
            cpu: Cpu { name: None, cores: 1, cycles_per_second: None, simd: Simd::Scalar },
            available_memory: None,
            total_memory: Some(Bytes::new(1e12)),
            gpus: GpuProbe::Found(gpus, Some(link)),
        }
    }

    fn message(machine: &Machine) -> String {
        cluster(&Catalog::default(), machine).unwrap_err().render(&Canvas::PLAIN)
    }

    #[test]
    fn known_gpus_become_a_cluster_with_the_link_labelled_as_an_assumption() {
        let h100 = ("NVIDIA H100 80GB HBM3", 81_559);
        let eight = machine(&[h100; 8], GpuLink::Nvlink { links: 18 });
        let cluster = cluster(&Catalog::default(), &eight).unwrap();
        let group = &cluster.groups[0];
        assert_eq!((group.device.name.as_str(), cluster.capacity()), ("h100-sxm-80gb", Some(8)));
        assert_eq!(group.intra.bandwidth.grade, Grade::Assumed);
        assert!(group.intra.bandwidth.source.starts_with("as in hgx-h100 ("));
        let alone = machine(&[h100], GpuLink::Alone);
        assert_eq!(cluster.default_stack.as_deref(), Some("megatron-core"));
        let one = super::cluster(&Catalog::default(), &alone).unwrap();
        assert_eq!(one.capacity(), Some(1));
    }

    #[test]
    fn an_unknown_gpu_is_an_error_and_never_another_gpu() {
        let expected = "\
error: no peak FLOP/s known for \"NVIDIA H20-3e\"

hint: add h20-3e.toml (template: `meshwright scenarios new device`)
hint: name a cluster with --cluster; `meshwright scenarios list clusters` shows all
";
        assert_eq!(message(&machine(&[("NVIDIA H20-3e", 143_771)], GpuLink::Alone)), expected);
    }

    #[test]
    fn what_does_not_match_is_said() {
        let small = message(&machine(&[("NVIDIA H100 80GB HBM3", 40_960)], GpuLink::Alone));
        assert!(small.contains("it has 40.0 GiB, and h100-sxm-80gb has 79.6 GiB"), "{small}");
        let mixed = [("NVIDIA H100 80GB HBM3", 81_559), ("NVIDIA A100-SXM4-80GB", 81_920)];
        let mixed = message(&machine(&mixed, GpuLink::Pcie));
        assert!(mixed.starts_with("error: the GPUs of this machine differ\n"), "{mixed}");
        let pcie = message(&machine(&[("NVIDIA H100 80GB HBM3", 81_559); 2], GpuLink::Pcie));
        assert!(pcie.starts_with("error: no bandwidth known between the 2 × H100"), "{pcie}");
    }

    #[test]
    fn the_table_of_names_names_devices_that_exist() {
        for (said, name) in recognise::SPECIAL {
            assert!(Catalog::default().device(name).is_ok(), "{said}: {name}");
        }
    }
}
