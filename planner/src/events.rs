//! A plan as a program, in time: the same decisions, simulated action by action.
//!
//! The search scores plans by the recurrence over passes ([`cost_model::simulate`]), where a pass
//! is one number and what happens once per step is a tail. A program says what that leaves out:
//! which bucket is ready when, which link is busy, what the host is launching. [`scored`] says how
//! far the two are apart.

use crate::inner::{added_bytes, shard_bytes, uses};
use crate::prices::{PriceBook, PricedKind, Split};
use crate::program::{program, settings};
use crate::report::decision;
use crate::request::Request;
use crate::solution::{Solution, unjittered};
use crate::space::Configuration;
use cost_model::events::{
    Durations, EventError, Fold, Gradients, Host, LayerGradients, Options, Prepared, Prices,
};
use cost_model::memory::Zero;
use plan::model::{LayerRole, Run};
use plan::program::{Granularity, LowerError, Program, Settings};
use plan::units::Seconds;
use thiserror::Error;

/// Why a plan has no time as a program.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Unscored {
    /// It cannot be lowered.
    #[error(transparent)]
    Lower(#[from] LowerError),
    /// Its program cannot be simulated.
    #[error(transparent)]
    Events(#[from] EventError),
    /// Its program has more actions than are worth waiting for.
    #[error("about {actions} actions are more than the {most} that are simulated")]
    TooLarge {
        /// Actions, about.
        actions: u64,
        /// Limit.
        most: u64,
    },
}

/// What stacks do with the gradients of a solution's backward passes: the terms of the closed form.
#[must_use]
pub fn gradients(request: &Request<'_>, solution: &Solution) -> Gradients {
    let c = &solution.configuration;
    let zero = solution.setting.zero;
    let mut book = PriceBook::new(request);
    let chain = request.model.chain.iter();
    let layers = match book.get(Split::of(request, c)) {
        Ok(kinds) => chain.flat_map(|run| layers(request, c, run, &kinds[run.kind])).collect(),
        Err(_) => Vec::new(),
    };
    let copied = if zero == Zero::Parameters { shard_bytes(request) } else { 0.0 };
    let (added, copies) = (added_bytes(request, c), uses(c));
    let alone = request.model.is_recurrent;
    Gradients { layers, added, copied, copies, scattered: zero == Zero::Optimizer, alone }
}

/// Gradients of the layers of a run. A full output table is a tensor like others, unless it is the
/// input table and on the same rank.
fn layers(
    request: &Request<'_>,
    c: &Configuration,
    run: &Run,
    kind: &PricedKind,
) -> Vec<LayerGradients> {
    let p = &kind.parameters;
    let is_head = request.model.kinds[run.kind].role == LayerRole::Head;
    let is_shared = request.model.table.is_some_and(|t| t.tied) && c.degrees.pp == 1;
    let tensors = p.tensors + u64::from(is_head && !is_shared);
    vec![LayerGradients { parameters: p.total(), tensors }; run.layers as usize]
}

/// A plan by closed form and as a program, without stragglers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    /// As the search sees it.
    pub closed_form: Seconds,
    /// As a program.
    pub simulated: Seconds,
}

impl Scored {
    /// How much longer the program takes, as a fraction of the closed form.
    #[must_use]
    pub fn difference(&self) -> f64 {
        self.simulated / self.closed_form - 1.0
    }
}

/// A program with the prices of its actions.
#[derive(Clone, Debug)]
pub struct Priced {
    /// The program.
    pub program: Program,
    /// What its actions cost alone.
    pub prices: Prices,
}

impl Priced {
    /// The program of a solution under the profile of the request.
    ///
    /// # Errors
    /// [`LowerError`] where it asks for what has no lowering.
    pub fn new(
        request: &Request<'_>,
        solution: &Solution,
        settings: &Settings,
    ) -> Result<Self, LowerError> {
        let program = program(request, &decision(request, solution), settings)?;
        let prices = Self::prices(&program, request, solution);
        Ok(Self { program, prices })
    }

    /// The same program under the profile of another request.
    #[must_use]
    pub fn under(&self, request: &Request<'_>, solution: &Solution) -> Self {
        let prices = Self::prices(&self.program, request, solution);
        Self { program: self.program.clone(), prices }
    }

    fn prices(program: &Program, request: &Request<'_>, solution: &Solution) -> Prices {
        Prices::new(program, request.profile, Host::Lane, &gradients(request, solution))
    }

    /// Ready to be simulated for one step, as on a cluster.
    ///
    /// # Errors
    /// [`EventError`] where an action has no price.
    pub fn prepared(&self, fold: Fold) -> Result<Prepared<'_>, EventError> {
        let durations = Durations::Prices(&self.prices);
        Prepared::new(&self.program, durations, fold, &Options::CLUSTER)
    }

    /// Ready to be simulated for a [period](Self::period).
    ///
    /// # Errors
    /// [`EventError`] where an action has no price.
    pub fn prepared_period(&self, fold: Fold) -> Result<Prepared<'_>, EventError> {
        let options = Options { steps: 0..self.period(), ..Options::CLUSTER };
        Prepared::new(&self.program, Durations::Prices(&self.prices), fold, &options)
    }

    /// The step with no rank slower than its price; where replicas train apart, the mean step of a
    /// period.
    ///
    /// # Errors
    /// [`EventError`].
    pub fn makespan(&self) -> Result<Seconds, EventError> {
        let prepared = self.prepared_period(Fold::classes(&self.program))?;
        Ok(prepared.run()?.makespan() / self.period() as f64)
    }

    /// Steps after which the program has done everything that it does now and then.
    #[must_use]
    pub fn period(&self) -> u64 {
        let actions = self.program.classes.iter().flat_map(|class| &class.actions);
        u64::from(actions.map(|action| action.cadence.every).max().unwrap_or(1).max(1))
    }
}

/// Most actions of a program that an answer waits for: about a tenth of a second.
const MOST_ACTIONS: u64 = 100_000;

/// Simulates a plan as a program, one step, as on a cluster: layer by layer, or where that is a
/// long list stage by stage. `step` is its closed form.
///
/// # Errors
/// [`Unscored`] where it has no program, or one that is too large.
pub fn scored(
    request: &Request<'_>,
    solution: &Solution,
    step: Seconds,
) -> Result<Scored, Unscored> {
    let fits = |g: &Granularity| expected_actions(request, solution, *g) <= MOST_ACTIONS;
    let finest = [Granularity::Layer, Granularity::Stage].into_iter().find(fits);
    let granularity = finest.ok_or_else(|| Unscored::TooLarge {
        actions: expected_actions(request, solution, Granularity::Stage),
        most: MOST_ACTIONS,
    })?;
    let priced = Priced::new(request, solution, &settings(request, granularity))?;
    let simulated = priced.makespan()?;
    Ok(Scored { closed_form: unjittered(request, step), simulated })
}

/// Passes forward, backward and again, and about as many collectives and messages.
fn expected_actions(request: &Request<'_>, solution: &Solution, granularity: Granularity) -> u64 {
    let pieces = match granularity {
        Granularity::Stage => solution.stages.len() as u64,
        Granularity::Layer | Granularity::Operator => u64::from(request.model.layers()),
    };
    let passes = u64::from(solution.configuration.micro_batches) * 3;
    let steps = u64::from(request.pins.local_steps.map_or(1, |local| local.every));
    pieces * passes * 2 * steps
}
