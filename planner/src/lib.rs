//! How the best plan is found and proven.

pub mod pipeline;
