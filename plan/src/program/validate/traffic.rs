//! Bytes on the wire against the closed forms of the plan.

use super::Flaw;
use super::tables::{ROUNDING, sent};
use crate::program::passes::closed_forms::{axis_of, wire_of};
use crate::program::{Action, Charge, Class, Peers, Program, Purpose, Traffic};
use crate::units::Bytes;
use std::collections::BTreeMap;

pub(super) fn check(program: &Program, class: &Class) -> Result<(), Flaw> {
    let found = traffic(program, class);
    let mut all: BTreeMap<Traffic, (f64, f64)> = BTreeMap::new();
    found.into_iter().for_each(|(traffic, bytes)| all.entry(traffic).or_default().0 = bytes);
    for entry in &class.ledger {
        all.entry(entry.traffic).or_default().1 += entry.bytes.get();
    }
    for (traffic, (found, needed)) in all {
        if (found - needed).abs() > ROUNDING * needed.max(1.0) {
            let (found, needed) = (Bytes::new(found), Bytes::new(needed));
            return Err(Flaw::Traffic { rank: class.first_rank, traffic, found, needed });
        }
    }
    Ok(())
}

/// Bytes that each rank of a class sends in a step, expected, by what they are for; actions that
/// run in some steps count once.
#[must_use]
pub(crate) fn traffic(program: &Program, class: &Class) -> BTreeMap<Traffic, f64> {
    let mut sum = BTreeMap::new();
    for action in &class.actions {
        match action.peers {
            Peers::Nobody => inside(program, action, &mut sum),
            _ => {
                if let Some((traffic, bytes)) = sent(program, action) {
                    *sum.entry(traffic).or_default() += bytes;
                }
            }
        }
    }
    sum.retain(|_, bytes| *bytes > 0.0);
    sum
}

/// Collectives inside a pass that is listed as one action.
fn inside(program: &Program, action: &Action, sum: &mut BTreeMap<Traffic, f64>) {
    let Charge::Layers { layers, .. } = program.charge(action) else { return };
    for layer in layers {
        for step in &layer.steps {
            let bytes = wire_of(&step.work);
            if bytes > 0.0 {
                let traffic = Traffic::Group(Purpose::Layer(axis_of(step.role)));
                *sum.entry(traffic).or_default() += f64::from(layer.layers) * bytes;
            }
        }
    }
}
