//! The layouts of the two-layer feed-forward network in Mesh-TensorFlow's paper (Shazeer et al.
//! 2018, "Mesh-TensorFlow: Deep Learning for Supercomputers"): `y = relu(x·w)·v` in training,
//! with `x[b, io]` and the hidden dimension `h`. The paper drops constants; here they are derived.

use super::super::*;
use super::support::*;
use plan::units::{BytesPerSecond, FlopsPerSecond, Seconds};
use plan::work::{CollectiveOp, Work};

const B: u64 = 1 << 10;
const IO: u64 = 1 << 6;
const H: u64 = 1 << 8;

/// Forward, then the gradients of both operands of both products; `x` comes from a layer before.
const TRAINING: Scope = Scope::Training { precision: PLAIN, input_gradients: true };

fn feed_forward(b: u64, io: u64, h: u64) -> EinsumGraph {
    graph(&format!("b:{b} io:{io} h:{h}"))
        .input("x", "b io")
        .parameter("w", "io h")
        .parameter("v", "h io")
        .op("p", "b h", "x w")
        .op("a", "b h", "p")
        .op("y", "b io", "a v")
}

/// Elements that are all-reduced over more than one rank, and elements of `x`, `p`, `w`.
struct Row {
    flops: f64,
    communicated: u64,
    memory: u64,
}

fn row(axes: &str, text: &str) -> Row {
    let graph = feed_forward(B, IO, H);
    let cost = evaluate(&graph, TRAINING, &mesh(axes), &layout(text), None).unwrap();
    let elements = |bytes: Bytes| (bytes.get() / 4.0) as u64;
    assert!(cost.communication.iter().all(|c| c.collective.op == CollectiveOp::AllReduce));
    Row {
        flops: cost.flops.get(),
        communicated: cost.communication.iter().map(|c| elements(c.collective.bytes)).sum(),
        memory: ["x", "p", "w"].iter().map(|t| elements(cost.tensors[*t])).sum(),
    }
}

/// Each of the six products (`p`, `y` and two gradients of each) takes `2·b·io·h` FLOP, and each
/// of the paper's communication terms occurs twice: `y` and `∂x` are partial where `h` is split,
/// `p` and `∂a` where `io` is, `∂w` and `∂v` where `b` is.
fn check(axes: &str, text: &str, n: u64, communicated: u64, memory: u64) {
    let row = row(axes, text);
    assert_eq!(row.flops, (6 * 2 * B * IO * H / n) as f64, "compute of {text:?}");
    assert_eq!(row.communicated, 2 * communicated, "communication of {text:?}");
    assert_eq!(row.memory, memory, "memory of {text:?}");
}

#[test]
fn the_six_layouts_cost_what_the_paper_says() {
    let (r, c) = (4, 2);
    let n = r * c;
    check("all:8", "", 1, 0, B * IO + B * H + IO * H);
    check("all:8", "b:all", n, IO * H, B * IO / n + B * H / n + IO * H);
    check("all:8", "h:all", n, B * IO, B * IO + B * H / n + IO * H / n);
    let mesh = "rows:4 cols:2";
    let memory = B * IO / r + B * H / n + IO * H / c;
    check(mesh, "b:rows;h:cols", n, B * IO / r + IO * H / c, memory);
    let memory = B * IO / n + B * H / r + IO * H / c;
    check(mesh, "b:rows;io:cols", n, B * H / r + IO * H / c, memory);
    let memory = B * IO / c + B * H / r + IO * H / n;
    check(mesh, "h:rows;io:cols", n, B * H / r + B * IO / c, memory);
}

/// The paper's ratio of communication to computation, per element and multiplication, with the
/// constants here: 2 elements where it counts one, 6 products where it counts one.
#[test]
fn communication_over_computation_is_the_papers() {
    let ratio = |axes, text| {
        let row = row(axes, text);
        (row.communicated as f64 / 2.0) / (row.flops / 12.0)
    };
    let (n, b, h, io) = (8.0, B as f64, H as f64, IO as f64);
    assert_eq!(ratio("all:8", "b:all"), n / b);
    assert_eq!(ratio("all:8", "h:all"), n / h);
    assert_eq!(ratio("rows:4 cols:2", "b:rows;h:cols"), 2.0 / h + 4.0 / b);
    assert_eq!(ratio("rows:4 cols:2", "b:rows;io:cols"), 2.0 / io + 4.0 / b);
    assert_eq!(ratio("rows:4 cols:2", "h:rows;io:cols"), 2.0 / io + 4.0 / h);
}

/// Ring all-reduce at 1 GB/s without latency, and products at 1 GFLOP/s: so slow that leaving a
/// rank idle costs more than any exchange, so that the exchange alone decides between layouts
/// that use all ranks.
fn bandwidth_only(work: &Work) -> Seconds {
    match work {
        Work::Collective(c) => {
            let g = f64::from(c.group.size);
            c.bytes * (2.0 * (g - 1.0) / g) / BytesPerSecond::new(1e9)
        }
        Work::Gemm(g) => g.flops() / FlopsPerSecond::new(1e9),
        _ => Seconds::ZERO,
    }
}

/// The ranks along the axis that holds `b` in the fastest layout over at most two axes.
fn fastest_rows(n: u32, b: u64, h: u64) -> u32 {
    let spec = feed_forward(b, 64, h);
    let space = MeshSpace { ranks: n, max_axes: Some(2), ranks_per_node: n };
    let prices = &bandwidth_only;
    let objective = Objective::Time { prices, weights: Weights::PLAIN, budget: None };
    let best = search_meshes(&spec, TRAINING, &space, &objective).unwrap();
    let split: Vec<&str> = best.layout.keys().map(String::as_str).collect();
    assert_eq!(split, ["b", "h"], "n {n}, b {b}, h {h}");
    best.mesh.axes().iter().find(|a| a.name == best.layout["b"]).unwrap().size
}

/// With `b` over `r` rows and `h` over `c = n/r` columns the exchange is
/// `2·io·(b/r + h·r/n) + constant`, least at `r = √(n·b/h)`, and among powers of two at the one
/// whose logarithm is nearest, as the sum is symmetric in it. Splitting the smallest dimension
/// `io` instead would cost more.
#[test]
fn the_mesh_nearest_to_the_optimum_is_found() {
    assert_eq!(fastest_rows(64, 4096, 1024), 16); // √(64·4) = 16
    assert_eq!(fastest_rows(64, 3072, 1024), 16); // √(64·3) = 13.9: 192 + 256 < 384 + 128
    assert_eq!(fastest_rows(64, 2048, 2048), 8); // √64
    assert_eq!(fastest_rows(64, 1024, 4096), 4); // √(64/4)
    assert_eq!(fastest_rows(64, 1280, 1024), 8); // √(64·1.25) = 8.9: 160 + 128 < 80 + 256
    assert_eq!(fastest_rows(16, 1024, 1024), 4); // √16
}

/// α–β prices by hand on `b:rows;h:cols`, 4×2: compute at 1 TFLOP/s, memory at infinite
/// bandwidth; four all-reduces: `y`, `∂x` of 1024/4·64 elements over 2 columns, `∂w`, `∂v` of
/// 64·256/2 over 4 rows, each `2·(g−1)·1 µs + 2·(g−1)/g·bytes / 1 GB/s`.
#[test]
fn time_is_the_sum_of_its_parts() {
    let prices = |work: &Work| match work {
        Work::Gemm(g) => g.flops() / FlopsPerSecond::new(1e12),
        Work::Collective(c) => {
            bandwidth_only(work) + Seconds::new(2e-6 * f64::from(c.group.size - 1))
        }
        _ => Seconds::ZERO,
    };
    let graph = feed_forward(B, IO, H);
    let text = layout("b:rows;h:cols");
    let shape = mesh("rows:4 cols:2");
    let cost = evaluate(&graph, TRAINING, &shape, &text, Some(&prices)).unwrap();
    let time = cost.time.unwrap();
    // 12·1024·64·256/8 FLOP = 25165824 FLOP at 1e12.
    assert!((time.compute.get() - 25.165824e-6).abs() < 1e-15);
    // 2·(2 µs + 65536 ns) + 2·(6 µs + 1.5·32768 ns)
    let expected = 2.0 * (2e-6 + 65.536e-6) + 2.0 * (6e-6 + 49.152e-6);
    assert!((time.communication.get() - expected).abs() < 1e-15);
    let reduced: Vec<(&str, &[String])> =
        cost.communication.iter().map(|c| (c.tensor.as_str(), c.axes.as_slice())).collect();
    let (rows, cols) = (["rows".to_owned()], ["cols".to_owned()]);
    let expected: [(&str, &[String]); 4] =
        [("y", &cols), ("grad(v)", &rows), ("grad(x)", &cols), ("grad(w)", &rows)];
    assert_eq!(reduced, expected);
}
