//! Where nothing fits: the split that comes closest.
//!
//! Memory is made elastic: every stage may overflow, and the largest overflow is minimised over
//! all splits, columns and settings,
//!
//! ```text
//! worst_s(j) = min over i of max( worst_{s−1}(i), least_s(i..j) − capacity_s )
//! least_s(i..j) = min over settings z and thresholds ρ of
//!                 resident(s,n,z) + max{ q_s·Σ_k n_k·min{A_kj : R_kj ≤ ρ} + ρ, update(s,n,z) }
//! ```
//!
//! A positive result is a proof that no plan fits, and says what is missing where.
//!
//! More layers on a stage never need less memory, so spans beyond a ceiling end the loop over
//! longer ones: whether anything fits at all (ceiling 0) is known after a look at the spans that
//! fit, and the closest split cannot overflow more than equal stages do.

use super::instance::{Instance, Span};
use plan::units::Bytes;
use thiserror::Error;

/// Overflow relative to the capacity that rounding could explain.
const ROUNDING: f64 = 1e-12;

/// Why a problem has no plan.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Infeasible {
    /// No split fits into memory.
    #[error("stage {stage} lacks {missing} in the split that comes closest ({split:?} layers)")]
    Memory {
        /// The stage that overflows most.
        stage: usize,
        /// The fewest bytes by which the worst stage of any plan overflows.
        missing: Bytes,
        /// Layers per stage of the split that overflows least.
        split: Vec<usize>,
    },
    /// Stages cannot be empty.
    #[error("{layers} layers cannot fill {stages} stages; at most {layers} stages would work")]
    TooFewLayers {
        /// Layers of the chain.
        layers: usize,
        /// Stages asked for.
        stages: usize,
    },
    /// For every split there is a stage to which no setting applies.
    #[error("no setting applies to every stage of any split")]
    NoSetting,
}

/// The split with the least worst overflow; `worst` is negative where it fits.
#[derive(Clone, Debug)]
pub(crate) struct Closest {
    worst: f64,
    stage: usize,
    split: Vec<usize>,
}

impl Closest {
    pub fn report(&self) -> Infeasible {
        if self.worst.is_infinite() {
            return Infeasible::NoSetting;
        }
        let missing = Bytes::new(self.worst.max(0.0));
        Infeasible::Memory { stage: self.stage, missing, split: self.split.clone() }
    }
}

/// The closest split over all settings that may be mixed.
pub(crate) fn closest(instance: &Instance) -> Closest {
    best_of(instance, |elastic| {
        let ceiling = elastic.equal_stages();
        elastic.solve(ceiling)
    })
}

/// Whether any split fits.
pub(crate) fn anything_fits(instance: &Instance) -> bool {
    let tolerances = instance.problem.capacity.iter().map(|c| ROUNDING * c.get());
    let ceiling = tolerances.fold(0.0, f64::max);
    best_of(instance, |elastic| elastic.solve(ceiling)).worst <= ceiling
}

fn best_of(instance: &Instance, solve: impl Fn(&mut Elastic) -> Closest) -> Closest {
    let scopes = instance.scopes();
    let each = scopes.iter().map(|scope| solve(&mut Elastic::new(instance, scope)));
    let none = Closest { worst: f64::INFINITY, stage: 0, split: Vec::new() };
    each.fold(none, |best, next| if next.worst < best.worst { next } else { best })
}

struct Elastic<'a> {
    instance: &'a Instance<'a>,
    scope: &'a [usize],
    /// Overflow per class of span, at the stage at hand; not a number where not yet known.
    known: Vec<f64>,
}

impl<'a> Elastic<'a> {
    fn new(instance: &'a Instance<'a>, scope: &'a [usize]) -> Self {
        Self { instance, scope, known: Vec::new() }
    }

    /// The overflow of the worst stage where all have as many layers as possible alike.
    fn equal_stages(&self) -> f64 {
        let (layers, stages) = (self.instance.layers(), self.instance.stages());
        let border = |stage: usize| stage * layers / stages;
        let span = |stage: usize| Span { start: border(stage), end: border(stage + 1) };
        (0..stages).map(|s| self.compute(s, span(s))).fold(f64::NEG_INFINITY, f64::max)
    }

    /// The least worst overflow of the splits whose stages overflow by at most `ceiling`.
    fn solve(&mut self, ceiling: f64) -> Closest {
        let layers = self.instance.layers();
        let mut worst = vec![f64::INFINITY; layers + 1];
        worst[0] = f64::NEG_INFINITY;
        let mut starts = Vec::new();
        for stage in 0..self.instance.stages() {
            self.known = vec![f64::NAN; layers];
            let mut next = vec![f64::INFINITY; layers + 1];
            let mut from = vec![0; layers + 1];
            for start in self.instance.starts(stage).filter(|&s| worst[s] < f64::INFINITY) {
                for end in self.instance.ends(stage, start) {
                    let over = self.overflow(stage, Span { start, end });
                    // An infinite overflow means that no setting applies, which more layers may
                    // change.
                    if over > ceiling && over.is_finite() {
                        break;
                    }
                    let value = worst[start].max(over);
                    if value < next[end] {
                        (next[end], from[end]) = (value, start);
                    }
                }
            }
            worst = next;
            starts.push(from);
        }
        self.trace(worst[layers], &starts)
    }

    fn trace(&mut self, worst: f64, starts: &[Vec<usize>]) -> Closest {
        let mut split = Vec::new();
        let mut end = self.instance.layers();
        let (mut binding, mut most) = (0, f64::NEG_INFINITY);
        for (stage, from) in starts.iter().enumerate().rev() {
            let span = Span { start: from[end], end };
            let over = self.compute(stage, span);
            if over >= most && worst.is_finite() {
                (binding, most) = (stage, over);
            }
            split.push(span.end - span.start);
            end = span.start;
            if worst.is_infinite() {
                break;
            }
        }
        split.reverse();
        Closest { worst, stage: binding, split }
    }

    fn overflow(&mut self, stage: usize, span: Span) -> f64 {
        let Some(class) = self.instance.class(span) else { return self.compute(stage, span) };
        if self.known[class].is_nan() {
            self.known[class] = self.compute(stage, span);
        }
        self.known[class]
    }

    fn compute(&self, stage: usize, span: Span) -> f64 {
        let capacity = self.instance.problem.capacity[stage].get();
        let least = self.scope.iter().filter_map(|z| {
            let sync = self.instance.sync(stage, span, *z)?;
            let of = |(kept, peak)| self.instance.memory(stage, &sync, kept, peak).get();
            self.footprints(span, *z).into_iter().map(of).min_by(f64::total_cmp)
        });
        least.fold(f64::INFINITY, f64::min) - capacity
    }

    /// Per threshold that every segment can keep, the least activations, and the threshold.
    fn footprints(&self, span: Span, setting: usize) -> Vec<(Bytes, Bytes)> {
        let columns = |k: usize| &self.instance.problem.segments[k].columns[setting];
        let segments = || self.instance.segments(span);
        let thresholds = segments().flat_map(|k| columns(k).iter().map(|c| c.transient));
        let activations = |peak: Bytes| {
            segments().map(move |k| {
                let allowed = columns(k).iter().filter(|c| c.transient <= peak);
                let least = allowed.map(|c| c.activation.get()).fold(f64::INFINITY, f64::min);
                Bytes::new(least * self.instance.count(span, k) as f64)
            })
        };
        let pairs = thresholds.map(|peak| (activations(peak).sum::<Bytes>(), peak));
        pairs.filter(|(kept, _)| kept.get().is_finite()).collect()
    }
}
