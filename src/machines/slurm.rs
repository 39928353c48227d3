//! `scontrol show node`, and `sinfo` with the columns NODES and GRES.
//!
//! Fields: man pages scontrol(1), sinfo(1) and gres.conf(5) of Slurm.

use super::{DeviceName, Seen};
use plan::units::Bytes;
use std::collections::BTreeMap;

/// Nodes of one kind: type and number of devices, memory in MB.
type Kind = (String, u32, Option<u64>);

/// Reads either of them.
pub fn read(text: &str) -> Option<Result<Seen, String>> {
    if text.contains("NodeName=") {
        return Some(seen("scontrol show node", nodes(text), Vec::new()));
    }
    let (header, rows) = text.trim_start().split_once('\n')?;
    let columns: Vec<&str> = header.split_whitespace().collect();
    let at = |name: &str| columns.iter().position(|column| *column == name);
    if !columns.contains(&"NODELIST") && !columns.contains(&"PARTITION") {
        return None;
    }
    Some(match (at("GRES"), at("NODES")) {
        (Some(gres), Some(count)) => {
            // Nodes are listed once per partition, and once more per state.
            let notes = vec![
                "sinfo lists a node once for every partition that it is in; of each kind of node \
                 the partition with the most counts"
                    .to_string(),
            ];
            seen("sinfo", table(rows, [gres, count, at("PARTITION").unwrap_or(gres)]), notes)
        }
        _ => Err("sinfo says nothing of GPUs without its column GRES; \
                  `sinfo -o \"%P %D %G\"` has it"
            .into()),
    })
}

/// One record per node, which begins with its name.
fn nodes(text: &str) -> BTreeMap<Kind, u32> {
    let mut kinds = BTreeMap::new();
    for record in text.split("NodeName=").skip(1) {
        let field = |name: &str| {
            let words = record.split_whitespace();
            words.filter_map(|word| word.split_once('=')).find(|(key, _)| *key == name)
        };
        let Some((kind, devices)) = field("Gres").and_then(|(_, gres)| devices(gres)) else {
            continue;
        };
        let memory = field("RealMemory").and_then(|(_, mb)| mb.parse().ok());
        *kinds.entry((kind, devices, memory)).or_insert(0) += 1;
    }
    kinds
}

fn table(rows: &str, [gres, count, partition]: [usize; 3]) -> BTreeMap<Kind, u32> {
    let mut partitions: BTreeMap<(Kind, &str), u32> = BTreeMap::new();
    for row in rows.lines() {
        let cells: Vec<&str> = row.split_whitespace().collect();
        let kind = cells.get(gres).and_then(|cell| devices(cell));
        let nodes = cells.get(count).and_then(|cell| cell.parse::<u32>().ok());
        let (Some((kind, devices)), Some(nodes)) = (kind, nodes) else { continue };
        let name = cells.get(partition).copied().unwrap_or_default();
        *partitions.entry(((kind, devices, None), name)).or_insert(0) += nodes;
    }
    let mut kinds = BTreeMap::new();
    for ((kind, _), nodes) in partitions {
        let most = kinds.entry(kind).or_insert(0);
        *most = nodes.max(*most);
    }
    kinds
}

/// `gpu:h100:8(S:0-1)`, `gpu:8`, `gpu:a100:4,shard:16`: type and number.
fn devices(gres: &str) -> Option<(String, u32)> {
    let gpu = gres.split(',').find(|item| item.starts_with("gpu:"))?;
    let plain = gpu.split('(').next()?;
    let parts: Vec<&str> = plain.split(':').skip(1).collect();
    match parts.as_slice() {
        [count] => Some((String::new(), count.parse().ok()?)),
        [kind, count] => Some(((*kind).to_string(), count.parse().ok()?)),
        _ => None,
    }
}

/// The kind of node with the most devices; the others are named.
fn seen(
    by: &'static str,
    kinds: BTreeMap<Kind, u32>,
    mut notes: Vec<String>,
) -> Result<Seen, String> {
    let mut kinds: Vec<(Kind, u32)> = kinds.into_iter().collect();
    kinds.sort_by_key(|((_, devices, _), nodes)| std::cmp::Reverse(devices * nodes));
    let mut kinds = kinds.into_iter();
    let Some(((kind, devices, memory), nodes)) = kinds.next() else {
        return Err(format!("{by} lists no node with GPUs"));
    };
    for ((other, devices, memory), nodes) in kinds {
        let memory = memory.map_or(String::new(), |mb| format!(" and {mb} MB of memory"));
        notes.push(format!("left out: {nodes} nodes of {devices} × {other}{memory}"));
    }
    Ok(Seen {
        by,
        device: (!kind.is_empty()).then_some(DeviceName::Site(kind)),
        per_node: Some(devices),
        nodes: Some(nodes),
        host_memory: memory.map(|mb| Bytes::from_count(mb << 20)),
        notes,
        ..Seen::default()
    })
}
