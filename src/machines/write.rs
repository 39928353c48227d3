//! What was seen as a cluster file.

use super::{DeviceName, Measured, Seen};
use crate::catalog::{Catalog, Kind};
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::local::{agrees, device_name};
use plan::estimate::Sourced;
use plan::machine::{Cluster, Device, LatencyLaw, Link, NodeGroup};
use std::fmt::{Display, Write as _};

/// What somebody says besides.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The device.
    pub device: Option<String>,
    /// Name of the cluster.
    pub name: Option<String>,
}

/// The text of a cluster file, and what had to be assumed.
///
/// # Errors
/// A device that nobody names, or that is unknown; links of which nothing is known.
pub fn cluster(
    catalog: &Catalog,
    seen: &Seen,
    wanted: &Wanted,
) -> Result<(String, Vec<String>), Failure> {
    let mut notes = seen.notes.clone();
    let device = device(catalog, seen, wanted, &mut notes)?;
    let like = like(catalog, seen, &device)?;
    let per_node = seen.per_node.unwrap_or(1);
    let name = wanted.name.clone().unwrap_or_else(|| "mine".into());
    let mut text = format!(
        "# From {}: {per_node} × {} a node.\nschema = 1\nname = {name:?}\nlabel = {:?}\n",
        seen.by,
        device.label,
        format!("{per_node} x {}", device.label),
    );
    if let Some(stack) = like.as_ref().and_then(|(cluster, _)| cluster.default_stack.as_ref()) {
        let _ = writeln!(text, "default_stack = {stack:?}");
    }
    let _ = write!(text, "\n[node]\ndevice = {:?}\ndevices_per_node = {per_node}\n", device.name);
    if let Some(nodes) = seen.nodes {
        let _ = writeln!(text, "nodes = {nodes}");
    }
    if let Some(memory) = seen.host_memory {
        let source = format!("measured: {}", seen.by);
        let _ = writeln!(text, "host_memory = {}", sourced(&memory, &source));
    }
    let known = like.as_ref().map(|(cluster, group)| (cluster.name.as_str(), group));
    let intra = known.map(|(name, group)| (name, &group.intra));
    link(&mut text, "intra", seen.intra.as_ref(), intra, &mut notes)?;
    let inter = known.and_then(|(name, group)| Some((name, group.inter.as_ref()?)));
    if seen.inter.is_some() || inter.is_some() || seen.nodes.is_some_and(|n| n > 1) {
        link(&mut text, "inter", seen.inter.as_ref(), inter, &mut notes)?;
    }
    if let Some(cards) = seen.cards {
        notes.push(format!("network cards: {cards}, whose speed the matrix does not say"));
    }
    Ok((text, notes))
}

/// The device that a flag, a driver or a site names.
fn device(
    catalog: &Catalog,
    seen: &Seen,
    wanted: &Wanted,
    notes: &mut Vec<String>,
) -> Result<Device, Failure> {
    if let Some(name) = &wanted.device {
        return catalog.device(name);
    }
    match &seen.device {
        Some(DeviceName::Driver(said)) => catalog.device(&device_name(said)),
        Some(DeviceName::Site(said)) => {
            let name = said.to_lowercase();
            let device = match catalog.find(Kind::Device, &name) {
                Ok(_) => catalog.device(&name)?,
                Err(_) => of_cluster(catalog, &name).ok_or_else(|| unnamed(seen, Some(said)))?,
            };
            if device.name != name {
                let taken = &device.name;
                notes.push(format!("{said} is taken for {taken}; --device says otherwise"));
            }
            Ok(device)
        }
        None => Err(unnamed(seen, None)),
    }
}

/// The device of a cluster that people call by the name of its device.
fn of_cluster(catalog: &Catalog, name: &str) -> Option<Device> {
    catalog.cluster(name).ok()?.groups.into_iter().next().map(|group| group.device)
}

fn unnamed(seen: &Seen, said: Option<&str>) -> Failure {
    let what = match said {
        Some(said) => format!("{} calls the devices {said}, which names none", seen.by),
        None => format!("{} does not say which devices there are", seen.by),
    };
    let failure = Failure::new(Exit::InvalidInput, what)
        .hint("--device names one; `meshwright scenarios list devices` shows all");
    match seen.by {
        "nvidia-smi topo -m" => {
            failure.hint("`(nvidia-smi -L; nvidia-smi topo -m) > node.txt` names it as well")
        }
        _ => failure,
    }
}

/// A shipped cluster of the same device whose links are of the kind that was seen.
fn like(
    catalog: &Catalog,
    seen: &Seen,
    device: &Device,
) -> Result<Option<(Cluster, NodeGroup)>, Failure> {
    for scenario in catalog.all(Kind::Cluster)?.values() {
        let Ok(cluster) = catalog.read_cluster(scenario) else { continue };
        let is_like = |group: &&NodeGroup| {
            let fits = seen.link.is_none() || agrees(&group.intra, seen.link);
            group.device.name == device.name && (fits || seen.per_node == Some(1))
        };
        let group = cluster.groups.iter().find(is_like).cloned();
        if let Some(group) = group {
            return Ok(Some((cluster, group)));
        }
    }
    Ok(None)
}

fn link(
    text: &mut String,
    which: &str,
    measured: Option<&Measured>,
    known: Option<(&str, &Link)>,
    notes: &mut Vec<String>,
) -> Result<(), Failure> {
    if let Some(measured) = measured {
        let _ = write!(
            text,
            "\n[node.{which}]\nlabel = \"as nccl-tests measured it\"\nbandwidth = {}\n\n\
             [node.{which}.latency]\nhop = {}\n",
            graded(&measured.bandwidth),
            graded(&measured.hop)
        );
        return Ok(());
    }
    let Some((name, link)) = known else {
        let place = if which == "intra" { "inside a node" } else { "between nodes" };
        return Err(Failure::new(Exit::InvalidInput, format!("no speed is known {place}"))
            .hint("`meshwright scenarios new cluster` writes a file to fill in")
            .hint("a log of all_reduce_perf -b 8 -e 8G -f 2 can be imported, too"));
    };
    let place = if which == "intra" { "inside nodes" } else { "between nodes" };
    notes.push(format!("links {place} are assumed to be those of {name}"));
    let _ = write!(text, "\n[node.{which}]\nlabel = {:?}\n", link.label);
    let assume = |source: &str| format!("assumed: as in {name} ({source})");
    let _ = writeln!(
        text,
        "bandwidth = {}",
        sourced(&link.bandwidth.value, &assume(&link.bandwidth.source))
    );
    if let Some(pair) = &link.pair_bandwidth {
        let _ = writeln!(text, "pair_bandwidth = {}", sourced(&pair.value, &assume(&pair.source)));
    }
    let _ = write!(text, "\n[node.{which}.latency]\n");
    latency(text, &link.latency, &assume);
    Ok(())
}

fn latency(text: &mut String, law: &LatencyLaw, assume: &impl Fn(&str) -> String) {
    let mut line = |key: &str, value: &dyn Display, source: &str| {
        let _ = writeln!(text, "{key} = {}", sourced(value, &assume(source)));
    };
    match law {
        LatencyLaw::PerHop { hop } => line("hop", &hop.value, &hop.source),
        LatencyLaw::Saturating { base, ramp, ramp_size, hop } => {
            line("base", &base.value, &base.source);
            line("ramp", &ramp.value, &ramp.source);
            line("ramp_size", &ramp_size.value, &ramp_size.source);
            line("hop", &hop.value, &hop.source);
        }
    }
}

/// A value with its own grade.
fn graded<T: Display>(value: &Sourced<T>) -> String {
    sourced(&value.value, &format!("{}: {}", value.grade.word(), value.source))
}

fn sourced(value: &dyn Display, source: &str) -> String {
    let quoted = |text: String| serde_json::Value::String(text).to_string();
    format!("{{ value = {}, source = {} }}", quoted(value.to_string()), quoted(source.into()))
}
