//! `nvidia-smi topo -m`, with `nvidia-smi -L` before it, which names the devices.

use super::{DeviceName, Seen};
use executor::machine::parse_topology;

/// Reads the matrix, and the list where there is one.
pub fn read(text: &str) -> Option<Result<Seen, String>> {
    let header = text.lines().find(|line| is_header(line))?;
    let columns = header.split_whitespace();
    let count = |start: &str| columns.clone().filter(|word| numbered(word, start)).count();
    let (gpus, cards) = (count("GPU"), count("NIC") + count("mlx5_"));
    Some(devices(text).map(|device| Seen {
        by: "nvidia-smi topo -m",
        device,
        per_node: u32::try_from(gpus).ok(),
        link: parse_topology(text).or((gpus == 1).then_some(executor::machine::GpuLink::Alone)),
        cards: u32::try_from(cards).ok().filter(|n| *n > 0),
        ..Seen::default()
    }))
}

/// The first line of the matrix; rows begin with a device, too, and have an `X`.
fn is_header(line: &str) -> bool {
    let is_row = line.split_whitespace().any(|word| word == "X");
    line.contains("GPU0") && line.contains("Affinity") && !is_row
}

fn numbered(word: &str, start: &str) -> bool {
    // The header is underlined: escape codes stand before its first word.
    let at = word.rfind(start).map(|at| &word[at + start.len()..]);
    at.is_some_and(|n| n.parse::<u32>().is_ok())
}

/// `GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-…)`; all alike.
fn devices(text: &str) -> Result<Option<DeviceName>, String> {
    let mut names: Vec<&str> = text.lines().filter_map(listed).collect();
    names.dedup();
    match names.as_slice() {
        [] => Ok(None),
        [name] => Ok(Some(DeviceName::Driver((*name).to_string()))),
        [one, other, ..] => Err(format!("the devices differ: {one}, {other}")),
    }
}

fn listed(line: &str) -> Option<&str> {
    let (number, rest) = line.trim().strip_prefix("GPU ")?.split_once(": ")?;
    number.parse::<u32>().ok()?;
    rest.split_once(" (UUID").map(|(name, _)| name)
}
