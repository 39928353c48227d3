//! What a plan costs.

pub mod simulate;
