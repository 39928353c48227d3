//! What the planner must reach: published plans, published times, and properties of every answer.
#![expect(clippy::print_stdout, reason = "tables of predictions beside published values")]

mod answers;
mod exchange;
mod frontier;
mod megatron;
mod whole_search;
mod world;
