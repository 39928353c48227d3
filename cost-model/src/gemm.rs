//! Matrix products by tiles and waves.
//!
//! Letters: `b` batch, `m, n, k` extents, `Tm, Tn` tile, `s` split of `k`, `P` peak, `η` sustained
//! efficiency, `SM` multiprocessors, `c` tile penalty, `k₀` prologue, `W` memory bandwidth that
//! streaming kernels sustain.
//!
//! ```text
//! tiles = b·⌈m/Tm⌉·⌈n/Tn⌉·s
//! waves = ⌈tiles/SM⌉ if tiles/SM ≤ 8, else tiles/SM + ½
//! tile  = 2·Tm·Tn·(k/s + k₀)·(1 + 64c·(1/Tm + 1/Tn)) / (η·P/SM)
//! bytes = size·b·(mk + kn + mn) + [s > 1]·8·b·m·n·s
//! t     = gap + min over (Tm, Tn, s) of max(waves·tile, bytes/W) / alignment
//! ```
//!
//! Valid for dense products on processors that tile; a kernel library that picks bad kernels
//! (skinny products before 2018) is 2–4 times slower. Not modelled: operand layout (weight
//! gradients run 3–5 % slower on A100), power throttling within a kernel.
//!
//! Source: fitted to DeepBench's 160 training products on V100 (baidu-research/DeepBench,
//! `results/train`), half of them held out: 4.8 % above 20 GFLOP; the five constants are data of
//! the device.

use crate::constant::{term, unsupported};
use crate::profile::{GemmConstants, Profile, dtype_index};
use plan::units::Seconds;
use plan::work::Gemm;
use plan::{Dtype, Estimate, Grade};

/// Tiles that kernel libraries offer, rows by columns of the result.
pub const TILES: [(u32, u32); 11] = [
    (256, 128),
    (128, 256),
    (128, 128),
    (128, 64),
    (64, 128),
    (64, 64),
    (128, 32),
    (32, 128),
    (64, 32),
    (32, 64),
    (32, 32),
];

/// Splits of the contracted dimension.
pub const SPLITS: [u32; 5] = [1, 2, 4, 8, 16];

/// Least extent of `k` per split.
const SPLIT_LEAST: f64 = 512.0;

/// How a product runs and what it costs, for explanations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GemmCost {
    /// Tile, rows by columns; `None` under a roofline.
    pub tile: Option<(u32, u32)>,
    /// Split of the contracted dimension.
    pub split: u32,
    /// Waves of tiles over the multiprocessors.
    pub waves: f64,
    /// Time of the arithmetic.
    pub compute: Seconds,
    /// Time of the memory traffic.
    pub traffic: Seconds,
    /// Speed that is left by the alignment of the extents, at most 1.
    pub alignment: f64,
}

impl GemmCost {
    /// Time without the gap to the next kernel: `max(compute, traffic)/alignment`.
    #[must_use]
    pub fn busy(&self) -> Seconds {
        self.compute.max(self.traffic) / self.alignment
    }
}

/// The fastest way to compute a product, or `None` when the device has no peak for its format.
///
/// Formula and source: see the [module](self). Checked by `gemm_matches_an_independent_program`.
#[must_use]
pub fn cost(gemm: &Gemm, profile: &Profile) -> Option<GemmCost> {
    let index = dtype_index(gemm.dtype);
    let rate = profile.peaks[index]?.value * profile.gemm.efficiency[index].value;
    let alignment = match profile.gemm {
        GemmConstants { tiles: true, blocks: false, .. } => alignment(gemm),
        _ => 1.0,
    };
    let best = if profile.gemm.blocks {
        blocked(gemm, profile, rate)
    } else if profile.gemm.tiles {
        tiled(gemm, profile, rate)
    } else {
        Candidate {
            tile: None,
            split: 1,
            waves: 1.0,
            compute: gemm.flops().get() / rate,
            traffic: operand_bytes(gemm) / profile.stream.value,
        }
    };
    Some(GemmCost {
        tile: best.tile,
        split: best.split,
        waves: best.waves,
        compute: Seconds::new(best.compute),
        traffic: Seconds::new(best.traffic),
        alignment,
    })
}

/// Time of a product with its gap to the next kernel.
pub(crate) fn price(gemm: &Gemm, profile: &Profile) -> Estimate<Seconds> {
    match is_empty(gemm) {
        true => Estimate::exact(Seconds::ZERO),
        false => busy(gemm, profile) + gap(profile),
    }
}

fn is_empty(gemm: &Gemm) -> bool {
    gemm.batch.min(gemm.m).min(gemm.n).min(gemm.k) == 0
}

/// Time of a product without the gap.
pub(crate) fn busy(gemm: &Gemm, profile: &Profile) -> Estimate<Seconds> {
    if is_empty(gemm) {
        return Estimate::exact(Seconds::ZERO);
    }
    let Some(cost) = cost(gemm, profile) else { return unsupported() };
    let bound_by_compute = cost.compute >= cost.traffic;
    let spread = if bound_by_compute { profile.spread.gemm } else { profile.spread.memory };
    term(cost.busy().get(), spread, grade(gemm.dtype, profile))
}

/// The gap between two kernels.
pub(crate) fn gap(profile: &Profile) -> Estimate<Seconds> {
    term(profile.gap.value, profile.spread.latency, profile.gap.grade)
}

/// Speed that misaligned leading extents leave: rows must start on 16 bytes, or tensor cores load
/// them in pieces.
///
/// 1 when `n` and `k` are multiples of 16 bytes, 0.65 when they are even, 0.5 when one is odd;
/// 32-bit products do not care. Source: a feed-forward width of 10,922 against 10,944 on H100,
/// 272.7 against 398 TFLOP/s (stas00/ml-engineering@744d01e). Checked by
/// `misaligned_extents_are_slower`.
#[must_use]
pub fn alignment(gemm: &Gemm) -> f64 {
    if gemm.dtype == Dtype::Fp32 {
        return 1.0;
    }
    let elements = 16 / gemm.dtype.size();
    let of = |extent: u64| match extent {
        e if e.is_multiple_of(elements) => 1.0,
        e if e % 2 == 0 => 0.65,
        _ => 0.5,
    };
    f64::min(of(gemm.n), of(gemm.k))
}

/// `size·b·(mk + kn + mn)`: every operand read once, the result written once.
pub(crate) fn operand_bytes(gemm: &Gemm) -> f64 {
    let (m, n, k) = (gemm.m as f64, gemm.n as f64, gemm.k as f64);
    gemm.dtype.size() as f64 * gemm.batch as f64 * (m * k + k * n + m * n)
}

fn grade(dtype: Dtype, profile: &Profile) -> Grade {
    let index = dtype_index(dtype);
    let peak = profile.peaks[index].map_or(Grade::Assumed, |p| p.grade);
    let compute =
        peak.max(profile.gemm.efficiency[index].grade).max(profile.gemm.shape_grade[index]);
    compute.max(profile.stream.grade)
}

#[derive(Clone, Copy)]
struct Candidate {
    tile: Option<(u32, u32)>,
    split: u32,
    waves: f64,
    compute: f64,
    traffic: f64,
}

/// Edge of the blocks that a processor's kernel keeps in registers.
const BLOCK: u64 = 8;

/// One thread of a processor: `2b·(k + k₀)·(m̂·n̂ + 64c·(m̂ + n̂))/(η·P)`, where `m̂` and `n̂` are
/// rounded up to whole blocks.
///
/// Operands are packed once per product, which is the term of `c`; the result is written once,
/// which is that of `k₀`. Memory is not a roof of its own: what fits caches is read from there, and
/// what does not is read while packing. Checked by `blocks_by_hand`.
fn blocked(gemm: &Gemm, profile: &Profile, rate: f64) -> Candidate {
    let whole = |extent: u64| (extent.div_ceil(BLOCK) * BLOCK) as f64;
    let (m, n) = (whole(gemm.m), whole(gemm.n));
    let format = dtype_index(gemm.dtype);
    let depth = gemm.k as f64 + profile.gemm.prologue[format];
    let feed = m * n + 64.0 * profile.gemm.tile_penalty[format] * (m + n);
    Candidate {
        tile: None,
        split: 1,
        waves: 1.0,
        compute: 2.0 * gemm.batch as f64 * depth * feed / rate,
        traffic: 0.0,
    }
}

/// The fastest tile and split; ties keep the first in the order of [`TILES`] and [`SPLITS`].
fn tiled(gemm: &Gemm, profile: &Profile, rate: f64) -> Candidate {
    let options = Options::new(gemm, profile, rate);
    let time = |c: &Candidate| c.compute.max(c.traffic);
    let mut best = options.candidate(TILES[0], 1);
    for tile in TILES.into_iter().filter(|tile| fits(gemm.dtype, *tile)) {
        for split in SPLITS {
            if split > 1 && options.k < SPLIT_LEAST * f64::from(split) {
                break;
            }
            let new = options.candidate(tile, split);
            if time(&new) < time(&best) {
                best = new;
            }
        }
    }
    best
}

/// 8-bit kernels offer no tile below 64 × 64.
fn fits(dtype: Dtype, (rows, columns): (u32, u32)) -> bool {
    dtype != Dtype::Fp8 || rows * columns >= 64 * 64
}

/// What all candidates of a product share. A search prices tens of thousands of products, so
/// divisions and rounding are done once here.
struct Options {
    k: f64,
    batch: f64,
    /// Tiles along `m` and `n` for edges 32, 64, 128, 256.
    rows: [f64; 4],
    columns: [f64; 4],
    prologue: f64,
    penalty: f64,
    multiprocessors: f64,
    /// Time of one FLOP on one multiprocessor.
    per_flop: f64,
    /// Time of the operands' and of one split's partial results' traffic.
    operands: f64,
    partial: f64,
}

impl Options {
    fn new(gemm: &Gemm, profile: &Profile, rate: f64) -> Self {
        let (batch, format) = (gemm.batch as f64, dtype_index(gemm.dtype));
        let along = |extent: u64| [32, 64, 128, 256].map(|edge| extent.div_ceil(edge) as f64);
        let result = batch * gemm.m as f64 * gemm.n as f64;
        Self {
            k: gemm.k as f64,
            batch,
            rows: along(gemm.m),
            columns: along(gemm.n),
            prologue: profile.gemm.prologue[format],
            penalty: 64.0 * profile.gemm.tile_penalty[format],
            multiprocessors: profile.multiprocessors,
            per_flop: profile.multiprocessors / rate,
            operands: operand_bytes(gemm) / profile.stream.value,
            partial: 8.0 * result / profile.stream.value,
        }
    }

    fn candidate(&self, (rows, columns): (u32, u32), split: u32) -> Candidate {
        let (tm, tn, s) = (f64::from(rows), f64::from(columns), f64::from(split));
        let tiles = self.batch * self.rows[edge(rows)] * self.columns[edge(columns)] * s;
        let waves = waves(tiles / self.multiprocessors);
        // 1/Tm + 1/Tn = (Tm + Tn)/(Tm·Tn), which saves the product of the tile's sides.
        let feed = tm * tn + self.penalty * (tm + tn);
        let partial = if split > 1 { self.partial * s } else { 0.0 };
        Candidate {
            tile: Some((rows, columns)),
            split,
            waves,
            compute: waves * 2.0 * (self.k / s + self.prologue) * feed * self.per_flop,
            traffic: self.operands + partial,
        }
    }
}

/// Index of a tile edge of 32, 64, 128 or 256.
fn edge(extent: u32) -> usize {
    (extent.trailing_zeros() - 5) as usize
}

/// Whole waves while there are few of them; beyond eight the scheduler fills the tail.
fn waves(waves: f64) -> f64 {
    if waves > 8.0 {
        return waves + 0.5;
    }
    let whole = f64::from(waves as u8);
    if whole < waves { whole + 1.0 } else { whole }
}

#[cfg(test)]
mod tests;
