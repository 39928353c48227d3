//! Every layer once per micro-batch, every write of every buffer, every gathered weight released,
//! few messages under way.

use super::Flaw;
use super::tables::place;
use crate::program::{Action, BufferId, BufferKind, Class, LayerSpan, Op, Program};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(program: &Program, class: &Class) -> Result<(), Flaw> {
    once(class)?;
    complete(program, class)?;
    writes(class)?;
    releases(class)?;
    budget(program, class)?;
    sequence(class)
}

fn span(action: &Action) -> LayerSpan {
    action.at.layers.unwrap_or(LayerSpan { first: 0, last: 0 })
}

/// No pass, and no piece of a pass, runs twice.
fn once(class: &Class) -> Result<(), Flaw> {
    let mut seen = BTreeSet::new();
    for (at, action) in class.actions.iter().enumerate().filter(|(_, a)| a.is_pass()) {
        let key = (action.op, span(action), action.at.micro_batch, action.at.part);
        if !seen.insert(key) {
            let (stage, micro_batch) = (action.at.stage, action.at.micro_batch.unwrap_or(0));
            return Err(Flaw::Twice { place: place(class, at), stage, micro_batch });
        }
    }
    Ok(())
}

/// All layers of a stage run forward, hand gradients back and get their own, per micro-batch.
fn complete(program: &Program, class: &Class) -> Result<(), Flaw> {
    let mut found: BTreeMap<(u32, u32, usize), BTreeSet<LayerSpan>> = BTreeMap::new();
    let mut layers: BTreeMap<u32, LayerSpan> = BTreeMap::new();
    for action in class.actions.iter().filter(|a| a.is_pass()) {
        let (stage, span) = (action.at.stage, span(action));
        let all = layers.entry(stage).or_insert(span);
        *all = LayerSpan { first: all.first.min(span.first), last: all.last.max(span.last) };
        for &kind in kinds(action.op) {
            let key = (stage, action.at.micro_batch.unwrap_or(0), kind);
            found.entry(key).or_default().insert(span);
        }
    }
    for &stage in &class.stages {
        let needed = layers.get(&stage).map_or(1, |all| all.last - all.first + 1);
        for micro_batch in 0..program.micro_batches {
            for (kind, pass) in PASSES.into_iter().enumerate() {
                let spans = found.get(&(stage, micro_batch, kind));
                let length = |s: &LayerSpan| s.last - s.first + 1;
                let found = spans.map_or(0, |spans| spans.iter().map(length).sum());
                if found != needed {
                    let rank = class.first_rank;
                    return Err(Flaw::Missing { rank, stage, pass, micro_batch, found, needed });
                }
            }
        }
    }
    Ok(())
}

const PASSES: [&str; 3] = ["forward", "input-gradient", "weight-gradient"];

/// What an operation does of a layer's duties.
fn kinds(op: Op) -> &'static [usize] {
    match op {
        Op::Forward => &[0],
        Op::BackwardInput => &[1],
        Op::BackwardWeight => &[2],
        Op::Backward => &[1, 2],
        _ => &[],
    }
}

/// Every buffer is written as often as it says.
fn writes(class: &Class) -> Result<(), Flaw> {
    let mut found = vec![0u32; class.buffers.len()];
    for access in class.actions.iter().flat_map(|a| &a.writes) {
        found[access.buffer.0 as usize] += 1;
    }
    for (i, buffer) in class.buffers.iter().enumerate() {
        if found[i] != buffer.writes {
            let (rank, needed) = (class.first_rank, buffer.writes);
            let buffer = BufferId(i as u32);
            return Err(Flaw::Writes { rank, buffer, found: found[i], needed });
        }
    }
    Ok(())
}

/// Weights that were collected are given up once, after their last use.
fn releases(class: &Class) -> Result<(), Flaw> {
    let is_collected = |id: BufferId| {
        let buffer = &class.buffers[id.0 as usize];
        buffer.kind == BufferKind::Weights && !buffer.is_carried
    };
    let mut held: BTreeMap<BufferId, usize> = BTreeMap::new();
    let mut released = BTreeSet::new();
    for (at, action) in class.actions.iter().enumerate() {
        let flaw = |buffer, what| Flaw::Release { place: place(class, at), buffer, what };
        for access in action.accesses().filter(|a| is_collected(a.buffer)) {
            let buffer = access.buffer;
            if released.contains(&buffer) {
                return Err(flaw(buffer, "used after it was released"));
            }
            match action.op {
                Op::Release => {
                    held.remove(&buffer).ok_or_else(|| flaw(buffer, "not there"))?;
                    released.insert(buffer);
                }
                _ => _ = held.insert(buffer, at),
            }
        }
    }
    match held.first_key_value() {
        Some((&buffer, &at)) => {
            let what = "never released";
            Err(Flaw::Release { place: place(class, at), buffer, what })
        }
        None => Ok(()),
    }
}

fn budget(program: &Program, class: &Class) -> Result<(), Flaw> {
    let mut under_way = 0u32;
    let mut latest = 0;
    for (at, action) in class.actions.iter().enumerate() {
        match action.op {
            Op::Send(_) => (under_way, latest) = (under_way + 1, at),
            Op::WaitSend(_) => under_way = under_way.saturating_sub(1),
            _ => {}
        }
        if under_way > program.send_budget {
            let (place, budget) = (place(class, at), program.send_budget);
            return Err(Flaw::Budget { place, found: under_way, budget });
        }
    }
    if under_way > 0 {
        let what = "its message is never waited for";
        return Err(Flaw::WaitSend { place: place(class, latest), what });
    }
    Ok(())
}

/// Collectives of a group are numbered in the order of the list.
fn sequence(class: &Class) -> Result<(), Flaw> {
    let mut next: BTreeMap<u32, u32> = BTreeMap::new();
    for (at, action) in class.actions.iter().enumerate() {
        let crate::program::Peers::Group { communicator, sequence, .. } = action.peers else {
            continue;
        };
        let next = next.entry(communicator.0).or_default();
        if sequence != *next {
            let (place, found) = (place(class, at), sequence);
            return Err(Flaw::Sequence { place, found, next: *next });
        }
        *next += 1;
    }
    Ok(())
}
