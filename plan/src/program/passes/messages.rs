//! Messages between stages.

use super::draft::{ClassDraft, Draft, latest};
use super::expand::of_stage;
use crate::mesh::Axis;
use crate::program::{
    Access, Action, At, BufferId, Cause, Element, Lane, LowerError, Op, Payload, Peers, Purpose,
    Size,
};
use crate::schedule::{Slot, Task};
use crate::units::Bytes;
use crate::work::{CollectiveOp, Pass, Send, Work};

/// Sends what leaves a rank, and has it received.
///
/// Needs passes in the order of slots with `slot_ends`. Leaves sends and receives such that ranks
/// cannot hang even if every send blocked until it is taken: the order is run in unit times, and
/// when a pass ends, its rank sends *and* the peer receives at that place of its own list. Each
/// message is one point of time on both sides, so the lists of all ranks are parts of one common
/// order. Of messages of the same moment, those of even ranks go first.
///
/// With tensor parallelism and whole borders, ranks send a part each and the receivers gather
/// (Narayanan et al. 2021, arXiv:2104.04473, section 4.1).
pub(crate) fn messages(draft: &mut Draft<'_>) -> Result<(), LowerError> {
    let events = events(draft);
    // Besides its passes, a slot has up to two messages that leave and arrive.
    let most = |class: &ClassDraft| class.class.actions.len() + 4 * class.slot_ends.len();
    let lists = draft.classes.iter().map(|class| Vec::with_capacity(most(class)));
    let mut lists: Vec<Vec<Action>> = lists.collect();
    let mut passes: Vec<std::vec::IntoIter<Action>> = Vec::new();
    for class in &mut draft.classes {
        passes.push(std::mem::take(&mut class.class.actions).into_iter());
    }
    for event in events {
        match event {
            Event::Run(rank, slot) => {
                let ends = &draft.classes[rank].slot_ends;
                let begins = slot.checked_sub(1).map_or(0, |before| ends[before]);
                let count = ends[slot] - begins;
                let mine = draft.order[rank][slot];
                let came = super::pieces::rows_come(draft, &mine, &mut lists);
                let first = lists[rank].len();
                lists[rank].extend(passes[rank].by_ref().take(count));
                super::pieces::rows_used(draft, &mine, &mut lists[rank][first..], &came);
            }
            Event::Message(rank, slot) => message(draft, rank, slot, &mut lists),
        }
    }
    for (class, list) in draft.classes.iter_mut().zip(lists) {
        class.class.actions = list;
    }
    Ok(())
}

/// Something that happens at one point of unit time.
#[derive(Clone, Copy)]
enum Event {
    /// A rank starts the slot at this place.
    Run(usize, usize),
    /// A rank hands on what a slot has made.
    Message(usize, Slot),
}

/// All events in the order of unit time, by counting: linear in their number and the makespan.
fn events(draft: &Draft<'_>) -> Vec<Event> {
    let mut moments: Vec<(Vec<Event>, Vec<Event>)> = Vec::new();
    moments.resize_with(draft.table.makespan as usize + 1, Default::default);
    let even_first = (0..draft.order.len()).filter(|r| r % 2 == 0);
    let ranks = even_first.chain((0..draft.order.len()).filter(|r| r % 2 == 1));
    for rank in ranks {
        let timed = draft.order[rank].iter().zip(&draft.table.slots[rank]);
        for (place, (slot, &(start, end))) in timed.enumerate() {
            moments[start as usize].1.push(Event::Run(rank, place));
            if receiver(draft, slot).is_some() || super::pieces::hands_back(draft, slot) {
                moments[end as usize].0.push(Event::Message(rank, *slot));
            }
        }
    }
    moments.into_iter().flat_map(|(messages, runs)| messages.into_iter().chain(runs)).collect()
}

/// The stage that takes what a slot makes, where it is on another rank.
fn receiver(draft: &Draft<'_>, slot: &Slot) -> Option<u32> {
    let next = match slot.task {
        Task::Forward => Some(slot.stage + 1).filter(|&s| s < draft.shape.stages()),
        task if task.hands_back() => slot.stage.checked_sub(1),
        _ => None,
    };
    next.filter(|&s| draft.shape.home(s) != draft.shape.home(slot.stage))
}

fn message(draft: &mut Draft<'_>, rank: usize, slot: Slot, lists: &mut [Vec<Action>]) {
    if super::pieces::hands_back(draft, &slot) {
        return super::pieces::rows_go(draft, slot.micro_batch, lists);
    }
    let Some(to) = receiver(draft, &slot) else { return };
    let pass = if slot.is_forward() { Pass::Forward } else { Pass::Backward };
    let Some(channel) = draft.tables.channel(slot.stage, to, pass) else { return };
    let (home, b) = (draft.shape.home(to) as usize, slot.micro_batch);
    let key = (slot.stage, pass == Pass::Forward, b);
    let Some(&source) = draft.classes[rank].outgoing.get(&key) else { return };
    let Some(target) = target(&draft.classes[home], to, pass, b) else { return };
    let whole = draft.classes[rank].class.buffers[source.0 as usize].size.max;
    let parts = if in_parts(draft) { draft.decision.degrees.tp } else { 1 };
    let payload = payload(draft, whole / f64::from(parts));
    let crosses_nodes = draft.tables.channels[channel.0 as usize].crosses_nodes;
    let bytes = payload.size.expected;
    let charge = draft.tables.work(Work::Send(Send { bytes, crosses_nodes }));
    let peers = Peers::Channel { channel, payload };

    let at = |stage| At { stage, layers: None, micro_batch: Some(b), part: 0 };
    let mut send =
        Action::new(Op::Send(pass), at(slot.stage), Lane::sending(pass), Cause::Pipeline);
    (send.peers, send.charge) = (peers, charge);
    send.reads.push(latest(source));
    lists[rank].push(send);

    let is_ring = draft.classes[home].class.buffers[target.0 as usize].versions > 1;
    let arrived = Access { buffer: target, version: i32::from(is_ring) };
    let mut receive =
        Action::new(Op::Receive(pass), at(to), Lane::receiving(pass), Cause::Pipeline);
    (receive.peers, receive.charge) = (peers, charge);
    receive.writes.push(arrived);
    lists[home].push(receive);
    if parts > 1 {
        lists[home].extend(gather_parts(draft, at(to), arrived, whole));
    }
}

/// What arrives: the input of the first block of a stage, or the gradient of its last one.
fn target(class: &ClassDraft, stage: u32, pass: Pass, b: u32) -> Option<BufferId> {
    let mut mine = class.blocks[of_stage(class, stage)].iter();
    let buffers = match pass {
        Pass::Forward => &mine.next()?.buffers.input,
        Pass::Backward => &mine.next_back()?.buffers.gradient,
    };
    buffers.get(b as usize).copied()
}

fn in_parts(draft: &Draft<'_>) -> bool {
    draft.decision.degrees.tp > 1 && !draft.decision.sequence_parallel
}

fn payload(draft: &Draft<'_>, bytes: Bytes) -> Payload {
    let element = Element::Number(draft.decision.precision.compute);
    Payload { size: Size::exact(bytes), element }
}

/// Puts the parts of a border together. Rings are written once, so the parts of theirs are put
/// together where they lie.
fn gather_parts(draft: &mut Draft<'_>, at: At, part: Access, whole: Bytes) -> Option<Action> {
    let payload = payload(draft, whole);
    let purpose = Purpose::Layer(Axis::Tensor);
    let op = CollectiveOp::AllGather;
    let (peers, charge) = draft.tables.collective(purpose, op, payload)?;
    let op = Op::Layer(Axis::Tensor, op);
    let mut gather = Action::new(op, at, Lane::Tensor, Cause::Layout(Axis::Tensor));
    (gather.peers, gather.charge) = (peers, charge);
    gather.reads.push(part);
    if part.version == 0 {
        gather.writes.push(part);
    }
    Some(gather)
}
