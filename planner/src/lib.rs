//! How the best plan is found and proven.
//!
//! [`plan()`] answers a [`request::Request`]: [`search`] walks the configurations of [`space`]
//! best first; [`inner`] prices one as an inner problem; [`pipeline`] (and [`even`]) solves
//! it; [`evaluate`] takes the winner apart; [`report`], [`why`] and [`binding`] explain it, and
//! [`validate`] checks it again; [`program`] lowers it. [`mod@training`] asks for a whole run
//! instead of a step.
//!
//! From files to a plan; where they come from is the caller's:
//!
//! ```
//! use cost_model::{Profile, stack::load_stack};
//! use plan::model::Model;
//! use plan::scenario::{parse_cluster, parse_device, parse_model};
//! use planner::pipeline::Backend;
//! use planner::request::{Effort, Objective, Pins, Request};
//! use planner::{Answer, plan};
//!
//! let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios");
//! let text = |kind: &str, name: &str| {
//!     std::fs::read_to_string(format!("{root}/{kind}/{name}.toml")).ok()
//! };
//!
//! let spec = parse_model(&text("models", "gpt2").unwrap()).unwrap();
//! let device = |name: &str| parse_device(&text("devices", name)?).ok();
//! let cluster = parse_cluster(&text("clusters", "hgx-h100").unwrap(), &device).unwrap();
//! let stack = load_stack("megatron-core", &|name| text("profiles", name)).unwrap();
//!
//! let group = &cluster.groups[0];
//! let profile = Profile::new(&group.device, group, &stack).unwrap();
//! let request = Request {
//!     model: &Model::build(&spec).unwrap(),
//!     cluster: &cluster,
//!     profile: &profile,
//!     gpus: 8,
//!     global_sequences: 64,
//!     corpus: None,
//!     pins: Pins::default(),
//!     one_thread: false,
//!     refuses: &[],
//!     max_memory: 0.9,
//!     backend: Backend::Microlp,
//!     effort: Effort::Proof,
//!     stop: &|| false,
//! };
//! let Answer::Plan(planned) = plan(&request, Objective::StepTime) else { panic!("it fits") };
//! assert_eq!(planned.solution.configuration.degrees.dp, 8);
//! assert!(planned.detail.step.value.get() > 0.0);
//! ```

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
