//! A lower bound of the step that needs no split: cheap enough to rule out most outer
//! configurations before anything is searched.
//!
//! Let `W` be the sum over all layers of the fastest `F + B`, `P` the stages, `m` the
//! micro-batches, `c` the time of a message, and `g` the least tail that stage 0 can have. Every
//! schedule here contains, for each stage `s`, the path down to `s`, all of its passes, and back:
//!
//! ```text
//! (A_s)  T ≥ Σ_{i<s} (τ_i + 2c) + m·τ_s + g,      τ_i = F_i + B_i
//! ```
//!
//! Adding up `w_s · (A_s)` with `w_s = (1 − 1/m)^{P−1−s}` gives every `τ_i` the same factor `m`, so
//! the split drops out (`work`):
//!
//! ```text
//! T ≥ ( m·W + 2c·Σ_s s·w_s ) / Σ_s w_s + g   =   W / (1 − (1 − 1/m)^P) + …
//! ```
//!
//! GPipe's two waves do not overlap, which is stronger (`waves`):
//! `T ≥ W + (m − 1)·max_s τ_s + 2c(P − 1) + g` with `max_s τ_s ≥ W / P`. Layers are whole, so some
//! stage holds `⌈L/P⌉` of them (`widest`). Memory: each stage takes only so many layers of a
//! segment even if it held nothing else (`shortage`).
//!
//! Valid for any split, column choice and setting; checked against exhaustive search.

use super::instance::{Floors, Instance, ProblemError, Span};
use super::{Column, Problem};
use plan::units::{Bytes, Seconds};

/// A lower bound and the argument that gives it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// No plan is faster; infinite where there is no plan at all.
    pub seconds: Seconds,
    /// Why.
    pub reason: BoundReason,
}

/// The argument behind a [`Bound`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BoundReason {
    /// All the work, spread as well as the schedule allows.
    Work,
    /// Layers are whole: some stage holds this many.
    Layers {
        /// `⌈layers / stages⌉`.
        layers: usize,
    },
    /// Fewer layers than stages.
    TooFewLayers {
        /// Layers of the chain.
        layers: usize,
    },
    /// Stage 0 has no setting that applies to it.
    NoSetting,
    /// The layers do not fit into the stages.
    Memory {
        /// Memory that some stage lacks, at least.
        missing: Bytes,
    },
}

/// A bound on every plan of `problem`, without searching.
///
/// # Errors
/// [`ProblemError`] where the problem contradicts itself.
pub fn lower_bound(problem: &Problem) -> Result<Bound, ProblemError> {
    Ok(of_instance(&Instance::new(problem)?))
}

pub(crate) fn of_instance(instance: &Instance) -> Bound {
    if instance.layers() < instance.stages() {
        return none(BoundReason::TooFewLayers { layers: instance.layers() });
    }
    let scopes = instance.scopes();
    let bounds = scopes.iter().map(|scope| of_scope(instance, scope));
    bounds.min_by(|a, b| a.seconds.total_cmp(&b.seconds)).unwrap_or(none(BoundReason::NoSetting))
}

fn none(reason: BoundReason) -> Bound {
    Bound { seconds: Seconds::new(f64::INFINITY), reason }
}

fn of_scope(instance: &Instance, scope: &[usize]) -> Bound {
    if let Some(missing) = shortage(instance, scope) {
        return none(BoundReason::Memory { missing });
    }
    let tail = first_tail(instance, scope);
    if tail.is_infinite() {
        return none(BoundReason::NoSetting);
    }
    let floors = instance.floors(scope);
    let (m, p, c) = (instance.micro_batches(), instance.stages(), instance.problem.send.get());
    let total = floors.both[instance.layers()];
    let (layers, widest) = widest(instance, &floors);
    let (by_work, by_layers) = if instance.is_gpipe() {
        (waves(total, total / p as f64, m, p, c), waves(total, widest, m, p, c))
    } else {
        (work(total, m, p, c), m * widest)
    };
    let (seconds, reason) = if by_layers > by_work {
        (by_layers, BoundReason::Layers { layers })
    } else {
        (by_work, BoundReason::Work)
    };
    Bound { seconds: Seconds::new(seconds + tail), reason }
}

/// `(m·W + 2c·Σ s·w_s) / Σ w_s` with `w_s = (1 − 1/m)^{P−1−s}`: any schedule that has the paths
/// `A_s`, over any `p ≥ 1` consecutive stages with `total` work.
pub(crate) fn work(total: f64, m: f64, p: usize, c: f64) -> f64 {
    let (mut weight, mut sum, mut messages) = (1.0, 0.0, 0.0);
    for s in (0..p).rev() {
        sum += weight;
        messages += weight * s as f64;
        weight *= 1.0 - 1.0 / m;
    }
    (m * total + 2.0 * c * messages) / sum
}

/// `W + (m − 1)·max τ + 2c(P − 1)`: GPipe.
fn waves(total: f64, slowest: f64, m: f64, p: usize, c: f64) -> f64 {
    total + (m - 1.0) * slowest + 2.0 * c * (p - 1) as f64
}

/// `⌈L/P⌉` and the least time of that many consecutive layers.
fn widest(instance: &Instance, floors: &Floors) -> (usize, f64) {
    let layers = instance.layers().div_ceil(instance.stages());
    let windows = floors.both.windows(layers + 1).map(|w| w[layers] - w[0]);
    (layers, windows.fold(f64::INFINITY, f64::min))
}

/// The least tail of stage 0 over everything it may hold: the path back ends there.
pub(crate) fn first_tail(instance: &Instance, scope: &[usize]) -> f64 {
    let spans = instance.ends(0, 0).map(|end| Span { start: 0, end });
    let tails = spans.flat_map(|span| scope.iter().filter_map(move |z| instance.sync(0, span, *z)));
    tails.fold(f64::INFINITY, |least, sync| least.min(sync.tail.get()))
}

/// Memory that some stage lacks in every plan: stage `s` takes at most
/// `⌊capacity / (w + q_s·a)⌋` layers of a segment, with `w` the resident floor and `a` the
/// smallest activation of a layer.
fn shortage(instance: &Instance, scope: &[usize]) -> Option<Bytes> {
    let problem = instance.problem;
    let least = |k: usize, q: f64| {
        let per_setting = scope.iter().map(|z| {
            let activation = |c: &Column| c.activation.get();
            let columns = problem.segments[k].columns[*z].iter().map(activation);
            let resident = problem.sync.resident_floor(k, *z).get();
            resident + q * columns.fold(f64::INFINITY, f64::min)
        });
        per_setting.fold(f64::INFINITY, f64::min)
    };
    problem.segments.iter().enumerate().find_map(|(k, segment)| {
        let mut room = 0.0;
        let mut next = f64::INFINITY;
        for (s, capacity) in problem.capacity.iter().enumerate() {
            let each = least(k, f64::from(instance.in_flight[s]));
            if each <= 0.0 {
                return None;
            }
            // A hair of slack, so that rounding never rules out an exact fit.
            let fits = (capacity.get() / each * (1.0 + 1e-12)).floor();
            room += fits;
            next = next.min((fits + 1.0) * each - capacity.get());
        }
        (room < f64::from(segment.layers)).then_some(Bytes::new(next))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weighted_paths_give_the_closed_form() {
        // m = 4, P = 3: 1 − (3/4)³ = 37/64, so W = 37 gives T ≥ 64.
        assert!((work(37.0, 4.0, 3, 0.0) - 64.0).abs() < 1e-12);
        // One micro-batch: nothing overlaps; W and a message each way over each boundary.
        assert!((work(10.0, 1.0, 3, 0.5) - 12.0).abs() < 1e-12);
        // One stage: m·W.
        assert!((work(10.0, 7.0, 1, 0.5) - 70.0).abs() < 1e-12);
    }

    #[test]
    fn gpipe_waves() {
        // Three stages of 4, m = 5, c = 1: 12 + 4·4 + 4.
        assert!((waves(12.0, 4.0, 5.0, 3, 1.0) - 32.0).abs() < 1e-12);
    }
}
