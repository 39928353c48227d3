use super::*;
use crate::catalog::Catalog;
use crate::style::Canvas;
use plan::machine::{Cluster, LatencyLaw};
use plan::scenario::parse_cluster;

/// What `(nvidia-smi -L; nvidia-smi topo -m)` says on a DGX H100, as its guides print it, shortened
/// to four devices.
const TOPOLOGY: &str = "\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-0)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-1)
\u{1b}[4m\tGPU0\tGPU1\tGPU2\tGPU3\tNIC0\tNIC1\tCPU Affinity\tNUMA Affinity\u{1b}[0m
GPU0\t X \tNV18\tNV18\tNV18\tPXB\tSYS\t0-51\t0
GPU1\tNV18\t X \tNV18\tNV18\tSYS\tPXB\t0-51\t0
GPU2\tNV18\tNV18\t X \tNV18\tSYS\tSYS\t52-103\t1
GPU3\tNV18\tNV18\tNV18\t X \tSYS\tSYS\t52-103\t1
NIC0\tPXB\tSYS\tSYS\tSYS\t X \tSYS
";

/// Records as scontrol prints them, shortened; two kinds of node.
const SCONTROL: &str = "\
NodeName=gpu01 Arch=x86_64 CoresPerSocket=56
   Gres=gpu:h100:8(S:0-1)
   RealMemory=2063937 AllocMem=0 Sockets=2
   CfgTRES=cpu=224,mem=2063937M,billing=224,gres/gpu=8
NodeName=gpu02 Arch=x86_64 CoresPerSocket=56
   Gres=gpu:h100:8(S:0-1)
   RealMemory=2063937 AllocMem=0 Sockets=2
NodeName=old01 Arch=x86_64
   Gres=gpu:a100:4
   RealMemory=515000
NodeName=cpu01 Arch=x86_64
   Gres=(null)
";

/// The form of a log of all_reduce_perf; times and rates of two sizes.
const LOG: &str = "\
# nThread 1 nGpus 1 minBytes 8 maxBytes 8589934592 step: 2(factor) warmup iters: 5 iters: 20
# Using devices
#  Rank  0 Group  0 Pid    313 on host-0 device  0 [0x18] NVIDIA H100 80GB HBM3
#  Rank  1 Group  0 Pid    314 on host-0 device  1 [0x2a] NVIDIA H100 80GB HBM3
#
#                                                              out-of-place
#       size         count      type   redop    root     time   algbw   busbw #wrong
#        (B)    (elements)                               (us)  (GB/s)  (GB/s)
           8             2     float     sum      -1    20.00    0.00    0.00      0
  8589934592    2147483648     float     sum      -1  23860.9  360.00  360.00      0
";

fn text(seen: &str, wanted: &Wanted) -> (String, Vec<String>) {
    let seen = read(seen).unwrap().unwrap();
    cluster(&Catalog::default(), &seen, wanted).unwrap()
}

fn parsed(text: &str) -> Cluster {
    let catalog = Catalog::default();
    parse_cluster(text, &|name| catalog.device(name).ok()).unwrap()
}

#[test]
fn a_matrix_becomes_a_node_of_its_devices() {
    let (text, notes) = text(TOPOLOGY, &Wanted::default());
    let group = parsed(&text).groups.remove(0);
    assert_eq!((group.devices_per_node, group.nodes), (4, None));
    assert_eq!(group.device.name, "h100-sxm-80gb");
    assert_eq!(group.intra.bandwidth.value, BytesPerSecond::new(362e9));
    assert!(text.contains("assumed: as in hgx-h100"), "{text}");
    assert_eq!(notes.last().unwrap(), "network cards: 2, whose speed the matrix does not say");
}

#[test]
fn a_matrix_alone_names_no_device() {
    let bare: String = TOPOLOGY.lines().skip(2).map(|line| format!("{line}\n")).collect();
    let seen = read(&bare).unwrap().unwrap();
    let refused = cluster(&Catalog::default(), &seen, &Wanted::default()).unwrap_err();
    let said = refused.render(&Canvas::PLAIN);
    assert!(
        said.contains("does not say which devices") && said.contains("nvidia-smi -L"),
        "{said}"
    );
    let device = Some("h100-sxm-80gb".to_string());
    let (text, _) = text(&bare, &Wanted { device, name: Some("lab".into()) });
    assert_eq!(parsed(&text).name, "lab");
    let mixed = TOPOLOGY.replacen("H100", "A100", 1);
    assert_eq!(read(&mixed).unwrap().unwrap_err().split(':').next(), Some("the devices differ"));
}

/// 2063937 MB, in units of 2^20 bytes, are 1.968 TiB.
#[test]
fn nodes_of_slurm_become_a_cluster() {
    let (text, notes) = text(SCONTROL, &Wanted::default());
    let group = parsed(&text).groups.remove(0);
    assert_eq!((group.devices_per_node, group.nodes), (8, Some(2)));
    assert!(group.inter.is_some());
    let memory = group.host_memory.unwrap().value / Bytes::from_count(2_063_937 << 20);
    assert!((memory - 1.0).abs() < 5e-3, "{memory}");
    assert_eq!(notes[0], "left out: 1 nodes of 4 × a100 and 515000 MB of memory");
    assert_eq!(notes[1], "h100 is taken for h100-sxm-80gb; --device says otherwise");
}

#[test]
fn partitions_of_sinfo_are_not_added_up() {
    let table = "PARTITION NODES GRES\nall* 6 gpu:h100:8\nlong 4 gpu:h100:8\nlong 1 (null)\n";
    let seen = read(table).unwrap().unwrap();
    assert_eq!((seen.per_node, seen.nodes), (Some(8), Some(6)));
    let bare = "PARTITION AVAIL TIMELIMIT NODES STATE NODELIST\ngpu up infinite 1 idle n1\n";
    assert!(read(bare).unwrap().unwrap_err().contains("%P %D %G"));
}

/// 20 µs over 2·(2 − 1) hops; two ranks move as many bytes on the bus as they reduce.
#[test]
fn logs_of_nccl_tests_become_measured_links() {
    let (text, _) = text(LOG, &Wanted::default());
    let group = parsed(&text).groups.remove(0);
    assert_eq!(group.intra.bandwidth.value, BytesPerSecond::new(360e9));
    assert_eq!(group.intra.bandwidth.grade, plan::estimate::Grade::Measured);
    let LatencyLaw::PerHop { hop } = group.intra.latency else { panic!("{text}") };
    assert!((hop.value.get() - 10e-6).abs() < 1e-12);
    let large = LOG.replace("           8             2", "     8388608             2");
    assert!(read(&large).unwrap().unwrap_err().contains("-b 8 -e 8G"));
    let far = LOG.replacen("host-0", "host-1", 1);
    let seen = read(&far).unwrap().unwrap();
    assert_eq!((seen.nodes, seen.per_node), (Some(2), Some(1)));
    assert_eq!(seen.inter.unwrap().bandwidth.value, BytesPerSecond::new(360e9));
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[-A-Za-z0-9:=()# \n\t.,_]{0,160}") {
        let matrix = "GPU0 Affinity\n";
        for start in ["NodeName=a Gres=", "PARTITION GRES NODES\n", "# nThread busbw\n", matrix] {
            let _either = read(&format!("{start}{text}"));
        }
    }
}
