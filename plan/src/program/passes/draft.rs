//! A program while it is made.

use super::block::{Block, blocks};
use super::pieces::{pieces, share_out, unsupported_pieces};
use crate::document::Decision;
use crate::mesh::{Axis, Mesh};
use crate::model::Model;
use crate::program::lower::{Facts, Settings};
use crate::program::{
    Access, Action, Buffer, BufferId, BufferKind, Channel, ChannelId, Charge, ChargeId, Class,
    Communicator, CommunicatorId, Element, Home, LowerError, Payload, Peers, Program, Purpose,
    Size,
};
use crate::schedule::timetable::{Timetable, Units, timetable};
use crate::schedule::{Order, ScheduleKind, Shape};
use crate::units::Bytes;
use crate::work::{Collective, CollectiveOp, Group, Pass, Work};
use std::collections::BTreeMap;

/// Most passes that are listed: beyond, a program is larger than the machine that makes it.
const MOST_PASSES: u64 = 1 << 22;

/// Most tokens of a micro-batch.
const MOST_TOKENS: u64 = 1 << 40;

/// A program while it is made.
pub(crate) struct Draft<'a> {
    pub model: &'a Model,
    pub decision: &'a Decision,
    pub facts: &'a Facts,
    pub settings: &'a Settings,
    pub shape: Shape,
    pub mesh: Mesh,
    pub order: Order,
    pub table: Timetable,
    pub tables: Tables,
    pub classes: Vec<ClassDraft>,
    /// Parameters of the token table that each stage stores, where it is in pieces.
    pub pieces: Vec<u64>,
}

/// A class while it is made.
#[derive(Default)]
pub(crate) struct ClassDraft {
    pub class: Class,
    /// Blocks by first layer.
    pub blocks: Vec<Block>,
    /// Per slot of the order: where its actions end.
    pub slot_ends: Vec<usize>,
    /// Outgoing buffer of each virtual stage, pass and micro-batch.
    pub outgoing: BTreeMap<(u32, bool, u32), BufferId>,
    /// Per action, the actions of other lanes that have to have run before.
    pub waits: Vec<Vec<u32>>,
    /// What the optimizer reads and writes, gathered on the way.
    pub updates: Vec<Update>,
}

/// Parameters that the optimizer updates together.
pub(crate) struct Update {
    /// Gradients, as they are when all micro-batches and replicas are summed.
    pub gradient: BufferId,
    /// Weights, or the shard of them that is stored.
    pub weights: BufferId,
    /// Optimizer state.
    pub state: BufferId,
    /// Parameters of this rank; 0 where only some rows are touched.
    pub parameters: u64,
    /// Weights to collect afterwards: the group and the bytes of all shards together.
    pub gather: Option<(Purpose, Bytes)>,
    /// Place of the block.
    pub block: usize,
}

/// Tables of a program, filled before anything uses them.
#[derive(Default)]
pub(crate) struct Tables {
    pub communicators: Vec<Communicator>,
    pub channels: Vec<Channel>,
    joins: BTreeMap<(u32, u32, Pass), ChannelId>,
    charges: Vec<Charge>,
    known: BTreeMap<String, ChargeId>,
    /// Charges of one plain item, which most actions have, by a key that is cheap to make.
    plain: BTreeMap<Plain, ChargeId>,
}

/// Work that is a size and little else.
type Plain = (u8, Option<CollectiveOp>, u64, u64);

fn plain(work: &Work) -> Option<Plain> {
    Some(match work {
        Work::Collective(c) => {
            let group = u64::from(c.group.size) << 32 | u64::from(c.group.nodes);
            (0, Some(c.op), c.bytes.get().to_bits(), group)
        }
        Work::Send(send) => (1, None, send.bytes.get().to_bits(), u64::from(send.crosses_nodes)),
        Work::HostCopy(bytes) => (2, None, bytes.get().to_bits(), 0),
        Work::Traffic(bytes) => (3, None, bytes.get().to_bits(), 0),
        _ => return None,
    })
}

impl Tables {
    /// The id of a charge; equal charges have equal ids.
    pub fn charge(&mut self, charge: Charge) -> ChargeId {
        let key = format!("{charge:?}");
        if let Some(&id) = self.known.get(&key) {
            return id;
        }
        let id = ChargeId(u32::try_from(self.charges.len()).unwrap_or(u32::MAX));
        self.charges.push(charge);
        self.known.insert(key, id);
        id
    }

    pub fn work(&mut self, work: Work) -> ChargeId {
        let Some(key) = plain(&work) else { return self.charge(Charge::Items(vec![work])) };
        if let Some(&id) = self.plain.get(&key) {
            return id;
        }
        let id = self.charge(Charge::Items(vec![work]));
        self.plain.insert(key, id);
        id
    }

    pub fn get(&self, id: ChargeId) -> &Charge {
        &self.charges[id.0 as usize]
    }

    pub fn communicator(&self, purpose: Purpose) -> Option<(CommunicatorId, Communicator)> {
        let at = self.communicators.iter().position(|c| c.purpose == purpose)?;
        Some((CommunicatorId(at as u32), self.communicators[at]))
    }

    pub fn channel(&self, from_stage: u32, to_stage: u32, pass: Pass) -> Option<ChannelId> {
        self.joins.get(&(from_stage, to_stage, pass)).copied()
    }

    /// Peers of a collective; `None` where the group is one rank.
    pub fn peers(
        &self,
        purpose: Purpose,
        collective: CollectiveOp,
        payload: Payload,
    ) -> Option<Peers> {
        let (communicator, _) = self.communicator(purpose)?;
        Some(Peers::Group { communicator, sequence: 0, collective, payload })
    }

    /// Peers and charge of a collective; `None` where the group is one rank.
    pub fn collective(
        &mut self,
        purpose: Purpose,
        collective: CollectiveOp,
        payload: Payload,
    ) -> Option<(Peers, ChargeId)> {
        let peers = self.peers(purpose, collective, payload)?;
        let (_, group) = self.communicator(purpose)?;
        let group = Group { size: group.size, nodes: group.nodes };
        let bytes = payload.size.expected;
        let charge = self.work(Work::Collective(Collective { op: collective, bytes, group }));
        Some((peers, charge))
    }
}

impl<'a> Draft<'a> {
    /// Checks a decision and prepares tables and blocks.
    pub fn new(
        model: &'a Model,
        decision: &'a Decision,
        facts: &'a Facts,
        settings: &'a Settings,
    ) -> Result<Self, LowerError> {
        let shape = shape(decision)?;
        supported(model, decision, settings)?;
        let order = order(&shape, settings)?;
        let table = timetable(&shape, &order, Units::EVEN)?;
        let mesh = Mesh { degrees: decision.degrees, per_node: facts.per_node.max(1) };
        let mut tables = Tables::default();
        tables.charge(Charge::Free);
        tables.communicators = communicators(model, decision, &mesh, settings);
        let mut draft = Self {
            model,
            decision,
            facts,
            settings,
            shape,
            mesh,
            order,
            table,
            tables,
            classes: Vec::new(),
            pieces: Vec::new(),
        };
        draft.tables.channels = draft.channels();
        let channels = (0..).zip(&draft.tables.channels);
        draft.tables.joins =
            channels.map(|(i, c)| ((c.from_stage, c.to_stage, c.pass), ChannelId(i))).collect();
        draft.classes = blocks(&mut draft)?;
        draft.pieces = share_out(&draft);
        Ok(draft)
    }

    /// Ranks of one pipeline stage.
    pub fn class_ranks(&self) -> u32 {
        let d = self.decision.degrees;
        d.dp * d.tp * d.cp
    }

    /// Neighbouring stages on different ranks, downwards and upwards; and stages that store rows of
    /// the token table with the first one, which runs the embedding.
    fn channels(&self) -> Vec<Channel> {
        let crosses_nodes = self.mesh.stages_cross_nodes();
        let shape = self.shape;
        let join = |from_stage: u32, to_stage: u32, pass| Channel {
            from_stage,
            to_stage,
            pass,
            from: shape.home(from_stage),
            to: shape.home(to_stage),
            crosses_nodes,
        };
        let pairs = (1..shape.stages()).filter(|&s| shape.home(s - 1) != shape.home(s));
        let borders =
            pairs.flat_map(|s| [join(s - 1, s, Pass::Forward), join(s, s - 1, Pass::Backward)]);
        let rows = (1..pieces(self.decision))
            .flat_map(|s| [join(s, 0, Pass::Forward), join(0, s, Pass::Backward)]);
        borders.chain(rows).collect()
    }

    /// The program.
    pub fn finish(self) -> Program {
        Program {
            ranks: self.decision.world_size,
            micro_batches: self.shape.micro_batches,
            time_chunks: self.decision.batch.time_chunks.max(1),
            send_budget: self.settings.send_budget.max(1),
            capacity: self.facts.capacity,
            communicators: self.tables.communicators,
            channels: self.tables.channels,
            charges: self.tables.charges,
            classes: self.classes.into_iter().map(|draft| draft.class).collect(),
        }
    }
}

fn shape(d: &Decision) -> Result<Shape, LowerError> {
    let g = d.degrees;
    let ranks = [g.dp, g.tp, g.pp, g.cp].iter().try_fold(1u32, |a, &b| a.checked_mul(b));
    let is_whole = g.ep > 0 && g.dp.is_multiple_of(g.ep.max(1));
    if ranks != Some(d.world_size) || d.world_size == 0 || !is_whole {
        let (dp, tp, pp, cp, ep) = (g.dp, g.tp, g.pp, g.cp, g.ep);
        return Err(LowerError::Degrees { dp, tp, pp, cp, ep, world_size: d.world_size });
    }
    let (kind, micro_batches, chunks) = (d.schedule, d.batch.micro_batches, d.chunks);
    let no_such =
        || LowerError::NoSuchSchedule { schedule: kind.name(), ranks: g.pp, micro_batches, chunks };
    let stages = u64::from(g.pp).checked_mul(u64::from(chunks)).ok_or_else(no_such)?;
    let passes = (stages + 1).saturating_mul(u64::from(micro_batches)).saturating_mul(3);
    if passes > MOST_PASSES {
        return Err(LowerError::TooLarge { passes, most: MOST_PASSES });
    }
    let shape = Shape { kind, ranks: g.pp, micro_batches, chunks };
    if shape.order().is_none() {
        return Err(no_such());
    }
    Ok(shape)
}

fn supported(model: &Model, d: &Decision, settings: &Settings) -> Result<(), LowerError> {
    let no = |what, instead| Err(LowerError::Unsupported { what, instead });
    if let Some((what, instead)) = unsupported_pieces(model, d, settings) {
        return no(what, instead);
    }
    let chunks = d.batch.time_chunks.max(1);
    let tokens = d.batch.micro_sequences.checked_mul(d.batch.tokens_per_sequence);
    let is_large = tokens.is_none_or(|n| n > MOST_TOKENS);
    if is_large || d.batch.tokens_per_sequence < u64::from(chunks) || tokens == Some(0) {
        return no(
            "a micro-batch holds no tokens, or more than any memory does",
            "take at least one token per piece, and micro-batches of up to 2^40 tokens",
        );
    }
    if chunks > 1 && (d.schedule != ScheduleKind::GPipe || !model.is_recurrent) {
        return no(
            "pieces along time need all forward passes before all backward passes",
            "take a recurrent model and GPipe, or one piece",
        );
    }
    if !d.batch.micro_batches.is_multiple_of(chunks) {
        return no(
            "the micro-batches are no whole number of sequences cut along time",
            "make micro_batches a multiple of time_chunks",
        );
    }
    if settings.local.is_some_and(|local| !local.is_sound()) {
        return no(
            "replicas that train apart need a period, fragments, and a delay below the period",
            "for example every 30 steps, 3 fragments, a delay of 5",
        );
    }
    let shards = d.degrees.cp > 1 || d.stages.iter().any(|s| s.zero > 0);
    if settings.local.is_some() && shards {
        return no(
            "replicas that train apart cannot share states or sequences",
            "take ZeRO 0 and CP 1",
        );
    }
    Ok(())
}

fn order(shape: &Shape, settings: &Settings) -> Result<Order, LowerError> {
    let own = shape.order().unwrap_or_default();
    let Some(given) = &settings.order else { return Ok(own) };
    let count = |order: &Order| {
        let all = || order.iter().flatten();
        let forward = all().filter(|s| s.is_forward()).count();
        let released = all().filter(|s| s.task.releases()).count();
        let back = all().filter(|s| s.task.hands_back()).count();
        (order.len(), forward, released, back)
    };
    let at_home = (0..).zip(given).all(|(rank, slots)| {
        slots.iter().all(|s| s.stage < shape.stages() && shape.home(s.stage) == rank)
    });
    if count(given) != count(&own) || !at_home {
        let say = |order: &Order| {
            let (ranks, forward, released, _) = count(order);
            format!("{forward} forward and {released} backward passes on {ranks} ranks")
        };
        let place = if at_home { "" } else { ", some on ranks that do not hold their stage" };
        let (listed, needed) = (say(given) + place, say(&own));
        return Err(LowerError::OtherOrder { listed, needed });
    }
    Ok(given.clone())
}

/// All groups that the plan may need; groups of one rank are nobody to talk to.
fn communicators(
    model: &Model,
    decision: &Decision,
    mesh: &Mesh,
    settings: &Settings,
) -> Vec<Communicator> {
    let d = decision.degrees;
    let join = |purpose, group: Group, stride| Communicator {
        purpose,
        size: group.size,
        stride,
        nodes: group.nodes,
    };
    let layer = [Axis::Tensor, Axis::Context, Axis::Expert];
    let mut all: Vec<Communicator> = layer
        .into_iter()
        .map(|axis| join(Purpose::Layer(axis), mesh.group(axis), mesh.stride(axis)))
        .collect();
    let replicas = mesh.replica_group();
    if settings.local.is_none() {
        all.push(join(Purpose::Replicas, replicas, d.tp));
        let expert = mesh.expert_replica_group();
        all.push(join(Purpose::ExpertReplicas, expert, d.tp * d.cp * d.ep));
        if decision.embedding.is_some() {
            all.push(join(Purpose::Exchange, replicas, d.tp));
        }
    } else {
        all.push(join(Purpose::Outer, replicas, d.tp));
    }
    let is_tied = model.table.is_some_and(|t| t.tied && t.sampled.is_none());
    if is_tied && d.pp > 1 && ends_apart(decision.schedule) {
        let nodes = if mesh.stages_cross_nodes() { 2 } else { 1 };
        let stride = (d.pp - 1) * (d.dp * d.tp * d.cp);
        all.push(join(Purpose::TiedTable, Group { size: 2, nodes }, stride));
    }
    all.retain(|c| c.size > 1);
    all
}

/// Whether first and last stage are on different ranks.
fn ends_apart(kind: ScheduleKind) -> bool {
    !matches!(kind, ScheduleKind::ZeroBubbleV | ScheduleKind::Ouroboros)
}

impl ClassDraft {
    /// Adds a buffer that lives within a step.
    pub fn buffer(&mut self, kind: BufferKind, size: Size, element: Element) -> BufferId {
        self.add(Buffer {
            kind,
            size,
            element,
            home: Home::Device,
            versions: 1,
            writes: 0,
            is_carried: false,
            offset: None,
        })
    }

    /// Adds a buffer that keeps its content from step to step.
    pub fn resident(&mut self, kind: BufferKind, size: Size, element: Element) -> BufferId {
        let id = self.buffer(kind, size, element);
        self.class.buffers[id.0 as usize].is_carried = true;
        id
    }

    pub fn add(&mut self, buffer: Buffer) -> BufferId {
        self.class.buffers.push(buffer);
        BufferId((self.class.buffers.len() - 1) as u32)
    }

    /// Place of the block that holds a layer.
    pub fn block_at(&self, layer: u32) -> usize {
        self.blocks.partition_point(|b| b.span.first <= layer).saturating_sub(1)
    }

    /// Place of the block that an action is about.
    pub fn block_of(&self, action: &Action) -> Option<usize> {
        action.at.layers.map(|span| self.block_at(span.first))
    }
}

/// The latest version of a buffer.
pub(crate) fn latest(buffer: BufferId) -> Access {
    Access { buffer, version: 0 }
}
