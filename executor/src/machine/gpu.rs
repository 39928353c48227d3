//! GPUs, as `nvidia-smi` lists them.

use plan::units::Bytes;
use std::io::ErrorKind;
use std::process::{Command, Stdio};

/// A GPU.
#[derive(Clone, Debug, PartialEq)]
pub struct Gpu {
    /// Its name, as the driver says it: `NVIDIA H100 80GB HBM3`.
    pub name: String,
    /// Its memory, as the driver says it.
    pub memory: Bytes,
}

/// How the GPUs of this machine reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GpuLink {
    /// There is only one.
    Alone,
    /// Every pair has this many NVLinks or more.
    Nvlink {
        /// Links of the worst connected pair.
        links: u32,
    },
    /// Some pair talks over PCIe or the processor.
    Pcie,
}

/// What came of looking for GPUs.
#[derive(Clone, Debug, PartialEq)]
pub enum GpuProbe {
    /// There is no `nvidia-smi`: no driver, or another vendor's.
    NoDriver,
    /// `nvidia-smi` is there and failed.
    Failed(String),
    /// The GPUs, possibly none; the link where it could be read.
    Found(Vec<Gpu>, Option<GpuLink>),
}

/// Asks `nvidia-smi`.
pub fn probe() -> GpuProbe {
    let query = ["--query-gpu=name,memory.total", "--format=csv,noheader,nounits"];
    match nvidia_smi(&query) {
        Ok(list) => found(&list),
        Err(Reason::Missing) => GpuProbe::NoDriver,
        Err(Reason::Failed(_)) if nvidia_smi(&["-L"]).is_ok_and(|l| l.trim().is_empty()) => {
            GpuProbe::Found(Vec::new(), Some(GpuLink::Alone))
        }
        Err(Reason::Failed(text)) => GpuProbe::Failed(text),
    }
}

fn found(list: &str) -> GpuProbe {
    match parse_list(list) {
        Ok(gpus) if gpus.len() <= 1 => GpuProbe::Found(gpus, Some(GpuLink::Alone)),
        Ok(gpus) => {
            let link = nvidia_smi(&["topo", "-m"]).ok().and_then(|matrix| parse_topology(&matrix));
            GpuProbe::Found(gpus, link)
        }
        Err(line) => GpuProbe::Failed(format!("cannot read this line of nvidia-smi: {line}")),
    }
}

enum Reason {
    Missing,
    Failed(String),
}

fn nvidia_smi(arguments: &[&str]) -> Result<String, Reason> {
    let output = Command::new("nvidia-smi").args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| match error.kind() {
        ErrorKind::NotFound => Reason::Missing,
        _ => Reason::Failed(error.to_string()),
    })?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let said = [stderr, text].concat();
    Err(Reason::Failed(said.lines().next().unwrap_or("it said nothing").trim().to_string()))
}

/// One GPU per line: name and memory in MiB. A name may contain commas, a number does not.
fn parse_list(list: &str) -> Result<Vec<Gpu>, String> {
    let lines = list.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| parse_line(line).ok_or_else(|| line.to_string())).collect()
}

fn parse_line(line: &str) -> Option<Gpu> {
    let (name, mib) = line.rsplit_once(',')?;
    let mib: u64 = mib.trim().parse().ok()?;
    let memory = Bytes::from_count(mib.checked_mul(1 << 20)?);
    Some(Gpu { name: name.trim().to_string(), memory })
}

/// The worst link of the matrix that `nvidia-smi topo -m` prints: `NV18` is 18 NVLinks, `X` is
/// the device itself, anything else (`SYS`, `NODE`, `PHB`, `PXB`, `PIX`) is PCIe.
#[must_use]
pub fn parse_topology(matrix: &str) -> Option<GpuLink> {
    let is_gpu = |word: &&str| word.strip_prefix("GPU").is_some_and(|n| n.parse::<u32>().is_ok());
    let plain = strip_codes(matrix);
    let rows: Vec<Vec<&str>> = plain
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| words.first().is_some_and(is_gpu))
        .collect();
    // The header row lists all GPUs; the rows of the GPUs follow.
    let (header, rows) = rows.split_first()?;
    let gpus = header.iter().copied().filter(is_gpu).count();
    let cells = rows.iter().flat_map(|row| row.iter().skip(1).take(gpus));
    let links: Vec<u32> = cells
        .filter(|cell| **cell != "X")
        .map(|cell| cell.strip_prefix("NV").and_then(|n| n.parse().ok()).unwrap_or(0))
        .collect();
    match links.iter().min() {
        None => None,
        Some(0) => Some(GpuLink::Pcie),
        Some(&links) => Some(GpuLink::Nvlink { links }),
    }
}

/// The header is underlined with escape codes.
fn strip_codes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\u{1b}') {
        plain.push_str(&rest[..at]);
        let code = &rest[at..];
        rest = code.find('m').map_or("", |end| &code[end + 1..]);
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_gpus() {
        let list = "NVIDIA H100 80GB HBM3, 81559\nNVIDIA H100 80GB HBM3, 81559\n\n";
        let gpus = parse_list(list).unwrap();
        assert_eq!(gpus.len(), 2);
        assert_eq!(gpus[0].name, "NVIDIA H100 80GB HBM3");
        assert_eq!(gpus[0].memory, Bytes::from_count(81559 << 20));
        assert_eq!(parse_list("").unwrap(), []);
        assert_eq!(parse_list("NVIDIA GB10, [N/A]"), Err("NVIDIA GB10, [N/A]".to_string()));
    }

    #[test]
    fn the_worst_link_counts() {
        let nvlink = "\t\u{1b}[4mGPU0\tGPU1\tCPU Affinity\u{1b}[0m\n\
                      GPU0\t X \tNV18\t0-47\nGPU1\tNV18\t X \t0-47\n\nLegend:\n  X = Self\n";
        assert_eq!(parse_topology(nvlink), Some(GpuLink::Nvlink { links: 18 }));
        let cube = "\tGPU0\tGPU1\tGPU2\tNIC0\n\
                    GPU0\t X \tNV2\tNV1\tPIX\nGPU1\tNV2\t X \tNV2\tSYS\nGPU2\tNV1\tNV2\t X \tSYS\n";
        assert_eq!(parse_topology(cube), Some(GpuLink::Nvlink { links: 1 }));
        let pcie = "\tGPU0\tGPU1\nGPU0\t X \tPHB\nGPU1\tPHB\t X \n";
        assert_eq!(parse_topology(pcie), Some(GpuLink::Pcie));
        assert_eq!(parse_topology("no matrix"), None);
    }
}
