use super::*;
use crate::fixtures;

fn attention(head_dim: u64, heads: u64, batch: u64, kernel: AttentionKernel) -> Attention {
    Attention {
        batch,
        heads,
        queries: 2048,
        keys: 2048,
        head_dim,
        value_dim: head_dim,
        causal: true,
        dropout: false,
        kernel,
        dtype: Dtype::Bf16,
        pass: Pass::Forward,
    }
}

/// 8 sequences of 27 heads: 16·216 tiles = 32 waves of 108, nobody idle. Forward
/// ½·4·216·2048²·128 FLOPs at 0.6·2048/2348·312 TFLOP/s and two gaps; backward 2.5 times the
/// FLOPs at 0.52 and three gaps.
#[test]
fn flash_attention_by_hand() {
    let profile = fixtures::a100();
    let mut item = attention(128, 27, 8, AttentionKernel::Flash2);
    assert_eq!(occupancy(&item, &profile), 1.0);
    let work = 2.0 * 216.0 * 2048.0 * 2048.0 * 128.0;
    let speed = 2048.0 / 2348.0 * 312e12;
    let close = |time: f64, by_hand: f64| {
        assert!((time / by_hand - 1.0).abs() < 1e-12, "{time} against {by_hand}");
    };
    close(price(&item, &profile).value.get(), work / (0.6 * speed) + 4e-6);
    item.pass = Pass::Backward;
    close(price(&item, &profile).value.get(), 2.5 * work / (0.52 * speed) + 6e-6);
    (item.head_dim, item.value_dim) = (64, 64);
    close(price(&item, &profile).value.get(), 2.5 * work / 2.0 / (0.52 * 0.85 * speed) + 6e-6);
}

/// µs, forward and backward, from a second, independent implementation of the same formulas.
#[test]
fn unfused_attention_matches_an_independent_program() {
    let cases = [
        (96, 12, 1, true, 466.407_023_444_552_9, 674.709_139_639_300_6),
        (128, 8, 4, false, 778.170_804_671_322_9, 1_358.737_870_485_651_5),
    ];
    let profile = fixtures::a100();
    for (head_dim, heads, batch, dropout, forward, backward) in cases {
        let mut item = attention(head_dim, heads, batch, AttentionKernel::Unfused);
        item.dropout = dropout;
        let time = price(&item, &profile).value.get() * 1e6;
        assert!((time / forward - 1.0).abs() < 1e-9, "{time} against {forward}");
        item.pass = Pass::Backward;
        let time = price(&item, &profile).value.get() * 1e6;
        assert!((time / backward - 1.0).abs() < 1e-9, "{time} against {backward}");
    }
}

/// A head width of 108 runs at 0.032 · 312 = 10 TFLOP/s, far below 112.
#[test]
fn head_widths_off_the_grid_are_a_cliff() {
    let profile = fixtures::a100();
    let off = price(&attention(108, 16, 1, AttentionKernel::Unfused), &profile).value;
    let on = price(&attention(112, 16, 1, AttentionKernel::Unfused), &profile).value;
    assert!(off / on > 4.0, "{}", off / on);
}

/// Published on A100 at 4,096 positions: 4, 8, 16, 32, 64 heads reach 0.26, 0.39, 0.50, 0.56,
/// 0.59 of the peak. Waves alone explain them within a third at four heads, a tenth from 16 up.
#[test]
fn few_heads_leave_processors_idle() {
    let profile = fixtures::a100();
    let fraction = |heads| {
        let item = Attention {
            queries: 4096,
            keys: 4096,
            ..attention(128, heads, 1, AttentionKernel::Flash2)
        };
        let time = price(&item, &profile).value.get();
        flops::needed_attention(&item).get() / time / 312e12
    };
    assert!((fraction(4) / 0.26 - 1.0).abs() < 0.34, "{}", fraction(4));
    for (heads, published) in [(16, 0.50), (32, 0.56), (64, 0.59)] {
        let error = fraction(heads) / published - 1.0;
        assert!(error.abs() < 0.10, "{heads} heads: {}", fraction(heads));
    }
}

/// B200 under the shipped stack: 128 tiles at half speed with 500.
#[test]
fn some_kernels_fill_a_device_slowly() {
    let mut device = fixtures::a100_device();
    device.name = "b200-sxm-180gb".into();
    let group = fixtures::group(device.clone(), fixtures::saturating(1.0, 1.0, 1.0), 1e9, 1e9);
    let profile = Profile::new(&device, &group, &fixtures::stack()).unwrap();
    let item = attention(128, 8, 1, AttentionKernel::Flash2);
    assert!((occupancy(&item, &profile) - 128.0 / 628.0).abs() < 1e-12);
}
