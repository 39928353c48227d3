//! Host memory: `/proc/meminfo`, and the limit of a container.

use plan::units::Bytes;

/// A field of `/proc/meminfo`, which counts in KiB and calls them kB.
pub fn field(meminfo: &str, name: &str) -> Option<Bytes> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(Bytes::from_count(kib.checked_mul(1024)?))
}

/// Container limits: control groups, version 2 and version 1.
const LIMITS: [(&str, &str); 2] = [
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
];

/// What remains of `available` under the limit of the container, if there is one.
pub fn limited(available: Bytes, read: &dyn Fn(&str) -> Option<String>) -> Bytes {
    let number = |path: &str| read(path)?.trim().parse::<u64>().ok();
    LIMITS.iter().fold(available, |least, (limit, used)| match (number(limit), number(used)) {
        (Some(limit), Some(used)) => least.min(Bytes::from_count(limit.saturating_sub(used))),
        _ => least,
    })
}

/// Memory of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessMemory {
    /// What it holds now.
    pub now: Option<Bytes>,
    /// The most that it ever held.
    pub peak: Option<Bytes>,
}

/// Memory of this process, as the system counts it.
#[must_use]
pub fn process_memory() -> ProcessMemory {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ProcessMemory { now: field(&status, "VmRSS"), peak: field(&status, "VmHWM") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str = "MemTotal:       24600000 kB\nMemFree:  1 kB\nMemAvailable:   1024 kB\n";

    #[test]
    fn meminfo_counts_in_kib() {
        assert_eq!(field(MEMINFO, "MemAvailable"), Some(Bytes::from_count(1 << 20)));
        assert_eq!(field(MEMINFO, "Mem"), None);
        assert_eq!(field("MemTotal: x kB", "MemTotal"), None);
        assert_eq!(field("", "MemTotal"), None);
    }

    #[test]
    fn a_container_limits_what_is_available() {
        let available = Bytes::from_count(1000);
        let files = |path: &str| match path {
            "/sys/fs/cgroup/memory.max" => Some("700\n".to_string()),
            "/sys/fs/cgroup/memory.current" => Some("300\n".to_string()),
            _ => None,
        };
        assert_eq!(limited(available, &files), Bytes::from_count(400));
        let unlimited = |path: &str| path.ends_with("max").then(|| "max\n".to_string());
        assert_eq!(limited(available, &unlimited), available);
    }
}
