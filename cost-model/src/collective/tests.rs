use super::*;
use crate::fixtures;
use plan::work::Collective;

fn collective(op: CollectiveOp, bytes: f64, size: u32, nodes: u32) -> Collective {
    Collective { op, bytes: Bytes::new(bytes), group: Group { size, nodes } }
}

/// Bytes, ranks, nodes; µs of all-reduce and of all-gather from a second, independent
/// implementation of the same formulas, with the constants of the A100 fixture.
const CASES: [(f64, u32, u32, f64, f64); 8] = [
    (1e3, 8, 1, 45.017_542_478_487_34, 31.509_771_176_747_567),
    (50_331_648.0, 8, 1, 546.062_882_204_358_4, 294.172_046_563_994_34),
    (1e6, 2, 1, 31.516_227_180_527_38, 20.728_701_825_557_81),
    (1e9, 4, 1, 6_617.377_477_599_783, 3_327.249_762_421_938_6),
    (1e3, 64, 8, 182.014_880_952_380_96, 298.405_859_375),
    (172.5e6, 128, 16, 2_780.964_285_714_285, 1_619.563_950_892_857),
    (1e9, 8, 8, 83_539.333_333_333_33, 41_774.666_666_666_664),
    (4e9, 1024, 128, 57_231.344_642_857_15, 28_620.672_321_428_57),
];

#[test]
fn collectives_match_an_independent_program() {
    let profile = fixtures::a100();
    for (bytes, size, nodes, reduce, gather) in CASES {
        for (op, expected) in [
            (CollectiveOp::AllReduce, reduce),
            (CollectiveOp::AllGather, gather),
            (CollectiveOp::ReduceScatter, gather),
        ] {
            let time = price(&collective(op, bytes, size, nodes), &profile).value.get() * 1e6;
            let error = (time / expected - 1.0).abs();
            assert!(error < 1e-9, "{op:?} {bytes} B on {size}/{nodes}: {time} against {expected}");
        }
    }
}

/// 0.3 ms per node: a gather over 4 nodes takes 1.2 ms longer.
#[test]
fn nodes_of_a_ring_add_their_threads() {
    let mut profile = fixtures::a100();
    let gather = collective(CollectiveOp::AllGather, 1e6, 32, 4);
    let before = price(&gather, &profile).value;
    profile.stack.collective.ring_node = fixtures::of(Seconds::new(0.3e-3));
    let after = price(&gather, &profile).value;
    assert!(((after - before).get() - 1.2e-3).abs() < 1e-12);
}

/// H200 with NVLS: 39 µs, 67 µs, 15 MB, 479 GB/s. 1 GiB on 8:
/// 39 + 67·1073.74/(1073.74 + 15) + 1.75·1073.74e6/479e9 = 39 + 66.08 + 3922.8 µs.
/// Published sweep: 473–482 GB/s bus bandwidth for large messages.
#[test]
fn node_law_by_hand() {
    let device = fixtures::a100_device();
    let latency = fixtures::saturating(39e-6, 67e-6, 15e6);
    let group = fixtures::group(device.clone(), latency, 479e9, 40e9);
    let profile = Profile::new(&device, &group, &fixtures::stack()).unwrap();
    let one = collective(CollectiveOp::AllReduce, (1u64 << 30) as f64, 8, 1);
    let time = price(&one, &profile).value.get() * 1e6;
    assert!((time - 4_027.88).abs() < 0.1, "{time}");
    let large = collective(CollectiveOp::AllReduce, (1u64 << 34) as f64, 8, 1);
    let bus = wire_bytes(&large).get() / price(&large, &profile).value.get() / 1e9;
    assert!((473.0..482.0).contains(&bus), "{bus} GB/s");
}

/// DGX A100, rings: 41 µs, 114 µs, 1.3 MB, 233 GB/s; published 234.9 GB/s at 16 GiB.
#[test]
fn a_ring_of_a100_reaches_its_published_bandwidth() {
    let device = fixtures::a100_device();
    let latency = fixtures::saturating(41e-6, 114e-6, 1.3e6);
    let group = fixtures::group(device.clone(), latency, 233e9, 21e9);
    let profile = Profile::new(&device, &group, &fixtures::stack()).unwrap();
    let large = collective(CollectiveOp::AllReduce, (1u64 << 34) as f64, 8, 1);
    let bus = wire_bytes(&large).get() / price(&large, &profile).value.get() / 1e9;
    assert!((bus / 234.9 - 1.0).abs() < 0.02, "{bus} GB/s");
}

/// 8 GB over 4 ranks on 2 nodes: all-reduce sends 2·¾·8 = 12 GB per rank, of which one card of two
/// per node carries 2·8·½/2 = 4 GB; all-to-all sends ¾·8 = 6 GB, 4 of them to the other node.
#[test]
fn wire_bytes_by_hand() {
    let reduce = collective(CollectiveOp::AllReduce, 8e9, 4, 2);
    assert_eq!(wire_bytes(&reduce).get(), 12e9);
    assert_eq!(network_bytes(&reduce).get(), 4e9);
    let exchange = collective(CollectiveOp::AllToAll, 8e9, 4, 2);
    assert_eq!(wire_bytes(&exchange).get(), 6e9);
    assert_eq!(network_bytes(&exchange).get(), 4e9);
}

/// 8 GB over 4 ranks on 2 nodes of the A100 fixture: 30 µs, 4 GB at 21 GB/s,
/// 4 GB · ½ at 0.8·232 GB/s.
#[test]
fn all_to_all_by_hand() {
    let exchange = collective(CollectiveOp::AllToAll, 8e9, 4, 2);
    let time = price(&exchange, &fixtures::a100()).value.get();
    let by_hand = 30e-6 + 4.0 / 21.0 + 2.0 / (0.8 * 232.0);
    assert!((time / by_hand - 1.0).abs() < 1e-12, "{time} against {by_hand}");
}

/// 16 GB over 16 ranks on 2 nodes at 21 GB/s each: once per node 8 GB through 8 cards; to each
/// device 15 GB through its own. Inside a node nothing changes.
#[test]
fn flat_shards_take_one_card_each() {
    let mut profile = fixtures::a100();
    let group = Group { size: 16, nodes: 2 };
    assert_eq!(of_shards(group, &profile), group);
    profile.stack.collective.flat_shards.value = true;
    let flat = of_shards(group, &profile);
    let gather = Collective { op: CollectiveOp::AllGather, bytes: Bytes::new(16e9), group: flat };
    assert_eq!(network_bytes(&gather).get(), 15e9);
    let inside = Group { size: 8, nodes: 1 };
    assert_eq!(of_shards(inside, &profile), inside);
}

#[test]
fn one_rank_has_nobody_to_talk_to() {
    let alone = collective(CollectiveOp::AllReduce, 1e9, 1, 1);
    assert_eq!(price(&alone, &fixtures::a100()), Estimate::exact(Seconds::ZERO));
}

/// 5 hops of 3.4 µs and 5/6 of 60 MB at 60 GB/s.
#[test]
fn links_without_a_fitted_law_pay_hops() {
    let device = fixtures::a100_device();
    let mut group = fixtures::group(device.clone(), fixtures::saturating(1.0, 1.0, 1.0), 60e9, 1e9);
    group.intra.latency =
        plan::machine::LatencyLaw::PerHop { hop: fixtures::of(Seconds::new(3.4e-6)) };
    let profile = Profile::new(&device, &group, &fixtures::stack()).unwrap();
    let gather = collective(CollectiveOp::AllGather, 60e6, 6, 1);
    let time = price(&gather, &profile).value.get();
    assert!((time - (17e-6 + 5.0 / 6.0 * 1e-3)).abs() < 1e-12, "{time}");
}

/// Eight copies over two nodes: 2·(1 − ½⁸)/8 = 0.249 of them leave for a node; over one place all
/// are the same. Over very many places all travel.
#[test]
fn rows_travel_once_per_node() {
    assert!((travelling(8, 2.0) - 0.249_023_437_5).abs() < 1e-12);
    assert!((travelling(8, 1.0) - 0.125).abs() < 1e-12);
    assert!((travelling(1, 64.0) - 1.0).abs() < 1e-12);
    assert!(travelling(8, 1e6) > 0.999);
    let sent = network_bytes(&collective(CollectiveOp::Dispatch { copies: 8 }, 8e9, 16, 2));
    assert!((sent.get() - 8e9 * 0.5 * 0.249_023_437_5).abs() < 1.0);
}

/// 16 ranks on 2 nodes: a ring carries 2·15/16 of the bytes over 8 cards, the two trees one time
/// the bytes at 0.8 of the bandwidth.
#[test]
fn a_ring_carries_all_between_nodes() {
    let mut profile = fixtures::a100();
    let sum = collective(CollectiveOp::AllReduce, 1e9, 16, 2);
    let card = profile.inter.unwrap().bandwidth.value;
    let tree = cost(&sum, &profile).unwrap();
    assert_eq!(tree.algorithm, Algorithm::Tree);
    assert!((tree.inter.get() - 1e9 / 0.8 / 8.0 / card).abs() < 1e-12, "{:?}", tree.inter);
    profile.stack.collective.rings_only.value = true;
    let ring = cost(&sum, &profile).unwrap();
    assert_eq!(ring.algorithm, Algorithm::Ring);
    assert!((ring.inter.get() - 1e9 * 1.875 / 8.0 / card).abs() < 1e-12, "{:?}", ring.inter);
}

/// Bus bandwidth of published sweeps of large messages, against cards that deliver what they
/// promise: B200, 4 nodes of 8 with 400 Gbit/s each, 381.8 GB/s at 16 GiB; A100, 2 nodes of 8 with
/// 400 Gbit/s together, 78.3 GB/s at 2 GiB (stas00/ml-engineering@744d01e,
/// aws-samples/awsome-distributed-training@7217859).
#[test]
fn sums_over_nodes_reach_what_was_published() {
    let device = fixtures::a100_device();
    let bus = |bytes: f64, size, nodes, intra: f64, card: f64| {
        let links =
            fixtures::group(device.clone(), fixtures::saturating(4e-5, 7e-5, 1e7), intra, card);
        let profile = Profile::new(&device, &links, &fixtures::stack()).unwrap();
        let sum = collective(CollectiveOp::AllReduce, bytes, size, nodes);
        wire_bytes(&sum).get() / price(&sum, &profile).value.get() / 1e9
    };
    let b200 = bus((1u64 << 34) as f64, 32, 4, 800e9, 50e9);
    assert!((b200 / 381.8 - 1.0).abs() < 0.06, "{b200} GB/s");
    let a100 = bus((1u64 << 31) as f64, 16, 2, 233e9, 6.25e9);
    assert!((a100 / 78.3 - 1.0).abs() < 0.06, "{a100} GB/s");
}
