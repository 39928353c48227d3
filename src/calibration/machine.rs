//! Constants of this machine from recorded runs.
//!
//! Every kind of action of every run gives one residual, `ln(price/own time)`, weighted by its part
//! of the step; every run gives one more for its whole step. Times of single actions are what makes
//! constants physical: whole steps alone leave them free to trade with each other.

use crate::analysis::{Window, simulated, windows};
use crate::catalog::Catalog;
use crate::cli::SourceArgs;
use crate::diagnostics::Failure;
use crate::question::{Question, rebuild};
use cost_model::Profile;
use cost_model::events::Prices;
use cost_model::fit::{Free, LOCAL_CONSTANTS, LocalConstant, LocalMachine, fit};
use plan::calibration::Residuals;
use plan::estimate::Grade;
use plan::program::{Granularity, Op, Program, Settings as Lowering};
use plan::record::{RunRecord, StepSamples, median};
use planner::events::Priced;
use planner::request::Request;
use planner::solution::Solution;
use std::collections::BTreeMap;

/// A constant is left alone where moving it by its whole spread moves no residual by more.
const NO_MATTER: f64 = 0.004;
/// Weight of a whole step beside that of an action that is all of it.
const STEP_WEIGHT: f64 = 1.5;
/// Residual of a run that constants make impossible to price.
const UNPRICED: f64 = 3.0;
/// Kinds of actions below this part of the step are not told.
const TOLD: f64 = 0.01;

/// A recorded run, ready to be priced.
pub struct Run {
    question: Question,
    solution: Solution,
    priced: Priced,
    ranks: u32,
    targets: Vec<Target>,
    /// The step without other programs, seconds.
    pub step: f64,
    /// Time of a step outside of its actions, seconds.
    pub outside: f64,
}

/// A kind of action with its own time.
struct Target {
    class: usize,
    action: usize,
    seconds: f64,
    /// Its part of the step, all actions of the kind together.
    share: f64,
}

/// What a fit found.
pub struct Found {
    /// Constants that matter, with their values.
    pub constants: Vec<(&'static LocalConstant, f64)>,
    /// How well they fit.
    pub residuals: Residuals,
}

impl Run {
    /// Of a record.
    ///
    /// # Errors
    /// Inputs that are not there any more, a plan that does not fit them.
    pub fn new(
        catalog: &Catalog,
        record: &RunRecord,
        samples: &[StepSamples],
    ) -> Result<Self, Failure> {
        let question = rebuild(catalog, &record.plan, &SourceArgs::default())?;
        let ranks = record.plan.decision.world_size;
        let request = question.request(ranks, &|| false)?;
        let broken = |why: String| {
            Failure::new(
                crate::exit::Exit::InvalidInput,
                format!("its plan cannot be priced: {why}"),
            )
        };
        let solution = planner::validate::solution(&request, &record.plan).map_err(broken)?;
        let lowering = Lowering { granularity: Granularity::Layer, ..Lowering::default() };
        let priced = Priced::new(&request, &solution, &lowering);
        let priced = priced.map_err(|why| broken(why.to_string()))?;
        let windows = windows(&priced.program, samples, usize::MAX);
        let step = crate::analysis::undisturbed(&priced.program, &windows);
        let step = step.map_err(|why| broken(why.to_string()))?;
        let targets = targets(&priced.program, &windows, step);
        let outside = outside(samples);
        Ok(Self { solution, priced, ranks, targets, step, outside, question })
    }

    /// The machine as it is without any calibration.
    #[must_use]
    pub fn machine(&self) -> Option<LocalMachine> {
        let group = self.question.cluster.groups.first()?.clone();
        Some(LocalMachine { group, stack: self.question.stack.clone() })
    }

    /// Prices of the program on a machine. `None` where its constants make no profile.
    fn prices(&self, machine: &LocalMachine) -> Option<Prices> {
        let profile = Profile::new(&machine.group.device, &machine.group, &machine.stack).ok()?;
        let request = self.question.request(self.ranks, &|| false).ok()?;
        let request = Request { profile: &profile, ..request };
        Some(self.priced.under(&request, &self.solution).prices)
    }

    /// Weighted residuals on a machine, those of actions first.
    fn residuals(&self, machine: &LocalMachine) -> Vec<f64> {
        let raw = self.raw(machine);
        let weights = self.targets.iter().map(|t| t.share.sqrt().min(1.0));
        let weights = weights.chain([STEP_WEIGHT]);
        raw.into_iter().zip(weights).map(|(r, w)| r * w).collect()
    }

    fn raw(&self, machine: &LocalMachine) -> Vec<f64> {
        let Some(prices) = self.prices(machine) else {
            return vec![UNPRICED; self.targets.len() + 1];
        };
        let program = &self.priced.program;
        let residual = |t: &Target| {
            let action = &program.classes[t.class].actions[t.action];
            let price = prices.time(t.class as u32, t.action as u32, action);
            price.map_or(UNPRICED, |p| clamped((p.get() / t.seconds).ln()))
        };
        let step = simulated(program, &prices).map(|s| clamped((s.get() / self.step).ln()));
        let step = step.unwrap_or(UNPRICED);
        self.targets.iter().map(residual).chain([step]).collect()
    }
}

fn clamped(residual: f64) -> f64 {
    if residual.is_nan() { UNPRICED } else { residual.clamp(-UNPRICED, UNPRICED) }
}

/// Times of one kind of action, and the first action of it.
struct Kind {
    action: usize,
    times: Vec<f64>,
}

/// Kinds of actions: those of equal work, which are told apart by what they are.
fn targets(program: &Program, windows: &[Window], step: f64) -> Vec<Target> {
    let mut kinds: BTreeMap<(usize, u32, Op), Kind> = BTreeMap::new();
    let steps = windows.iter().flat_map(|w| &w.undisturbed.times);
    for (rank, times) in steps.flat_map(|ranks| (0..).zip(ranks)) {
        let Some((class, _)) = program.class_of(rank) else { continue };
        let actions = program.classes[class].actions.iter().zip(times).enumerate();
        for (i, (action, time)) in actions.filter(|(_, (a, _))| a.charge.0 > 0) {
            let kind = kinds.entry((class, action.charge.0, action.op));
            let kind = kind.or_insert(Kind { action: i, times: Vec::new() });
            kind.times.push(time.get());
        }
    }
    let steps = windows.iter().map(Window::steps).sum::<usize>().max(1) as f64;
    let target = |((class, ..), kind): ((usize, u32, Op), Kind)| {
        let ranks = f64::from(program.classes[class].ranks.max(1));
        let each_step = kind.times.iter().sum::<f64>() / steps / ranks;
        let seconds = median(kind.times).filter(|t| *t > 0.0)?;
        Some(Target { class, action: kind.action, seconds, share: each_step / step.max(1e-12) })
    };
    kinds.into_iter().filter_map(target).collect()
}

/// Time of a step outside of its actions: the least disturbed quarter.
fn outside(samples: &[StepSamples]) -> f64 {
    let one = |s: &StepSamples| s.busy - s.actions.iter().map(|a| a.b).sum::<f64>();
    executor::bench::lower_quartile(samples.iter().map(one).collect()).max(0.0)
}

/// Fits the constants that matter to runs, starting from a machine. `None` where there is no run.
#[must_use]
pub fn fit_runs(runs: &[Run], start: &LocalMachine) -> Option<Found> {
    runs.first()?;
    let all = |machine: &LocalMachine| -> Vec<f64> {
        runs.iter().flat_map(|run| run.residuals(machine)).collect()
    };
    let with = |constants: &[&'static LocalConstant], at: &[f64]| {
        let mut machine = start.clone();
        for (constant, x) in constants.iter().zip(at) {
            constant.set(&mut machine, x.exp(), Grade::Fitted, "a trial");
        }
        machine
    };
    let before = all(start);
    let matters = |constant: &&'static LocalConstant| {
        let Free { start, spread, low, high } = constant.free(start);
        let moved = if start + spread > high { start - spread } else { start + spread };
        let there = all(&with(&[*constant], &[moved.clamp(low, high)]));
        there.iter().zip(&before).any(|(a, b)| (a - b).abs() > NO_MATTER)
    };
    let constants: Vec<&'static LocalConstant> = LOCAL_CONSTANTS.iter().filter(matters).collect();
    let free: Vec<Free> = constants.iter().map(|c| c.free(start)).collect();
    let found = fit(&free, &mut |at: &[f64]| all(&with(&constants, at)));
    let machine = with(&constants, &found.values);
    let values = constants.iter().map(|c| (*c, c.of(&machine))).collect();
    Some(Found { constants: values, residuals: told(runs, &machine) })
}

/// How far prices of kinds of actions and of whole steps lie from what was measured.
fn told(runs: &[Run], machine: &LocalMachine) -> Residuals {
    let mut actions = Vec::new();
    let mut steps = Vec::new();
    for run in runs {
        let raw = run.raw(machine);
        let told = run.targets.iter().zip(&raw).filter(|(t, _)| t.share > TOLD);
        actions.extend(told.map(|(_, r)| r.exp_m1().abs()));
        steps.extend(raw.last().map(|r| r.exp_m1().abs()));
    }
    actions.sort_by(f64::total_cmp);
    let at = |part: f64| {
        let last = actions.len().saturating_sub(1) as f64;
        actions.get((part * last).round() as usize).copied().unwrap_or(0.0)
    };
    Residuals {
        actions: u32::try_from(actions.len()).unwrap_or(u32::MAX),
        median: at(0.5),
        p90: at(0.9),
        steps: median(steps).unwrap_or(0.0),
    }
}
