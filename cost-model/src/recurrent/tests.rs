use super::*;
use crate::fixtures;
use plan::Dtype;

fn product(m: u64, n: u64, k: u64) -> Gemm {
    Gemm { batch: 1, m, n, k, dtype: Dtype::Fp16 }
}

/// mLSTM-4096 on V100: forward products of 256 steps at 256 sequences take 0.12278 s by a second,
/// independent implementation of the product law; the scan adds 256 · 28.8 µs of the device and
/// 256 · 50 µs of a host that asks the device in every step.
#[test]
fn a_scan_pays_overhead_and_body_once_per_step() {
    let body = vec![Work::Gemm(product(256, 16_384, 4096)), Work::Gemm(product(256, 4096, 4096))];
    let item = Scan { steps: 256, body };
    let time = scan(&item, &fixtures::v100("pytorch-rnn-unrolled")).value.get();
    let by_hand = 0.122_777_991_290_916_1 + 256.0 * (28.8e-6 + 50e-6);
    assert!((time / by_hand - 1.0).abs() < 1e-9, "{time} against {by_hand}");
}

/// One sequence: the weights bind. 5·4096² weights of 2 B at 0.66 · 0.9 TB/s are 0.28244 ms per
/// step.
#[test]
fn weights_are_read_again_in_each_step() {
    let body = vec![Work::Gemm(product(1, 16_384, 4096)), Work::Gemm(product(1, 4096, 4096))];
    let item = Scan { steps: 1, body };
    let time = scan(&item, &fixtures::v100("cudnn-rnn")).value.get();
    let floor: f64 = 5.0 * 4096.0 * 4096.0 * 2.0 / (0.66 * 0.9e12);
    assert!((floor - 0.282_44e-3).abs() < 1e-8, "{floor}");
    assert!((time - floor - 28.8e-6 - 4e-6).abs() < 1e-12, "{time} against {floor}");
}

/// Unrolled: 256 products and three passes over 2·4·4096² bytes at 0.56 · 0.8 · 0.9 TB/s each; the
/// independent program gives 0.13295 s for the products of all five matrices.
#[test]
fn unrolled_gradients_pay_for_accumulation() {
    let profile = fixtures::v100("pytorch-rnn-unrolled");
    let of = |m| {
        let step = product(m, 4096, 256);
        let gradient = RecurrentWeightGradient { steps: 256, step };
        weight_gradient(&gradient, &profile).value.get()
    };
    let accumulate = 256.0 * 3.0 * 5.0 * 4096.0 * 4096.0 * 2.0 / (0.56 * 0.8 * 0.9e12);
    let by_hand = 0.132_952_019_679_186_77 + accumulate;
    let time = of(16_384) + of(4096);
    assert!((time / by_hand - 1.0).abs() < 1e-9, "{time} against {by_hand}");
    let batched = RecurrentWeightGradient { steps: 256, step: product(16_384, 4096, 256) };
    let batched = weight_gradient(&batched, &fixtures::v100("cudnn-rnn")).value.get();
    assert!(batched < of(16_384) / 1.5, "{batched} against {}", of(16_384));
}
