//! Devices, links and stacks by rules.

use super::*;
use crate::published::fixtures::gpt3;
use crate::published::shipped_rules;

fn machine(row: &Row) -> Result<(Machine, Assumptions), Skip> {
    let (catalog, rules) = (Catalog::default(), shipped_rules().unwrap());
    let mut assumed = Assumptions::default();
    let machine = Workshop::with(&catalog, &rules, &BTreeMap::new()).machine(row, &mut assumed)?;
    Ok((machine, assumed))
}

#[test]
fn names_of_devices_are_understood() {
    let rules = shipped_rules().unwrap();
    let device = |name: &str| rules.gpu(name, None).map(|rule| rule.device.clone());
    for (name, expected) in [
        ("A100-80GB-SXM", "a100-sxm-80gb"),
        ("A100-40GB-SXM", "a100-sxm-40gb"),
        ("A100-PCIe-80GB", "a100-pcie-80gb"),
        ("H100-96GB-SXM(HBM2e,500W)", "h100-sxm-96gb-500w"),
        ("GB200-186GB", "gb200"),
        ("B200-180GB", "b200-sxm-180gb"),
        ("T4-16GB+V100-16GB(mixed)", "t4"),
        ("V100-32GB(450W)", "v100-sxm3-32gb-450w"),
        ("TitanX-Maxwell-12GB", "gtx-titan-x"),
        ("GTX-TitanX-12GB", "gtx-titan-x"),
        ("RTX-PRO-6000-96GB", "rtx-pro-6000"),
        ("TPU-v5e", "tpu-v5e"),
        ("A800-80GB", "a100-sxm-80gb"),
        ("H20-96GB", "h20-sxm-96gb"),
        ("H200-141GB", "h200-sxm-141gb"),
        ("A40-48GB", "a40"),
        ("RTX-A4000", "rtx-a4000"),
        ("L40S-48GB", "l40s"),
        ("L4-24GB", "l4"),
        ("RTX-6000-Ada-48GB", "rtx-6000-ada"),
        ("RTX-A5000-24GB", "rtx-a5000"),
        ("MI325X-256GB", "mi325x"),
        ("Gaudi2-96GB", "gaudi2"),
        ("TPU-v6e", "tpu-v6e"),
    ] {
        assert_eq!(device(name).as_deref(), Some(expected), "{name}");
    }
    assert_eq!(device("abacus"), None);
}

#[test]
fn every_device_and_cluster_that_rules_name_is_shipped() {
    let (catalog, rules) = (Catalog::default(), shipped_rules().unwrap());
    for rule in &rules.gpus {
        assert!(catalog.device(&rule.device).is_ok(), "{}", rule.device);
        assert!(catalog.cluster(&rule.cluster).is_ok(), "{}", rule.cluster);
    }
    assert!(rules.links.iter().all(|rule| catalog.cluster(&rule.cluster).is_ok()));
    assert!(rules.stacks.iter().all(|rule| catalog.stack(&rule.stack).is_ok()));
}

/// The shipped workstation has four devices and no network: eight that state no node are one
/// machine with more of them, 16 are two over an assumed network. Stated nodes are as stated.
#[test]
fn a_workstation_that_states_no_node_has_links_for_all_devices() {
    let group = |gpus: u64, per_node: Option<u64>| {
        let mut row = gpt3();
        (row.gpu, row.precision) = ("RTX-2080Ti-11GB".into(), "fp16".into());
        (row.run.gpus, row.run.per_node, row.run.network) = (Some(gpus), per_node, None);
        machine(&row).unwrap().0.cluster.groups[0].clone()
    };
    let eight = group(8, None);
    assert_eq!((eight.devices_per_node, eight.inter.is_none()), (8, true));
    assert!(group(16, None).inter.is_some());
    let stated = group(8, Some(4));
    assert_eq!((stated.devices_per_node, stated.inter.is_some()), (4, true));
}

#[test]
fn an_unknown_device_is_named() {
    let mut row = gpt3();
    row.gpu = "Abacus 3000".into();
    assert_eq!(machine(&row).unwrap_err(), Skip::Device("Abacus 3000".into()));
}

/// 1600 Gbit/s shared by 8 devices at 84 % are 21 GB/s.
#[test]
fn the_network_of_a_node_is_shared() {
    let mut row = gpt3();
    row.run.network = Some(1600.0);
    let (machine, _) = machine(&row).unwrap();
    let inter = machine.cluster.groups[0].inter.clone().unwrap();
    assert!((inter.bandwidth.value.get() - 21e9).abs() < 1.0, "{inter:?}");
    assert_eq!(inter.bandwidth.grade, Grade::Assumed);
}

/// A rack of 72 is one domain, whatever its nodes; its network is shared by a node of 4.
#[test]
fn racks_are_one_domain() {
    let mut row = gpt3();
    (row.gpu, row.intra_link) = ("GB200-186GB".into(), "nvlink5 nvl72".into());
    (row.precision, row.attention) = ("bf16".into(), "flash-cudnn".into());
    (row.run.gpus, row.run.per_node, row.run.network) = (Some(256), Some(4), Some(1600.0));
    let (machine, _) = machine(&row).unwrap();
    let group = &machine.cluster.groups[0];
    assert_eq!(group.devices_per_node, 72);
    let inter = group.inter.clone().unwrap();
    assert!((inter.bandwidth.value.get() - 42e9).abs() < 1.0, "{inter:?}");
}

#[test]
fn software_is_chosen_by_words_and_otherwise_by_device_and_split() {
    let stack = |change: &dyn Fn(&mut Row)| {
        let mut row = gpt3();
        change(&mut row);
        let (machine, assumed) = machine(&row).unwrap();
        (machine.stack.stack.clone(), assumed.0.iter().any(|a| a.to_string().contains("software")))
    };
    let (name, is_assumed) = stack(&|row| row.source = "mosaicml/llm-foundry".into());
    assert_eq!((name.as_str(), is_assumed), ("llm-foundry", false));
    let (name, is_assumed) = stack(&|_| {});
    assert_eq!((name.as_str(), is_assumed), ("megatron-2021", true));
    let (name, _) = stack(&|row| row.year = Some(2022));
    assert_eq!(name, "megatron-2022");
    let (name, _) = stack(&|row| {
        (row.year, row.attention) = (Some(2025), "flash2".into());
    });
    assert_eq!(name, "megatron-core-plain");
    let (name, _) = stack(&|row| {
        (row.run.tp, row.run.pp, row.run.zero) = (Some(1), Some(1), Some(3));
        (row.gpu, row.attention) = ("H100-80GB-SXM".into(), "flash2".into());
    });
    assert_eq!(name, "torchtitan-compile");
}

/// TensorFloat-32 of an A100 is 156 TFLOP/s: half of 312.
#[test]
fn formats_that_are_no_formats_of_the_house_have_their_peak() {
    let mut row = gpt3();
    row.precision = "tf32".into();
    let (machine, _) = machine(&row).unwrap();
    let peak = machine.profile.peak(Dtype::Fp32).unwrap();
    assert!((peak.get() - 156e12).abs() < 1.0, "{peak}");
    assert_eq!(machine.compute, Dtype::Fp32);
}

#[test]
fn what_a_device_lacks_is_replaced_and_said() {
    let mut row = gpt3();
    (row.gpu, row.precision) = ("V100-32GB".into(), "bf16".into());
    row.attention = "flash2".into();
    let (machine, assumed) = machine(&row).unwrap();
    assert_eq!(machine.compute, Dtype::Fp16);
    let said: Vec<String> = assumed.0.iter().map(ToString::to_string).collect();
    assert!(said.iter().any(|a| a == "bf16 on a device without: as fast as fp16"), "{said:?}");
    assert!(said.iter().any(|a| a.starts_with("attention kernel: unfused")), "{said:?}");
}
