//! From a row to the machine and the software that it ran on.

use super::row::Row;
use super::rules::{GpuRule, Rules, StackRule, Subject};
use super::skip::{Assumptions, Skip};
use super::words::range_after;
use crate::catalog::Catalog;
use cost_model::{Profile, Stack};
use plan::machine::{Cluster, Device, LatencyLaw, Link, NodeGroup};
use plan::units::{BytesPerSecond, FlopsPerSecond, Seconds};
use plan::work::AttentionKernel;
use plan::{Dtype, Grade, Sourced};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The machine of a row.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Devices and links.
    pub cluster: Arc<Cluster>,
    /// Their constants under the stack.
    pub profile: Arc<Profile>,
    /// The rule that chose the stack.
    pub stack: StackRule,
    /// Format of products.
    pub compute: Dtype,
    /// What the same cluster and profile have in common.
    pub key: String,
}

/// Devices in a machine of which nothing is known.
const PER_NODE: u32 = 8;

/// A cluster and its constants, or why there are none.
type Made = Result<(Arc<Cluster>, Arc<Profile>), Skip>;

/// Machines that were put together before.
pub struct Workshop<'a> {
    catalog: &'a Catalog,
    rules: &'a Rules,
    devices: BTreeMap<String, Option<Device>>,
    clusters: BTreeMap<String, Option<Cluster>>,
    stacks: BTreeMap<String, Option<Stack>>,
    profiles: BTreeMap<String, Made>,
}

/// Everything that decides a profile.
struct Parts<'a> {
    row: &'a Row,
    gpu: &'a GpuRule,
    device: Device,
    kernel: AttentionKernel,
    stack: &'a str,
    per_node: u32,
    nodes: u64,
}

impl<'a> Workshop<'a> {
    /// A workshop that knows some stacks beforehand.
    #[must_use]
    pub fn with(catalog: &'a Catalog, rules: &'a Rules, known: &BTreeMap<String, Stack>) -> Self {
        let (devices, clusters) = (BTreeMap::new(), BTreeMap::new());
        let stacks =
            known.iter().map(|(name, stack)| (name.clone(), Some(stack.clone()))).collect();
        let profiles = BTreeMap::new();
        Self { catalog, rules, devices, clusters, stacks, profiles }
    }

    /// The machine of a row.
    ///
    /// # Errors
    /// An unknown device or format, or constants that do not go together.
    pub fn machine(&mut self, row: &Row, assumed: &mut Assumptions) -> Result<Machine, Skip> {
        let rules = self.rules;
        let gpu = rules.gpu(&row.gpu, row.run.gpu_memory);
        let gpu = gpu.ok_or_else(|| Skip::Device(shown(&row.gpu)))?;
        let mut device = self.device(&gpu.device).ok_or_else(|| Skip::Device(shown(&row.gpu)))?;
        if row.gpu.contains("mixed") || row.gpu.contains('+') {
            assumed.add("mixed devices: all as fast as the slower one");
        }
        let words = row.words();
        let subject = Subject { row, words: &words, generation: &gpu.generation };
        let stack = rules.stack(&subject).cloned();
        let stack = stack.ok_or_else(|| Skip::Machine("no stack rule applies".into()))?;
        if !stack.is_named {
            assumed.add(format!("software: {}, by device and split", stack.stack));
        }
        let compute = compute(row, &mut device, assumed)?;
        let own = self.stack(&stack.stack).map(|s| s.on(&device.name).attention.kernel.value);
        let wanted = kernel(row, &gpu.generation, own.filter(|_| stack.is_named), assumed);
        let kernel = available(wanted, &device, assumed);
        let per_node = self.per_node(row, gpu);
        let nodes = row.run.gpus.unwrap_or(1).div_ceil(u64::from(per_node));
        let parts = Parts { row, gpu, device, kernel, stack: &stack.stack, per_node, nodes };
        let key = self.key(&parts, assumed);
        let (cluster, profile) = self.profile(&key, &parts)?;
        Ok(Machine { cluster, profile, stack, compute, key })
    }

    fn device(&mut self, name: &str) -> Option<Device> {
        let catalog = self.catalog;
        self.devices.entry(name.to_string()).or_insert_with(|| catalog.device(name).ok()).clone()
    }

    fn cluster(&mut self, name: &str) -> Option<Cluster> {
        let catalog = self.catalog;
        self.clusters.entry(name.to_string()).or_insert_with(|| catalog.cluster(name).ok()).clone()
    }

    fn stack(&mut self, name: &str) -> Option<Stack> {
        let catalog = self.catalog;
        self.stacks.entry(name.to_string()).or_insert_with(|| catalog.stack(name).ok()).clone()
    }

    /// Devices of a node: as the row says, or as in the shipped cluster. Where that is a
    /// workstation without a network, up to eight devices are one machine with more of them.
    fn per_node(&mut self, row: &Row, gpu: &GpuRule) -> u32 {
        let stated = row.run.per_node.and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
        let group = self.cluster(&gpu.cluster).and_then(|c| c.groups.into_iter().next());
        let shipped = group.map_or(PER_NODE, |group| match group.inter {
            Some(_) => group.devices_per_node,
            None => group.devices_per_node.max(PER_NODE),
        });
        stated.unwrap_or(shipped)
    }

    /// What decides the profile, and the labels of what is assumed about links.
    fn key(&self, parts: &Parts<'_>, assumed: &mut Assumptions) -> String {
        let run = &parts.row.run;
        let link = self.rules.link(&parts.row.intra_link, parts.gpu);
        let intra = link.map_or(parts.gpu.cluster.as_str(), |l| l.cluster.as_str());
        let spans = parts.nodes > 1;
        let network = measured_network(parts.row).or(run.network).filter(|_| spans);
        if spans && network.is_none() {
            assumed.add("network between nodes: as in the shipped cluster");
        }
        if run.per_node.is_none() && run.gpus.unwrap_or(1) > 1 {
            assumed.add("devices per node: as in the shipped cluster");
        }
        // Formats that change the device's peaks.
        let tf32 = (parts.row.precision == "tf32", parts.row.precision.contains("fp4"));
        let fabric = self.rules.fabric(&parts.row.words());
        format!(
            "{} {intra} {} {:?} {spans} {:?} {network:?} {} {tf32:?} {fabric:?}",
            parts.gpu.device, parts.gpu.intra_share, run.per_node, parts.kernel, parts.stack
        )
    }

    fn profile(&mut self, key: &str, parts: &Parts<'_>) -> Made {
        if let Some(known) = self.profiles.get(key) {
            return known.clone();
        }
        let made = self.make(parts);
        self.profiles.insert(key.to_string(), made.clone());
        made
    }

    fn make(&mut self, parts: &Parts<'_>) -> Made {
        let named =
            |name: &str| Skip::Machine(format!("the rules name `{name}`, which is not there"));
        let base = self.cluster(&parts.gpu.cluster).ok_or_else(|| named(&parts.gpu.cluster))?;
        let stack = self.stack(parts.stack).ok_or_else(|| named(parts.stack))?;
        let mut stack = stack.on(&parts.device.name).clone();
        let source = "the column attention_impl of the row";
        stack.attention.kernel = Sourced::new(parts.kernel, Grade::Published, source);
        let cluster = self.joined(base, parts)?;
        let group = &cluster.groups[0];
        let profile = Profile::new(&parts.device, group, &stack);
        let profile = profile.map_err(|error| Skip::Machine(error.to_string()))?;
        Ok((Arc::new(cluster), Arc::new(profile)))
    }

    /// The base cluster with the links that the row states.
    fn joined(&mut self, base: Cluster, parts: &Parts<'_>) -> Result<Cluster, Skip> {
        let (row, rules) = (parts.row, self.rules);
        let none = || Skip::Machine("the shipped cluster has no nodes".into());
        let group = base.groups.first().cloned().ok_or_else(none)?;
        let link = rules.link(&row.intra_link, parts.gpu);
        let intra = match link {
            Some(link) => self.cluster(&link.cluster).and_then(|c| c.groups.into_iter().next()),
            None => None,
        };
        let mut intra = intra.map_or(group.intra.clone(), |g| g.intra);
        intra.bandwidth.value = intra.bandwidth.value * parts.gpu.intra_share;
        let per_node = parts.per_node;
        let inter = if parts.nodes > 1 {
            Some(self.network(row, per_node, group.inter.as_ref()))
        } else {
            group.inter.clone()
        };
        let domain = link.and_then(|l| l.domain).unwrap_or(1);
        let devices_per_node = per_node.max(domain);
        let group = NodeGroup {
            device: parts.device.clone(),
            devices_per_node,
            nodes: None,
            intra,
            inter,
            ..group
        };
        Ok(Cluster { groups: vec![group], ..base })
    }

    /// A network between nodes: what its all-reduce was measured to reach, or what the stated rate
    /// delivers, shared by the devices of a node.
    fn network(&self, row: &Row, per_node: u32, base: Option<&Link>) -> Link {
        let (rule, fabric) = (self.rules.network, self.rules.fabric(&row.words()));
        let most = fabric.and_then(|f| f.most).unwrap_or(f64::INFINITY);
        let efficiency = fabric.map_or(rule.efficiency, |f| f.efficiency);
        let stated = row.run.network.map(|gbps| gbps.min(most));
        let hop = Seconds::new(14e-6);
        let hop = Sourced::new(hop, Grade::Assumed, "as InfiniBand with NCCL");
        let latency = base.map_or(LatencyLaw::PerHop { hop }, |link| link.latency.clone());
        let share = |gbps: f64| BytesPerSecond::new(gbps * 1e9 / 8.0);
        let of = |gbps, source: &str| Link {
            label: "network of the row".into(),
            bandwidth: Sourced::new(share(gbps), Grade::Assumed, source),
            pair_bandwidth: None,
            latency,
        };
        let node = f64::from(per_node);
        match (measured_network(row), stated, base) {
            (Some(total), _, _) => of(total / node, "all-reduce as measured there, from the notes"),
            (_, Some(total), _) => {
                let source = "the column inter_link_gbps, shared by a node";
                of(total / node * efficiency, source)
            }
            (_, None, Some(base)) => base.clone(),
            _ => of(rule.assumed * efficiency, "nothing is known about the network"),
        }
    }
}

/// What the all-reduce between nodes reached, Gbit/s per node, where notes give a range.
fn measured_network(row: &Row) -> Option<f64> {
    let (low, high) = range_after(&row.words(), "measured allreduce only")?;
    Some(f64::midpoint(low, high))
}

/// The format of products, with the device's peak where the format has none of its own.
fn compute(row: &Row, device: &mut Device, assumed: &mut Assumptions) -> Result<Dtype, Skip> {
    let word = row.precision.as_str();
    let wanted = match word {
        "tf32" => {
            tensor_float(device);
            return Ok(Dtype::Fp32);
        }
        _ if word.contains("fp4") => {
            quarter_precision(device, assumed);
            Dtype::Fp8
        }
        _ if word.contains("fp8") || word.contains("float8") => Dtype::Fp8,
        _ if word.contains("bf16") || word.contains("bfloat16") => Dtype::Bf16,
        _ if word.contains("fp16") || word.contains("half") || word.contains("amp") => Dtype::Fp16,
        _ if word.contains("fp32") || word.contains("float32") => Dtype::Fp32,
        "" => {
            assumed.add("number format: bf16");
            Dtype::Bf16
        }
        "16" | "mixed" | "o1" | "o2" => {
            assumed.add("number format: 16 bits, bf16 where the device has it");
            Dtype::Bf16
        }
        other => return Err(Skip::Format(other.to_string())),
    };
    if device.peak.contains_key(&wanted) {
        return Ok(wanted);
    }
    let instead = [Dtype::Bf16, Dtype::Fp16, Dtype::Fp32];
    let found = instead.into_iter().find(|d| device.peak.contains_key(d));
    let found = found.ok_or_else(|| Skip::Format(format!("{word} on {}", device.name)))?;
    assumed.add(format!("{wanted} on a device without: as fast as {found}"));
    Ok(found)
}

/// Products of 4-bit numbers run twice as fast as those of 8-bit ones where the device has them,
/// casts and everything else do not change.
fn quarter_precision(device: &mut Device, assumed: &mut Assumptions) {
    let Some(peak) = device.peak.get_mut(&Dtype::Fp8) else { return };
    assumed.add("4-bit products: twice as fast as 8-bit ones");
    let source = "twice the 8-bit peak: NVIDIA Blackwell data sheets";
    *peak = Sourced::new(peak.value * 2.0, Grade::Published, source);
}

/// TensorFloat-32 runs at half of the 16-bit peak on every device that has it.
fn tensor_float(device: &mut Device) {
    let half = device.peak.get(&Dtype::Bf16).map(|p| p.value.get() / 2.0);
    if let (Some(half), Some(single)) = (half, device.peak.get_mut(&Dtype::Fp32)) {
        let source = "half of the 16-bit peak: NVIDIA A100 and H100 data sheets";
        *single = Sourced::new(FlopsPerSecond::new(half), Grade::Derived, source);
        // Tensor cores, not the units that full single precision runs on.
        device.gemm.formats.remove(&Dtype::Fp32);
    }
}

/// The attention kernel that a row names; a flash kernel without a version is that of the software,
/// where the row names it.
fn kernel(
    row: &Row,
    generation: &str,
    own: Option<AttentionKernel>,
    assumed: &mut Assumptions,
) -> AttentionKernel {
    let word = row.attention.as_str();
    if let Some(own) = own.filter(|k| word == "flash" && *k != AttentionKernel::Unfused) {
        return if before_third(row) { own.min(AttentionKernel::Flash2) } else { own };
    }
    let is_cudnn = word.contains("cudnn") || word.contains("flash3") || word.contains("flash4");
    match word {
        _ if word.starts_with("unfused") || word == "local" => AttentionKernel::Unfused,
        _ if word.contains("cudnn") && before_third(row) => AttentionKernel::Flash2,
        _ if is_cudnn => AttentionKernel::Flash3,
        _ if word.contains("flash1") => AttentionKernel::Flash1,
        _ if word.contains("flash") || word.contains("fused") => AttentionKernel::Flash2,
        _ => {
            let is_old = ["maxwell", "pascal", "volta", "turing"].contains(&generation);
            let early = row.year.is_some_and(|y| y < 2023);
            let kernel =
                if is_old || early { AttentionKernel::Unfused } else { AttentionKernel::Flash2 };
            assumed.add("attention kernel: by year and device");
            kernel
        }
    }
}

/// Before FlashAttention 3 was in use, cuDNN's kernels ran at the speed of its predecessor.
fn before_third(row: &Row) -> bool {
    row.year.is_some_and(|year| year < 2025)
}

/// The kernel, or the unfused one where the device has no constants for it.
fn available(
    kernel: AttentionKernel,
    device: &Device,
    assumed: &mut Assumptions,
) -> AttentionKernel {
    if kernel == AttentionKernel::Unfused || device.attention.contains_key(&kernel) {
        return kernel;
    }
    assumed.add("attention kernel: unfused, as the device has no other");
    AttentionKernel::Unfused
}

fn shown(name: &str) -> String {
    if name.is_empty() { "(none named)".to_string() } else { name.to_string() }
}

#[cfg(test)]
mod tests;
