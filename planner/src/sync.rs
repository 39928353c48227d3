//! What a stage costs once per step, and what it holds regardless of micro-batches.
//!
//! Letters: R replicas, P parameters of a stage on one rank, w bytes per gradient on the wire.

use crate::exchange::TableCost;
use crate::pieces;
use crate::pipeline::{StageSync, SyncModel};
use crate::prices::{PricedKinds, mesh_of};
use crate::request::Request;
use crate::setting::Setting;
use crate::space::Configuration;
use cost_model::memory::{States, Zero, joined_buffers, shard_buffers, states};
use cost_model::overlap::{bucket_waits, exposed_data_parallel, list_pieces};
use cost_model::price;
use plan::exchange::Exchange;
use plan::lower::LocalParameters;
use plan::model::{LayerRole, Precision, Run};
use plan::schedule::ScheduleKind;
use plan::units::{Bytes, Seconds};
use plan::work::{Collective, CollectiveOp, Group, OptimizerStep, Work};

/// Once-per-step costs of one configuration.
pub struct Sync<'a> {
    request: &'a Request<'a>,
    configuration: Configuration,
    /// The settings that a stage chooses from.
    pub settings: Vec<Setting>,
    /// Per run of the chain: parameters of one layer on one rank. The tables are taken out.
    parameters: Vec<LocalParameters>,
    /// Input table of one rank.
    input_table: u64,
    /// Output table of one rank; zero where it is sampled or there is none.
    output_table: u64,
    /// Output table of one rank where its softmax is sampled.
    sampled_table: u64,
    /// Per run of the chain: the shortest backward pass of one layer, beside which gradients move.
    window: Vec<Seconds>,
    /// Per setting and stage that stores a piece of the table: its share.
    shares: Vec<Vec<f64>>,
    /// Cost of each setting's exchange.
    exchanges: Vec<TableCost>,
    replicas: Group,
    expert_replicas: Group,
    /// Ranks that meet now and then, where replicas train apart.
    outer: Group,
}

/// Once-per-step costs of a stage, part by part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SyncParts {
    /// All gradient communication, hidden or not.
    pub gradients_total: Seconds,
    /// Exposed gradient communication.
    pub gradients: Seconds,
    /// Embedding exchange, exposed: the table's gradient is the last to be known.
    pub exchange: Seconds,
    /// Optimizer, and what else the host does once per step.
    pub optimizer: Seconds,
    /// Training state.
    pub states: States,
    /// Buffers of the embedding exchange.
    pub exchange_buffer: Bytes,
    /// Buffers of sharded parameters, gradients before they are added, buckets, and tensors that
    /// belong to no layer.
    pub shard_buffer: Bytes,
    /// What exists only during the update, when no activation does.
    pub update: Bytes,
}

impl<'a> Sync<'a> {
    /// The costs of a configuration.
    #[must_use]
    pub fn new(
        request: &'a Request<'a>,
        configuration: Configuration,
        settings: Vec<Setting>,
        kinds: &PricedKinds,
    ) -> Self {
        let mesh = mesh_of(request, configuration.degrees);
        let chain = &request.model.chain;
        // Gradients in a pass of their own have only that to move beside.
        let splits = configuration.schedule.splits_backward();
        let fastest = |kind: usize| {
            let levels = kinds[kind].levels.iter();
            let times =
                levels.map(|l| if splits { l.weight } else { l.time.backward_total().value });
            times.fold(Seconds::new(f64::INFINITY), Seconds::min)
        };
        let apart = request.pins.local_steps.is_some();
        let alone = Group { size: 1, nodes: 1 };
        let replicas = if apart { alone } else { mesh.replica_group() };
        let expert_replicas = if apart { alone } else { mesh.expert_replica_group() };
        let shares: Vec<Vec<f64>> = settings
            .iter()
            .map(|s| pieces::shares(request, &configuration, *s, replicas.size, kinds))
            .collect();
        let exchanges = settings
            .iter()
            .zip(&shares)
            .map(|(s, shares)| {
                TableCost::new(request, &configuration, s.exchange, replicas, shares[0])
            })
            .collect();
        let table_of = |role| {
            let of_role = chain.iter().filter(|r| request.model.kinds[r.kind].role == role);
            of_role.map(|run| kinds[run.kind].parameters.table).sum::<u64>()
        };
        let is_sampled = request.model.table.is_some_and(|t| t.sampled.is_some());
        let output = table_of(LayerRole::Head);
        let without = |run: &Run| LocalParameters { table: 0, ..kinds[run.kind].parameters };
        Self {
            request,
            configuration,
            settings,
            parameters: chain.iter().map(without).collect(),
            input_table: table_of(LayerRole::Embedding),
            output_table: if is_sampled { 0 } else { output },
            sampled_table: if is_sampled { output } else { 0 },
            window: chain.iter().map(|run| fastest(run.kind)).collect(),
            shares,
            exchanges,
            replicas,
            expert_replicas,
            outer: mesh.replica_group(),
        }
    }

    /// Cost of the exchange under a setting.
    #[must_use]
    pub fn exchange(&self, setting: usize) -> &TableCost {
        &self.exchanges[setting]
    }

    fn precision(&self) -> &Precision {
        &self.request.model.spec.training.precision
    }

    fn holds(&self, counts: &[u32], role: LayerRole) -> bool {
        let model = self.request.model;
        model.chain.iter().zip(counts).any(|(run, &n)| n > 0 && model.kinds[run.kind].role == role)
    }

    /// The parts of a stage's cost.
    #[must_use]
    pub fn parts(&self, stage: usize, counts: &[u32], setting: usize) -> SyncParts {
        let zero = self.settings[setting].zero;
        let cost = &self.exchanges[setting];
        let held = self.held(counts);
        let table = self.table_share(stage, &held, setting);
        let mut sum = held.parameters;
        if held.input && cost.with_other_gradients {
            sum.table = self.input_table;
        }
        let communication = self.gradient_communication(&sum, zero);
        let held_up = self.held_up(&sum, zero);
        let sampled = cost.sampled.filter(|_| held.output && self.sampled_table > 0);
        let input =
            if held.input { (cost.tail, cost.buffer) } else { (Seconds::ZERO, Bytes::ZERO) };
        let output = sampled.unwrap_or((Seconds::ZERO, Bytes::ZERO));
        let outer = self.outer(&held, &table);
        SyncParts {
            gradients_total: communication + held_up + outer.total,
            gradients: self.exposed(communication, late(&sum), held, zero)
                + held_up
                + outer.exposed,
            exchange: input.0 + output.0 + self.tied_exchange(&held),
            optimizer: self.optimizer(&held.parameters, &table, zero) + outer.updates,
            states: self.states(&held.parameters, &table, zero).plus(&outer.states),
            exchange_buffer: input.1 + output.1,
            shard_buffer: self.buffers(&held, zero),
            update: self.update(&held.parameters, &table, zero),
        }
    }

    /// What replicas that train apart need besides, per step on average over a period (see
    /// [`LocalSteps`](plan::schedule::LocalSteps)). `P` parameters of a rank in single precision:
    /// outer weights, momentum and the difference stay in memory, `12·P` bytes; once per period the
    /// difference and the merge move `12·P` bytes each, `4·P` bytes are all-reduced and the outer
    /// optimizer moves `20·P`. A delay of `d` steps hides `d` times what the stage computes
    /// backward; without delay nothing hides.
    fn outer(&self, held: &Held, table: &TableShare) -> Outer {
        let Some(local) = self.request.pins.local_steps else { return Outer::default() };
        let dense = held.parameters.replicated + held.parameters.expert;
        let parameters = dense as f64 + table.input + table.sampled;
        let traffic = |values: f64| match parameters > 0.0 {
            true => {
                price(&Work::Traffic(Bytes::new(parameters * values)), self.request.profile).value
            }
            false => Seconds::ZERO,
        };
        let (every, fragments) = (f64::from(local.every), f64::from(local.fragments));
        let bytes = Bytes::new(parameters * 4.0 / fragments);
        let reduce = Collective { op: CollectiveOp::AllReduce, bytes, group: self.outer };
        let reduce = match self.outer.is_alone() || bytes == Bytes::ZERO {
            true => Seconds::ZERO,
            false => price(&Work::Collective(reduce), self.request.profile).value,
        };
        let step = held.whole * f64::from(self.configuration.micro_batches);
        let each = reduce + traffic(20.0) / fragments;
        let shown = (each - step * f64::from(local.delay)).max(Seconds::ZERO);
        let kept = |values: f64| Bytes::new(parameters * values);
        Outer {
            total: reduce * (fragments / every),
            exposed: shown * (fragments / every),
            updates: traffic(24.0) / every,
            states: States { weights: kept(4.0), gradients: kept(4.0), optimizer: kept(4.0) },
        }
    }

    /// What a stage with these layers holds. A dense output table is an ordinary parameter, unless
    /// it is the input table and that is here too.
    fn held(&self, counts: &[u32]) -> Held {
        let input = self.holds(counts, LayerRole::Embedding);
        let output = self.holds(counts, LayerRole::Head);
        let mut held = Held { input, output, ..Held::default() };
        let mut longest = Seconds::ZERO;
        for (k, &n) in counts.iter().enumerate().filter(|(_, n)| **n > 0) {
            let p = self.parameters[k];
            held.parameters.replicated += p.replicated * u64::from(n);
            held.parameters.expert += p.expert * u64::from(n);
            held.parameters.tensors += p.tensors * u64::from(n);
            held.window += self.window[k] * f64::from(n);
            longest = longest.max(self.window[k]);
            held.largest = held.largest.max(p.replicated + p.expert);
        }
        held.whole = held.window;
        held.window = held.window - longest;
        let is_tied = self.request.model.table.is_some_and(|t| t.tied);
        if output && !(is_tied && input) {
            held.parameters.replicated += self.output_table;
            held.parameters.tensors += 1;
        }
        held
    }

    /// Gradients that are reduced as every micro-batch ends (ZeRO 2 and 3) are part of the layers'
    /// time already; what remains is to gather updated weights.
    fn gradient_communication(&self, sum: &LocalParameters, zero: Zero) -> Seconds {
        let plain = self.synchronise(sum.replicated + sum.table, self.replicas, zero);
        plain + self.synchronise(sum.expert, self.expert_replicas, zero)
    }

    fn synchronise(&self, parameters: u64, group: Group, zero: Zero) -> Seconds {
        if parameters == 0 || group.is_alone() {
            return Seconds::ZERO;
        }
        let bytes = |each: u64| Bytes::from_count(parameters.saturating_mul(each));
        let time = |op, bytes| {
            let work = Work::Collective(Collective { op, bytes, group });
            price(&work, self.request.profile).value
        };
        let wire = bytes(self.precision().wire_bytes);
        let weights = bytes(self.precision().compute.between_products().size());
        match zero {
            Zero::Off => time(CollectiveOp::AllReduce, wire * self.copies(group)),
            Zero::Optimizer => {
                time(CollectiveOp::ReduceScatter, wire) + time(CollectiveOp::AllGather, weights)
            }
            Zero::Gradients => time(CollectiveOp::AllGather, weights),
            Zero::Parameters => Seconds::ZERO,
        }
    }

    /// What gradients cost besides the wire: buckets hold computation up, lists the host.
    fn held_up(&self, sum: &LocalParameters, zero: Zero) -> Seconds {
        if zero >= Zero::Gradients || self.replicas.is_alone() {
            return Seconds::ZERO;
        }
        let stack = self.request.profile.stack();
        let bytes = (sum.replicated + sum.table) * self.precision().wire_bytes;
        let nodes = self.replicas.nodes;
        let waits = bucket_waits(Bytes::from_count(bytes), nodes, &stack.collective);
        match zero {
            Zero::Optimizer => waits + list_pieces(sum.tensors, self.replicas.size, &stack.host),
            _ => waits,
        }
    }

    /// How many times the bytes of a ring pass through the bottleneck. Where one device holds the
    /// variables (rafaljozefowicz/lm@79ae890 `common.py`, `language_model.py`), a sum is `n − 1`
    /// gradients over its link and as many weights back: `2(n − 1)·S/B`, `n` times that of a ring.
    /// Exchanged rows are different on each device, so theirs is that of a ring already.
    fn copies(&self, group: Group) -> f64 {
        let is_central = self.request.profile.stack().collective.central.value;
        if is_central && group.nodes == 1 { f64::from(group.size) } else { 1.0 }
    }

    /// Schedules that go through a chunk with all micro-batches have all weights of the chunk
    /// and their gradients at once; others those of a layer.
    fn shard_buffer(&self, held: &Held, zero: Zero) -> Bytes {
        let one = shard_buffers(held.largest, self.precision(), zero);
        if self.configuration.schedule != ScheduleKind::BreadthFirst {
            return one;
        }
        let chunk = (held.parameters.replicated + held.parameters.expert)
            .div_ceil(u64::from(self.configuration.chunks));
        let rest = chunk.saturating_sub(held.largest);
        one + joined_buffers(rest, self.precision(), zero)
    }

    fn exposed(&self, all: Seconds, late: f64, held: Held, zero: Zero) -> Seconds {
        let overlap = &self.request.profile.stack().overlap;
        let window = held.window;
        // Weights are gathered after the update, when no backward pass is left to hide behind.
        if zero == Zero::Gradients {
            return all;
        }
        if zero == Zero::Optimizer && !overlap.scattered.value {
            return all;
        }
        // The next forward pass, about half as long, hides gathered weights where the stack can.
        let hides_gather = zero == Zero::Optimizer && overlap.gather.value;
        let window = if hides_gather { window * 1.5 } else { window };
        let exposed = exposed_data_parallel(all, late, window, overlap);
        if self.configuration.schedule != ScheduleKind::BreadthFirst {
            return exposed;
        }
        // Gradients of a chunk are final while all earlier chunks have their passes before them;
        // only those of the first chunk, the last to run, have no more than others have.
        let chunks = f64::from(self.configuration.chunks);
        let earlier =
            held.whole * (f64::from(self.configuration.micro_batches) * (1.0 - 1.0 / chunks));
        let last = exposed_data_parallel(all / chunks, late, window / chunks, overlap);
        exposed_data_parallel(all, late, earlier + window / chunks, overlap).max(last)
    }

    /// First and last stage each hold a tied table and must agree on its gradient.
    fn tied_exchange(&self, held: &Held) -> Seconds {
        let Some(table) = self.request.model.table.filter(|t| t.tied) else {
            return Seconds::ZERO;
        };
        let d = self.configuration.degrees;
        if d.pp == 1 || held.input == held.output {
            return Seconds::ZERO;
        }
        let rows = table.vocab.div_ceil(u64::from(d.tp));
        let bytes = Bytes::from_count(rows * table.width * self.precision().wire_bytes);
        let nodes = if mesh_of(self.request, d).stages_cross_nodes() { 2 } else { 1 };
        let group = Group { size: 2, nodes };
        let work = Work::Collective(Collective { op: CollectiveOp::AllReduce, bytes, group });
        price(&work, self.request.profile).value
    }

    /// Rows of sparse tables that this stage stores: its piece, or its shard of all replicas.
    fn table_share(&self, stage: usize, held: &Held, setting: usize) -> TableShare {
        let share = match self.configuration.pieces {
            1 => f64::from(u8::from(held.input)),
            _ => self.shares[setting].get(stage).copied().unwrap_or(0.0),
        };
        let input = self.input_table as f64 * share;
        let is_sharded = self.settings[setting].exchange == Some(Exchange::Sharded);
        let shards = if is_sharded { f64::from(self.replicas.size) } else { 1.0 };
        let sampled = if held.output { self.sampled_table as f64 } else { 0.0 };
        let follows_zero = self.exchanges[setting].with_other_gradients;
        TableShare { input: input / shards, sampled, follows_zero }
    }

    /// Parameters that one rank updates.
    fn updated(&self, sum: &LocalParameters, table: &TableShare, zero: Zero) -> f64 {
        let shard =
            |group: Group| if zero >= Zero::Optimizer { f64::from(group.size) } else { 1.0 };
        let rows = if table.follows_zero { table.input / shard(self.replicas) } else { 0.0 };
        sum.replicated as f64 / shard(self.replicas)
            + sum.expert as f64 / shard(self.expert_replicas)
            + rows
    }

    fn optimizer(&self, sum: &LocalParameters, table: &TableShare, zero: Zero) -> Seconds {
        let parameters = self.updated(sum, table, zero);
        let rule = self.request.model.spec.training.optimizer;
        let step = OptimizerStep { rule, parameters: parameters as u64 };
        let profile = self.request.profile;
        price(&Work::Optimizer(step), profile).value + profile.stack().host.step.value
    }

    /// Buffers beside the states: gathered layers, the largest layer's gradients before they are
    /// added, buckets of gradients and weights, and what belongs to no layer.
    fn buffers(&self, held: &Held, zero: Zero) -> Bytes {
        let stack = &self.request.profile.stack().memory;
        let precision = self.precision();
        let sharded = self.shard_buffer(held, zero);
        let gradient = stack.layer_gradient.value * held.largest as f64;
        // One bucket of gradients and one of gathered weights, where ranks share them.
        let all = (held.parameters.replicated + held.parameters.expert) as f64;
        let format = precision.compute.between_products().size() as f64;
        let is_shared = zero >= Zero::Optimizer && self.replicas.size > 1;
        let buckets = if is_shared { 2.0 * format * all.min(stack.bucket.value) } else { 0.0 };
        // Automatic mixed precision keeps 16-bit copies of 32-bit weights while passes run.
        let is_cast = stack.wide.value && precision.weight_bytes as f64 > format;
        let casts = if is_cast { format * all } else { 0.0 };
        sharded + Bytes::new(gradient + buckets + casts) + stack.workspace.value
    }

    fn update(&self, sum: &LocalParameters, table: &TableShare, zero: Zero) -> Bytes {
        let each = self.request.profile.stack().memory.update.value;
        Bytes::new(each * self.updated(sum, table, zero))
    }

    fn states(&self, sum: &LocalParameters, table: &TableShare, zero: Zero) -> States {
        let precision = self.precision();
        let plain = states(sum.replicated as f64, precision, zero, self.replicas.size);
        let expert = states(sum.expert as f64, precision, zero, self.expert_replicas.size);
        // The gradient of rows lives in the exchange's buffer.
        let sparse = |rows: f64| {
            let whole = states(rows, precision, Zero::Off, 1);
            States { gradients: Bytes::ZERO, ..whole }
        };
        let rows = if table.follows_zero {
            states(table.input, precision, zero, self.replicas.size)
        } else {
            sparse(table.input)
        };
        let rows = rows.plus(&sparse(table.sampled));
        plain.plus(&expert).plus(&rows)
    }
}

/// Part of a stage's gradients that are those of the input table.
fn late(sum: &LocalParameters) -> f64 {
    match sum.replicated + sum.table {
        0 => 0.0,
        all => sum.table as f64 / all as f64,
    }
}

/// What replicas that train apart need besides, per step.
#[derive(Clone, Copy)]
struct Outer {
    total: Seconds,
    exposed: Seconds,
    updates: Seconds,
    states: States,
}

impl Default for Outer {
    fn default() -> Self {
        let (none, zero) = (Bytes::ZERO, Seconds::ZERO);
        let states = States { weights: none, gradients: none, optimizer: none };
        Self { total: zero, exposed: zero, updates: zero, states }
    }
}

/// What a stage with certain layers holds.
#[derive(Clone, Copy, Default)]
struct Held {
    parameters: LocalParameters,
    /// Backward time beside which gradients can move: a layer's gradient is known only when the
    /// layer is done, so the longest layer does not count.
    window: Seconds,
    /// The same of all its layers.
    whole: Seconds,
    /// Parameters of its largest layer.
    largest: u64,
    input: bool,
    output: bool,
}

/// Rows of sparse tables that a stage stores.
struct TableShare {
    input: f64,
    sampled: f64,
    follows_zero: bool,
}

impl SyncModel for Sync<'_> {
    fn settings(&self) -> usize {
        self.settings.len()
    }

    fn stage(&self, stage: usize, counts: &[u32], setting: usize) -> Option<StageSync> {
        let parts = self.parts(stage, counts, setting);
        let tail = parts.gradients + parts.exchange + parts.optimizer;
        let resident = parts.states.total() + parts.exchange_buffer + parts.shard_buffer;
        Some(StageSync { tail, resident, update: parts.update })
    }
}
