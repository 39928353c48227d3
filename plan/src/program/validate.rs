//! Checks a program without running it. Nothing here looks at how the program was made.
//!
//! - [`tables`]: every id exists, every charge is that of its message.
//! - [`order`]: tokens are signalled before they are waited for; every read sees the version that
//!   it means, after its writer and before the next; memory has one owner at a time.
//! - [`passes`]: every layer runs forward and backward once per micro-batch, and every collected
//!   weight is given up.
//! - [`meeting`]: all collectives and messages match, and nothing hangs even if every send blocks
//!   until it is taken.
//! - [`traffic`]: bytes are those of the closed forms.
//! - [`memory`]: the arena holds what lives, and fits.
//!
//! Happening before is decided per rank, from lanes and tokens alone: an order that only another
//! rank would enforce is not relied upon.

mod flaw;
mod meeting;
mod memory;
mod order;
mod passes;
mod tables;
mod traffic;

pub use flaw::{Flaw, Place};

use super::{Cadence, Class, Program};
use std::collections::BTreeSet;

/// Checks a program.
///
/// # Errors
/// The first [`Flaw`]: which rank, which action, what is wrong and what would be right.
pub fn validate(program: &Program) -> Result<(), Flaw> {
    tables::check(program)?;
    for class in &program.classes {
        passes::check(program, class)?;
        for cadence in cadences(class) {
            order::check(program, class, cadence)?;
        }
        memory::check(program, class)?;
        traffic::check(program, class)?;
    }
    meeting::check(program)
}

/// Kinds of steps: those in which only what runs always runs, and one per cadence.
fn cadences(class: &Class) -> BTreeSet<Cadence> {
    let mut all: BTreeSet<Cadence> = class.actions.iter().map(|a| a.cadence).collect();
    all.insert(Cadence::EACH_STEP);
    all
}
