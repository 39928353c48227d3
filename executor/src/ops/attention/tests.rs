use super::*;
use crate::ops::check::{compare, numbers, weigh};

fn sizes(s: &Shape) -> [usize; 6] {
    let (q, kv) = (s.heads * s.head_dim, s.kv_heads * s.head_dim);
    let (queries, keys) = (s.batch * s.queries, s.batch * s.keys);
    [queries * q, keys * kv, keys * kv, s.keys * q, q, q]
}

fn parts<'a>(s: &Shape, values: &'a [f64]) -> Vec<&'a [f64]> {
    let mut rest = values;
    let cut = |n| {
        let (part, tail) = rest.split_at(n);
        rest = tail;
        part
    };
    sizes(s).map(cut).to_vec()
}

fn operands<'a>(s: &Shape, p: &[&'a [f64]], relative: bool) -> Operands<'a, f64> {
    let (q, kv) = (s.heads * s.head_dim, s.kv_heads * s.head_dim);
    Operands {
        q: View::new(p[0], s.batch * s.queries, q),
        k: View::new(p[1], s.batch * s.keys, kv),
        v: View::new(p[2], s.batch * s.keys, kv),
        relative: relative.then(|| Relative {
            distances: View::new(p[3], s.keys, q),
            content: p[4],
            position: p[5],
        }),
    }
}

fn check(s: Shape, relative: bool) {
    let values = numbers(sizes(&s).iter().sum(), 2);
    let p = parts(&s, &values);
    let x = operands(&s, &p, relative);
    let (out, sums) = forward(&s, &x);
    let dout = Matrix::from_vec(out.rows(), out.cols(), numbers(out.data().len(), 6));
    let mut g: Vec<Vec<f64>> = sizes(&s).iter().map(|&n| vec![0.0; n]).collect();
    {
        let (q, kv) = (s.heads * s.head_dim, s.kv_heads * s.head_dim);
        let [dq, dk, dv, dr, du, dw] = &mut g[..] else { panic!("six parts") };
        let gradients = Gradients {
            q: ViewMut::new(dq, s.batch * s.queries, q),
            k: ViewMut::new(dk, s.batch * s.keys, kv),
            v: ViewMut::new(dv, s.batch * s.keys, kv),
            relative: relative.then_some((ViewMut::new(dr, s.keys, q), &mut du[..], &mut dw[..])),
        };
        backward(&s, &x, (&out, &sums), &dout, gradients);
    }
    compare(&values, &g.concat(), |v| {
        weigh(forward(&s, &operands(&s, &parts(&s, v), relative)).0.data(), 6)
    });
}

const SMALL: Shape =
    Shape { batch: 2, queries: 3, keys: 3, heads: 2, kv_heads: 2, head_dim: 2, is_causal: true };

#[test]
fn causal_gradients_are_central_differences() {
    check(SMALL, false);
}

#[test]
fn shared_key_heads_add_their_gradients() {
    check(Shape { kv_heads: 1, ..SMALL }, false);
}

#[test]
fn both_directions() {
    check(Shape { is_causal: false, keys: 4, ..SMALL }, false);
}

#[test]
fn cached_keys_and_relative_positions() {
    check(Shape { keys: 5, ..SMALL }, true);
}

/// More queries than a block holds: the same outputs as with every query on its own.
#[test]
fn blocks_join() {
    let s = Shape { batch: 1, queries: 70, keys: 70, heads: 1, kv_heads: 1, ..SMALL };
    let values = numbers(sizes(&s).iter().sum(), 2);
    let x = operands(&s, &parts(&s, &values), false);
    let (out, _) = forward(&s, &x);
    for i in [0, 63, 64, 69] {
        let seen: Vec<f64> = (0..=i).map(|j| dot(x.q.row(i), x.k.row(j)) / 2f64.sqrt()).collect();
        let total: f64 = seen.iter().map(|s| s.exp()).sum();
        let mean = |c: usize| {
            seen.iter().enumerate().map(|(j, s)| s.exp() / total * x.v.row(j)[c]).sum::<f64>()
        };
        assert!((0..2).all(|c| (out.row(i)[c] - mean(c)).abs() < 1e-12), "query {i}");
    }
}
