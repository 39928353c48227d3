//! Updates.

use super::draft::{ClassDraft, Draft, latest};
use super::sharding::number;
use crate::program::{Action, At, Cause, Lane, Op, Payload, Size};
use crate::work::{CollectiveOp, OptimizerStep, Work};

/// Updates all weights of a rank at once, and collects them again where ZeRO 1 or 2 sharded the
/// update.
///
/// Needs `updates`. Leaves one action that reads every gradient and writes every state and weight,
/// in place, and one gather per block of weights that each replica has updated a part of.
pub(crate) fn optimizer(draft: &mut Draft<'_>) {
    for rank in 0..draft.classes.len() {
        let mut class = std::mem::take(&mut draft.classes[rank]);
        update(draft, &mut class);
        gathers(draft, &mut class);
        draft.classes[rank] = class;
    }
}

fn update(draft: &mut Draft<'_>, class: &mut ClassDraft) {
    let stage = class.class.stages.first().copied().unwrap_or(0);
    let at = At { stage, ..At::default() };
    let mut action = Action::new(Op::Optimizer, at, Lane::Compute, Cause::Model);
    let parameters = class.updates.iter().map(|u| u.parameters).sum();
    let rule = draft.decision.precision.optimizer;
    action.charge = draft.tables.work(Work::Optimizer(OptimizerStep { rule, parameters }));
    for u in &class.updates {
        action.reads.extend([u.gradient, u.state, u.weights].map(latest));
        action.writes.extend([u.state, u.weights].map(latest));
    }
    class.class.actions.push(action);
}

fn gathers(draft: &mut Draft<'_>, class: &mut ClassDraft) {
    let compute = draft.decision.precision.compute.size();
    for i in 0..class.updates.len() {
        let u = &class.updates[i];
        let Some((purpose, bytes)) = u.gather else { continue };
        let block = &class.blocks[u.block];
        let (weights, zero) = (latest(u.weights), block.zero);
        let at = At { stage: block.stage, layers: Some(block.span), micro_batch: None, part: 0 };
        let payload = Payload { size: Size::exact(bytes), element: number(draft, compute) };
        let op = CollectiveOp::AllGather;
        let Some((peers, charge)) = draft.tables.collective(purpose, op, payload) else { continue };
        let mut gather = Action::new(Op::Gather, at, Lane::Data, Cause::Zero(zero));
        (gather.peers, gather.charge) = (peers, charge);
        gather.reads.push(weights);
        gather.writes.push(weights);
        class.class.actions.push(gather);
    }
}
