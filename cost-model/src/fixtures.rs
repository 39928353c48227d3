//! Machines for tests. Their numbers equal those of the independent program that the expected
//! values come from, not those of the shipped scenario files.

use crate::profile::Profile;
use crate::stack::{Stack, load_stack};
use plan::machine::{Device, GemmLaw, LatencyLaw, Link, NodeGroup, RecurrentLaw};
use plan::units::{Bytes, BytesPerSecond, FlopsPerSecond, Seconds};
use plan::work::AttentionKernel;
use plan::{Dtype, Grade, Sourced};
use std::collections::BTreeMap;

/// The shipped stack files.
pub(crate) const FILES: [(&str, &str); 28] = [
    ("cudnn-rnn", include_str!("../../scenarios/profiles/cudnn-rnn.toml")),
    ("deepspeed-pipe", include_str!("../../scenarios/profiles/deepspeed-pipe.toml")),
    (
        "deepspeed-pipe-blocking",
        include_str!("../../scenarios/profiles/deepspeed-pipe-blocking.toml"),
    ),
    ("deepspeed-zero3", include_str!("../../scenarios/profiles/deepspeed-zero3.toml")),
    ("internevo", include_str!("../../scenarios/profiles/internevo.toml")),
    ("jax-gpu", include_str!("../../scenarios/profiles/jax-gpu.toml")),
    ("jax-xla", include_str!("../../scenarios/profiles/jax-xla.toml")),
    ("llm-foundry", include_str!("../../scenarios/profiles/llm-foundry.toml")),
    ("llmq", include_str!("../../scenarios/profiles/llmq.toml")),
    ("megatron-2021", include_str!("../../scenarios/profiles/megatron-2021.toml")),
    ("megatron-2022", include_str!("../../scenarios/profiles/megatron-2022.toml")),
    ("megatron-core", include_str!("../../scenarios/profiles/megatron-core.toml")),
    ("megatron-core-plain", include_str!("../../scenarios/profiles/megatron-core-plain.toml")),
    ("megatron-zero-bubble", include_str!("../../scenarios/profiles/megatron-zero-bubble.toml")),
    ("mesh-tensorflow", include_str!("../../scenarios/profiles/mesh-tensorflow.toml")),
    ("nanotron", include_str!("../../scenarios/profiles/nanotron.toml")),
    ("pytorch-2020", include_str!("../../scenarios/profiles/pytorch-2020.toml")),
    ("pytorch-amp", include_str!("../../scenarios/profiles/pytorch-amp.toml")),
    ("pytorch-amp-eager", include_str!("../../scenarios/profiles/pytorch-amp-eager.toml")),
    ("pytorch-fsdp", include_str!("../../scenarios/profiles/pytorch-fsdp.toml")),
    ("pytorch-rnn-unrolled", include_str!("../../scenarios/profiles/pytorch-rnn-unrolled.toml")),
    ("roofline", include_str!("../../scenarios/profiles/roofline.toml")),
    ("tensorflow-2020", include_str!("../../scenarios/profiles/tensorflow-2020.toml")),
    ("tensorflow-rnn", include_str!("../../scenarios/profiles/tensorflow-rnn.toml")),
    ("torchtitan-async", include_str!("../../scenarios/profiles/torchtitan-async.toml")),
    ("torchtitan-compile", include_str!("../../scenarios/profiles/torchtitan-compile.toml")),
    ("torchtitan-eager", include_str!("../../scenarios/profiles/torchtitan-eager.toml")),
    ("transformers-eager", include_str!("../../scenarios/profiles/transformers-eager.toml")),
];

pub(crate) fn shipped(name: &str) -> Stack {
    let text = |wanted: &str| {
        FILES.iter().find(|(name, _)| *name == wanted).map(|(_, text)| (*text).to_owned())
    };
    load_stack(name, &text).unwrap_or_else(|error| panic!("{error}"))
}

/// `megatron-2022`.
pub(crate) fn stack() -> Stack {
    shipped("megatron-2022")
}

pub(crate) fn of<T>(value: T) -> Sourced<T> {
    Sourced::new(value, Grade::Fitted, "the independent program of this test")
}

pub(crate) fn a100() -> Profile {
    a100_with(&stack())
}

pub(crate) fn a100_group() -> NodeGroup {
    group(a100_device(), a100_latency(), 232e9, 21e9)
}

pub(crate) fn a100_with(stack: &Stack) -> Profile {
    let links = group(a100_device(), a100_latency(), 232e9, 21e9);
    Profile::new(&a100_device(), &links, stack).unwrap()
}

pub(crate) fn v100(stack: &str) -> Profile {
    let (device, group) = v100_parts();
    Profile::new(&device, &group, &shipped(stack)).unwrap()
}

pub(crate) fn v100_parts() -> (Device, NodeGroup) {
    let device = Device {
        name: "v100".into(),
        peak: [(Dtype::Fp16, of(FlopsPerSecond::new(125e12)))].into(),
        memory_bandwidth: of(BytesPerSecond::new(0.9e12)),
        multiprocessors: of(80),
        gemm: law(0.908),
        stream_efficiency: of(0.80),
        recurrent: Some(RecurrentLaw {
            step_overhead: of(Seconds::new(28.8e-6)),
            weight_read_efficiency: of(0.66),
        }),
        attention: [].into(),
        ..a100_device()
    };
    let group = group(device.clone(), a100_latency(), 130e9, 5.5e9);
    (device, group)
}

pub(crate) fn h100() -> Profile {
    let device = Device {
        name: "h100".into(),
        peak: [
            (Dtype::Bf16, of(FlopsPerSecond::new(989.4e12))),
            (Dtype::Fp8, of(FlopsPerSecond::new(1978.9e12))),
        ]
        .into(),
        memory_bandwidth: of(BytesPerSecond::new(3.35e12)),
        multiprocessors: of(132),
        gemm: law(0.80),
        ..a100_device()
    };
    let latency = saturating(42e-6, 55e-6, 16e6);
    Profile::new(&device, &group(device.clone(), latency, 362e9, 40e9), &stack()).unwrap()
}

pub(crate) fn a100_device() -> Device {
    Device {
        name: "a100".into(),
        label: "A100".into(),
        peak: [
            (Dtype::Bf16, of(FlopsPerSecond::new(312e12))),
            (Dtype::Fp16, of(FlopsPerSecond::new(312e12))),
            (Dtype::Fp32, of(FlopsPerSecond::new(19.5e12))),
        ]
        .into(),
        memory: of(Bytes::new(80e9)),
        memory_bandwidth: of(BytesPerSecond::new(2.039e12)),
        multiprocessors: of(108),
        gemm: law(0.865),
        stream_efficiency: of(0.82),
        recurrent: None,
        attention: [(AttentionKernel::Flash2, of((0.60, 0.52)))].into(),
        host_link: Some(of(BytesPerSecond::new(25e9))),
        power: None,
        price: None,
    }
}

fn law(efficiency: f64) -> GemmLaw {
    GemmLaw {
        efficiency: of(efficiency),
        tile_penalty: of(0.106),
        prologue: of(58.0),
        kernel_gap: of(Seconds::new(2e-6)),
        formats: BTreeMap::new(),
    }
}

fn a100_latency() -> LatencyLaw {
    saturating(45e-6, 160e-6, 16e6)
}

pub(crate) fn saturating(base: f64, ramp: f64, ramp_size: f64) -> LatencyLaw {
    LatencyLaw::Saturating {
        base: of(Seconds::new(base)),
        ramp: of(Seconds::new(ramp)),
        ramp_size: of(Bytes::new(ramp_size)),
        hop: of(Seconds::new(3.4e-6)),
    }
}

pub(crate) fn group(device: Device, latency: LatencyLaw, intra: f64, inter: f64) -> NodeGroup {
    NodeGroup {
        device,
        devices_per_node: 8,
        nodes: None,
        intra: Link {
            label: "inside".into(),
            bandwidth: of(BytesPerSecond::new(intra)),
            pair_bandwidth: None,
            latency,
        },
        inter: Some(Link {
            label: "between".into(),
            bandwidth: of(BytesPerSecond::new(inter)),
            pair_bandwidth: None,
            latency: LatencyLaw::PerHop { hop: of(Seconds::new(14e-6)) },
        }),
        host_memory: None,
    }
}
