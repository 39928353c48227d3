//! Logs of nccl-tests: `all_reduce_perf` and its siblings.
//!
//! Columns and bus bandwidth: NVIDIA/nccl-tests, src/common.cu and doc/PERFORMANCE.md.

use super::{DeviceName, Measured, Seen};
use plan::estimate::{Grade, Sourced};
use plan::units::{BytesPerSecond, Seconds};
use std::collections::BTreeSet;

/// Messages up to this size are all latency.
const SMALL: u64 = 8 << 10;

/// A row of the table, out of place.
struct Row {
    bytes: u64,
    microseconds: f64,
    bus_gigabytes: f64,
}

/// Reads a log of an all-reduce.
pub fn read(text: &str) -> Option<Result<Seen, String>> {
    let is_log = text.contains("nThread") && text.contains("busbw");
    is_log.then(|| log(text))
}

fn log(text: &str) -> Result<Seen, String> {
    let ranks: Vec<(&str, &str)> = text.lines().filter_map(rank).collect();
    let hosts: BTreeSet<&str> = ranks.iter().map(|(host, _)| *host).collect();
    let devices: BTreeSet<&str> = ranks.iter().map(|(_, device)| *device).collect();
    let (count, nodes) = (ranks.len(), hosts.len());
    if count < 2 || count % nodes != 0 || devices.len() != 1 {
        return Err(format!(
            "the log is of {count} ranks on {nodes} hosts with {} kinds of device; it takes two \
             ranks or more, as many on each host, on devices of one kind",
            devices.len()
        ));
    }
    let rows: Vec<Row> = text.lines().filter_map(row).collect();
    let measured = measured(&rows, count)?;
    let per_node = count / nodes;
    // A ring through all nodes uses the cards of all devices of a node.
    let (intra, inter) = match nodes {
        1 => (Some(measured), None),
        _ => (None, Some(per_device(measured, per_node))),
    };
    let device = devices.into_iter().next().map(str::to_string);
    Ok(Seen {
        by: "nccl-tests",
        device: device.map(DeviceName::Driver),
        per_node: u32::try_from(per_node).ok(),
        nodes: u32::try_from(nodes).ok(),
        intra,
        inter,
        ..Seen::default()
    })
}

/// `#  Rank  0 Group  0 Pid    313 on host device  0 [0x18] NVIDIA H100 80GB HBM3`.
fn rank(line: &str) -> Option<(&str, &str)> {
    let rest = line.trim_start_matches(['#', ' ']).strip_prefix("Rank ")?;
    let (_, rest) = rest.split_once(" on ")?;
    let (host, rest) = rest.trim_start().split_once(" device ")?;
    let (_, device) = rest.split_once(']')?;
    Some((host.trim(), device.trim()))
}

/// Size, elements, type, operation, root or none, time, algorithm's and bus bandwidth, …
fn row(line: &str) -> Option<Row> {
    let cells: Vec<&str> = line.split_whitespace().collect();
    let bytes = cells.first()?.parse().ok()?;
    // The root is there since nccl-tests 2.12.
    let operation = cells.iter().position(|cell| *cell == "sum")?;
    let numbers: Vec<f64> =
        cells[operation + 1..].iter().filter_map(|cell| cell.parse().ok()).collect();
    let has_root = numbers.first() == Some(&-1.0);
    let at = usize::from(has_root);
    Some(Row { bytes, microseconds: *numbers.get(at)?, bus_gigabytes: *numbers.get(at + 2)? })
}

/// Bandwidth is that of the largest message; an all-reduce of a small one is `2·(n − 1)` hops.
fn measured(rows: &[Row], ranks: usize) -> Result<Measured, String> {
    let largest = rows.iter().max_by_key(|row| row.bytes);
    let largest = largest.ok_or("the log has no row of an all-reduce (operation `sum`)")?;
    let small: Vec<f64> =
        rows.iter().filter(|r| (1..=SMALL).contains(&r.bytes)).map(|r| r.microseconds).collect();
    if small.is_empty() {
        return Err("the log has no message of at most 8 KiB, from which a hop is fitted; \
                    -b 8 -e 8G -f 2 measures all sizes"
            .into());
    }
    let mean = small.iter().sum::<f64>() / small.len() as f64;
    let hops = 2.0 * (ranks - 1) as f64;
    let source = format!("nccl-tests, all-reduce of {} bytes over {ranks} ranks", largest.bytes);
    let hop = format!("nccl-tests, mean of {} sizes up to 8 KiB over {hops} hops", small.len());
    let bandwidth = BytesPerSecond::new(largest.bus_gigabytes * 1e9);
    Ok(Measured {
        bandwidth: Sourced::new(bandwidth, Grade::Measured, source),
        hop: Sourced::new(Seconds::new(mean * 1e-6 / hops), Grade::Fitted, hop),
    })
}

fn per_device(node: Measured, devices: usize) -> Measured {
    let bandwidth = node.bandwidth.value * (1.0 / devices as f64);
    let source = format!("{}, over the {devices} devices of a node", node.bandwidth.source);
    Measured { bandwidth: Sourced::new(bandwidth, Grade::Measured, source), hop: node.hop }
}
