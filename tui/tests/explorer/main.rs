//! The explorer as a whole: screens as text, keys by the thousand, answers that come late, and real
//! questions.

mod behaviour;
mod canned;
mod keys;
mod screens;
mod solving;
mod world;
