use super::*;
use crate::fixtures;
use plan::Dtype;
use plan::units::Bytes;
use plan::work::{Gemm, Group, Scan, Send};

/// Every file with tests of this crate.
const SOURCES: &[&str] = &[
    include_str!("../attention/tests.rs"),
    include_str!("../collective/tests.rs"),
    include_str!("../corpus/tests.rs"),
    include_str!("../exchange/tests.rs"),
    include_str!("../gemm/tests.rs"),
    include_str!("../host.rs"),
    include_str!("../memory.rs"),
    include_str!("../optimizer.rs"),
    include_str!("../overlap.rs"),
    include_str!("../pointwise.rs"),
    include_str!("../recurrent/tests.rs"),
    include_str!("../send.rs"),
    include_str!("../training/allocation.rs"),
    include_str!("../training/critical.rs"),
    include_str!("../training/energy.rs"),
    include_str!("../training/goodput.rs"),
];

#[test]
fn ids_are_unique_and_sorted() {
    assert!(ALL.windows(2).all(|pair| pair[0].id < pair[1].id));
    for formula in ALL {
        assert_eq!(find(formula.id), Some(formula));
    }
    assert_eq!(find("gemm"), None);
}

#[test]
fn every_formula_names_a_test_that_exists() {
    for formula in ALL {
        let signature = format!("fn {}()", formula.test);
        let count = SOURCES.iter().filter(|text| text.contains(&signature)).count();
        assert_eq!(count, 1, "{} names {}", formula.id, formula.test);
    }
}

#[test]
fn every_formula_is_complete() {
    for formula in ALL {
        for text in [formula.title, formula.equation, formula.letters, formula.source] {
            assert!(!text.is_empty() && !text.contains("  "), "{}: {text:?}", formula.id);
        }
        assert!(!formula.equation.contains('\n'), "{}", formula.id);
    }
}

#[test]
fn every_kind_of_work_has_a_formula() {
    let collective = |op, nodes| {
        let group = Group { size: 8 * nodes, nodes };
        Work::Collective(Collective { op, bytes: Bytes::new(1.0), group })
    };
    let gemm = Gemm { batch: 1, m: 1, n: 1, k: 1, dtype: Dtype::Bf16 };
    let items = [
        Work::Gemm(gemm),
        Work::Scan(Scan { steps: 1, body: vec![] }),
        Work::Send(Send { bytes: Bytes::new(1.0), crosses_nodes: true }),
        Work::HostCopy(Bytes::new(1.0)),
        Work::Traffic(Bytes::new(1.0)),
        collective(CollectiveOp::AllReduce, 1),
        collective(CollectiveOp::AllGather, 1),
        collective(CollectiveOp::ReduceScatter, 2),
        collective(CollectiveOp::AllToAll, 2),
    ];
    let profile = fixtures::a100();
    for item in items {
        assert!(find(id_of(&item, &profile)).is_some(), "{item:?}");
    }
}

/// Few bytes over many nodes make a tree, many over a few a ring, and two nodes a tree again.
#[test]
fn the_formula_is_the_one_that_was_used() {
    let reduce = |bytes, nodes| {
        let (op, group) = (CollectiveOp::AllReduce, Group { size: 8 * nodes, nodes });
        Work::Collective(Collective { op, bytes: Bytes::new(bytes), group })
    };
    let profile = fixtures::a100();
    assert_eq!(id_of(&reduce(1e3, 64), &profile), "comm.tree");
    assert_eq!(id_of(&reduce(1e10, 4), &profile), "comm.ring");
    assert_eq!(id_of(&reduce(1e10, 2), &profile), "comm.tree");
    assert_eq!(id_of(&reduce(1e10, 1), &profile), "comm.all_reduce.node");
    let gemm = Work::Gemm(Gemm { batch: 1, m: 1, n: 1, k: 1, dtype: Dtype::Fp16 });
    assert_eq!(id_of(&gemm, &fixtures::v100("roofline")), "gemm.roofline");
}
