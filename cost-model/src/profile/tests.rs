use super::*;
use crate::fixtures;
use plan::units::BytesPerSecond;

#[test]
fn the_indices_follow_the_tables() {
    for (index, kind) in POINTWISE.into_iter().enumerate() {
        assert_eq!(pointwise_index(kind), index);
    }
    for (index, kernel) in KERNELS.into_iter().enumerate() {
        assert_eq!(kernel_index(kernel), index);
    }
    for (index, rule) in RULES.into_iter().enumerate() {
        assert_eq!(rule_index(rule), index);
    }
    for (index, dtype) in Dtype::ALL.into_iter().enumerate() {
        assert_eq!(dtype_index(dtype), index);
    }
}

#[test]
fn efficiencies_above_one_are_refused() {
    let mut device = fixtures::a100_device();
    device.gemm.efficiency = fixtures::of(1.2);
    let latency = fixtures::saturating(1e-6, 1e-6, 1e6);
    let group = fixtures::group(device.clone(), latency, 232e9, 21e9);
    let error = Profile::new(&device, &group, &fixtures::stack()).unwrap_err();
    let expected = "the efficiency of matrix products of a100 under megatron-2022 is 1.2, \
                    but must lie in (0, 1]";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_bandwidth_of_zero_is_refused() {
    let device = fixtures::a100_device();
    let latency = fixtures::saturating(1e-6, 1e-6, 1e6);
    let mut group = fixtures::group(device.clone(), latency, 232e9, 21e9);
    group.intra.bandwidth = fixtures::of(BytesPerSecond::ZERO);
    let error = Profile::new(&device, &group, &fixtures::stack()).unwrap_err();
    assert!(error.to_string().starts_with("the bandwidth inside a node"), "{error}");
}

/// The device's own recurrent law wins over the stack's assumption, which keeps its grade.
#[test]
fn recurrent_laws_fall_back_to_a_labelled_assumption() {
    let own = fixtures::v100("pytorch-rnn-unrolled").recurrent.unwrap();
    assert_eq!(own.step.grade, Grade::Fitted);
    let device = fixtures::a100_device();
    let latency = fixtures::saturating(1e-6, 1e-6, 1e6);
    let group = fixtures::group(device.clone(), latency, 232e9, 21e9);
    let stack = fixtures::shipped("pytorch-rnn-unrolled");
    let fallback = Profile::new(&device, &group, &stack).unwrap().recurrent.unwrap();
    assert_eq!(fallback.step.grade, Grade::Assumed);
}
