//! How the best plan is found and proven.

pub mod evaluate;
pub mod exchange;
pub mod inner;
pub mod interleaved;
pub mod layout_search;
pub mod pipeline;
pub mod prices;
pub mod request;
pub mod search;
pub mod setting;
pub mod solution;
pub mod space;
pub mod sync;
