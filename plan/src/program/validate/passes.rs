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

/// What a pass is about, and its place.
type Key = (Op, LayerSpan, Option<u32>, u32, usize);

/// No pass, and no piece of a pass, runs twice.
fn once(class: &Class) -> Result<(), Flaw> {
    let passes = class.actions.iter().enumerate().filter(|(_, a)| a.is_pass());
    let key = |(at, action): (usize, &Action)| {
        (action.op, span(action), action.at.micro_batch, action.at.part, at)
    };
    // Sorted lists are several times as fast as sets here, and there may be millions.
    let mut seen: Vec<_> = passes.map(key).collect();
    seen.sort_unstable();
    let is_same = |pair: &&[Key]| {
        let (a, b) = (pair[0], pair[1]);
        (a.0, a.1, a.2, a.3) == (b.0, b.1, b.2, b.3)
    };
    match seen.windows(2).filter(is_same).map(|pair| pair[1].4).min() {
        None => Ok(()),
        Some(at) => {
            let action = &class.actions[at];
            let (stage, micro_batch) = (action.at.stage, action.at.micro_batch.unwrap_or(0));
            Err(Flaw::Twice { place: place(class, at), stage, micro_batch })
        }
    }
}

/// All layers of a stage run forward, hand gradients back and get their own, per micro-batch.
fn complete(program: &Program, class: &Class) -> Result<(), Flaw> {
    let mut found: Vec<(u32, u32, usize, LayerSpan)> = Vec::new();
    let mut layers: BTreeMap<u32, LayerSpan> = BTreeMap::new();
    for action in class.actions.iter().filter(|a| a.is_pass()) {
        let (stage, span) = (action.at.stage, span(action));
        let all = layers.entry(stage).or_insert(span);
        *all = LayerSpan { first: all.first.min(span.first), last: all.last.max(span.last) };
        for &kind in kinds(action.op) {
            found.push((stage, action.at.micro_batch.unwrap_or(0), kind, span));
        }
    }
    found.sort_unstable();
    found.dedup();
    for &stage in &class.stages {
        let needed = layers.get(&stage).map_or(1, |all| all.last - all.first + 1);
        for micro_batch in 0..program.micro_batches {
            for (kind, pass) in PASSES.into_iter().enumerate() {
                let wanted = (stage, micro_batch, kind);
                let first = found.partition_point(|f| (f.0, f.1, f.2) < wanted);
                let mine = found[first..].iter().take_while(|f| (f.0, f.1, f.2) == wanted);
                let found = mine.map(|(.., s)| s.last - s.first + 1).sum();
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
