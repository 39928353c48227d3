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
    assert_eq!(foundry.attention.kernel.value, AttentionKernel::Flash1);
    assert_eq!(foundry.compute.derate.value, 0.885);
    assert_eq!(foundry.collective, base.collective);
    let relayout = &foundry.pointwise[&PointwiseKind::Relayout].value;
    assert_eq!(relayout.bytes.forward, 8.0);
    let norm = PointwiseKind::LayerNorm;
    assert_eq!(foundry.pointwise[&norm], base.pointwise[&norm]);
}

/// A base that says 0.5 of all devices and 0.6 of those called h100: a file that extends it and
/// says nothing keeps both; one that says 0.7 of all says it of the h100 too; what it says of
/// h100-sxm is only about those.
#[test]
fn a_device_has_its_own_constants() {
    let derate = |x| format!("derate = {{ value = {x}, source = \"assumed: this test\" }}\n");
    let head = |name: &str| format!("schema = 1\nname = \"{name}\"\nlabel = \"{name}\"\n");
    let base = head("base") + "extends = \"megatron-2022\"\n[compute]\n" + &derate(0.5);
    let base = base + "[on.h100.compute]\n" + &derate(0.6);
    let quiet = head("quiet") + "extends = \"base\"\n";
    let loud = head("loud") + "extends = \"base\"\n[compute]\n" + &derate(0.7);
    let loud = loud + "[on.h100-sxm.compute]\n" + &derate(0.8);
    let text = |name: &str| match name {
        "base" => Some(base.clone()),
        "quiet" => Some(quiet.clone()),
        "loud" => Some(loud.clone()),
        _ => Some(BASE.to_string()),
    };
    let at = |name, device| load_stack(name, &text).unwrap().on(device).compute.derate.value;
    assert_eq!([at("quiet", "a100"), at("quiet", "h100-pcie")], [0.5, 0.6]);
    assert_eq!(
        [at("loud", "a100"), at("loud", "h100-pcie"), at("loud", "h100-sxm")],
        [0.7, 0.7, 0.8]
    );
    let quiet_on = quiet.clone() + "[on.h.compute]\n" + &derate(0.9);
    let base = load_stack("base", &text).unwrap();
    let own = parse_stack(&quiet_on, Some(&base)).unwrap();
    assert_eq!(own.on("h100-pcie").compute.derate.value, 0.9, "what extends goes first");
    assert_eq!(load_stack("loud", &text).unwrap().on("h100-sxm").name, "loud");
    let wrong = loud.replace("h100-sxm.compute", "h100-sxm.computer");
    let error = parse_stack(&wrong, Some(&stack())).unwrap_err().to_string();
    assert!(error.contains("unknown key `computer`"), "{error}");
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
