//! What actions cost: work, before anybody says how long it takes.

use crate::lower::Step;
use crate::work::{Pass, Work};

/// Place of a charge in the table of its program. Equal ids mean equal work, so whoever prices or
/// measures keeps one number per id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChargeId(pub u32);

/// Work of an action.
#[derive(Clone, Debug, PartialEq)]
pub enum Charge {
    /// Nothing that takes a device's time. Always the first of the table.
    Free,
    /// Passes over layers, collectives inside included: overlap rules of the stack apply to each
    /// layer.
    Layers {
        /// Direction, which decides what hides behind what.
        pass: Pass,
        /// The layers, in order.
        layers: Vec<LayerWork>,
    },
    /// Items one after the other.
    Items(Vec<Work>),
}

/// What some equal layers do, each.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerWork {
    /// How many layers.
    pub layers: u32,
    /// The steps of one.
    pub steps: Vec<Step>,
}

impl Charge {
    /// Every work item with how often it is done.
    pub fn items(&self) -> impl Iterator<Item = (u32, &Work)> {
        let (layers, items): (&[LayerWork], &[Work]) = match self {
            Self::Free => (&[], &[]),
            Self::Layers { layers, .. } => (layers, &[]),
            Self::Items(items) => (&[], items),
        };
        let in_layers =
            layers.iter().flat_map(|l| l.steps.iter().map(|step| (l.layers, &step.work)));
        in_layers.chain(items.iter().map(|work| (1, work)))
    }
}
