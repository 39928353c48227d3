//! How the best plan is found and proven.
//!
//! [`plan()`] answers a [`request::Request`]: [`search`] walks the configurations of [`space`]
//! best first; [`inner`] prices one as an inner problem; [`pipeline`] (and [`even`]) solves
//! it; [`evaluate`] takes the winner apart; [`report`], [`why`] and [`binding`] explain it, and
//! [`validate`] checks it again; [`program`] lowers it. [`mod@training`] asks for a whole run
//! instead of a step.

pub mod answer;
pub mod binding;
pub mod combinations;
pub mod evaluate;
pub mod even;
pub mod events;
pub mod exchange;
pub mod inner;
pub mod label;
pub mod layout_search;
pub mod pieces;
pub mod pipeline;
pub mod prices;
pub mod program;
pub mod ranking;
pub mod report;
pub mod request;
pub mod search;
pub mod setting;
pub mod solution;
pub mod space;
pub mod sync;
pub mod training;
pub mod validate;
pub mod why;

pub use answer::{Answer, Impossible, Planned, plan};
