//! From a configuration to an inner problem: columns per run of layers and setting.

use crate::even::Orders;
use crate::pipeline::{Column, Problem, Segment, StageSync, SyncModel};
use crate::prices::{Level, PricedKind, PricedKinds, compute, mesh_of};
use crate::request::Request;
use crate::setting::{Setting, settings};
use crate::space::Configuration;
use crate::sync::Sync;
use cost_model::collective::of_shards;
use cost_model::layer::beside;
use cost_model::memory::Zero;
use cost_model::price;
use plan::Dtype;
use plan::mesh::Mesh;
use plan::model::{LayerRole, Run};
use plan::schedule::ScheduleKind;
use plan::units::{Bytes, Seconds};
use plan::work::{Collective, CollectiveOp, Group, Send, Work};

/// Everything that is priced about one configuration.
pub struct Inner<'a> {
    request: &'a Request<'a>,
    /// The configuration.
    pub configuration: Configuration,
    /// Per run of the chain and setting: the columns.
    pub segments: Vec<Segment>,
    /// Once-per-step costs.
    pub sync: Sync<'a>,
    /// Messages between stages.
    pub send: SendTimes,
    /// Orders of schedules over equal stages.
    pub(crate) orders: Orders,
}

/// One message between stages. Plain schedules wait for it; where the stack overlaps messages
/// (interleaved schedules), a part hides behind computation and the rest blocks the rank.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SendTimes {
    /// Time of the message.
    pub whole: Seconds,
    /// The part that blocks sender and receiver in an interleaved schedule.
    pub blocking: Seconds,
    /// What the pass before it takes longer, where the thread that computes also sends. Nothing is
    /// left to wait for then.
    pub sender: Seconds,
}

impl<'a> Inner<'a> {
    /// Prices a configuration.
    #[must_use]
    pub fn new(request: &'a Request<'a>, c: Configuration, kinds: &PricedKinds) -> Self {
        let mesh = mesh_of(request, c.degrees);
        // Replicas that train apart have nobody to share states or exchange rows with.
        let apart = request.pins.local_steps.is_some();
        let all = settings(request, &c, if apart { 1 } else { mesh.replica_group().size });
        let sync = Sync::new(request, c, all, kinds);
        let most_saved = kinds.iter().flat_map(|kind| &kind.levels).map(|level| level.saved);
        let most_saved = most_saved.fold(Bytes::ZERO, Bytes::max);
        let pass = PassBuilder { request, c, mesh, sync: &sync, most_saved };
        let segments = request
            .model
            .chain
            .iter()
            .map(|run| {
                let role = request.model.kinds[run.kind].role;
                let columns = (0..sync.settings.len())
                    .map(|s| pass.columns(&kinds[run.kind], role, s))
                    .collect();
                Segment { layers: run.layers, columns }
            })
            .collect();
        let send = send(request, &c, &mesh, kinds);
        Self { request, configuration: c, segments, sync, send, orders: Orders::default() }
    }

    /// The inner problem under one setting. Settings are solved one by one, because runtimes
    /// apply one to all stages.
    #[must_use]
    pub fn problem<'b>(&'b self, sync: &'b OneSetting<'b>) -> Problem<'b> {
        let c = &self.configuration;
        let capacity = self.request.usable(self.request.limit());
        let segment = |s: &Segment| Segment {
            layers: s.layers,
            columns: vec![s.columns[sync.setting].clone()],
        };
        Problem {
            stages: c.degrees.pp as usize,
            micro_batches: c.micro_batches,
            schedule: c.schedule,
            segments: self.segments.iter().map(segment).collect(),
            send: self.send.whole,
            capacity: vec![capacity; c.degrees.pp as usize],
            sync,
            uniform_setting: true,
        }
    }

    /// Once-per-step costs under one setting.
    #[must_use]
    pub fn one_setting(&self, setting: usize) -> OneSetting<'_> {
        OneSetting { sync: &self.sync, setting, sender: self.send.sender }
    }

    /// The chain of layers.
    #[must_use]
    pub fn chain(&self) -> &[Run] {
        &self.request.model.chain
    }

    /// Settings in play.
    #[must_use]
    pub fn settings(&self) -> &[Setting] {
        &self.sync.settings
    }
}

/// A [`Sync`] restricted to one setting.
pub struct OneSetting<'a> {
    sync: &'a Sync<'a>,
    /// The setting.
    pub setting: usize,
    /// What a message takes of its sender's time.
    sender: Seconds,
}

impl SyncModel for OneSetting<'_> {
    fn sender(&self) -> Seconds {
        self.sender
    }

    fn settings(&self) -> usize {
        1
    }

    fn stage(&self, stage: usize, counts: &[u32], _: usize) -> Option<StageSync> {
        self.sync.stage(stage, counts, self.setting)
    }
}

/// Time of the activation of one micro-batch from stage to stage; with tensor parallelism each
/// rank sends its part and the receivers gather (Narayanan et al. 2021, section 4.1).
fn send(request: &Request<'_>, c: &Configuration, mesh: &Mesh, kinds: &PricedKinds) -> SendTimes {
    let d = c.degrees;
    if d.pp == 1 {
        let none = Seconds::ZERO;
        return SendTimes { whole: none, blocking: none, sender: none };
    }
    // What the head puts out stays where it is: nothing follows it.
    let sends = |run: &&Run| request.model.kinds[run.kind].role != LayerRole::Head;
    let senders = request.model.chain.iter().filter(sends).map(|run| &kinds[run.kind]);
    let all = senders.map(|k| k.border).fold(Bytes::ZERO, Bytes::max);
    let in_parts = d.tp > 1 && !c.sequence_parallel;
    let part = if in_parts { all / f64::from(d.tp) } else { all };
    let message = Send { bytes: part, crosses_nodes: mesh.stages_cross_nodes() };
    let mut whole = price(&Work::Send(message), request.profile).value;
    if in_parts {
        let group = mesh.group(plan::mesh::Axis::Tensor);
        let gather = Collective { op: CollectiveOp::AllGather, bytes: all, group };
        whole += price(&Work::Collective(gather), request.profile).value;
    }
    if request.one_thread {
        return SendTimes { whole: Seconds::ZERO, blocking: Seconds::ZERO, sender: whole };
    }
    let blocking = whole * (1.0 - request.profile.stack().overlap.send.value);
    SendTimes { whole, blocking, sender: Seconds::ZERO }
}

struct PassBuilder<'a> {
    request: &'a Request<'a>,
    c: Configuration,
    mesh: Mesh,
    sync: &'a Sync<'a>,
    /// Most activations that any layer keeps.
    most_saved: Bytes,
}

impl PassBuilder<'_> {
    fn columns(&self, kind: &PricedKind, role: LayerRole, setting: usize) -> Vec<Column> {
        kind.levels.iter().map(|level| self.column(kind, level, role, setting)).collect()
    }

    fn column(&self, kind: &PricedKind, level: &Level, role: LayerRole, s: usize) -> Column {
        let zero = self.sync.settings[s].zero;
        let exchange = match role {
            LayerRole::Embedding => self.sync.exchange(s).per_micro_batch,
            _ => Seconds::ZERO,
        };
        let forward = level.time.forward.total().value + exchange;
        let backward = level.time.backward_total().value + exchange;
        let tables = self.shared_table(kind, role, s);
        let (gather, scatter, copies) = self.sharding(kind, tables, zero);
        let profile = self.request.profile;
        // A recurrent layer has no gradient before its last time step: nothing to hide behind.
        let together = |compute, traffic| match self.request.model.is_recurrent {
            true => compute + traffic,
            false => beside(compute, traffic, profile),
        };
        let (weight, halves) = match self.c.schedule.splits_backward() {
            true => (level.weight + self.accumulate(kind) + copies, self.between(kind, level)),
            false => (Seconds::ZERO, Bytes::ZERO),
        };
        let (backward, weight) = if weight > Seconds::ZERO {
            let first = together(backward - level.weight, gather);
            let second = together(weight, gather + scatter);
            (first + second, second)
        } else {
            (together(backward + self.accumulate(kind) + copies, gather + scatter), Seconds::ZERO)
        };
        let column = Column {
            forward: together(forward, gather),
            backward,
            weight,
            activation: level.saved,
            halves,
            transient: level.transient,
        };
        match self.request.pins.offload {
            Some(true) => self.offloaded(column),
            _ => column,
        }
    }

    /// Activations go to the host beside the forward pass and come back beside the backward pass,
    /// each on an engine of its own: `max(pass, bytes / link)`. What is near its use stays, as
    /// programs have it: a few layers around those at work.
    fn offloaded(&self, column: Column) -> Column {
        const NEAR: f64 = 4.0;
        let copy = match column.activation > Bytes::ZERO {
            true => price(&Work::HostCopy(column.activation), self.request.profile).value,
            false => Seconds::ZERO,
        };
        Column {
            forward: column.forward.max(copy),
            backward: (column.backward - column.weight).max(copy) + column.weight,
            activation: Bytes::ZERO,
            transient: column.transient + self.most_saved * NEAR,
            ..column
        }
    }

    /// What a layer keeps from the first to the second half of its backward pass, besides its
    /// activations: the gradient of what it hands on, and what was computed again.
    fn between(&self, kind: &PricedKind, level: &Level) -> Bytes {
        kind.border + level.transient
    }

    /// Parameters of a layer's table that are sharded with all others: not where only some rows
    /// have gradients, which travel by themselves. Trainers of Transformers shard theirs anyway.
    fn shared_table(&self, kind: &PricedKind, role: LayerRole, s: usize) -> u64 {
        let is_sampled = self.request.model.table.is_some_and(|t| t.sampled.is_some());
        if !self.request.model.is_recurrent {
            return kind.parameters.table;
        }
        let is_dense = match role {
            LayerRole::Embedding => self.sync.exchange(s).with_other_gradients,
            LayerRole::Head => !is_sampled,
            LayerRole::Body => true,
        };
        if is_dense { kind.parameters.table } else { 0 }
    }

    /// Per micro-batch: time to gather a layer's weights once, to scatter its gradients, and of
    /// copies around that. Breadth-first schedules do each once for all micro-batches.
    fn sharding(&self, kind: &PricedKind, table: u64, zero: Zero) -> (Seconds, Seconds, Seconds) {
        let (gather, scatter) = self.shard_traffic(kind, table, zero);
        let copies = if zero == Zero::Parameters { self.shard_copies(kind) } else { Seconds::ZERO };
        let each = uses(&self.c);
        (gather * each, scatter * each, copies * each)
    }

    /// What is added per micro-batch to gradients of a layer.
    fn accumulate(&self, kind: &PricedKind) -> Seconds {
        self.traffic(added_bytes(self.request, &self.c), kind)
    }

    /// What is copied per micro-batch around sharded weights and gradients of a layer.
    fn shard_copies(&self, kind: &PricedKind) -> Seconds {
        self.traffic(shard_bytes(self.request), kind)
    }

    fn traffic(&self, each: f64, kind: &PricedKind) -> Seconds {
        if each == 0.0 {
            return Seconds::ZERO;
        }
        let bytes = Bytes::new(each * kind.parameters.total() as f64);
        price(&Work::Traffic(bytes), self.request.profile).value
    }

    /// Per micro-batch: time to gather a layer's weights once, and to scatter its gradients.
    fn shard_traffic(&self, kind: &PricedKind, table: u64, zero: Zero) -> (Seconds, Seconds) {
        let precision = &self.request.model.spec.training.precision;
        let p = &kind.parameters;
        let shards = |group| of_shards(group, self.request.profile);
        let (all, experts) =
            (shards(self.mesh.replica_group()), shards(self.mesh.expert_replica_group()));
        let time = |op, each: u64| {
            let plain = self.collective(op, (p.replicated + table) * each, all);
            plain + self.collective(op, p.expert * each, experts)
        };
        let gather = match zero {
            Zero::Parameters => {
                time(CollectiveOp::AllGather, precision.compute.between_products().size())
            }
            _ => Seconds::ZERO,
        };
        let scatter = match zero {
            Zero::Gradients | Zero::Parameters => {
                time(CollectiveOp::ReduceScatter, precision.wire_bytes)
            }
            _ => Seconds::ZERO,
        };
        (gather, scatter)
    }

    fn collective(&self, op: CollectiveOp, bytes: u64, group: Group) -> Seconds {
        if bytes == 0 || group.is_alone() {
            return Seconds::ZERO;
        }
        let work = Work::Collective(Collective { op, bytes: Bytes::from_count(bytes), group });
        price(&work, self.request.profile).value
    }
}

/// Bytes per parameter and backward pass: gradients of further micro-batches are added to those of
/// the first; frameworks that keep 32-bit weights and cast at every use do so in each micro-batch.
pub(crate) fn added_bytes(request: &Request<'_>, c: &Configuration) -> f64 {
    let optimizer = &request.profile.stack().optimizer;
    let is_narrow = compute(request) != Dtype::Fp32;
    let casts = if is_narrow { optimizer.cast_bytes.value } else { 0.0 };
    casts + if c.micro_batches > 1 { optimizer.accumulation_bytes.value } else { 0.0 }
}

/// Flat parameters are copied; gradients are read and written once more where they are reduced in
/// another format than they are computed in.
pub(crate) fn shard_bytes(request: &Request<'_>) -> f64 {
    let precision = &request.model.spec.training.precision;
    let wire = precision.wire_bytes;
    let compute = precision.compute.between_products().size();
    let cast = if wire > compute { compute + wire } else { 0 };
    request.profile.stack().optimizer.shard_copy_bytes.value + cast as f64
}

/// How often sharded weights are gathered, relative to once per micro-batch.
pub(crate) fn uses(c: &Configuration) -> f64 {
    match c.schedule {
        ScheduleKind::BreadthFirst => 1.0 / f64::from(c.micro_batches),
        _ => 1.0,
    }
}
