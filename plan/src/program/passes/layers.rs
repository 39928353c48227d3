//! Collectives inside layers as actions of their own.

use super::draft::{ClassDraft, Draft, latest};
use crate::lower::{Step, StepRole};
use crate::mesh::Axis;
use crate::program::{
    Action, BufferId, BufferKind, Cause, Charge, ChargeId, Element, Lane, LayerWork, Op, Payload,
    Peers, Purpose, Size,
};
use crate::work::{CollectiveOp, Pass, Work};
use std::collections::BTreeMap;

/// Takes passes of single layers apart at their collectives.
///
/// Needs passes of one layer per block. Leaves, for a pass with collectives, its pieces in order:
/// runs of computation on the compute lane, collectives of an axis on the lane of the axis. Each
/// piece reads what the pass reads and what the piece before has made; the last one writes what
/// the pass writes. The work of the pieces together is the work of the pass.
pub(crate) fn layer_collectives(draft: &mut Draft<'_>) {
    let mut known: BTreeMap<ChargeId, Vec<Piece>> = BTreeMap::new();
    for rank in 0..draft.classes.len() {
        let mut class = std::mem::take(&mut draft.classes[rank]);
        let list = std::mem::take(&mut class.class.actions);
        let element = Element::Number(draft.decision.precision.compute);
        for action in list {
            let pieces = known.entry(action.charge).or_insert_with(|| pieces(draft, action.charge));
            match pieces.is_empty() {
                true => class.class.actions.push(action),
                false => split(&mut class, &action, pieces, element),
            }
        }
        draft.classes[rank] = class;
    }
}

/// A piece of a pass, the same for every micro-batch and every layer of a kind.
struct Piece {
    /// For a collective, what it is; the rest computes.
    talk: Option<(Axis, CollectiveOp, Peers)>,
    charge: ChargeId,
    /// What it leaves for the next piece; what stays in kernels takes nothing.
    leaves: Size,
}

/// The pieces of a pass over one layer; none where it has no collectives.
fn pieces(draft: &mut Draft<'_>, charge: ChargeId) -> Vec<Piece> {
    let Charge::Layers { pass, layers } = draft.tables.get(charge) else { return Vec::new() };
    let [LayerWork { layers: 1, steps }] = layers.as_slice() else { return Vec::new() };
    let talks = steps.iter().any(|s| matches!(s.role, StepRole::Communication(_)));
    if !talks {
        return Vec::new();
    }
    let (pass, steps) = (*pass, steps.clone());
    let joins = |a: &Step, b: &Step| a.role == StepRole::Compute && b.role == StepRole::Compute;
    steps.chunk_by(joins).map(|run| piece(draft, pass, run)).collect()
}

fn piece(draft: &mut Draft<'_>, pass: Pass, run: &[Step]) -> Piece {
    let layers = vec![LayerWork { layers: 1, steps: run.to_vec() }];
    let charge = draft.tables.charge(Charge::Layers { pass, layers });
    let [Step { role: StepRole::Communication(axis), work: Work::Collective(c), .. }] = run else {
        return Piece { talk: None, charge, leaves: Size::ZERO };
    };
    let element = Element::Number(draft.decision.precision.compute);
    let leaves = Size::exact(c.bytes);
    let payload = Payload { size: leaves, element };
    let peers = draft.tables.peers(Purpose::Layer(*axis), c.op, payload);
    Piece { talk: peers.map(|peers| (*axis, c.op, peers)), charge, leaves }
}

/// Adds the pieces of a pass to the list.
fn split(class: &mut ClassDraft, whole: &Action, pieces: &[Piece], element: Element) {
    let mut between: Option<BufferId> = None;
    for (part, piece) in (0..).zip(pieces) {
        let mut action = piece.action(whole);
        action.at.part = part;
        action.charge = piece.charge;
        if piece.talk.is_none() || between.is_none() {
            action.reads.clone_from(&whole.reads);
        }
        action.reads.extend(between.map(latest));
        if part as usize + 1 == pieces.len() {
            action.writes.clone_from(&whole.writes);
        } else {
            let made = class.buffer(BufferKind::Workspace, piece.leaves, element);
            action.writes.push(latest(made));
            between = Some(made);
        }
        class.class.actions.push(action);
    }
}

impl Piece {
    fn action(&self, whole: &Action) -> Action {
        let Some((axis, op, peers)) = self.talk else {
            return Action::new(whole.op, whole.at, whole.lane, whole.cause);
        };
        // What is repeated says so, so that it is known to read what was kept.
        let cause = match whole.op {
            Op::Recompute => whole.cause,
            _ => Cause::Layout(axis),
        };
        let mut action = Action::new(Op::Layer(axis, op), whole.at, Lane::of(axis), cause);
        action.peers = peers;
        action
    }
}
