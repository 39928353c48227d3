//! A solved configuration: which layers run where and how.

use crate::even;
use crate::inner::Inner;
use crate::pipeline::{self, Assignment, CutOffBy, Outcome, Proof};
use crate::prices::{Level, PricedKinds};
use crate::request::{Effort, Request};
use crate::setting::Setting;
use crate::space::Configuration;
use cost_model::overlap::{with_jitter, without_jitter};
use plan::lower::Recompute;
use plan::model::{LayerRole, Run};
use plan::schedule::ScheduleKind;
use plan::units::{Bytes, Seconds};

/// One virtual stage.
#[derive(Clone, Debug, PartialEq)]
pub struct StageUse {
    /// Pipeline rank that runs it.
    pub rank: u32,
    /// Per run of the chain and recomputation level: layers.
    pub layers: Vec<Vec<u32>>,
}

impl StageUse {
    /// Layers per run of the chain.
    #[must_use]
    pub fn counts(&self) -> Vec<u32> {
        self.layers.iter().map(|levels| levels.iter().sum()).collect()
    }
}

/// A solved configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Solution {
    /// The configuration.
    pub configuration: Configuration,
    /// ZeRO stage and exchange.
    pub setting: Setting,
    /// Per kind of layer: the recomputation levels that [`StageUse::layers`] counts.
    pub levels: Vec<Vec<Recompute>>,
    /// Virtual stages in model order.
    pub stages: Vec<StageUse>,
    /// Step time, stragglers included.
    pub step: Seconds,
}

/// What showed that nothing beats the cutoff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A closed-form bound.
    Bound,
    /// The label programme over stages.
    Labels,
    /// An integer programme.
    Programme,
    /// Every member was simulated.
    Simulation,
}

/// What solving a configuration gave.
#[derive(Clone, Debug, PartialEq)]
pub enum Solved {
    /// Its best plan; `programmes` integer programmes were needed.
    Best {
        /// The plan.
        solution: Solution,
        /// Integer programmes solved.
        programmes: u64,
    },
    /// Nothing below the cutoff.
    Slower {
        /// No plan of the configuration is faster.
        bound: Seconds,
        /// What showed it.
        by: By,
        /// Integer programmes solved.
        programmes: u64,
    },
    /// Nothing fits.
    DoesNotFit {
        /// The fewest bytes that the worst stage lacks.
        missing: Bytes,
        /// That stage.
        stage: usize,
    },
    /// The solver gave up.
    Unproven {
        /// The best plan met.
        solution: Option<Solution>,
        /// No plan is faster.
        bound: Seconds,
        /// Why.
        reason: String,
    },
}

/// Schedules that are planned with equal stages; under others stages may have any size.
pub(crate) fn is_even(schedule: ScheduleKind) -> bool {
    !matches!(schedule, ScheduleKind::GPipe | ScheduleKind::OneForwardOneBackward)
}

/// Stragglers: the same for every plan on the same nodes, so it changes no comparison.
#[must_use]
pub fn jittered(request: &Request<'_>, step: Seconds) -> Seconds {
    with_jitter(step, &request.profile.stack().host, request.nodes())
}

/// The inverse of [`jittered`].
#[must_use]
pub fn unjittered(request: &Request<'_>, step: Seconds) -> Seconds {
    without_jitter(step, &request.profile.stack().host, request.nodes())
}

/// The coarsest bound: the fastest way to do every layer's work, spread as well as the schedule
/// allows, without messages, sharding or once-per-step costs.
///
/// `T ≥ W/(1 − (1 − 1/m)^P)` under 1F1B and GPipe (see [`pipeline::lower_bound`]); with equal
/// stages, see [`even`].
#[must_use]
pub fn work_bound(request: &Request<'_>, c: &Configuration, kinds: &PricedKinds) -> Seconds {
    let fastest = |kind: usize, time: fn(&Level) -> Seconds| {
        let times = kinds[kind].levels.iter().map(time);
        times.fold(Seconds::new(f64::INFINITY), Seconds::min)
    };
    let forward = |l: &Level| l.time.forward.total().value;
    let both = |l: &Level| l.time.forward.total().value + l.time.backward_total().value;
    let is_body = |run: &Run| request.model.kinds[run.kind].role == LayerRole::Body;
    let sum = |runs: &mut dyn Iterator<Item = &Run>, time| -> Seconds {
        runs.map(|run| fastest(run.kind, time) * f64::from(run.layers)).sum()
    };
    let mut chain = request.model.chain.iter();
    let raw = if is_even(c.schedule) {
        let body = || chain.clone().filter(|run| is_body(run));
        let least = |time| {
            let each = body().map(|run| fastest(run.kind, time));
            each.fold(Seconds::new(f64::INFINITY), Seconds::min)
        };
        let (forward, blocked) = (least(forward), Seconds::ZERO);
        let (both, sum) = (least(both), sum(&mut body(), both));
        even::of_best_split(request, c, even::Least { forward, both, sum, blocked })
    } else {
        let (m, p) = (f64::from(c.micro_batches), f64::from(c.degrees.pp));
        sum(&mut chain, both) / (1.0 - (1.0 - 1.0 / m).powf(p))
    };
    jittered(request, raw)
}

/// Lower bound of a configuration's step under one setting. An infinite bound means that nothing
/// fits.
fn bound(request: &Request<'_>, inner: &Inner<'_>, setting: usize) -> Seconds {
    let raw = if is_even(inner.configuration.schedule) {
        even::bound(request, inner, setting)
    } else {
        let sync = inner.one_setting(setting);
        pipeline::lower_bound(&inner.problem(&sync)).map_or(Seconds::ZERO, |b| b.seconds)
    };
    jittered(request, raw)
}

/// Solves a configuration, given the step time to beat: setting by setting, least bound first.
#[must_use]
pub fn solve(
    request: &Request<'_>,
    inner: &Inner<'_>,
    kinds: &PricedKinds,
    cutoff: Option<Seconds>,
    effort: Effort,
) -> Solved {
    let mut queue: Vec<(Seconds, usize)> =
        (0..inner.settings().len()).map(|s| (bound(request, inner, s), s)).collect();
    queue.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut merged = Merged::new(cutoff);
    for (bound, setting) in queue {
        if merged.cutoff().is_some_and(|c| bound >= c) {
            merged.add(Solved::Slower { bound, by: By::Bound, programmes: 0 });
        } else {
            let asked = Asked { setting, cutoff: merged.cutoff(), effort };
            merged.add(solve_setting(request, inner, kinds, asked));
        }
    }
    merged.finish()
}

/// One setting to solve, the step to beat, and how far to go.
struct Asked {
    setting: usize,
    cutoff: Option<Seconds>,
    effort: Effort,
}

fn solve_setting(
    request: &Request<'_>,
    inner: &Inner<'_>,
    kinds: &PricedKinds,
    Asked { setting, cutoff, effort }: Asked,
) -> Solved {
    let raw_cutoff = cutoff.map(|c| unjittered(request, c));
    if is_even(inner.configuration.schedule) {
        return even::solve(request, inner, kinds, setting, raw_cutoff);
    }
    let sync = inner.one_setting(setting);
    let problem = inner.problem(&sync);
    let outcome = match effort {
        Effort::Proof => pipeline::solve(&problem, raw_cutoff, request.backend),
        Effort::Labels => pipeline::solve_by_labels(&problem, raw_cutoff, request.backend),
    };
    match outcome {
        Ok(outcome) => Translation { request, inner, kinds, setting }.of(outcome),
        Err(error) => {
            let (bound, reason) = (Seconds::ZERO, error.to_string());
            Solved::Unproven { solution: None, bound, reason }
        }
    }
}

/// The best of several settings.
struct Merged {
    cutoff: Option<Seconds>,
    best: Option<Solution>,
    slower: Option<(Seconds, By)>,
    missing: Option<(Bytes, usize)>,
    unproven: Option<(Seconds, String)>,
    programmes: u64,
}

impl Merged {
    fn new(cutoff: Option<Seconds>) -> Self {
        let (best, slower, missing, unproven) = (None, None, None, None);
        Self { cutoff, best, slower, missing, unproven, programmes: 0 }
    }

    /// The step to beat by now.
    fn cutoff(&self) -> Option<Seconds> {
        self.best.as_ref().map(|b| b.step).or(self.cutoff)
    }

    fn add(&mut self, solved: Solved) {
        match solved {
            Solved::Best { solution, programmes } => {
                self.programmes += programmes;
                self.best = Some(solution);
            }
            Solved::Slower { bound, by, programmes } => {
                self.programmes += programmes;
                if self.slower.is_none_or(|(least, _)| bound < least) {
                    self.slower = Some((bound, by));
                }
            }
            Solved::DoesNotFit { missing, stage } => {
                if self.missing.is_none_or(|(least, _)| missing < least) {
                    self.missing = Some((missing, stage));
                }
            }
            Solved::Unproven { solution, bound, reason } => {
                let better = |s: &Solution| self.cutoff().is_none_or(|c| s.step < c);
                if let Some(s) = solution.filter(better) {
                    self.best = Some(s);
                }
                if self.unproven.as_ref().is_none_or(|(least, _)| bound < *least) {
                    self.unproven = Some((bound, reason));
                }
            }
        }
    }

    fn finish(self) -> Solved {
        let programmes = self.programmes;
        match (self.unproven, self.best, self.slower, self.missing) {
            (Some((bound, reason)), solution, ..) if reached_by(&solution, bound) => {
                Solved::Unproven { solution, bound, reason }
            }
            (_, Some(solution), ..) => Solved::Best { solution, programmes },
            (_, None, Some((bound, by)), _) => Solved::Slower { bound, by, programmes },
            (_, None, None, Some((missing, stage))) => Solved::DoesNotFit { missing, stage },
            (_, None, None, None) => NO_SUCH_PLAN,
        }
    }
}

/// Whether an open bound leaves room below the best plan.
fn reached_by(best: &Option<Solution>, bound: Seconds) -> bool {
    best.as_ref().is_none_or(|b| bound < b.step)
}

/// From an inner outcome to one of the configuration.
struct Translation<'a> {
    request: &'a Request<'a>,
    inner: &'a Inner<'a>,
    kinds: &'a PricedKinds,
    setting: usize,
}

impl Translation<'_> {
    fn of(&self, outcome: Outcome) -> Solved {
        let count = |rounds: usize| rounds as u64;
        match outcome {
            Outcome::Optimal { assignment, proof, .. } => Solved::Best {
                solution: self.solution(&assignment),
                programmes: match proof {
                    Proof::DpBound { .. } => 0,
                    Proof::Ilp { rounds, .. } => count(rounds),
                },
            },
            Outcome::CutOff { bound, by } => {
                let (by, programmes) = match by {
                    CutOffBy::Bound(_) => (By::Bound, 0),
                    CutOffBy::Dp => (By::Labels, 0),
                    CutOffBy::Ilp { rounds } => (By::Programme, count(rounds)),
                };
                Solved::Slower { bound: jittered(self.request, bound), by, programmes }
            }
            Outcome::Infeasible(pipeline::Infeasible::Memory { stage, missing, .. }) => {
                Solved::DoesNotFit { missing, stage }
            }
            Outcome::Infeasible(_) => NO_SUCH_PLAN,
            Outcome::Uncertified { assignment, bound, reason } => Solved::Unproven {
                solution: assignment.map(|a| self.solution(&a)),
                bound: jittered(self.request, bound),
                reason,
            },
        }
    }

    fn solution(&self, assignment: &Assignment) -> Solution {
        let stages = assignment.stages.iter().zip(0..);
        let stages = stages.map(|(s, rank)| StageUse { rank, layers: s.layers.clone() });
        Solution {
            configuration: self.inner.configuration,
            setting: self.inner.settings()[self.setting],
            levels: levels(self.kinds),
            stages: stages.collect(),
            step: jittered(self.request, assignment.makespan),
        }
    }
}

/// A configuration that no plan can have.
pub(crate) const NO_SUCH_PLAN: Solved =
    Solved::DoesNotFit { missing: Bytes::new(f64::INFINITY), stage: 0 };

/// Per kind of layer, its recomputation levels in the order of the columns.
pub(crate) fn levels(kinds: &PricedKinds) -> Vec<Vec<Recompute>> {
    kinds.iter().map(|k| k.levels.iter().map(|l| l.recompute).collect()).collect()
}
