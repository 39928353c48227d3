//! Scenario files: text in, value or problems out. No I/O: whoever reads the file hands the text.
//!
//! Every file starts with `schema = 1` and `name = "…"`, may carry `aliases = […]`, and has a
//! `[sources]` table where long sources get short names. Every physical value has a unit and a
//! source.

pub mod cluster;
pub mod corpus;
pub mod device;
mod header;
pub mod model;
pub mod reader;
mod template;

pub use cluster::parse_cluster;
pub use corpus::parse_corpus;
pub use device::parse_device;
pub use header::{Names, names};
pub use model::parse_model;
pub use reader::{Item, Problem, Problems, Table, read};
pub use template::{Kind, template};
