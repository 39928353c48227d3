//! Blocks: the layers that one action is about, with their charges, parameters and activations.

use super::draft::{ClassDraft, Draft};
use crate::document::StageDecision;
use crate::layout::Layout;
use crate::lower::{
    Context, Half, LocalParameters, LoweredLayer, Recompute, Step, check_divisible, half, lower,
};
use crate::mesh::{Degrees, Mesh};
use crate::model::{LayerRole, Model};
use crate::program::lower::Granularity;
use crate::program::{BufferId, Charge, ChargeId, LayerSpan, LayerWork, LowerError};
use crate::units::Bytes;
use crate::work::Pass;
use std::collections::BTreeMap;

/// Layers of a stage that are listed together.
pub(crate) struct Block {
    /// Virtual stage.
    pub stage: u32,
    /// Layers.
    pub span: LayerSpan,
    /// ZeRO stage.
    pub zero: u8,
    /// Whether it holds the token table, the output, both or neither.
    pub holds_input: bool,
    pub holds_output: bool,
    /// Layers in order with how often they repeat.
    pub layers: Vec<(u32, LoweredLayer)>,
    /// How its activations are kept, for explanations.
    pub level: Recompute,
    pub charges: Charges,
    /// Activations kept per micro-batch besides the input.
    pub saved: Bytes,
    /// Whether the backward pass needs the input.
    pub keeps_input: bool,
    /// Activations while it is recomputed.
    pub transient: Bytes,
    /// Activation that comes in and goes out, per micro-batch.
    pub border_in: Bytes,
    pub border_out: Bytes,
    /// Parameters of one rank besides tables of tokens.
    pub replicated: u64,
    pub expert: u64,
    /// Token table, and table of the output.
    pub input_table: u64,
    pub output_table: u64,
    pub buffers: Activations,
}

/// What passes of a block cost.
#[derive(Clone, Copy)]
pub(crate) struct Charges {
    pub forward: ChargeId,
    pub backward: ChargeId,
    pub input: ChargeId,
    pub weight: ChargeId,
    pub recompute: Option<ChargeId>,
}

/// Buffers of a block, one per micro-batch.
#[derive(Default)]
pub(crate) struct Activations {
    pub input: Vec<BufferId>,
    pub saved: Vec<BufferId>,
    /// Gradient of what the block hands on.
    pub gradient: Vec<BufferId>,
    /// Ties the two halves of a backward pass together.
    pub halves: Vec<BufferId>,
    /// State along time and its gradient, one per batch of sequences.
    pub carry: Vec<BufferId>,
    pub carry_gradient: Vec<BufferId>,
}

/// Layers with their kinds and recomputation levels, lowered once each.
struct Layers<'a> {
    model: &'a Model,
    known: BTreeMap<(usize, Recompute), LoweredLayer>,
}

/// One class per pipeline rank, with blocks and without actions.
pub(super) fn blocks(draft: &mut Draft<'_>) -> Result<Vec<ClassDraft>, LowerError> {
    check_stages(draft)?;
    let mut layers = Layers { model: draft.model, known: BTreeMap::new() };
    let ranks = draft.class_ranks();
    let mut classes: Vec<ClassDraft> = (0..draft.shape.ranks)
        .map(|rank| {
            let mut class = ClassDraft::default();
            (class.class.first_rank, class.class.ranks) = (rank * ranks, ranks);
            class
        })
        .collect();
    let mut border = Bytes::ZERO;
    for (stage, decision) in (0..).zip(&draft.decision.stages) {
        let home = draft.shape.home(stage) as usize;
        let levels = levels(draft.model, stage, decision)?;
        for span in spans(decision, draft.settings.granularity) {
            let block = block(draft, &mut layers, (stage, decision.zero), span, &levels, border)?;
            border = block.border_out;
            classes[home].blocks.push(block);
        }
        classes[home].class.stages.push(stage);
    }
    Ok(classes)
}

fn check_stages(draft: &Draft<'_>) -> Result<(), LowerError> {
    let (stages, shape) = (&draft.decision.stages, &draft.shape);
    let schedule = shape.kind.name();
    if stages.len() as u64 != u64::from(shape.stages()) {
        let (listed, needed) = (stages.len(), shape.stages());
        return Err(LowerError::Stages { listed, schedule, needed });
    }
    let layers = draft.model.layers();
    let mut expected = 0;
    for (stage, s) in (0..).zip(stages) {
        let (first, last) = (s.layers.first, s.layers.last);
        let is_end = stage + 1 == shape.stages();
        if first != expected || last < first || last >= layers || (is_end && last + 1 != layers) {
            return Err(LowerError::Layers { stage, first, last, expected, layers });
        }
        expected = last + 1;
        let (listed, needed) = (s.pipeline_rank, shape.home(stage));
        if listed != needed {
            return Err(LowerError::Home { stage, listed, schedule, needed });
        }
        if s.zero > 3 {
            return Err(LowerError::Zero { stage, zero: s.zero });
        }
    }
    Ok(())
}

/// Kind of every layer of a model.
fn kinds(model: &Model) -> impl Iterator<Item = usize> + '_ {
    model.chain.iter().flat_map(|run| (0..run.layers).map(|_| run.kind))
}

/// Kind and level of every layer of a stage: levels of one kind apply in the order listed.
fn levels(
    model: &Model,
    stage: u32,
    decision: &StageDecision,
) -> Result<BTreeMap<u32, (usize, Recompute)>, LowerError> {
    let (first, last) = (decision.layers.first, decision.layers.last);
    let mine = (0u32..).zip(kinds(model)).filter(|(layer, _)| (first..=last).contains(layer));
    let mut by_kind: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    mine.for_each(|(layer, kind)| by_kind.entry(kind).or_default().push(layer));
    let mut all = BTreeMap::new();
    for (index, layers) in by_kind {
        let kind = model.kinds[index].name;
        let counts = decision.recompute.iter().filter(|r| r.kind == kind);
        let decided: u64 = counts.clone().map(|r| u64::from(r.layers)).sum();
        if decided != layers.len() as u64 {
            let (layers, decided) = (layers.len() as u32, decided.min(u64::from(u32::MAX)) as u32);
            return Err(LowerError::Recompute { stage, kind, layers, decided });
        }
        let each = counts.flat_map(|r| (0..r.layers).map(|_| r.level));
        all.extend(layers.into_iter().zip(each).map(|(layer, level)| (layer, (index, level))));
    }
    Ok(all)
}

fn spans(decision: &StageDecision, granularity: Granularity) -> Vec<LayerSpan> {
    let (first, last) = (decision.layers.first, decision.layers.last);
    match granularity {
        Granularity::Stage => vec![LayerSpan { first, last }],
        _ => (first..=last).map(|layer| LayerSpan { first: layer, last: layer }).collect(),
    }
}

impl Layers<'_> {
    fn get(
        &mut self,
        draft: &Draft<'_>,
        key: (usize, Recompute),
    ) -> Result<&LoweredLayer, LowerError> {
        if !self.known.contains_key(&key) {
            let lowered = lower_kind(self.model, draft, key)?;
            self.known.insert(key, lowered);
        }
        Ok(&self.known[&key])
    }
}

fn lower_kind(
    model: &Model,
    draft: &Draft<'_>,
    (kind, level): (usize, Recompute),
) -> Result<LoweredLayer, LowerError> {
    let (batch, d) = (draft.decision.batch, draft.decision.degrees);
    let (training, kind) = (&model.spec.training, &model.kinds[kind]);
    let pieces = u64::from(batch.time_chunks.max(1));
    let sequences = batch.micro_sequences.saturating_mul(u64::from(d.ep));
    let source = match training.source_sequence {
        0 => batch.tokens_per_sequence,
        other => other,
    };
    let (target, source) = (batch.tokens_per_sequence / pieces, source / pieces);
    let sizes = model.sizes_for(kind, sequences, target, source);
    let degrees = Degrees { dp: d.ep, pp: 1, ..d };
    let context = Context {
        sizes: &sizes,
        layout: Layout::new(draft.decision.sequence_parallel),
        mesh: Mesh { degrees, per_node: draft.mesh.per_node },
        compute: draft.decision.precision.compute,
        traits: draft.facts.traits,
    };
    check_divisible(&kind.graph, &context)?;
    Ok(lower(&kind.graph, &context, level))
}

fn block(
    draft: &mut Draft<'_>,
    layers: &mut Layers<'_>,
    (stage, zero): (u32, u8),
    span: LayerSpan,
    levels: &BTreeMap<u32, (usize, Recompute)>,
    border_in: Bytes,
) -> Result<Block, LowerError> {
    let mut runs: Vec<(u32, (usize, Recompute))> = Vec::new();
    for (_, &key) in levels.range(span.first..=span.last) {
        match runs.last_mut() {
            Some((n, last)) if *last == key => *n += 1,
            _ => runs.push((1, key)),
        }
    }
    let mut all = Vec::new();
    for &(n, key) in &runs {
        all.push((n, layers.get(draft, key)?.clone()));
    }
    let has = |role| runs.iter().any(|(_, (kind, _))| draft.model.kinds[*kind].role == role);
    let (holds_input, holds_output) = (has(LayerRole::Embedding), has(LayerRole::Head));
    let sum = |wanted: &dyn Fn(LayerRole) -> bool, of: fn(&LocalParameters) -> u64| -> u64 {
        let mine = runs.iter().zip(&all).filter(|(run, _)| wanted(draft.model.kinds[run.1.0].role));
        mine.map(|(_, (n, l))| u64::from(*n) * of(&l.parameters)).sum()
    };
    let replicated = sum(&|_| true, |p| p.replicated);
    let expert = sum(&|_| true, |p| p.expert);
    let input_table = sum(&|role| role == LayerRole::Embedding, |p| p.table);
    let output_table = sum(&|role| role != LayerRole::Embedding, |p| p.table);
    let level = runs.iter().map(|(_, key)| key.1).max().unwrap_or(Recompute::None);
    let first = all.first().map_or(Bytes::ZERO, |(_, l)| l.saved);
    let keeps_input = first >= border_in;
    let saved: Bytes = all.iter().map(|(n, l)| l.saved * f64::from(*n)).sum();
    let saved = if keeps_input { saved - border_in } else { saved };
    Ok(Block {
        stage,
        span,
        zero,
        holds_input,
        holds_output,
        level,
        charges: charges(draft, &all),
        saved,
        keeps_input,
        transient: all.iter().map(|(_, l)| l.transient).fold(Bytes::ZERO, Bytes::max),
        border_in,
        border_out: all.last().map_or(Bytes::ZERO, |(_, l)| l.border),
        replicated,
        expert,
        input_table,
        output_table,
        layers: all,
        buffers: Activations::default(),
    })
}

fn charges(draft: &mut Draft<'_>, layers: &[(u32, LoweredLayer)]) -> Charges {
    let mut charge = |pass, steps: &dyn Fn(&LoweredLayer) -> Vec<Step>| {
        let work = layers.iter().map(|(n, l)| LayerWork { layers: *n, steps: steps(l) });
        let layers: Vec<LayerWork> = work.filter(|w| !w.steps.is_empty()).collect();
        draft.tables.charge(match layers.is_empty() {
            true => Charge::Free,
            false => Charge::Layers { pass, layers },
        })
    };
    let again = charge(Pass::Forward, &|l| l.recompute.clone());
    Charges {
        forward: charge(Pass::Forward, &|l| l.forward.clone()),
        backward: charge(Pass::Backward, &|l| l.backward.clone()),
        input: charge(Pass::Backward, &|l| half(&l.backward, Half::Input)),
        weight: charge(Pass::Backward, &|l| half(&l.backward, Half::Weight)),
        recompute: Some(again).filter(|id| *id != ChargeId::default()),
    }
}
