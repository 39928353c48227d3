//! A whole transformer, to see that the layout which people found by hand is found.

use super::super::*;
use super::support::*;
use plan::units::{BytesPerSecond, FlopsPerSecond, Seconds};
use plan::work::Work;

/// Parameters and products of one layer; `key` is `seq` as the other side of attention sees it.
const PARAMETERS: [(&str, &str); 6] = [
    ("wq", "model heads kv"),
    ("wk", "model heads kv"),
    ("wv", "model heads kv"),
    ("wo", "heads kv model"),
    ("up", "model ff"),
    ("down", "ff model"),
];
const PRODUCTS: [(&str, &str, &str); 11] = [
    ("q", "batch seq heads kv", "x wq"),
    ("memory", "batch key model", "x"),
    ("k", "batch key heads kv", "memory wk"),
    ("v", "batch key heads kv", "memory wv"),
    ("score", "batch heads seq key", "q k"),
    ("weight", "batch heads seq key", "score"),
    ("context", "batch seq heads kv", "weight v"),
    ("attended", "batch seq model", "context wo"),
    ("inner", "batch seq ff", "attended up"),
    ("active", "batch seq ff", "inner"),
    ("y", "batch seq model", "active down"),
];

fn transformer() -> EinsumGraph {
    let dims = "batch:256 seq:2048 key:2048 model:4096 heads:32 kv:128 ff:16384 vocab:32768";
    let mut spec = graph(dims).input("x", "batch seq model");
    for (name, dims) in PARAMETERS {
        spec = spec.parameter(name, dims);
    }
    for (output, dims, operands) in PRODUCTS {
        spec = spec.op(output, dims, operands);
    }
    spec.parameter("embedding", "model vocab").op("logits", "batch seq vocab", "y embedding")
}

/// Round numbers of the order of a current GPU with a fast network inside the node only.
fn prices(work: &Work) -> Seconds {
    match work {
        Work::Gemm(g) => g.flops() / FlopsPerSecond::new(3e14),
        Work::Traffic(bytes) => *bytes / BytesPerSecond::new(2e12),
        Work::Collective(c) => {
            let g = f64::from(c.group.size);
            let rate = BytesPerSecond::new(if c.group.nodes > 1 { 2.5e10 } else { 3e11 });
            c.bytes * (2.0 * (g - 1.0) / g) / rate + Seconds::new(5e-6)
        }
        other => panic!("nobody prices {other:?}"),
    }
}

/// Mesh-TensorFlow's own layout of the Transformer on a 2-D mesh, "batch:rows;vocab:cols;
/// d_ff:cols;heads:cols" (Shazeer et al. 2018), which is also Megatron-LM's tensor parallelism
/// (Shoeybi et al. 2019), with the columns inside the node.
#[test]
fn the_layout_known_from_the_literature_is_the_fastest() {
    let scope = Scope::Training { precision: PLAIN, input_gradients: true };
    let mesh = mesh("rows:8 cols:8").with_ranks_per_node(8).unwrap();
    let objective = Objective::Time { prices: &prices, weights: Weights::PLAIN, budget: None };
    let best = search(&transformer(), scope, &mesh, &objective).unwrap();
    assert_eq!(best.to_string(), "batch:rows;ff:cols;heads:cols;vocab:cols");
    assert_eq!(best.status, Status::Optimal);
}
