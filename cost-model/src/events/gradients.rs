//! What software stacks do with gradients besides the work that a program lists, and what happens
//! once per step: seconds of real actions, so that a simulation knows every term of the closed
//! forms.
//!
//! | term | is time of |
//! |---|---|
//! | casts, sums over micro-batches, copies of shards | backward passes |
//! | gradients and weights that move as a whole, if in buckets | reductions, gathers |
//! | one device that holds all variables | reductions |
//! | shards that reach every device over its own card | reductions, gathers |
//! | buckets that wait for all nodes, lists of pieces | reductions, which hold computation up |
//! | the host's own step | updates |

use crate::collective::of_shards;
use crate::overlap::{bucket_waits, list_pieces};
use crate::price;
use crate::profile::Profile;
use plan::program::{Action, Cause, Class, LayerSpan, Op, Peers, Program, Purpose};
use plan::units::{Bytes, Seconds};
use plan::work::{Collective, CollectiveOp, Group, Work};
use std::collections::{BTreeMap, BTreeSet};

/// Gradients of one program, for what the software stack does with them besides the work that the
/// program lists.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gradients {
    /// What one rank holds of every layer of the model.
    pub layers: Vec<LayerGradients>,
    /// Bytes per parameter that every backward pass moves on top: casts at every use, sums over
    /// micro-batches.
    pub added: f64,
    /// Bytes per parameter that are moved whenever a shard is copied.
    pub copied: f64,
    /// How often shards are copied per backward pass.
    pub copies: f64,
    /// Whether only states are sharded (ZeRO 1), so that sums are scattered once per step.
    pub scattered: bool,
    /// Whether nothing runs beside collectives of sharded states (ZeRO 2 and 3): recurrent layers
    /// have no gradient before their last time step.
    pub alone: bool,
}

/// Gradients of one layer on one rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerGradients {
    /// Parameters, tables and experts included.
    pub parameters: u64,
    /// Tensors whose gradients are summed over all replicas.
    pub tensors: u64,
}

impl Gradients {
    fn sum(&self, span: LayerSpan, of: fn(&LayerGradients) -> u64) -> u64 {
        let (first, last) = (span.first as usize, span.last as usize);
        self.layers.iter().take(last + 1).skip(first).map(of).sum()
    }
}

/// Seconds of the actions of one class, by place in its list; empty where there are none.
pub(super) type OfClass = Vec<f64>;

/// What actions take besides the price of their charges; less than nothing where they are a part
/// of something that is priced as a whole.
pub(super) fn besides(program: &Program, profile: &Profile, gradients: &Gradients) -> Vec<OfClass> {
    let of_class = |class: &Class| {
        let mut wholes = Wholes::of(program, class);
        let handled = handled(class, profile, gradients);
        let each = class.actions.iter().zip(handled).map(|(action, handled)| match action.op {
            Op::Optimizer => profile.stack().host.step.value.get(),
            Op::Reduce(_) | Op::Gather => talk(program, action, profile, &mut wholes),
            _ => handled,
        });
        each.collect()
    };
    program.classes.iter().map(of_class).collect()
}

/// What a collective on gradients or weights takes besides its own price.
fn talk(program: &Program, action: &Action, profile: &Profile, wholes: &mut Wholes) -> f64 {
    let Some((op, group, bytes)) = collective(program, action) else { return 0.0 };
    let time = |bytes, group| {
        price(&Work::Collective(Collective { op, bytes, group }), profile).value.get()
    };
    if is_shard(action) {
        return wholes
            .remember(action, || time(bytes, of_shards(group, profile)) - time(bytes, group));
    }
    let central = profile.stack().collective.central.value && group.nodes == 1;
    let copies = if central && op == CollectiveOp::AllReduce { f64::from(group.size) } else { 1.0 };
    // Variables on one device: gradients pass over its link one by one, `n` times those of a ring.
    let whole = wholes.seconds(action, |all| time(all * copies, group) / all.get());
    wholes.remember(action, || whole * bytes.get() - time(bytes, group))
}

/// Time that backward passes spend on gradients: the first piece of each pass.
fn handled(class: &Class, profile: &Profile, gradients: &Gradients) -> Vec<f64> {
    let time = |bytes: Bytes| match bytes > Bytes::ZERO {
        true => price(&Work::Traffic(bytes), profile).value.get(),
        false => 0.0,
    };
    // Passes of a layer take equally long; a list has few layers and many passes.
    let mut known: Vec<(LayerSpan, f64)> = Vec::new();
    let mut of_span = |span: LayerSpan| match known.iter().find(|(known, _)| *known == span) {
        Some((_, seconds)) => *seconds,
        None => {
            let layers = span.first..=span.last;
            let each = layers.map(|at| {
                let one = LayerSpan { first: at, last: at };
                let parameters = gradients.sum(one, |layer| layer.parameters) as f64;
                let moved = |each: f64| time(Bytes::new(parameters * each));
                moved(gradients.added) + moved(gradients.copied) * gradients.copies
            });
            let seconds = each.sum();
            known.push((span, seconds));
            seconds
        }
    };
    let mut last = None;
    let each = class.actions.iter().map(|action| {
        let is_backward = matches!(action.op, Op::Backward | Op::BackwardWeight);
        let Some(span) = action.at.layers.filter(|_| is_backward) else { return 0.0 };
        let pass = Some((action.op, span, action.at.micro_batch));
        let goes_on = std::mem::replace(&mut last, pass) == pass;
        if goes_on { 0.0 } else { of_span(span) }
    });
    each.collect()
}

/// Operation, group and bytes of a collective.
fn collective(program: &Program, action: &Action) -> Option<(CollectiveOp, Group, Bytes)> {
    let Peers::Group { communicator, collective, payload, .. } = action.peers else { return None };
    let c = program.communicators.get(communicator.0 as usize)?;
    Some((collective, Group { size: c.size, nodes: c.nodes }, payload.size.expected))
}

/// Whether a collective is about sharded gradients or weights, once per micro-batch.
pub(super) fn is_shard(action: &Action) -> bool {
    match (action.op, action.cause) {
        (Op::Reduce(_), Cause::Zero(zero)) => zero >= 2,
        (Op::Gather, Cause::Zero(zero)) => zero >= 3,
        _ => false,
    }
}

/// Collectives that move all gradients or weights of a class once per step, cut into buckets. The
/// constants of a stack are those of the whole; what buckets cost besides is data of its own.
struct Wholes {
    all: Vec<(Key, Bytes, Option<f64>)>,
    known: BTreeMap<(Key, u64, bool), f64>,
}

type Key = (CollectiveOp, u32);

impl Wholes {
    fn of(program: &Program, class: &Class) -> Self {
        let mut all: Vec<(Key, Bytes, Option<f64>)> = Vec::new();
        let is_one = |a: &&Action| matches!(a.op, Op::Reduce(_) | Op::Gather) && !is_shard(a);
        for action in class.actions.iter().filter(is_one) {
            let (Some(key), Some((.., bytes))) = (key(action), collective(program, action)) else {
                continue;
            };
            match all.iter_mut().find(|(known, ..)| *known == key) {
                Some((_, sum, _)) => *sum += bytes,
                None => all.push((key, bytes, None)),
            }
        }
        Self { all, known: BTreeMap::new() }
    }

    /// Seconds per byte of the whole that an action is a part of.
    fn seconds(&mut self, action: &Action, rate: impl Fn(Bytes) -> f64) -> f64 {
        let Some(key) = key(action) else { return 0.0 };
        let whole = self.all.iter_mut().find(|(known, ..)| *known == key);
        whole.map_or(0.0, |(_, bytes, known)| *known.get_or_insert_with(|| rate(*bytes)))
    }

    /// Equal collectives take equally long.
    fn remember(&mut self, action: &Action, time: impl Fn() -> f64) -> f64 {
        let (Some(key), Peers::Group { payload, .. }) = (key(action), action.peers) else {
            return 0.0;
        };
        let key = (key, payload.size.expected.get().to_bits(), is_shard(action));
        *self.known.entry(key).or_insert_with(time)
    }
}

fn key(action: &Action) -> Option<Key> {
    let Peers::Group { communicator, collective, .. } = action.peers else { return None };
    Some((collective, communicator.0))
}

/// How long reductions hold computation up before they begin: buckets of gradients wait for all
/// nodes ([`bucket_waits`]), and the host copies lists of pieces ([`list_pieces`]). Sums over a
/// class are those of its closed form, whatever the buckets of the program.
pub(super) fn holds(program: &Program, profile: &Profile, gradients: &Gradients) -> Vec<OfClass> {
    let stack = profile.stack();
    let has_lists = gradients.scattered && stack.host.piece.value > Seconds::ZERO;
    if stack.collective.bucket_wait.value == Seconds::ZERO && !has_lists {
        return Vec::new();
    }
    let of_class = |class: &Class| {
        let sizes: Vec<Option<(Group, Bytes)>> =
            class.actions.iter().map(|action| summed(program, action)).collect();
        let all: Bytes = sizes.iter().flatten().map(|(_, bytes)| *bytes).sum();
        let lists = |replicas: u32| match has_lists {
            true => list_pieces(tensors(class, gradients), replicas, &stack.host),
            false => Seconds::ZERO,
        };
        let mut before = Bytes::ZERO;
        let each = sizes.iter().map(|summed| {
            let Some((group, bytes)) = summed else { return 0.0 };
            let waits = |bytes| bucket_waits(bytes, group.nodes, &stack.collective);
            let (from, to) = (waits(before), waits(before + *bytes));
            before += *bytes;
            (to - from + lists(group.size) * (*bytes / all)).get()
        });
        each.collect()
    };
    program.classes.iter().map(of_class).collect()
}

/// Group and bytes of a reduction of gradients over all replicas, once per step.
fn summed(program: &Program, action: &Action) -> Option<(Group, Bytes)> {
    let Peers::Group { communicator, .. } = action.peers else { return None };
    let purpose = program.communicators.get(communicator.0 as usize)?.purpose;
    let is_once = matches!(action.cause, Cause::DataParallel | Cause::Zero(1));
    let is_summed = matches!(action.op, Op::Reduce(_)) && is_once && purpose == Purpose::Replicas;
    let (_, group, bytes) = collective(program, action)?;
    is_summed.then_some((group, bytes))
}

fn tensors(class: &Class, gradients: &Gradients) -> u64 {
    let passes = class.actions.iter().filter(|a| a.op == Op::Forward);
    let spans: BTreeSet<(u32, u32)> =
        passes.filter_map(|a| a.at.layers.map(|span| (span.first, span.last))).collect();
    let of = |&(first, last): &(u32, u32)| {
        gradients.sum(LayerSpan { first, last }, |layer| layer.tensors)
    };
    spans.iter().map(of).sum()
}
