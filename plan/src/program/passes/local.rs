//! Replicas that train apart and meet now and then.

use super::draft::{ClassDraft, Draft, latest};
use crate::program::{
    Action, At, BufferId, BufferKind, Cadence, Cause, Element, Lane, Op, Payload, Purpose, Size,
};
use crate::schedule::LocalSteps;
use crate::units::Bytes;
use crate::work::{CollectiveOp, Work};

/// Synchronises each fragment of the weights once per period.
///
/// Needs the optimizer. Leaves, per fragment that a class holds layers of, after the optimizer:
/// in the step in which it is sent, the difference to the weights of the last synchronisation and
/// its all-reduce on lane `Outer`, which further steps do not wait for; in the step in which it is
/// applied, the outer optimizer and the merge into the weights that train. Outer weights and
/// momentum stay in memory, in single precision.
pub(crate) fn local_steps(draft: &mut Draft<'_>, policy: LocalSteps) {
    for rank in 0..draft.classes.len() {
        let mut class = std::mem::take(&mut draft.classes[rank]);
        let layers = draft.model.layers();
        let mut sent = Vec::new();
        for fragment in 0..policy.fragments {
            let mine = |u: &&super::draft::Update| {
                let layer = class.blocks[u.block].span.first;
                u64::from(layer) * u64::from(policy.fragments) / u64::from(layers.max(1))
                    == u64::from(fragment)
            };
            let updates = class.updates.iter().filter(mine);
            let weights: Vec<BufferId> = updates.map(|u| u.weights).collect();
            if let Some([difference, reduce, step, merge]) =
                synchronise(draft, &mut class, policy, fragment, &weights)
            {
                // What arrives is applied before anything new is sent, unless it is the same.
                let applied = [step, merge];
                sent.extend([difference, reduce]);
                match policy.delay {
                    0 => sent.extend(applied),
                    _ => class.class.actions.extend(applied),
                }
            }
        }
        class.class.actions.extend(sent);
        draft.classes[rank] = class;
    }
}

fn synchronise(
    draft: &mut Draft<'_>,
    class: &mut ClassDraft,
    policy: LocalSteps,
    fragment: u32,
    weights: &[BufferId],
) -> Option<[Action; 4]> {
    if weights.is_empty() {
        return None;
    }
    let p = draft.decision.precision;
    let bytes = |id: &BufferId| class.class.buffers[id.0 as usize].size.max;
    let elements = weights.iter().map(bytes).sum::<Bytes>() / p.weight_bytes.max(1) as f64;
    let single = Element::Number(crate::dtype::Dtype::Fp32);
    let size = Size::exact(elements * 4.0);
    // Weights of the last synchronisation and the momentum of the outer optimizer.
    let outer = class.resident(BufferKind::Outer, Size::exact(elements * 8.0), single);
    let delta = class.resident(BufferKind::Delta, size, single);
    let payload = Payload { size, element: single };
    let op = CollectiveOp::AllReduce;
    let (peers, charge) = draft.tables.collective(Purpose::Outer, op, payload)?;
    let every = policy.every;
    let sent = Cadence { every, offset: policy.sent_at(fragment) };
    let applied = Cadence { every, offset: policy.applied_at(fragment) };
    let stage = class.class.stages.first().copied().unwrap_or(0);
    let at = At { stage, part: fragment, ..At::default() };
    let act = |op, lane, cadence, reads: &[BufferId], writes: &[BufferId]| {
        let mut action = Action::new(op, at, lane, Cause::LocalSteps);
        action.cadence = cadence;
        action.reads = reads.iter().map(|&b| latest(b)).collect();
        action.writes = writes.iter().map(|&b| latest(b)).collect();
        action
    };
    let mut traffic = |values: f64| draft.tables.work(Work::Traffic(elements * values));
    let mut sources = weights.to_vec();
    sources.push(outer);
    let mut difference = act(Op::Delta, Lane::Compute, sent, &sources, &[delta]);
    difference.charge = traffic(12.0);
    let mut reduce = act(Op::ReduceDelta, Lane::Outer, sent, &[delta], &[delta]);
    (reduce.peers, reduce.charge) = (peers, charge);
    let mut step = act(Op::OuterStep, Lane::Outer, applied, &[delta, outer], &[outer]);
    step.charge = traffic(20.0);
    let mut merge = act(Op::Merge, Lane::Compute, applied, &sources, weights);
    merge.charge = traffic(12.0);
    Some([difference, reduce, step, merge])
}
