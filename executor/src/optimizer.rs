//! What happens between gradients and weights: unscaling, clipping, learning rate, update.

mod norm;
mod rate;
mod rule;
mod scale;

pub use norm::{SquareSum, clip_factor};
pub use rate::{BatchRamp, Schedule};
pub use rule::{Adam, Rule, State};
pub use scale::LossScale;
