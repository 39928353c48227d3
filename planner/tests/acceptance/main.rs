//! What the planner must reach: published plans, published times, and properties of every answer.

mod answers;
mod exchange;
mod frontier;
mod megatron;
mod whole_search;
mod world;
