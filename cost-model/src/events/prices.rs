//! How long actions take alone: prices of their charges, or what a run measured.

use super::EventError;
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
    /// Each layer pays its own wait, as in [`crate::layer`]: `max(device, kernels·t_launch)`.
    InPrices,
    /// A lane of its own: the host launches actions in the order of issue and runs ahead of the
    /// device as far as it can. Never slower than layer by layer.
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
    /// γ of the software stack.
    contention: f64,
    /// Whether gradients are reduced while the backward pass still runs.
    overlaps_gradients: bool,
}

impl Prices {
    /// Prices all charges of a program.
    #[must_use]
    pub fn new(program: &Program, profile: &Profile, host: Host) -> Self {
        let overlap = &profile.stack().overlap;
        let staged = has_messages_between_nodes(program);
        let price = |c| charge(c, staged, profile, host);
        Self {
            charges: program.charges.iter().map(price).collect(),
            contention: overlap.contention.value,
            overlaps_gradients: overlap.data.value,
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
        Self { charges, contention, overlaps_gradients: true }
    }

    /// The price of an action.
    #[must_use]
    pub fn of(&self, action: &Action) -> Option<&ChargePrice> {
        self.charges.get(action.charge.0 as usize)
    }
}

/// Times of actions.
#[derive(Clone, Copy, Debug)]
pub enum Durations<'a> {
    /// From prices.
    Prices(&'a Prices),
    /// From a run, by class and place in its list, contention and waiting for the host included:
    /// replaying them asks whether the schedule is modelled right, whatever the prices.
    Measured(&'a [Vec<Seconds>]),
}

impl Durations<'_> {
    pub(super) fn work(&self, class: u32, at: u32, action: &Action) -> Result<f64, EventError> {
        let time = match self {
            Self::Prices(prices) => prices.of(action).map(|p| p.parts.total().value),
            Self::Measured(all) => {
                all.get(class as usize).and_then(|c| c.get(at as usize)).copied()
            }
        };
        let time = time.map(Seconds::get).filter(|t| t.is_finite() && *t >= 0.0);
        time.ok_or(EventError::NoTime { class, action: at })
    }

    pub(super) fn launch(&self, action: &Action) -> f64 {
        match self {
            Self::Prices(prices) => prices.of(action).map_or(0.0, |p| p.launch.get()),
            Self::Measured(_) => 0.0,
        }
    }

    /// Contention constants; [`Durations::contention`] picks one.
    pub(super) fn contentions(&self) -> Vec<f64> {
        let gamma = match self {
            Self::Prices(prices) => prices.contention,
            Self::Measured(_) => 0.0,
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
            Self::Measured(_) => true,
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
                launch += launches(layer.steps.iter().map(|s| &s.work), profile) * times;
            }
        }
        Charge::Items(items) => {
            for item in items {
                parts.compute = parts.compute + price(item, profile);
            }
            launch = launches(items, profile);
        }
    }
    match host {
        Host::InPrices => ChargePrice { parts, launch: Seconds::ZERO },
        Host::Lane => {
            parts.launch = Estimate::exact(Seconds::ZERO);
            ChargePrice { parts, launch }
        }
    }
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
