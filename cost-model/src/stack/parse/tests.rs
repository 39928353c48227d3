use super::*;
use crate::fixtures::{FILES, shipped, stack};
use plan::work::{AttentionKernel, PointwiseKind};

const BASE: &str = include_str!("../../../../scenarios/profiles/megatron-2022.toml");

#[test]
fn every_shipped_stack_parses_under_its_own_name() {
    for (name, _) in FILES {
        assert_eq!(shipped(name).name, name);
    }
    let stems: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
    assert!(stems.is_sorted(), "{stems:?}");
}

#[test]
fn an_extension_changes_what_it_states_and_keeps_the_rest() {
    let (base, foundry) = (stack(), shipped("llm-foundry"));
    assert_eq!(foundry.attention.kernel.value, AttentionKernel::Flash2);
    assert_eq!(foundry.compute.derate.value, 0.885);
    assert_eq!(foundry.collective, base.collective);
    let relayout = &foundry.pointwise[&PointwiseKind::Relayout].value;
    assert_eq!(relayout.bytes.forward, 8.0);
    let norm = PointwiseKind::LayerNorm;
    assert_eq!(foundry.pointwise[&norm], base.pointwise[&norm]);
}

#[test]
fn a_value_without_source_is_refused() {
    let start = BASE.find("derate = ").unwrap();
    let end = start + BASE[start..].find('\n').unwrap();
    let text = format!("{}derate = 1.0{}", &BASE[..start], &BASE[end..]);
    let problems = parse_stack(&text, None).unwrap_err();
    assert_eq!(problems.list.len(), 1, "{problems}");
    assert_eq!(problems.list[0].message, "`derate` has no source");
}

#[test]
fn a_missing_section_and_a_misspelt_key_are_both_reported() {
    let text = BASE.replace("[host]", "[hosts]").replace("shard_base", "shard_bsae");
    let messages: Vec<String> =
        parse_stack(&text, None).unwrap_err().list.into_iter().map(|p| p.message).collect();
    for word in ["`hosts`", "`host`", "`shard_bsae`"] {
        assert!(messages.iter().any(|m| m.contains(word)), "{word} in {messages:?}");
    }
}

#[test]
fn a_kernel_without_bytes_is_missed_without_a_base_only() {
    let text = BASE.replace("rope = { bytes = [4, 4], kernels = [1, 1] }\n", "");
    assert!(parse_stack(&text, None).unwrap_err().to_string().contains("`rope`"));
    assert_eq!(parse_stack(&text, Some(&stack())).unwrap(), stack());
}

#[test]
fn circles_and_unknown_names_are_errors() {
    let text = |name: &str| match name {
        "a" => Some("schema = 1\nname = \"a\"\nextends = \"b\"\n".to_owned()),
        "b" => Some("schema = 1\nname = \"b\"\nextends = \"a\"\n".to_owned()),
        "c" => Some("schema = 1\nname = \"c\"\nextends = \"nowhere\"\n".to_owned()),
        _ => None,
    };
    let error = load_stack("a", &text).unwrap_err();
    assert_eq!(error.to_string(), "software stacks extend each other in a circle: a → b → a");
    let error = load_stack("c", &text).unwrap_err();
    assert_eq!(error, StackError::Unknown { name: "nowhere".into() });
}

#[test]
fn mistakes_are_reported_with_the_name_of_their_file() {
    let text = |_: &str| Some(BASE.replace("\"tiles\"", "\"tiels\""));
    let error = load_stack("mine", &text).unwrap_err().to_string();
    assert!(error.starts_with("software stack mine: "), "{error}");
    assert!(error.contains("did you mean `tiles`?"), "{error}");
}

#[test]
fn numbers_out_of_range_are_refused() {
    for (from, to) in [
        ("tensor_backward = { value = 0.5", "tensor_backward = { value = 1.5"),
        ("gemm = 0.04", "gemm = nan"),
        ("adam = 52", "adam = -52"),
        ("bytes = [4, 12]", "bytes = [4]"),
    ] {
        assert!(BASE.contains(from));
        let problems = parse_stack(&BASE.replace(from, to), None).unwrap_err();
        assert_eq!(problems.list.len(), 1, "{to}: {problems}");
    }
}
