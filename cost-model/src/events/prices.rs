//! How long actions take alone: prices of their charges, or what a run measured.

use super::EventError;
use super::gradients::{Gradients, OfClass, besides, holds, is_shard};
use crate::layer::{PassTime, Surroundings, pass_time};
use crate::profile::Profile;
use crate::{host, price};
use plan::Estimate;
use plan::lower::{Step, StepRole};
use plan::mesh::Axis;
use plan::program::{Action, Cause, Charge, Op, Program};
use plan::units::Seconds;
use plan::work::{CollectiveOp, Work};

/// Who accounts for the time that the host needs to launch kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// Each layer pays its own wait, as in [`crate::layer`]: `∛(device³ + host³)`.
    InPrices,
    /// The same, and a lane of its own: the host launches actions in the order of issue, and none
    /// begins before it gets there.
    Lane,
}

/// What a charge costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChargePrice {
    /// Where its time goes; the parts add up.
    pub parts: PassTime,
    /// What the host needs to launch it, where that is a lane of its own.
    pub launch: Seconds,
}

/// Prices of a program's charges under a profile, each computed once.
#[derive(Clone, Debug, PartialEq)]
pub struct Prices {
    charges: Vec<ChargePrice>,
    /// What actions take besides, per class and action; empty where that is nothing.
    besides: Vec<OfClass>,
    /// How long actions hold computation up before they begin; empty where none does.
    holds: Vec<OfClass>,
    /// γ of the software stack.
    contention: f64,
    /// Whether gradients are reduced while the backward pass still runs.
    overlaps_gradients: bool,
    /// Whether updated weights are gathered while the next forward pass runs.
    overlaps_weights: bool,
    /// Whether nothing runs beside collectives of sharded states.
    alone: bool,
}

impl Prices {
    /// Prices all charges of a program.
    #[must_use]
    pub fn new(program: &Program, profile: &Profile, host: Host, gradients: &Gradients) -> Self {
        let overlap = &profile.stack().overlap;
        let overlaps_gradients =
            overlap.data.value && (!gradients.scattered || overlap.scattered.value);
        let staged = has_messages_between_nodes(program);
        let price = |c| charge(c, staged, profile, host);
        Self {
            charges: program.charges.iter().map(price).collect(),
            besides: besides(program, profile, gradients),
            holds: holds(program, profile, gradients),
            contention: overlap.contention.value,
            overlaps_gradients,
            overlaps_weights: overlaps_gradients && overlap.gather.value,
            alone: gradients.alone,
        }
    }

    /// Prices that are given, with the contention constant γ.
    #[must_use]
    pub fn given(charges: Vec<Seconds>, contention: f64) -> Self {
        let price = |time| ChargePrice {
            parts: PassTime { compute: Estimate::exact(time), ..PassTime::zero() },
            launch: Seconds::ZERO,
        };
        let charges = charges.into_iter().map(price).collect();
        Self {
            charges,
            besides: Vec::new(),
            holds: Vec::new(),
            contention,
            overlaps_gradients: true,
            overlaps_weights: false,
            alone: false,
        }
    }

    /// How long an action takes alone, by its class and place in the list: its price, and what the
    /// stack adds to it.
    #[must_use]
    pub fn time(&self, class: u32, at: u32, action: &Action) -> Option<Seconds> {
        let own = of_action(&self.besides, class, at);
        self.of(action).map(|price| price.parts.total().value + own)
    }

    /// How long an action holds computation of its rank up before it begins.
    #[must_use]
    pub fn hold(&self, class: u32, at: u32) -> Seconds {
        of_action(&self.holds, class, at)
    }

    /// The price of an action.
    #[must_use]
    pub fn of(&self, action: &Action) -> Option<&ChargePrice> {
        self.charges.get(action.charge.0 as usize)
    }
}

fn of_action(all: &[OfClass], class: u32, at: u32) -> Seconds {
    let own = all.get(class as usize).and_then(|class| class.get(at as usize));
    Seconds::new(own.copied().unwrap_or(0.0))
}

/// Times of actions.
#[derive(Clone, Copy, Debug)]
pub enum Durations<'a> {
    /// From prices.
    Prices(&'a Prices),
    /// From a run, by class and place in its list, contention and waiting for the host included:
    /// replaying them asks whether the schedule is modelled right, whatever the prices.
    Measured(&'a [Vec<Seconds>]),
    /// From a run, by step, rank and place in the list of the rank's class: no two steps or ranks
    /// have to be alike. Ranks are simulated one by one ([`super::Fold::nobody`]).
    Recorded(&'a Recorded),
}

/// Times of a run, without waiting for other ranks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recorded {
    /// The first step.
    pub first: u64,
    /// By step, rank and action.
    pub times: Vec<Vec<Vec<Seconds>>>,
    /// By step and rank: what comes after the last action of a step; nothing where there is none.
    pub after: Vec<Vec<Seconds>>,
}

impl Recorded {
    fn of(&self, step: u32, rank: u32, action: u32) -> Option<Seconds> {
        let step = u64::from(step).checked_sub(self.first)?;
        let rank = self.times.get(usize::try_from(step).ok()?)?.get(rank as usize)?;
        rank.get(action as usize).copied()
    }

    fn after(&self, step: u32, rank: u32) -> Option<Seconds> {
        let step = u64::from(step).checked_sub(self.first)?;
        self.after.get(usize::try_from(step).ok()?)?.get(rank as usize).copied()
    }
}

/// Whose action.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whose {
    pub class: u32,
    pub rank: u32,
    pub step: u32,
}

impl Durations<'_> {
    pub(super) fn work(&self, whose: Whose, at: u32, action: &Action) -> Result<f64, EventError> {
        let class = whose.class;
        let time = match self {
            Self::Prices(prices) => prices.time(class, at, action),
            Self::Measured(all) => {
                all.get(class as usize).and_then(|c| c.get(at as usize)).copied()
            }
            Self::Recorded(all) => all.of(whose.step, whose.rank, at),
        };
        let time = time.map(Seconds::get).filter(|t| t.is_finite() && *t >= 0.0);
        time.ok_or(EventError::NoTime { class, action: at })
    }

    /// What a rank does after the last action of a step.
    pub(super) fn after(&self, step: u32, rank: u32) -> f64 {
        match self {
            Self::Recorded(all) => all.after(step, rank).map_or(0.0, |t| t.get().max(0.0)),
            Self::Prices(_) | Self::Measured(_) => 0.0,
        }
    }

    pub(super) fn launch(&self, action: &Action) -> f64 {
        match self {
            Self::Prices(prices) => prices.of(action).map_or(0.0, |p| p.launch.get()),
            Self::Measured(_) | Self::Recorded(_) => 0.0,
        }
    }

    /// How long an action holds computation of its rank up.
    pub(super) fn hold(&self, class: u32, at: u32) -> f64 {
        match self {
            Self::Prices(prices) => prices.hold(class, at).get(),
            Self::Measured(_) | Self::Recorded(_) => 0.0,
        }
    }

    /// Whether an action belongs to the next step: weights that the last update has left are
    /// gathered while this step's forward pass runs.
    pub(super) fn is_next(&self, action: &Action) -> bool {
        let overlaps = match self {
            Self::Prices(prices) => prices.overlaps_weights,
            Self::Measured(_) | Self::Recorded(_) => false,
        };
        overlaps && action.op == Op::Gather && action.cause == Cause::Zero(1)
    }

    /// Whether computation of its rank stands still while an action runs.
    pub(super) fn is_alone(&self, action: &Action) -> bool {
        matches!(self, Self::Prices(prices) if prices.alone) && is_shard(action)
    }

    /// Contention constants; [`Durations::contention`] picks one.
    pub(super) fn contentions(&self) -> Vec<f64> {
        let gamma = match self {
            Self::Prices(prices) => prices.contention,
            Self::Measured(_) | Self::Recorded(_) => 0.0,
        };
        vec![0.0, gamma / 2.0, gamma]
    }

    /// Collectives of sharded states run beside every layer and contend with γ; reductions once
    /// per step contend with γ/2, as in [`crate::overlap::exposed_data_parallel`]. Collectives
    /// inside layers and messages do not: their prices say what of them is exposed.
    pub(super) fn contention(&self, action: &Action) -> u8 {
        match (action.op, action.cause) {
            (Op::Gather | Op::Reduce(_), Cause::Zero(stage)) if stage >= 2 => 2,
            (Op::Gather | Op::Reduce(_) | Op::ReduceTied | Op::ReduceDelta, _) => 1,
            (Op::GatherIds | Op::GatherRows | Op::ReduceRows | Op::RouteRows(_), _) => 1,
            _ => 0,
        }
    }

    /// Whether the reduction of gradients waits for the end of the backward pass.
    pub(super) fn delays(&self, action: &Action) -> bool {
        let overlaps = match self {
            Self::Prices(prices) => prices.overlaps_gradients,
            Self::Measured(_) | Self::Recorded(_) => true,
        };
        !overlaps && matches!(action.op, Op::Reduce(_)) && self.contention(action) == 1
    }
}

/// Whether stages of a pipeline on different nodes exchange messages.
fn has_messages_between_nodes(program: &Program) -> bool {
    program.charges.iter().any(|charge| match charge {
        Charge::Items(items) => {
            items.iter().any(|item| matches!(item, Work::Send(send) if send.crosses_nodes))
        }
        _ => false,
    })
}

fn charge(charge: &Charge, staged: bool, profile: &Profile, host: Host) -> ChargePrice {
    let mut parts = PassTime::zero();
    let mut launch = Seconds::ZERO;
    match charge {
        Charge::Free => {}
        Charge::Layers { pass, layers } => {
            for layer in layers {
                let times = f64::from(layer.layers);
                let sequence_parallel = is_sequence_parallel(&layer.steps);
                let around = Surroundings { sequence_parallel, staged };
                let time = pass_time(&layer.steps, *pass, around, profile);
                parts = parts.plus(&time.times(times));
                let steps = layer.steps.iter();
                let host: Seconds = steps.map(|s| host::occupied(s, staged, profile)).sum();
                launch += host * times;
            }
        }
        Charge::Items(items) => {
            for item in items {
                parts.compute = parts.compute + price(item, profile);
            }
            launch = launches(items, profile);
        }
    }
    ChargePrice { parts, launch: if host == Host::Lane { launch } else { Seconds::ZERO } }
}

fn launches<'a>(work: impl IntoIterator<Item = &'a Work>, profile: &Profile) -> Seconds {
    work.into_iter().map(|item| host::launch(item, profile).value).sum()
}

/// Sequence parallelism gathers and scatters where plain tensor parallelism reduces.
fn is_sequence_parallel(steps: &[Step]) -> bool {
    steps.iter().any(|step| {
        let in_group = step.role == StepRole::Communication(Axis::Tensor);
        let scatters = |work: &Work| match work {
            Work::Collective(c) => c.op == CollectiveOp::ReduceScatter,
            _ => false,
        };
        in_group && scatters(&step.work)
    })
}
