//! From a step to a run: how many steps a loss takes, what failures and checkpoints cost, what the
//! electricity is.
//!
//! Everything here is statistics of training and of machines, not of the plan: each law is an
//! assumption that a report prints beside the number it led to.

pub mod allocation;
pub mod critical;
pub mod energy;
pub mod goodput;
