//! Cluster files.

use super::header;
use super::reader::{Item, Problem, Problems, Table, read};
use crate::machine::{Cluster, Device, LatencyLaw, Link, NodeGroup};

/// Reads a cluster; `device` finds the devices that it names.
///
/// # Errors
/// All problems of the file.
pub fn parse_cluster(
    text: &str,
    device: &dyn Fn(&str) -> Option<Device>,
) -> Result<Cluster, Problems> {
    read(text, |file| cluster(file, device))
}

fn cluster(file: &Table<'_>, device: &dyn Fn(&str) -> Option<Device>) -> Option<Cluster> {
    let name = header::name(file);
    header::aliases(file);
    let label = file.required("label", Item::text);
    let default_stack = file.optional("default_stack", Item::text);
    let groups = file.required("node", |item| groups(item, device));
    Some(Cluster { name: name?, label: label?, groups: groups?, default_stack })
}

/// `[node]`, or `[[node]]` once per kind of node.
fn groups(item: &Item<'_>, device: &dyn Fn(&str) -> Option<Device>) -> Option<Vec<NodeGroup>> {
    if !item.is_list() {
        return Some(vec![item.table(|table| group(table, device))?]);
    }
    let kinds = item.list()?;
    if kinds.is_empty() {
        return item.refuse("expected at least one kind of node");
    }
    let groups: Vec<Option<NodeGroup>> =
        kinds.iter().map(|kind| kind.table(|table| group(table, device))).collect();
    let groups: Vec<NodeGroup> = groups.into_iter().collect::<Option<_>>()?;
    if groups.len() > 1 && groups.iter().any(|g| g.nodes.is_none()) {
        return item
            .refuse("with several kinds of node, each [[node]] states how many: `nodes = 4`");
    }
    Some(groups)
}

fn group(table: &Table<'_>, device: &dyn Fn(&str) -> Option<Device>) -> Option<NodeGroup> {
    let device = table.required("device", |item| {
        let name = item.text()?;
        let found = device(&name);
        if found.is_none() {
            let message = format!("no device named `{name}`");
            let hint = "`meshwright scenarios list devices` shows all; \
                        `meshwright scenarios new device` prints a template";
            item.report(Problem::new(item.span(), message, "no such device").with_hint(hint));
        }
        found
    });
    let devices_per_node = table.required("devices_per_node", |item| item.count32(1));
    let nodes = table.optional("nodes", |item| item.count32(1));
    let host_memory = table.sourced_optional("host_memory", |item| item.quantity());
    let intra = table.table("intra", link);
    let inter = table.table_optional("inter", link);
    if nodes.is_some_and(|n| n > 1) && !table.has("inter") {
        let message = "several nodes, but no [node.inter] network between them";
        table.report(Problem::new(table.span(), message, "no network between nodes"));
    }
    Some(NodeGroup {
        device: device?,
        devices_per_node: devices_per_node?,
        nodes,
        intra: intra?,
        inter,
        host_memory,
    })
}

fn link(table: &Table<'_>) -> Option<Link> {
    let label = table.required("label", Item::text);
    let bandwidth = table.sourced("bandwidth", |item| item.quantity());
    let pair_bandwidth = table.sourced_optional("pair_bandwidth", |item| item.quantity());
    let latency = table.table("latency", latency);
    Some(Link { label: label?, bandwidth: bandwidth?, pair_bandwidth, latency: latency? })
}

fn latency(table: &Table<'_>) -> Option<LatencyLaw> {
    let hop = table.sourced("hop", |item| item.quantity_or_zero());
    if !["base", "ramp", "ramp_size"].iter().any(|key| table.has(key)) {
        return Some(LatencyLaw::PerHop { hop: hop? });
    }
    let base = table.sourced("base", |item| item.quantity_or_zero());
    let ramp = table.sourced("ramp", |item| item.quantity_or_zero());
    let ramp_size = table.sourced("ramp_size", |item| item.quantity());
    Some(LatencyLaw::Saturating { base: base?, ramp: ramp?, ramp_size: ramp_size?, hop: hop? })
}
