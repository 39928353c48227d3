//! How the best plan is found and proven.

pub mod layout_search;
pub mod pipeline;
