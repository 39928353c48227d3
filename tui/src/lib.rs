//! Plans on a terminal: choose with the eyes.
//!
//! Elm's architecture. [`Model`] is all state, [`Message`] everything that can happen to it,
//! [`update()`] a function from both to effects, [`view::draw`] a function from the model to cells.
//! Effects are solved on a thread of its own ([`solver`]); an answer carries the generation of its
//! question, and an answer to an older question is dropped.
//!
//! Keys, their footer, their help and their documents come from one table, [`keymap::KEYMAP`].
//! Whatever needs files, flags or an executor is asked of a [`host::Host`].

pub mod ask;
pub mod candidates;
pub mod capture;
pub mod communication;
pub mod documents;
pub mod filter;
pub mod host;
pub mod key;
pub mod keymap;
pub mod knob;
pub mod message;
pub mod model;
pub mod palette;
pub mod solver;
pub mod strips;
pub mod terminal;
pub mod theme;
pub mod update;
pub mod view;

pub use ask::Ask;
pub use host::{Host, Menu, Question, Refusal, RunEvent};
pub use message::{Effect, Message};
pub use model::{Model, Screen};
pub use update::update;
