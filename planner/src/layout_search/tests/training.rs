//! Gradients, their memory, and what training keeps.

use super::super::*;
use super::support::*;
use plan::units::Seconds;
use plan::work::Work;

const MIXED: Precision = Precision {
    compute: Dtype::Bf16,
    weight_bytes: 2,
    gradient_bytes: 4,
    optimizer_bytes: 12,
    wire_bytes: 2,
};

fn training(input_gradients: bool) -> Scope {
    Scope::Training { precision: MIXED, input_gradients }
}

/// `y[b,o] = x[b,i]·w[i,o]` with b = 8, i = 4, o = 2. At the end of `∂w`: w with its states
/// 4·2·(2+12) = 112, x 8·4·2 = 64, ∂y 8·2·2 = 32, ∂w 4·2·4 = 32. While `∂y` is made, y (32) is
/// there instead of ∂w: 240 either way.
#[test]
fn parameters_keep_their_states_and_gradients() {
    let spec = graph("b:8 i:4 o:2").input("x", "b i").parameter("w", "i o").op("y", "b o", "x w");
    let cost = evaluate(&spec, training(false), &mesh("m:2"), &layout(""), None).unwrap();
    assert_eq!(cost.tensors["w"], Bytes::from_count(112));
    assert_eq!(cost.tensors["grad(w)"], Bytes::from_count(32));
    assert!(!cost.tensors.contains_key("grad(x)"), "x is data");
    assert_eq!(cost.peak_memory, Bytes::from_count(240));
    // Two products of 2·8·4·2 FLOP each.
    assert_eq!(cost.flops.get(), 256.0);
}

/// With the gradient of x the last product adds ∂x, 64: w 112, x or not, ∂y 32, ∂w 32, ∂x 64. If
/// `∂w` comes first (it frees x: 64 − 32 before −64), x is gone by then: 112 + 32 + 32 + 64 = 240.
#[test]
fn inputs_get_gradients_where_asked() {
    let spec = graph("b:8 i:4 o:2").input("x", "b i").parameter("w", "i o").op("y", "b o", "x w");
    let cost = evaluate(&spec, training(true), &mesh("m:2"), &layout(""), None).unwrap();
    assert_eq!(cost.tensors["grad(x)"], Bytes::from_count(64));
    assert_eq!(cost.peak_memory, Bytes::from_count(240));
    assert_eq!(cost.flops.get(), 384.0);
}

/// The gradient of a parameter crosses the wire in its own format: 4·2 elements of 2 bytes.
#[test]
fn gradients_are_reduced_over_the_batch() {
    let spec = graph("b:8 i:4 o:2").input("x", "b i").parameter("w", "i o").op("y", "b o", "x w");
    let cost = evaluate(&spec, training(true), &mesh("m:2"), &layout("b:m"), None).unwrap();
    let [only] = cost.communication.as_slice() else { panic!("{:?}", cost.communication) };
    assert_eq!(only.tensor, "grad(w)");
    assert_eq!(only.collective.bytes, Bytes::from_count(16));
    assert_eq!(only.collective.group.size, 2);
}

/// A weight that two products share gets two partial gradients, each reduced, and their sum.
#[test]
fn shared_tensors_sum_their_gradients() {
    let spec = graph("b:8 i:4")
        .input("x", "b i")
        .parameter("w", "i")
        .op("y", "b i", "x w")
        .op("z", "b i", "y w");
    let cost = evaluate(&spec, training(false), &mesh("m:2"), &layout("b:m"), None).unwrap();
    let reduced: Vec<&str> = cost.communication.iter().map(|c| c.tensor.as_str()).collect();
    assert_eq!(reduced, ["grad(w) part 0", "grad(w) part 1"]);
    assert!(cost.tensors.contains_key("grad(w)"));
}

/// A broadcast is a sum on the way back: `s[b]` spread over `c`, which is split.
#[test]
fn the_gradient_of_a_broadcast_is_reduced() {
    let spec = graph("b:8 c:4").parameter("s", "b").op("t", "b c", "s");
    let cost = evaluate(&spec, training(false), &mesh("m:2"), &layout("c:m"), None).unwrap();
    let reduced: Vec<&str> = cost.communication.iter().map(|c| c.tensor.as_str()).collect();
    assert_eq!(reduced, ["grad(s)"]);
}

/// Two dimensions that are summed over on two axes: one all-reduce over both.
#[test]
fn sums_over_two_axes_are_one_collective() {
    let spec = graph("a:4 b:4 c:3").input("x", "a b").input("y", "a b c").op("z", "c", "x y");
    let text = layout("a:m1;b:m2");
    let cost = evaluate(&spec, FORWARD, &mesh("m1:4 m2:2"), &text, None).unwrap();
    let [only] = cost.communication.as_slice() else { panic!("{:?}", cost.communication) };
    assert_eq!(only.axes, ["m1", "m2"]);
    assert_eq!(only.collective.group.size, 8);
    assert_eq!(only.collective.bytes, Bytes::from_count(12));
}

/// Attention scores: `bhqk` from `bhqd` and `bhkd`: batch b·h, m = q, n = k, contracted d.
#[test]
fn dimensions_become_extents_of_the_product() {
    let spec = graph("b:2 h:4 q:8 k:16 d:32").input("query", "b h q d").input("key", "b h k d").op(
        "score",
        "b h q k",
        "query key",
    );
    let asked = std::cell::RefCell::new(Vec::new());
    let prices = |work: &Work| {
        asked.borrow_mut().push(work.clone());
        Seconds::ZERO
    };
    let text = layout("h:m");
    evaluate(&spec, FORWARD, &mesh("m:2"), &text, Some(&prices)).unwrap();
    let gemm = plan::work::Gemm { batch: 4, m: 8, n: 16, k: 32, dtype: Dtype::Fp32 };
    assert!(asked.borrow().contains(&Work::Gemm(gemm)));
    // (2·2·8·32 + 2·2·16·32 + 2·2·8·16) elements of 4 bytes
    assert!(asked.borrow().contains(&Work::Traffic(Bytes::from_count(14336))));
}

/// A product takes as long as the slower of arithmetic and memory; what sums nothing has no
/// arithmetic worth naming.
#[test]
fn a_product_takes_the_longer_of_its_two_bounds() {
    let spec = graph("a:2 b:2").input("x", "a b").input("y", "b").op("z", "a", "x y");
    let outer = graph("a:2 b:2").input("x", "a").input("y", "b").op("z", "a b", "x y");
    let time = |spec, gemm, traffic| {
        let prices = |work: &Work| match work {
            Work::Gemm(_) => Seconds::new(gemm),
            _ => Seconds::new(traffic),
        };
        let cost = evaluate(spec, FORWARD, &mesh("m:2"), &layout(""), Some(&prices)).unwrap();
        cost.time.unwrap().total().get()
    };
    assert_eq!(time(&spec, 3.0, 2.0), 3.0);
    assert_eq!(time(&spec, 3.0, 5.0), 5.0);
    assert_eq!(time(&outer, 3.0, 2.0), 2.0);
}
