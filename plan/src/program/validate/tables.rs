//! Ids, ranks, peers and what messages are charged for.

use super::{Flaw, Place};
use crate::program::passes::closed_forms::wire_of;
use crate::program::{Action, ActionId, Buffer, Class, Op, Peers, Program, Traffic};
use crate::units::Bytes;
use crate::work::Work;

/// Largest relative difference of rounding.
pub(super) const ROUNDING: f64 = 1e-9;

pub(super) fn place(class: &Class, action: usize) -> Place {
    let op = class.actions[action].op;
    Place { rank: class.first_rank, action: ActionId(action as u32), op }
}

pub(super) fn check(program: &Program) -> Result<(), Flaw> {
    for (communicator, table) in program.communicators.iter().enumerate() {
        let (size, stride, ranks) = (table.size, table.stride, program.ranks);
        let reach = u64::from(size.saturating_sub(1)) * u64::from(stride);
        if size == 0 || stride == 0 || reach >= u64::from(ranks) {
            return Err(Flaw::Group { communicator, size, stride, ranks });
        }
    }
    let classes = program.classes.len().max(1) as u32;
    let size = program.ranks / classes;
    for (i, class) in (0..).zip(&program.classes) {
        if class.ranks != size || class.first_rank != i * size || size * classes != program.ranks {
            let (first, last) = (class.first_rank, class.first_rank + class.ranks.max(1) - 1);
            return Err(Flaw::Ranks { first, last, size });
        }
        for (at, action) in class.actions.iter().enumerate() {
            ids(program, class, at, action)?;
            peers(program, (i, class), at, action)?;
        }
    }
    Ok(())
}

fn ids(program: &Program, class: &Class, at: usize, action: &Action) -> Result<(), Flaw> {
    let unknown = |what, id: u32, known: usize| {
        let place = place(class, at);
        if (id as usize) < known { Ok(()) } else { Err(Flaw::Unknown { place, what, id, known }) }
    };
    for access in action.accesses() {
        unknown("buffer", access.buffer.0, class.buffers.len())?;
    }
    unknown("charge", action.charge.0, program.charges.len())?;
    match action.peers {
        Peers::Nobody => Ok(()),
        Peers::Group { communicator, .. } => {
            unknown("communicator", communicator.0, program.communicators.len())
        }
        Peers::Channel { channel, .. } => {
            unknown("channel", channel.0, program.channels.len())?;
            let channel = program.channels[channel.0 as usize];
            unknown("class", channel.from, program.classes.len())?;
            unknown("class", channel.to, program.classes.len())
        }
    }
}

fn peers(
    program: &Program,
    (index, class): (u32, &Class),
    at: usize,
    action: &Action,
) -> Result<(), Flaw> {
    let wrong = |instead| Err(Flaw::Peers { place: place(class, at), instead });
    match (action.op, action.peers) {
        (Op::Send(pass) | Op::WaitSend(pass), Peers::Channel { channel, .. }) => {
            let channel = program.channels[channel.0 as usize];
            let is_mine = channel.from == index && channel.pass == pass;
            if !is_mine {
                return wrong("a send goes out on a channel of its stage");
            }
        }
        (Op::Receive(pass), Peers::Channel { channel, .. }) => {
            let channel = program.channels[channel.0 as usize];
            if channel.to != index || channel.pass != pass {
                return wrong("a receive comes in on a channel to its stage");
            }
        }
        (op, Peers::Nobody) if needs_group(op) => return wrong("a collective has a group"),
        (op, Peers::Group { .. }) if !needs_group(op) => {
            return wrong("only collectives have a group");
        }
        (_, Peers::Channel { .. }) => return wrong("only messages have a channel"),
        (Op::Send(_) | Op::WaitSend(_) | Op::Receive(_), _) => {
            return wrong("a message has a channel");
        }
        _ => {}
    }
    charged(program, class, at, action)
}

fn needs_group(op: Op) -> bool {
    use Op as O;
    matches!(
        op,
        O::Layer(..)
            | O::Gather
            | O::Reduce(_)
            | O::ReduceTied
            | O::GatherIds
            | O::GatherRows
            | O::ReduceRows
            | O::RouteRows(_)
            | O::ReduceDelta
    )
}

/// What an action sends, by its payload; `None` where it sends nothing.
pub(super) fn sent(program: &Program, action: &Action) -> Option<(Traffic, f64)> {
    match action.peers {
        Peers::Nobody => None,
        Peers::Group { communicator, collective, payload, .. } => {
            let group = program.communicators[communicator.0 as usize];
            let bytes = payload.size.expected.get();
            let bytes = crate::program::passes::closed_forms::wire(collective, bytes, group.size);
            Some((Traffic::Group(group.purpose), bytes))
        }
        Peers::Channel { channel, payload } => {
            let pass = program.channels[channel.0 as usize].pass;
            let is_send = matches!(action.op, Op::Send(_));
            is_send.then(|| (Traffic::Stage(pass), payload.size.expected.get()))
        }
    }
}

/// The charge of a message or collective is what it sends.
fn charged(program: &Program, class: &Class, at: usize, action: &Action) -> Result<(), Flaw> {
    let Some((_, sent)) = sent(program, action) else { return Ok(()) };
    let items = program.charge(action).items();
    let charged: f64 = items
        .map(|(times, work)| match work {
            Work::Send(send) => send.bytes.get(),
            work => f64::from(times) * wire_of(work),
        })
        .sum();
    if (sent - charged).abs() > ROUNDING * sent.max(1.0) {
        let (sent, charged) = (Bytes::new(sent), Bytes::new(charged));
        return Err(Flaw::Charge { place: place(class, at), sent, charged });
    }
    Ok(())
}

/// Whether a version belongs to an earlier step.
pub(super) fn is_from_before(buffer: &Buffer, version: i32) -> bool {
    buffer.versions > 1 && version <= 0
}
