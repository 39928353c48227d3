//! What the planner must reach: published plans, published times, and properties of every answer.
#![expect(clippy::print_stdout, reason = "the tables are these tests' output")]

mod answers;
mod closed_forms;
mod exchange;
mod frontier;
mod megatron;
mod policies;
mod programs;
mod ranking;
mod scaling;
mod schedules;
mod whole_search;
mod world;
