use super::*;
use crate::fixtures;
use plan::units::Bytes;
use plan::work::{
    Attention, AttentionKernel, Collective, CollectiveOp, Gemm, Group, OptimizerRule,
    OptimizerStep, Pass, Pointwise, RecurrentWeightGradient, Scan, Send,
};
use plan::{Dtype, Grade};
use proptest::prelude::*;
use std::sync::LazyLock;

fn dtype() -> impl Strategy<Value = Dtype> {
    prop_oneof![Just(Dtype::Fp32), Just(Dtype::Fp16), Just(Dtype::Bf16)]
}

fn pass() -> impl Strategy<Value = Pass> {
    prop_oneof![Just(Pass::Forward), Just(Pass::Backward)]
}

prop_compose! {
    fn gemm()(batch in 1u64..64, m in 1u64..20_000, n in 1u64..20_000, k in 1u64..20_000,
              dtype in dtype()) -> Gemm {
        Gemm { batch, m, n, k, dtype }
    }
}

prop_compose! {
    fn attention()(batch in 1u64..8, heads in 1u64..65, queries in 1u64..9000, extra in 0u64..512,
                   head_dim in 1u64..257, value_dim in 1u64..257, causal: bool, dropout: bool,
                   flash: bool, dtype in dtype(), pass in pass()) -> Attention {
        let kernel = if flash { AttentionKernel::Flash2 } else { AttentionKernel::Unfused };
        let keys = queries + extra;
        Attention {
            batch, heads, queries, keys, head_dim, value_dim, causal, dropout, kernel, dtype, pass,
        }
    }
}

prop_compose! {
    fn collective()(op in 0usize..4, bytes in 0.0f64..1e11, nodes in 1u32..200, per in 1u32..9)
        -> Collective {
        let op = [CollectiveOp::AllReduce, CollectiveOp::AllGather, CollectiveOp::ReduceScatter,
                  CollectiveOp::AllToAll][op];
        Collective { op, bytes: Bytes::new(bytes), group: Group { size: nodes * per, nodes } }
    }
}

prop_compose! {
    fn pointwise()(kind in 0usize..crate::profile::POINTWISE.len(), elements in 0u64..1 << 34,
                   dtype in dtype(), pass in pass()) -> Pointwise {
        Pointwise { kind: crate::profile::POINTWISE[kind], elements, dtype, pass }
    }
}

fn work() -> impl Strategy<Value = Work> {
    let bytes = (0.0f64..1e12).prop_map(Bytes::new);
    prop_oneof![
        gemm().prop_map(Work::Gemm),
        attention().prop_map(Work::Attention),
        pointwise().prop_map(Work::Pointwise),
        collective().prop_map(Work::Collective),
        (1u64..300, gemm(), pointwise()).prop_map(|(steps, product, gate)| {
            Work::Scan(Scan { steps, body: vec![Work::Gemm(product), Work::Pointwise(gate)] })
        }),
        (1u64..300, gemm()).prop_map(|(steps, step)| {
            Work::RecurrentWeightGradient(RecurrentWeightGradient { steps, step })
        }),
        (0u64..1 << 40).prop_map(|parameters| {
            Work::Optimizer(OptimizerStep { rule: OptimizerRule::Adam, parameters })
        }),
        (bytes.clone(), any::<bool>())
            .prop_map(|(bytes, crosses_nodes)| Work::Send(Send { bytes, crosses_nodes })),
        bytes.clone().prop_map(Work::HostCopy),
        bytes.prop_map(Work::Traffic),
    ]
}

/// The A100 fixture under a shipped stack.
fn profile(stack: &str) -> Profile {
    let device = fixtures::a100_device();
    let latency = fixtures::saturating(45e-6, 160e-6, 16e6);
    let group = fixtures::group(device.clone(), latency, 232e9, 21e9);
    Profile::new(&device, &group, &fixtures::shipped(stack)).unwrap()
}

/// The profiles of the property tests, resolved once: reading stacks would dominate them.
static PROFILES: LazyLock<[Profile; 3]> =
    LazyLock::new(|| ["pytorch-rnn-unrolled", "cudnn-rnn", "roofline"].map(profile));

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_price_beats_the_speed_of_light(item in work()) {
        for profile in &*PROFILES {
            let stack = &profile.stack().name;
            let time = price(&item, profile);
            let bound = bounds::speed_of_light(&item, profile);
            let margin = Seconds::new(bound.get() * 1e-12);
            prop_assert!(time.value + margin >= bound, "{stack}: {item:?}: {time:?} < {bound:?}");
            prop_assert!(time.low + margin >= bound, "{stack}: {item:?}: {time:?} < {bound:?}");
        }
    }

    #[test]
    fn prices_are_ordered_and_finite(item in work()) {
        let profile = &PROFILES[0];
        prop_assert_eq!(profile.check([&item]), Ok(()));
        let time = price(&item, profile);
        prop_assert!(time.low <= time.value && time.value <= time.high, "{item:?}: {time:?}");
        prop_assert!(time.high.get().is_finite() && time.low.get() >= 0.0, "{item:?}: {time:?}");
    }

    #[test]
    fn more_bytes_never_arrive_sooner(item in collective(), more in 1.0f64..2.0) {
        let profile = &PROFILES[0];
        let larger = Collective { bytes: item.bytes * more, ..item };
        let (a, b) = (price(&Work::Collective(item), profile),
                      price(&Work::Collective(larger), profile));
        prop_assert!(b.value >= a.value, "{item:?}");
    }
}

/// What the profile cannot do costs for ever, is never chosen, and has a reason.
#[test]
fn impossible_work_is_infinite_and_explained() {
    let mut no_network = fixtures::group(
        fixtures::a100_device(),
        fixtures::saturating(45e-6, 160e-6, 16e6),
        232e9,
        21e9,
    );
    no_network.inter = None;
    let mut device = fixtures::a100_device();
    device.host_link = None;
    let profile = Profile::new(&device, &no_network, &fixtures::stack()).unwrap();
    let product = Gemm { batch: 1, m: 8, n: 8, k: 8, dtype: Dtype::Fp8 };
    let group = Group { size: 16, nodes: 2 };
    let bytes = Bytes::new(1e6);
    let cases = [
        (Work::Gemm(product), "a100 has no peak for fp8; it has fp32, fp16, bf16"),
        (
            Work::Collective(Collective { op: CollectiveOp::AllGather, bytes, group }),
            "this cluster of a100 states no network between nodes",
        ),
        (
            Work::Send(Send { bytes, crosses_nodes: true }),
            "this cluster of a100 states no network between nodes",
        ),
        (Work::HostCopy(bytes), "a100 states no bandwidth of its host link"),
        (
            Work::Scan(Scan { steps: 1, body: vec![] }),
            "neither a100 nor the stack megatron-2022 states the overhead of a recurrent step",
        ),
    ];
    for (item, reason) in cases {
        let time = price(&item, &profile);
        assert!(time.value.get().is_infinite(), "{item:?}");
        assert_eq!(profile.check([&item]).unwrap_err().to_string(), reason);
    }
}

#[test]
fn a_missing_attention_kernel_is_named() {
    let profile = profile("megatron-2022");
    let item = Work::Attention(Attention {
        batch: 1,
        heads: 8,
        queries: 128,
        keys: 128,
        head_dim: 64,
        value_dim: 64,
        causal: true,
        dropout: false,
        kernel: AttentionKernel::Flash3,
        dtype: Dtype::Bf16,
        pass: Pass::Forward,
    });
    assert!(price(&item, &profile).value.get().is_infinite());
    let reason = profile.check([&item]).unwrap_err().to_string();
    let expected = "a100 has no constants for the attention kernel flash3; it has flash2";
    assert_eq!(reason, expected);
}

/// An assumed constant anywhere in a price shows in its grade.
#[test]
fn the_weakest_constant_grades_the_price() {
    let traffic = Work::Traffic(Bytes::new(1e6));
    assert_eq!(price(&traffic, &profile("megatron-2022")).grade, Grade::Fitted);
    let scan = Work::Scan(Scan { steps: 2, body: vec![traffic] });
    assert_eq!(price(&scan, &profile("pytorch-rnn-unrolled")).grade, Grade::Assumed);
}

/// Extents at the end of their type must not overflow.
#[test]
fn absurd_extents_are_priced() {
    let profile = profile("pytorch-rnn-unrolled");
    let gemm = Gemm { batch: u64::MAX, m: u64::MAX, n: u64::MAX, k: u64::MAX, dtype: Dtype::Bf16 };
    let attention = Attention {
        batch: u64::MAX,
        heads: u64::MAX,
        queries: u64::MAX,
        keys: u64::MAX,
        head_dim: u64::MAX - 7,
        value_dim: u64::MAX - 7,
        causal: true,
        dropout: true,
        kernel: AttentionKernel::Unfused,
        dtype: Dtype::Bf16,
        pass: Pass::Backward,
    };
    let gradient = RecurrentWeightGradient { steps: u64::MAX, step: gemm };
    let group = Group { size: u32::MAX, nodes: u32::MAX };
    let bytes = Bytes::new(f64::MAX);
    let items = [
        Work::Gemm(gemm),
        Work::Attention(attention),
        Work::Attention(Attention { kernel: AttentionKernel::Flash2, ..attention }),
        Work::RecurrentWeightGradient(gradient),
        Work::Collective(Collective { op: CollectiveOp::AllReduce, bytes, group }),
    ];
    for item in items {
        let time = price(&item, &profile);
        assert!(!time.value.get().is_nan() && time.value.get() > 0.0, "{item:?}");
    }
}
