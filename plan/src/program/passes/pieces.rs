//! A token table whose rows lie on several stages.
//!
//! The first stage runs the embedding and stores some rows; in every forward pass the others send
//! it the rows that it lacks, and in every backward pass it sends them their gradients. Each stage
//! sums and updates what it stores. Letters as in the closed form: `K` tokens of a micro-batch, `D`
//! width, `s` share of a stage: `K·D·s` values travel in each direction.

use super::draft::{ClassDraft, Draft, latest};
use crate::document::Decision;
use crate::exchange::Exchange;
use crate::model::Model;
use crate::program::lower::Settings;
use crate::program::{
    Action, At, BufferId, BufferKind, Cause, ChannelId, Element, Lane, Op, Payload, Peers, Size,
};
use crate::schedule::{ScheduleKind, Slot, Task};
use crate::units::Bytes;
use crate::work::{Pass, Send, Work};

/// Stages that store rows of the token table.
pub(super) fn pieces(decision: &Decision) -> u32 {
    decision.embedding.map_or(1, |e| e.pieces.max(1))
}

/// Why a table in pieces cannot be lowered, and what would work.
pub(super) fn unsupported_pieces(
    model: &Model,
    d: &Decision,
    settings: &Settings,
) -> Option<(&'static str, &'static str)> {
    let embedding = d.embedding.filter(|e| e.pieces > 1)?;
    let plain = [ScheduleKind::GPipe, ScheduleKind::OneForwardOneBackward];
    let is_plain = plain.contains(&d.schedule) && d.chunks == 1 && settings.local.is_none();
    if !is_plain || embedding.pieces > d.degrees.pp {
        return Some((
            "a token table in pieces needs GPipe or 1F1B with a stage for each piece",
            "take fewer pieces, or another schedule, or replicas that train in step",
        ));
    }
    let is_tied = model.table.is_none_or(|t| t.tied && t.sampled.is_none());
    let by_rows = embedding.exchange != Exchange::Dense && d.degrees.dp * d.degrees.cp > 1;
    if is_tied || by_rows || d.stages.iter().any(|s| s.zero > 1) {
        return Some((
            "a token table in pieces has no lowering where it is shared with the output, where its \
             gradient travels by rows, or with ZeRO 2 and 3",
            "take a dense exchange and ZeRO 0 or 1, or keep the table on one stage",
        ));
    }
    None
}

/// Parameters of the table on each stage that stores some; none where it is whole. Rows are whole.
pub(super) fn share_out(draft: &Draft<'_>) -> Vec<u64> {
    let n = pieces(draft.decision) as usize;
    let all = draft.classes.first().and_then(|c| c.blocks.first()).map_or(0, |b| b.input_table);
    let Some(table) = draft.model.table.filter(|_| n > 1) else { return Vec::new() };
    let (shares, width) = (&draft.settings.shares, table.width.max(1));
    let rows = all / width;
    let mut left = rows;
    let mut mine: Vec<u64> = Vec::new();
    for stage in 0..n {
        let share = shares.get(stage).copied().unwrap_or(1.0 / n as f64);
        let wanted = (rows as f64 * share).round().max(0.0) as u64;
        let taken = if stage + 1 == n { left } else { wanted.min(left) };
        left -= taken;
        mine.push(taken * width);
    }
    mine
}

/// Parameters of the table that a class stores for another stage.
pub(super) fn stored(draft: &Draft<'_>, class: &ClassDraft) -> u64 {
    let stage = class.class.stages.first().copied().unwrap_or(0) as usize;
    if stage == 0 { 0 } else { draft.pieces.get(stage).copied().unwrap_or(0) }
}

/// Stages besides the first that store rows, and the bytes that they send per micro-batch.
fn others(draft: &Draft<'_>) -> Vec<(u32, Bytes)> {
    let all: u64 = draft.pieces.iter().sum();
    let Some(table) = draft.model.table.filter(|_| all > 0) else { return Vec::new() };
    let batch = draft.decision.batch;
    let pieces = u64::from(batch.time_chunks.max(1));
    let tokens = batch.micro_sequences * batch.tokens_per_sequence / pieces;
    let element = draft.decision.precision.compute.between_products().size();
    let whole = (tokens * table.width * element) as f64;
    let of = |(stage, &mine): (u32, &u64)| {
        (mine > 0).then(|| (stage, Bytes::new(whole * (mine as f64 / all as f64))))
    };
    (0u32..).zip(&draft.pieces).skip(1).filter_map(of).collect()
}

/// Rows that a class sends in a step: those it stores, or the gradients of those it does not.
pub(super) fn traffic(draft: &Draft<'_>, class: &ClassDraft, pass: Pass) -> f64 {
    let stage = class.class.stages.first().copied().unwrap_or(0);
    let sends = |other: u32| match pass {
        Pass::Forward => other == stage,
        Pass::Backward => stage == 0,
    };
    let bytes = others(draft).into_iter().filter(|(other, _)| sends(*other));
    f64::from(draft.shape.micro_batches) * bytes.map(|(_, bytes)| bytes.get()).sum::<f64>()
}

/// Whether an action sends rows of the table to the first stage.
pub(super) fn sends_rows(draft: &Draft<'_>, action: &Action) -> bool {
    let Peers::Channel { channel, .. } = action.peers else { return false };
    let channel = draft.tables.channels[channel.0 as usize];
    action.op == Op::Send(Pass::Forward) && channel.to_stage == 0
}

/// Whether gradients of rows go back after a pass.
pub(super) fn hands_back(draft: &Draft<'_>, slot: &Slot) -> bool {
    !draft.pieces.is_empty() && slot.stage == 0 && slot.task == Task::Backward
}

/// One message of rows, as both ends list it; the sender reads and the receiver writes.
fn message(
    draft: &mut Draft<'_>,
    (other, b, pass): (u32, u32, Pass),
    bytes: Bytes,
) -> Option<(Action, Action)> {
    let (from, to) = if pass == Pass::Forward { (other, 0) } else { (0, other) };
    let channel: ChannelId = draft.tables.channel(from, to, pass)?;
    let crosses_nodes = draft.tables.channels[channel.0 as usize].crosses_nodes;
    let payload = Payload { size: Size::exact(bytes), element: element(draft) };
    let charge = draft.tables.work(Work::Send(Send { bytes, crosses_nodes }));
    let cause = Cause::Exchange(Exchange::Dense);
    let act = |op, stage, lane| {
        let at = At { stage, layers: None, micro_batch: Some(b), part: other };
        let mut action = Action::new(op, at, lane, cause);
        (action.peers, action.charge) = (Peers::Channel { channel, payload }, charge);
        action
    };
    let send = act(Op::Send(pass), from, Lane::sending(pass));
    Some((send, act(Op::Receive(pass), to, Lane::receiving(pass))))
}

fn element(draft: &Draft<'_>) -> Element {
    Element::Number(draft.decision.precision.compute)
}

/// Lists the messages before a forward pass of the embedding; returns what they fill.
pub(super) fn rows_come(
    draft: &mut Draft<'_>,
    slot: &Slot,
    lists: &mut [Vec<Action>],
) -> Vec<BufferId> {
    let mut came = Vec::new();
    if slot.stage != 0 || !slot.is_forward() {
        return came;
    }
    let element = element(draft);
    for (other, bytes) in others(draft) {
        let what = (other, slot.micro_batch, Pass::Forward);
        let Some((send, mut receive)) = message(draft, what, bytes) else { continue };
        let rows = draft.classes[0].buffer(BufferKind::Exchange, Size::exact(bytes), element);
        receive.writes.push(latest(rows));
        lists[other as usize].push(send);
        lists[0].push(receive);
        came.push(rows);
    }
    came
}

/// Has the embedding read the rows that came, or leave the gradients of rows from elsewhere.
pub(super) fn rows_used(
    draft: &mut Draft<'_>,
    slot: &Slot,
    passes: &mut [Action],
    came: &[BufferId],
) {
    if let (true, Some(first)) = (slot.is_forward(), passes.first_mut()) {
        first.reads.extend(came.iter().map(|&rows| latest(rows)));
    }
    if !hands_back(draft, slot) {
        return;
    }
    let element = element(draft);
    for (other, bytes) in others(draft) {
        let class = &mut draft.classes[0];
        let rows = class.buffer(BufferKind::Exchange, Size::exact(bytes), element);
        class.outgoing.insert((other, false, slot.micro_batch), rows);
        if let Some(last) = passes.last_mut() {
            last.writes.push(latest(rows));
        }
    }
}

/// Lists the messages after a backward pass of the embedding. Who stores the rows adds them to
/// their gradient.
pub(super) fn rows_go(draft: &mut Draft<'_>, b: u32, lists: &mut [Vec<Action>]) {
    let element = element(draft);
    for (other, bytes) in others(draft) {
        let what = (other, b, Pass::Backward);
        let Some((mut send, mut receive)) = message(draft, what, bytes) else { continue };
        let Some(&left) = draft.classes[0].outgoing.get(&(other, false, b)) else { continue };
        send.reads.push(latest(left));
        let class = &mut draft.classes[other as usize];
        let came = class.buffer(BufferKind::Exchange, Size::exact(bytes), element);
        receive.writes.push(latest(came));
        let mut add = Action::new(Op::AddRows, receive.at, Lane::Compute, receive.cause);
        add.charge = draft.tables.work(Work::Traffic(bytes * 3.0));
        add.reads.push(latest(came));
        lists[0].push(send);
        lists[other as usize].extend([receive, add]);
    }
}
