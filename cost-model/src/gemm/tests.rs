use super::*;
use crate::fixtures;
use crate::profile::Profile;
use proptest::prelude::*;
use std::sync::LazyLock;

fn gemm(batch: u64, m: u64, n: u64, k: u64, dtype: Dtype) -> Gemm {
    Gemm { batch, m, n, k, dtype }
}

fn microseconds(gemm: &Gemm, profile: &Profile) -> f64 {
    price(gemm, profile).value.get() * 1e6
}

/// Times in µs from a second, independent implementation of the same formulas (a Python program
/// with its own tile loop), with the constants of the fixtures. Batch, m, n, k.
const SHAPES: [(u64, u64, u64, u64); 9] = [
    (1, 4096, 4096, 4096),
    (1, 8192, 12288, 1536),
    (96, 2048, 2048, 128),
    (1, 256, 16384, 4096),
    (1, 16, 4096, 4096),
    (1, 100, 333, 777),
    (1, 50000, 1000, 2002),
    (1, 1, 1, 1),
    (1, 64, 64, 65536),
];
const A100: [f64; 9] = [
    590.020_040_736_327_4,
    1_308.198_457_471_943,
    603.769_763_081_903_1,
    154.716_684_578_034_7,
    22.225_466_811_803_97,
    3.948_989_353_490_44,
    1_346.201_132_041_363,
    2.137_713_020_186_75,
    12.196_026_268_256_798,
];
const V100: [f64; 9] = [
    1_398.711_505_126_061_6,
    3_093.965_369_754_501_4,
    1_431.263_443_038_731_3,
    376.893_152_950_696_1,
    48.967_466_666_666_67,
    5.432_816_098_678_414,
    3_170.581_946_660_521,
    2.242_558_263_259_912,
    25.677_155_555_555_558,
];
/// The first five only: the independent program aligns 8-bit products to 8 elements, we to 16.
const H100_FP8: [f64; 5] = [
    113.379_812_995_098_23,
    256.007_959_636_712_66,
    166.901_649_799_781_55,
    29.844_953_248_774_56,
    8.155_183_108_846_014,
];

fn compare(expected: &[f64], dtype: Dtype, profile: &Profile) {
    for (&(batch, m, n, k), expected) in SHAPES.iter().zip(expected) {
        let time = microseconds(&gemm(batch, m, n, k, dtype), profile);
        let error = (time / expected - 1.0).abs();
        assert!(error < 1e-9, "{batch}×{m}×{n}×{k} {dtype}: {time} against {expected}");
    }
}

#[test]
fn gemm_matches_an_independent_program() {
    compare(&A100, Dtype::Bf16, &fixtures::a100());
    compare(&V100, Dtype::Fp16, &fixtures::v100("megatron-2022"));
    compare(&H100_FP8, Dtype::Fp8, &fixtures::h100());
}

/// One 256 × 128 tile per result of that size, on one of 108 multiprocessors:
/// 2·256·128·(1024 + 58)·(1 + 64·0.106·(1/256 + 1/128)) / (0.865·312e12/108) = 30.6315 µs.
/// Two of k = 512 each cost (512 + 58)/(1024 + 58) of it, so the split is chosen, and smaller
/// tiles too: only the unsplit large tile is checked here.
#[test]
fn one_tile_by_hand() {
    let profile = fixtures::a100();
    let product = gemm(1, 256, 128, 1024, Dtype::Bf16);
    let rate = 312e12 * 0.865;
    let one = Options::new(&product, &profile, rate).candidate((256, 128), 1);
    let by_hand =
        65_536.0 * 1_082.0 * (1.0 + 6.784 * (1.0 / 256.0 + 1.0 / 128.0)) / (0.865 * 312e12 / 108.0);
    assert_eq!(one.waves, 1.0);
    assert!((one.compute / by_hand - 1.0).abs() < 1e-12, "{} against {by_hand}", one.compute);
}

/// 10,922 is even, 10,944 a multiple of 64: published 272.7 against 398 TFLOP/s, a ratio of 0.685.
#[test]
fn misaligned_extents_are_slower() {
    let profile = fixtures::h100();
    let rate = |width| {
        let product = gemm(1, 32_768, width, 4096, Dtype::Bf16);
        product.flops().get() / price(&product, &profile).value.get()
    };
    let ratio = rate(10_922) / rate(10_944);
    assert!((0.60..0.72).contains(&ratio), "{ratio}");
    assert_eq!(alignment(&gemm(1, 7, 8, 7, Dtype::Bf16)), 0.5);
    assert_eq!(alignment(&gemm(1, 7, 8, 8, Dtype::Fp8)), 0.65);
    assert_eq!(alignment(&gemm(1, 7, 7, 7, Dtype::Fp32)), 1.0);
}

/// The largest products of the table that EleutherAI/cookbook@827ee3b measured on A100: 8192 tokens
/// by widths from 4096 to 51200 run at 235–255 TFLOP/s; the law must stay within 7 %.
#[test]
fn large_products_reach_the_published_rate() {
    let profile = fixtures::a100();
    for width in [4096, 12_288, 16_384, 51_200] {
        let product = gemm(1, 8192, width, 12_288, Dtype::Fp16);
        let rate = product.flops().get() / price(&product, &profile).value.get() / 1e12;
        assert!((235.0 * 0.93..255.0 * 1.07).contains(&rate), "{width}: {rate} TFLOP/s");
    }
}

/// 2·512³ FLOPs at 0.8 of 15.67 TFLOP/s against 3·512²·4 B at 0.7 of 898 GB/s.
#[test]
fn the_roofline_knows_two_roofs_only() {
    let (mut device, group) = fixtures::v100_parts();
    device.peak = [(Dtype::Fp32, fixtures::of(plan::units::FlopsPerSecond::new(15.67e12)))].into();
    device.memory_bandwidth = fixtures::of(plan::units::BytesPerSecond::new(898e9));
    let profile = Profile::new(&device, &group, &fixtures::shipped("roofline")).unwrap();
    let time = price(&gemm(1, 512, 512, 512, Dtype::Fp32), &profile).value.get();
    let by_hand = f64::max(2.0 * 512f64.powi(3) / (0.8 * 15.67e12), 3_145_728.0 / (0.7 * 898e9));
    assert!((time / by_hand - 1.0).abs() < 1e-12, "{time} against {by_hand}");
}

/// 10 × 20 × 100 on one core: blocks of 8 make it 16 × 24; with c = 1/64 and k₀ = 4 that is
/// 2·104·(384 + 40) = 88,192 FLOPs at 0.5·100 GFLOP/s: 1.76384 µs.
#[test]
fn blocks_by_hand() {
    let mut profile = fixtures::a100();
    let i = dtype_index(Dtype::Fp16);
    profile.gemm.blocks = true;
    profile.gemm.tile_penalty[i] = 1.0 / 64.0;
    profile.gemm.prologue[i] = 4.0;
    profile.gemm.efficiency[i].value = 0.5;
    profile.peaks[i].as_mut().unwrap().value = 100e9;
    let product = Gemm { batch: 1, m: 10, n: 20, k: 100, dtype: Dtype::Fp16 };
    let cost = cost(&product, &profile).unwrap();
    assert!((cost.busy().get() - 1.763_84e-6).abs() < 1e-15, "{cost:?}");
    assert_eq!(cost.tile, None);
}

#[test]
fn empty_products_are_free() {
    assert_eq!(microseconds(&gemm(1, 0, 8, 8, Dtype::Bf16), &fixtures::a100()), 0.0);
}

static PROFILE: LazyLock<Profile> = LazyLock::new(fixtures::a100);

proptest! {
    /// Padding an extent to the next multiple of 64 may pay off, so only multiples of 256 are
    /// compared: there, twice the contracted dimension never takes less time.
    #[test]
    fn deeper_products_take_longer(m in 1u64..64, n in 1u64..64, k in 1u64..64) {
        let time = |k| microseconds(&gemm(1, 256 * m, 256 * n, 256 * k, Dtype::Bf16), &PROFILE);
        prop_assert!(time(2 * k) > time(k));
    }
}
