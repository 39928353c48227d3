//! Training: ranks that run their programs.
//!
//! A [`Job`] is a plan, lowered, with a text and a recipe. Each rank walks the list of its class,
//! in the order of issue, once per step; what an action means is in [`Rank`]. Ranks differ in
//! nothing but their place.
//!
//! ```text
//! Job ── run_threads ──► Rank (one per thread) ──► Block (weights, gradients, state of a layer)
//!                         │
//!                         └─► Links (one communicator per entry of the program's tables)
//! ```

mod accumulate;
mod block;
mod collect;
mod job;
mod layer_group;
mod links;
mod network;
mod outer;
mod passes;
mod place;
mod rank;
mod recorded;
mod resume;
mod routes;
mod rows;
mod run;
mod slice;
mod watchdog;
mod wire;

pub use accumulate::Accumulator;
pub use job::{Job, JobError, Recipe};
pub use links::Links;
pub use network::Network;
pub use outer::Outer;
pub use place::Place;
pub use rank::{Rank, StepReport};
pub use run::{Observer, Outcome, RunError, run_rank, run_threads};
pub use slice::run_slice;
pub use watchdog::{PATIENCE, Watchdog};

#[cfg(test)]
mod tests;
