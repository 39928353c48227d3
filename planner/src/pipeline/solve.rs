//! From the cheapest argument to the most expensive, until one closes the case.

use super::elastic::{self, Infeasible};
use super::instance::{Instance, ProblemError};
use super::labels::{self, Basis, GPipe, OneForwardOneBackward, Rules};
use super::master::{self, Verdict};
use super::pattern::{Book, Pattern};
use super::tidy::{self, Possible, goes_before};
use super::{Assignment, Backend, CutOffBy, Outcome, Problem, Proof, StageChoice, bound};
use cost_model::simulate::{Recurrence, StageTimes, Times};
use plan::units::{Bytes, Seconds};
use std::cell::OnceCell;

/// Two step times that differ by less than this share are the same.
pub const TOLERANCE: f64 = 1e-9;

/// Limits of the label program as multiples of the closed-form bound, tried in turn: most answers
/// are close to the bound, and a tight limit leaves little to look at.
const LIMITS: [f64; 6] = [1.02, 1.08, 1.25, 2.0, 8.0, f64::INFINITY];

/// Finds the plan with the shortest simulated step, or shows that there is none faster than
/// `cutoff`, or none at all.
///
/// Where the closed-form bound or the label program reaches the `cutoff` first, the answer is
/// [`Outcome::CutOff`] even if nothing fits into memory either.
///
/// # Errors
/// [`ProblemError`] where the problem contradicts itself.
pub fn solve(
    problem: &Problem,
    cutoff: Option<Seconds>,
    backend: Backend,
) -> Result<Outcome, ProblemError> {
    answer(problem, cutoff, backend, Depth::Proof)
}

/// As [`solve`], without integer programs: where the label program does not close the case, its
/// plan and its bound come back as [`Outcome::Uncertified`].
///
/// # Errors
/// [`ProblemError`] where the problem contradicts itself.
pub fn solve_by_labels(
    problem: &Problem,
    cutoff: Option<Seconds>,
    backend: Backend,
) -> Result<Outcome, ProblemError> {
    answer(problem, cutoff, backend, Depth::Labels)
}

/// As [`solve`], but the label program may not close the case and its bound and plan are kept from
/// the integer program: a second, independent proof of the same answer.
///
/// # Errors
/// [`ProblemError`] where the problem contradicts itself.
pub fn solve_with_ilp(
    problem: &Problem,
    cutoff: Option<Seconds>,
    backend: Backend,
) -> Result<Outcome, ProblemError> {
    answer(problem, cutoff, backend, Depth::ProgramOnly)
}

/// How far to go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// Bounds and label program.
    Labels,
    /// The integer program where those do not close the case.
    Proof,
    /// The integer program alone; the label program's bound and plan are withheld.
    ProgramOnly,
}

fn answer(
    problem: &Problem,
    cutoff: Option<Seconds>,
    backend: Backend,
    depth: Depth,
) -> Result<Outcome, ProblemError> {
    let instance = Instance::new(problem)?;
    let (layers, stages) = (instance.layers(), instance.stages());
    if layers < stages {
        return Ok(Outcome::Infeasible(Infeasible::TooFewLayers { layers, stages }));
    }
    let floor = bound::of_instance(&instance);
    if floor.seconds.get().is_infinite() {
        return Ok(nothing_fits(&instance, cutoff));
    }
    if let Some(bound) = cutoff.filter(|cutoff| floor.seconds >= *cutoff) {
        return Ok(Outcome::CutOff { bound, by: CutOffBy::Bound(floor.reason) });
    }
    let bases: Vec<Basis> =
        instance.scopes().iter().map(|scope| Basis::new(&instance, scope)).collect();
    let task = Task {
        instance: &instance,
        recurrence: &OnceCell::new(),
        floor: floor.seconds.get(),
        cutoff,
        backend,
        depth,
    };
    let outcome = if instance.is_gpipe() {
        Solver::new(task, bases.iter().map(|b| (b, GPipe(b))).collect()).run()
    } else {
        Solver::new(task, bases.iter().map(|b| (b, OneForwardOneBackward(b))).collect()).run()
    };
    Ok(outcome)
}

/// What is missing matters only while no plan is known: it costs a search.
fn nothing_fits(instance: &Instance, cutoff: Option<Seconds>) -> Outcome {
    match cutoff {
        Some(_) => {
            let bound = Seconds::new(f64::INFINITY);
            Outcome::CutOff { bound, by: CutOffBy::Dp }
        }
        None => Outcome::Infeasible(elastic::closest(instance).report()),
    }
}

/// What is asked.
#[derive(Clone, Copy)]
pub(crate) struct Task<'a> {
    pub instance: &'a Instance<'a>,
    /// The order, ready to be simulated; built when the first plan is.
    recurrence: &'a OnceCell<Recurrence>,
    /// The closed-form bound.
    pub floor: f64,
    cutoff: Option<Seconds>,
    pub backend: Backend,
    depth: Depth,
}

impl Task<'_> {
    /// The order, ready to be simulated.
    pub fn recurrence(&self) -> &Recurrence {
        self.recurrence.get_or_init(|| match self.instance.recurrence() {
            Ok(recurrence) => recurrence,
            Err(_) => unreachable!("the schedule was checked when the instance was made"),
        })
    }

    /// The cutoff, or infinity.
    fn cutoff(&self) -> f64 {
        self.cutoff.map_or(f64::INFINITY, Seconds::get)
    }
}

/// A plan with its simulated step.
#[derive(Clone)]
pub(crate) struct Simulated {
    pub makespan: f64,
    pub plan: Vec<Pattern>,
}

/// Patterns and rules of settings that may be mixed.
pub(crate) struct Scope<'a, R> {
    pub basis: &'a Basis,
    pub rules: R,
    pub book: Book<'a>,
}

pub(crate) struct Solver<'a, R> {
    pub task: Task<'a>,
    pub scopes: Vec<Scope<'a, R>>,
}

/// What the label program found.
enum Labels {
    /// The least bound and the fastest of the plans that have it or come close.
    Found {
        bound: f64,
        best: Simulated,
    },
    Nothing(Outcome),
}

impl<'a, R: Rules> Solver<'a, R> {
    fn new(task: Task<'a>, rules: Vec<(&'a Basis, R)>) -> Self {
        let sets = task.instance.scopes();
        let scope =
            |(set, (basis, rules))| Scope { basis, rules, book: Book::new(task.instance, set) };
        let scopes = sets.into_iter().zip(rules).map(scope).collect();
        Self { task, scopes }
    }

    fn run(mut self) -> Outcome {
        let (bound, best) = match self.by_labels() {
            Labels::Found { bound, best } => (bound, best),
            Labels::Nothing(outcome) => return outcome,
        };
        let cutoff = self.task.cutoff();
        let depth = self.task.depth;
        if depth != Depth::ProgramOnly && best.makespan <= bound * (1.0 + TOLERANCE) {
            if best.makespan >= cutoff {
                let bound = Seconds::new(bound.min(cutoff));
                return Outcome::CutOff { bound, by: CutOffBy::Dp };
            }
            return self.finish(best, Proof::DpBound { bound: Seconds::new(bound) });
        }
        if depth == Depth::Labels {
            return Outcome::Uncertified {
                assignment: Some(best).filter(|b| b.makespan < cutoff).map(assignment),
                bound: Seconds::new(bound),
                reason: "no integer program was asked for".to_owned(),
            };
        }
        let verdict = if depth == Depth::ProgramOnly {
            let high = cutoff.min(best.makespan * (1.0 + 1e-6));
            let floor = self.task.floor;
            master::prove(&mut self, None, floor, high)
        } else {
            let high = cutoff.min(best.makespan);
            let known = Some(best.clone()).filter(|best| best.makespan < cutoff);
            master::prove(&mut self, known, bound, high)
        };
        self.conclude(verdict, best)
    }

    /// Turns a verdict into an answer; `known` is the label program's plan.
    fn conclude(self, verdict: Verdict, known: Simulated) -> Outcome {
        let cutoff = self.task.cutoff();
        match verdict {
            Verdict::Optimal { best, proof } => self.finish(best, proof),
            Verdict::NothingBelow { .. } if known.makespan < cutoff => Outcome::Uncertified {
                bound: Seconds::new(self.task.floor),
                reason: "the solver found no plan as fast as one that is known".to_owned(),
                assignment: Some(assignment(known)),
            },
            Verdict::NothingBelow { rounds } => {
                Outcome::CutOff { bound: Seconds::new(cutoff), by: CutOffBy::Ilp { rounds } }
            }
            Verdict::Unproven { best, bound, reason } => Outcome::Uncertified {
                assignment: best.map(assignment),
                bound: Seconds::new(bound),
                reason,
            },
        }
    }

    fn by_labels(&mut self) -> Labels {
        let cutoff = self.task.cutoff();
        for (round, factor) in LIMITS.into_iter().enumerate() {
            let limit = (self.task.floor * factor).min(cutoff);
            if let Some((bound, best)) = self.search(limit) {
                return Labels::Found { bound, best };
            }
            if limit >= cutoff && limit.is_finite() {
                let bound = Seconds::new(cutoff);
                return Labels::Nothing(Outcome::CutOff { bound, by: CutOffBy::Dp });
            }
            // Either the limit is too tight or nothing fits; the second is worth knowing now.
            if round == 0 && !elastic::anything_fits(self.task.instance) {
                break;
            }
        }
        Labels::Nothing(nothing_fits(self.task.instance, self.task.cutoff))
    }

    fn search(&mut self, limit: f64) -> Option<(f64, Simulated)> {
        let mut plans = Vec::new();
        for scope in &mut self.scopes {
            let found = labels::search(&scope.rules, scope.basis, &mut scope.book, limit);
            let plan = |picks: &[usize]| -> Vec<Pattern> {
                picks.iter().map(|p| scope.book.get(*p).clone()).collect()
            };
            plans.extend(found.candidates.iter().map(|c| (c.bound, plan(&c.picks))));
        }
        let bound = plans.iter().map(|p| p.0).fold(f64::INFINITY, f64::min);
        let simulated = plans.into_iter().map(|(_, plan)| self.simulate(plan));
        let best = simulated.min_by(|a, b| a.makespan.total_cmp(&b.makespan))?;
        Some((bound, best))
    }

    /// The times of a plan.
    pub fn times(&self, plan: &[Pattern]) -> Times {
        let stage = |p: &Pattern| StageTimes {
            forward: Seconds::new(p.forward),
            backward: Seconds::new(p.backward),
            weight: Seconds::ZERO,
            tail: Seconds::new(p.tail),
        };
        let stages = plan.iter().map(stage).collect();
        Times::with_uniform_send(stages, self.task.instance.problem.send)
    }

    fn makespan(&self, plan: &[Pattern]) -> f64 {
        self.task.recurrence().run(&self.times(plan)).makespan().get()
    }

    fn simulate(&self, plan: Vec<Pattern>) -> Simulated {
        Simulated { makespan: self.makespan(&plan), plan }
    }

    /// Breaks ties among the plans that are as fast as `best`. Without integer programs only the
    /// step is asked for, not which of the equal plans it is: ties stay.
    fn finish(mut self, best: Simulated, proof: Proof) -> Outcome {
        if self.task.depth == Depth::Labels {
            return Outcome::Optimal { assignment: assignment(best), proof, is_canonical: false };
        }
        let limit = best.makespan * (1.0 + TOLERANCE);
        let mut tidiest: Option<(f64, Vec<Pattern>)> = None;
        let mut is_canonical = true;
        for at in 0..self.scopes.len() {
            let mut scope = self.scopes.remove(at);
            let possible =
                labels::search(&scope.rules, scope.basis, &mut scope.book, limit).possible;
            let patterns = Possible { rules: &scope.rules, book: &mut scope.book, possible };
            let tidied = tidy::tidy(patterns, limit, |plan| self.makespan(plan));
            self.scopes.insert(at, scope);
            is_canonical &= tidied.is_complete;
            if let Some(plan) = tidied.plan
                && tidiest.as_ref().is_none_or(|tidiest| goes_before(&plan, tidiest))
            {
                tidiest = Some(plan);
            }
        }
        is_canonical &= tidiest.is_some();
        let chosen = tidiest.map_or(best, |(_, plan)| self.simulate(plan));
        Outcome::Optimal { assignment: assignment(chosen), proof, is_canonical }
    }
}

fn assignment(simulated: Simulated) -> Assignment {
    let choice = |p: Pattern| StageChoice {
        setting: p.setting,
        forward: Seconds::new(p.forward),
        backward: Seconds::new(p.backward),
        tail: Seconds::new(p.tail),
        memory: Bytes::new(p.memory),
        layers: p.layers,
    };
    Assignment {
        stages: simulated.plan.into_iter().map(choice).collect(),
        makespan: Seconds::new(simulated.makespan),
    }
}
