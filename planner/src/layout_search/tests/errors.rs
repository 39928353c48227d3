//! What is refused, and in which words.

use super::super::*;
use super::support::*;
use plan::units::Seconds;
use plan::work::Work;

fn refusal(graph: &EinsumGraph) -> String {
    search(graph, FORWARD, &mesh("m:2"), &Objective::Memory).unwrap_err().to_string()
}

fn product() -> EinsumGraph {
    graph("a:8 b:8 c:8").input("x", "a b").input("y", "b c").op("z", "a c", "x y")
}

#[test]
fn malformed_graphs_are_refused_with_what_is_wrong() {
    let cases = [
        (graph("a:1 a:2"), "dimension \"a\" is declared twice"),
        (graph("a:0"), "dimension \"a\" has size 0"),
        (
            graph("a:2").input("x", "b"),
            "names the dimension \"b\", which does not exist; there are: a",
        ),
        (graph("a:2").input("x", "a a"), "tensor \"x\" has the dimension \"a\" twice"),
        (graph("a:2").input("x", "a").input("x", "a"), "tensor \"x\" is declared twice"),
        (graph("a:2").op("z", "a", "y"), "the earlier tensor \"y\""),
        (graph("a:2").input("x", "a").op("z", "a", "x x x"), "\"z\" has 3 operands"),
        (graph("a:2 b:2").input("x", "a").op("z", "b", "x x"), "which neither operand has"),
        (product().unsplittable("q"), "names the dimension \"q\""),
        (graph("a:99999999999 b:99999999999").input("x", "a b"), "\"x\" has more than 2^53"),
    ];
    for (graph, words) in cases {
        let text = refusal(&graph);
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn a_layout_must_name_what_exists() {
    let ask = |text| evaluate(&product(), FORWARD, &mesh("m:2"), &layout(text), None);
    let error = ask("q:m").unwrap_err().to_string();
    assert!(error.contains("dimension \"q\"") && error.contains("a, b, c"), "{error}");
    let error = ask("a:n").unwrap_err().to_string();
    assert!(error.contains("mesh axis \"n\"") && error.contains("there are: m"), "{error}");
}

#[test]
fn meshes_are_checked() {
    assert!(MeshShape::new([("m", 2), ("m", 2)]).is_err());
    assert!(MeshShape::new([("m", 0)]).is_err());
    let space = MeshSpace { ranks: 0, max_axes: None, ranks_per_node: 8 };
    assert!(space.shapes().is_err());
}

#[test]
fn prices_and_weights_must_be_numbers() {
    for bad in [f64::NAN, -1.0, f64::INFINITY] {
        let prices = |_: &Work| Seconds::new(bad);
        let objective = Objective::Time { prices: &prices, weights: Weights::PLAIN, budget: None };
        let error = search(&product(), FORWARD, &mesh("m:2"), &objective).unwrap_err();
        assert!(matches!(error, LayoutError::Price { .. }), "{error}");
        let weights = Weights { compute: bad, communication: 1.0 };
        let prices = |_: &Work| Seconds::ZERO;
        let objective = Objective::Time { prices: &prices, weights, budget: None };
        let error = search(&product(), FORWARD, &mesh("m:2"), &objective).unwrap_err();
        assert!(matches!(error, LayoutError::Weight { what: "compute", .. }), "{error}");
    }
}

/// On one axis of 2, the best is to split `b` or `c` in x, y, z: two tensors of 128 bytes, one of
/// 256: 512.
#[test]
fn a_budget_that_nothing_fits_names_the_least() {
    let prices = |_: &Work| Seconds::ZERO;
    let budget = Some(Bytes::from_count(511));
    let objective = Objective::Time { prices: &prices, weights: Weights::PLAIN, budget };
    let error = search(&product(), FORWARD, &mesh("m:2"), &objective).unwrap_err();
    let LayoutError::OverBudget { least, .. } = error else { panic!("{error}") };
    assert_eq!(least, Bytes::from_count(512));
    let space = MeshSpace { ranks: 4, max_axes: Some(2), ranks_per_node: 4 };
    let found = search_meshes(&product(), FORWARD, &space, &objective).unwrap();
    assert!(found.peak_memory <= Bytes::from_count(511));
    let tight = Some(Bytes::from_count(1));
    let objective = Objective::Time { prices: &prices, weights: Weights::PLAIN, budget: tight };
    let error = search_meshes(&product(), FORWARD, &space, &objective).unwrap_err();
    // [2,2] splits two of three dimensions: one tensor has both, the others one: 64 + 128 + 128.
    assert!(error.to_string().contains("mesh_0:2;mesh_1:2 is 320 B"), "{error}");
}

#[test]
fn programs_beyond_reason_are_refused_before_they_are_built() {
    let names: Vec<String> = (0..12).map(|i| format!("d{i}")).collect();
    let sizes: Vec<String> = names.iter().map(|n| format!("{n}:2")).collect();
    let graph = graph(&sizes.join(" ")).input("x", &names.join(" "));
    let axes = "m1:2 m2:2 m3:2 m4:2 m5:2 m6:2";
    let error = search(&graph, FORWARD, &mesh(axes), &Objective::Memory).unwrap_err();
    assert!(error.to_string().contains("use fewer mesh axes"), "{error}");
}
