//! The program against exhaustive enumeration of every layout.

use super::super::*;
use super::support::*;
use plan::units::{BytesPerSecond, FlopsPerSecond, Seconds};
use plan::work::Work;
use proptest::prelude::*;

/// A graph from raw numbers: each product takes two earlier tensors and keeps the dimensions
/// whose bit is set.
fn random_graph() -> impl Strategy<Value = EinsumGraph> {
    let sizes = prop::collection::vec(prop::sample::select(vec![2u64, 3, 4, 6, 8, 12, 5]), 3..5);
    let inputs = prop::collection::vec((1u32..16, any::<bool>()), 2..4);
    let ops = prop::collection::vec((any::<u16>(), any::<u16>(), any::<u32>(), 0u8..12), 1..5);
    (sizes, inputs, ops).prop_map(|(sizes, inputs, ops)| assemble(&sizes, &inputs, &ops))
}

fn assemble(sizes: &[u64], inputs: &[(u32, bool)], ops: &[(u16, u16, u32, u8)]) -> EinsumGraph {
    let pick =
        |bits: u32| -> Vec<usize> { (0..sizes.len()).filter(|i| bits & (1 << i) != 0).collect() };
    let words = |dims: &[usize]| -> String {
        dims.iter().map(|d| format!("d{d}")).collect::<Vec<_>>().join(" ")
    };
    let dims: Vec<String> = sizes.iter().enumerate().map(|(i, s)| format!("d{i}:{s}")).collect();
    let mut spec = graph(&dims.join(" "));
    let mut tensors: Vec<Vec<usize>> = Vec::new();
    for (i, &(bits, is_parameter)) in inputs.iter().enumerate() {
        let dims = pick(bits);
        let name = format!("t{i}");
        spec = match is_parameter {
            true => spec.parameter(&name, &words(&dims)),
            false => spec.input(&name, &words(&dims)),
        };
        tensors.push(dims);
    }
    for &(a, b, bits, kind) in ops {
        let (a, b) = (usize::from(a) % tensors.len(), usize::from(b) % tensors.len());
        let unary = kind < 3;
        let both = |d: &usize| tensors[a].contains(d) || (!unary && tensors[b].contains(d));
        let dims: Vec<usize> = pick(bits).into_iter().filter(both).collect();
        let operands = if unary { format!("t{a}") } else { format!("t{a} t{b}") };
        spec = spec.op(&format!("t{}", tensors.len()), &words(&dims), &operands);
        if kind == 11 {
            spec = spec.unsplittable("d0");
        }
        tensors.push(dims);
    }
    spec
}

fn random_mesh() -> impl Strategy<Value = MeshShape> {
    let axes = prop::collection::vec(prop::sample::select(vec![1u32, 2, 3, 4]), 1..4);
    axes.prop_map(|sizes| {
        let axes = sizes.into_iter().enumerate().map(|(i, size)| (format!("m{i}"), size));
        let mesh = MeshShape::new(axes).unwrap();
        let nodes = if mesh.ranks().is_multiple_of(2) { 2 } else { 1 };
        let ranks = mesh.ranks();
        mesh.with_ranks_per_node(ranks / nodes).unwrap()
    })
}

/// Odd constants, so that different layouts rarely tie by accident.
fn alpha_beta(work: &Work) -> Seconds {
    match work {
        Work::Gemm(g) => g.flops() / FlopsPerSecond::new(3.1e9),
        Work::Traffic(bytes) => *bytes / BytesPerSecond::new(1.7e9),
        Work::Collective(c) => {
            let (g, nodes) = (f64::from(c.group.size), f64::from(c.group.nodes));
            let wire = c.bytes * (2.0 * (g - 1.0) / g) / BytesPerSecond::new(2.3e9);
            wire * nodes + Seconds::new(7e-9 * (g - 1.0))
        }
        other => panic!("nobody prices {other:?}"),
    }
}

/// Every layout: each dimension whole or on an axis that divides it, no two dimensions of one
/// operation on the same axis.
fn layouts(spec: &EinsumGraph, mesh: &MeshShape) -> Vec<BTreeMap<String, String>> {
    let barred: Vec<&String> = spec.ops.iter().flat_map(|op| &op.unsplittable).collect();
    let mut all = vec![BTreeMap::new()];
    let used = op_sets(spec);
    let may = |dim: &String| !barred.contains(&dim) && used.iter().any(|set| set.contains(&dim));
    for (dim, size) in spec.dims.iter().filter(|(dim, _)| may(dim)) {
        for i in 0..all.len() {
            for axis in mesh.axes().iter().filter(|a| size % u64::from(a.size) == 0) {
                let mut longer = all[i].clone();
                longer.insert(dim.clone(), axis.name.clone());
                all.push(longer);
            }
        }
    }
    all.retain(|layout| used.iter().all(|set| is_injective(set, layout)));
    all
}

fn op_sets(spec: &EinsumGraph) -> Vec<Vec<&String>> {
    let dims_of = |name: &String| {
        let input = spec.inputs.iter().find(|i| i.name == *name).map(|i| &i.dims);
        input.or_else(|| spec.ops.iter().find(|o| o.output == *name).map(|o| &o.dims)).unwrap()
    };
    let of_op = |op: &plan::model::EinsumOp| {
        let mut set: Vec<&String> = spec
            .inputs
            .iter()
            .map(|i| &i.name)
            .chain(spec.ops.iter().map(|o| &o.output))
            .filter(|name| op.operands.contains(name) || op.output == **name)
            .flat_map(dims_of)
            .collect();
        set.sort();
        set.dedup();
        set
    };
    let mut sets: Vec<Vec<&String>> = spec.ops.iter().map(of_op).collect();
    sets.extend(spec.inputs.iter().map(|i| i.dims.iter().collect()));
    sets
}

fn is_injective(set: &[&String], layout: &BTreeMap<String, String>) -> bool {
    let mut axes: Vec<&String> = set.iter().filter_map(|d| layout.get(*d)).collect();
    let all = axes.len();
    axes.sort();
    axes.dedup();
    axes.len() == all
}

/// The goals of one layout, smaller is better: weighted time, peak memory, minus splits.
fn goals(
    spec: &EinsumGraph,
    scope: Scope,
    mesh: &MeshShape,
    layout: &BTreeMap<String, String>,
    weights: Weights,
) -> [f64; 3] {
    let cost = evaluate(spec, scope, mesh, layout, Some(&alpha_beta)).unwrap();
    let time = cost.time.unwrap();
    let time =
        weights.compute * time.compute.get() + weights.communication * time.communication.get();
    [time, cost.peak_memory.get(), -(layout.len() as f64)]
}

/// The best by enumeration, goal after goal.
fn best(mut all: Vec<[f64; 3]>) -> Option<[f64; 3]> {
    for goal in 0..3 {
        let least = all.iter().map(|v| v[goal]).fold(f64::INFINITY, f64::min);
        all.retain(|v| v[goal] <= least + 1e-9 * least.abs());
    }
    all.first().copied()
}

fn same(found: [f64; 3], expected: [f64; 3]) -> bool {
    let close = (found[0] - expected[0]).abs() <= 3e-9 * expected[0];
    close && found[1..] == expected[1..]
}

const NOTHING: Weights = Weights { compute: 0.0, communication: 0.0 };

fn check(
    spec: &EinsumGraph,
    scope: Scope,
    mesh: &MeshShape,
    objective: &Objective<'_>,
) -> Result<(), TestCaseError> {
    let (weights, budget) = match *objective {
        Objective::Memory => (NOTHING, None),
        Objective::Time { weights, budget, .. } => (weights, budget),
    };
    let all = layouts(spec, mesh).into_iter().map(|l| goals(spec, scope, mesh, &l, weights));
    let fits = |v: &[f64; 3]| budget.is_none_or(|b| v[1] <= b.get());
    let expected = best(all.filter(fits).collect());
    match (search(spec, scope, mesh, objective), expected) {
        (Ok(found), Some(expected)) => {
            let value = goals(spec, scope, mesh, &found.layout, weights);
            prop_assert!(same(value, expected), "{found}: {value:?}, best is {expected:?}");
            prop_assert_eq!(found.status, Status::Optimal);
            prop_assert_eq!(found.peak_memory.get(), value[1]);
        }
        (Err(LayoutError::OverBudget { .. }), None) => {}
        (found, expected) => prop_assert!(false, "{found:?}, enumeration says {expected:?}"),
    }
    Ok(())
}

fn scopes() -> impl Strategy<Value = Scope> {
    let training =
        any::<bool>().prop_map(|g| Scope::Training { precision: PLAIN, input_gradients: g });
    prop_oneof![Just(FORWARD), training]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn least_memory_is_the_enumerated_least(
        spec in random_graph(), scope in scopes(), mesh in random_mesh(),
    ) {
        check(&spec, scope, &mesh, &Objective::Memory)?;
        let objective = Objective::Time { prices: &alpha_beta, weights: NOTHING, budget: None };
        let memory = search(&spec, scope, &mesh, &Objective::Memory).unwrap();
        let time = search(&spec, scope, &mesh, &objective).unwrap();
        prop_assert_eq!(memory.layout, time.layout);
    }

    /// The budget lies between the least and the whole memory, or a little below the least.
    #[test]
    fn least_time_is_the_enumerated_least(
        spec in random_graph(), scope in scopes(), mesh in random_mesh(),
        share in prop::option::of(-0.1f64..1.0), compute in 0.1f64..2.0,
    ) {
        let whole = evaluate(&spec, scope, &mesh, &BTreeMap::new(), None).unwrap().peak_memory;
        let least = search(&spec, scope, &mesh, &Objective::Memory).unwrap().peak_memory;
        let budget = share.map(|s| least + (whole - least) * s - Bytes::new((s < 0.0).into()));
        let weights = Weights { compute, communication: 1.0 };
        let objective = Objective::Time { prices: &alpha_beta, weights, budget };
        check(&spec, scope, &mesh, &objective)?;
    }
}
