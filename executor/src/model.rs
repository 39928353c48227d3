//! Models that can be run: the chain of layers of a [`plan::model::Model`], with parameters.
//!
//! A rank holds consecutive layers, a [`Stage`], and of every layer the part that its place in the
//! tensor-parallel group gives it. Parameters have names and initial values that do not depend on
//! how they are split.

mod batch;
mod block;
mod embedding;
mod head;
mod layer;
mod parameter;
mod recurrent;
mod split;
mod stage;
mod support;

pub use batch::MicroBatch;
pub use layer::Carry;
pub use parameter::{Cut, Init, Parameter};
pub use split::{Along, Groups, Split};
pub use stage::{Carries, Kept, Output, Remainder, Stage};
pub use support::{Unsupported, assumptions, border_width, check, runs_in_time};

#[cfg(test)]
pub(crate) mod tests;
