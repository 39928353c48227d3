//! Collectives inside layers as actions of their own.

use super::draft::{ClassDraft, Draft, latest};
use crate::lower::{Step, StepRole};
use crate::program::{
    Action, BufferId, BufferKind, Cause, Charge, Element, Lane, LayerWork, Op, Payload, Purpose,
    Size,
};
use crate::work::{Pass, Work};

/// Takes passes of single layers apart at their collectives.
///
/// Needs passes of one layer per block. Leaves, for a pass with collectives, its pieces in order:
/// runs of computation on the compute lane, collectives of an axis on the lane of the axis. Each
/// piece reads what the pass reads and what the piece before has made; the last one writes what
/// the pass writes. The work of the pieces together is the work of the pass.
pub(crate) fn layer_collectives(draft: &mut Draft<'_>) {
    for rank in 0..draft.classes.len() {
        let mut class = std::mem::take(&mut draft.classes[rank]);
        let list = std::mem::take(&mut class.class.actions);
        let mut pieces = Vec::with_capacity(list.len());
        for action in list {
            match steps(draft, &action) {
                Some((pass, steps)) => {
                    pieces.extend(split(draft, &mut class, &action, pass, &steps));
                }
                None => pieces.push(action),
            }
        }
        class.class.actions = pieces;
        draft.classes[rank] = class;
    }
}

/// The steps of a pass over one layer that has collectives.
fn steps(draft: &Draft<'_>, action: &Action) -> Option<(Pass, Vec<Step>)> {
    let Charge::Layers { pass, layers } = draft.tables.get(action.charge) else { return None };
    let [LayerWork { layers: 1, steps }] = layers.as_slice() else { return None };
    let talks = steps.iter().any(|s| matches!(s.role, StepRole::Communication(_)));
    talks.then(|| (*pass, steps.clone()))
}

fn split(
    draft: &mut Draft<'_>,
    class: &mut ClassDraft,
    whole: &Action,
    pass: Pass,
    steps: &[Step],
) -> Vec<Action> {
    let joins = |a: &Step, b: &Step| a.role == StepRole::Compute && b.role == StepRole::Compute;
    let mut pieces: Vec<Action> = Vec::new();
    let mut between: Option<BufferId> = None;
    for (part, run) in steps.chunk_by(joins).enumerate() {
        let mut piece = piece(draft, whole, pass, run);
        piece.at.part = part as u32;
        if is_compute(&piece) || between.is_none() {
            piece.reads.clone_from(&whole.reads);
        }
        piece.reads.extend(between.map(latest));
        let size = workspace(run);
        let made = class.buffer(BufferKind::Workspace, size, element(draft));
        piece.writes.push(latest(made));
        between = Some(made);
        pieces.push(piece);
    }
    if let Some(last) = pieces.last_mut() {
        last.writes.clone_from(&whole.writes);
    }
    pieces
}

fn is_compute(piece: &Action) -> bool {
    piece.lane == Lane::Compute
}

fn element(draft: &Draft<'_>) -> Element {
    Element::Number(draft.decision.precision.compute)
}

/// What a collective leaves; what stays in registers and kernels takes nothing.
fn workspace(run: &[Step]) -> Size {
    match run {
        [Step { work: Work::Collective(c), .. }] => Size::exact(c.bytes),
        _ => Size::ZERO,
    }
}

fn piece(draft: &mut Draft<'_>, whole: &Action, pass: Pass, run: &[Step]) -> Action {
    if let [Step { role: StepRole::Communication(axis), work: Work::Collective(c), .. }] = run {
        let payload = Payload { size: Size::exact(c.bytes), element: element(draft) };
        let peers = draft.tables.collective(Purpose::Layer(*axis), c.op, payload);
        if let Some((peers, _)) = peers {
            // What is repeated says so, so that it is known to read what was kept.
            let cause = match whole.op {
                Op::Recompute => whole.cause,
                _ => Cause::Layout(*axis),
            };
            let mut action = Action::new(Op::Layer(*axis, c.op), whole.at, Lane::of(*axis), cause);
            action.charge = draft.tables.charge(Charge::Layers {
                pass,
                layers: vec![LayerWork { layers: 1, steps: run.to_vec() }],
            });
            action.peers = peers;
            return action;
        }
    }
    let mut action = Action::new(whole.op, whole.at, whole.lane, whole.cause);
    let layers = vec![LayerWork { layers: 1, steps: run.to_vec() }];
    action.charge = draft.tables.charge(Charge::Layers { pass, layers });
    action
}
