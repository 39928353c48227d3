//! The layout optimizer's own tests, from tensorflow/mesh@37553191,
//! `mesh_tensorflow/auto_mtf/{layout_optimizer,api}_test.py`.

use super::super::*;
use super::support::*;

fn product() -> EinsumGraph {
    graph("a:10 b:5 c:20").input("x", "a b").input("y", "b c").op("z", "a c", "x y")
}

fn peak(graph: &EinsumGraph, text: &str) -> Bytes {
    let cost = evaluate(graph, FORWARD, &mesh("m1:4 m2:2"), &layout(text), None);
    cost.unwrap().peak_memory
}

fn is_least(graph: &EinsumGraph, best: Bytes) {
    assert_eq!(peak(graph, "a:m2;c:m1"), best);
    for other in ["a:m1;b:m2", "a:m1;c:m2", "b:m1;a:m2", "b:m1;c:m2", "c:m1;b:m2"] {
        assert!(best <= peak(graph, other), "{other}");
    }
}

/// `a` is split in 2 and `c` in 4, as 10 is no multiple of 4 and 5 of neither. The peak holds all
/// three: 5·5 + 5·5 + 5·5 elements of 4 bytes.
#[test]
fn dimensions_are_cut_to_equal_sizes() {
    let best = least_memory(&product(), "m1:4 m2:2");
    assert_eq!(best.to_string(), "a:m2;c:m1");
    assert_eq!(best.peak_memory, Bytes::from_count(300));
    assert_eq!(best.status, Status::Optimal);
    is_least(&product(), best.peak_memory);
}

/// Variables are per set of dimensions, not per operation: 3·2 global ones, 13 assignments of
/// {a,b,c}, which cover those of its subsets, and the peak. (The original allows 50.)
#[test]
fn repeating_an_operation_adds_no_variables() {
    let mut many = product();
    for i in 1..100 {
        many = many.op(&format!("z{i}"), "a c", "x y");
    }
    let best = least_memory(&many, "m1:4 m2:2");
    assert_eq!(best.variables, 6 + 13 + 1);
    assert_eq!(best.to_string(), "a:m2;c:m1");
    is_least(&many, best.peak_memory);
}

#[test]
fn unsplittable_dimensions_stay_whole() {
    let graph = graph("a:10 b:5 c:20")
        .input("x", "a b")
        .input("y", "b c")
        .op("u", "b", "x")
        .unsplittable("a")
        .op("v", "b", "y")
        .unsplittable("c");
    assert_eq!(least_memory(&graph, "m1:4 m2:2").to_string(), "");
}

#[test]
fn of_equals_the_layout_that_splits_more_wins() {
    assert_eq!(least_memory(&product(), "m1:4 m2:2 m3:1").to_string(), "a:m2;b:m3;c:m1");
}

#[test]
fn the_mesh_is_searched_too() {
    let space = MeshSpace { ranks: 8, max_axes: Some(2), ranks_per_node: 8 };
    let best = search_meshes(&product(), FORWARD, &space, &Objective::Memory).unwrap();
    assert_eq!(best.mesh.to_string(), "mesh_0:4;mesh_1:2");
    assert_eq!(best.to_string(), "a:mesh_1;c:mesh_0");
}

#[test]
fn on_one_axis_of_eight_nothing_divides() {
    let space = MeshSpace { ranks: 8, max_axes: Some(1), ranks_per_node: 8 };
    let best = search_meshes(&product(), FORWARD, &space, &Objective::Memory).unwrap();
    assert_eq!(best.mesh.to_string(), "mesh_0:8");
    assert_eq!(best.to_string(), "");
}

/// Names that nobody gave (`_anonymous_` and a number) and dimensions that no tensor has are never
/// split.
#[test]
fn nameless_and_unused_dimensions_stay_whole() {
    let graph = graph("a:8 unused:8 _anonymous_3:8").input("x", "a _anonymous_3");
    assert_eq!(least_memory(&graph, "m1:2 m2:2 m3:2").layout.len(), 1);
}
