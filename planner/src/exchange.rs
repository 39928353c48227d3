//! What an exchange of the embedding gradient costs a configuration.

use crate::request::Request;
use crate::space::Configuration;
use cost_model::exchange::{self as law, Table};
use cost_model::price;
use plan::exchange::{Exchange, SamplingSeeds};
use plan::units::{Bytes, Seconds};
use plan::work::{Group, Send, Work};

/// Cost of one exchange.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TableCost {
    /// Once per step, after the last backward pass.
    pub tail: Seconds,
    /// Per micro-batch and pass: tokens travel to their rows and back, or rows come from the other
    /// stages that store a piece of the table.
    pub per_micro_batch: Seconds,
    /// Buffer per rank.
    pub buffer: Bytes,
    /// Traffic per rank and step.
    pub wire: Bytes,
    /// The table's gradient is dense and moves with all other gradients.
    pub with_other_gradients: bool,
    /// The output table of a sampled softmax: time and buffer of its own exchange.
    pub sampled: Option<(Seconds, Bytes)>,
}

impl TableCost {
    /// The cost of `exchange`; `None` where the model has no table or nobody to exchange with.
    /// `at_home` is the share of the table that the first stage stores.
    #[must_use]
    pub fn new(
        request: &Request<'_>,
        c: &Configuration,
        exchange: Option<Exchange>,
        group: Group,
        at_home: f64,
    ) -> Self {
        let per_micro_batch = pieces(request, c, at_home);
        let alone = Self {
            tail: Seconds::ZERO,
            per_micro_batch,
            buffer: Bytes::ZERO,
            wire: Bytes::ZERO,
            with_other_gradients: true,
            sampled: None,
        };
        let (Some(exchange), Some(table)) = (exchange, table(request, c, group)) else {
            return alone;
        };
        if group.is_alone() {
            return alone;
        }
        let buffer = law::buffer_bytes(exchange, &table);
        let wire = law::wire_bytes(exchange, &table);
        let sampled = sampled(request, &table);
        let time = time(request, exchange, &table);
        let (tail, travel, dense) = match exchange {
            Exchange::Dense => (Seconds::ZERO, Seconds::ZERO, true),
            Exchange::Sharded => (Seconds::ZERO, shared_out(time, c), false),
            _ => (time, Seconds::ZERO, false),
        };
        // A dense gradient is counted with the training state.
        let buffer = if dense { Bytes::ZERO } else { buffer };
        let per_micro_batch = per_micro_batch + travel;
        Self { tail, per_micro_batch, buffer, wire, with_other_gradients: dense, sampled }
    }
}

/// Half of the traffic of a sharded table falls on each pass, spread over the micro-batches.
fn shared_out(time: Seconds, c: &Configuration) -> Seconds {
    time / (2.0 * f64::from(c.micro_batches))
}

/// The token table of one rank under a configuration, with the tokens of one step.
#[must_use]
pub fn table(request: &Request<'_>, c: &Configuration, group: Group) -> Option<Table> {
    let table = request.model.table?;
    let tp = u64::from(c.degrees.tp);
    let sequences = request.global_sequences / u64::from(c.degrees.dp);
    let tokens = sequences * request.sequence() / u64::from(c.degrees.cp) / tp;
    let vocabulary = table.vocab.div_ceil(tp);
    let wire = wire_bytes(request);
    let unique = |n: f64| unique(request, n, vocabulary);
    Some(Table::new(group, tokens.max(1), table.width, vocabulary, wire, unique))
}

/// Bytes per element of the exchange.
#[must_use]
pub fn wire_bytes(request: &Request<'_>) -> u64 {
    request.pins.exchange_wire.unwrap_or(request.model.spec.training.precision.wire_bytes)
}

/// Different tokens among `n`; without a corpus every token counts as different.
fn unique(request: &Request<'_>, n: f64, vocabulary: u64) -> f64 {
    match request.corpus {
        Some(corpus) => corpus.unique(n, vocabulary),
        None => n.min(vocabulary as f64),
    }
}

/// Time of an exchange.
#[must_use]
pub fn time(request: &Request<'_>, exchange: Exchange, table: &Table) -> Seconds {
    let work = law::work(exchange, table);
    work.iter().map(|w| price(w, request.profile).value).sum()
}

/// The output table of a sampled softmax: rows that were drawn, with as many seeds as the
/// published trade-off takes.
fn sampled(request: &Request<'_>, input: &Table) -> Option<(Seconds, Bytes)> {
    let samples = request.model.table?.sampled?;
    let rows = law::sampled_rows(SamplingSeeds::Zipf, samples, input);
    let table = Table {
        unique_all: rows,
        unique_own: rows.min(input.unique_own + samples as f64),
        ..*input
    };
    let times = time(request, Exchange::Unique, &table);
    Some((times, law::buffer_bytes(Exchange::Unique, &table)))
}

/// Rows stored on other stages travel to the first one, and their gradients back.
fn pieces(request: &Request<'_>, c: &Configuration, at_home: f64) -> Seconds {
    let Some(table) = request.model.table.filter(|_| c.pieces > 1) else { return Seconds::ZERO };
    let tokens = c.micro_sequences * request.sequence() / u64::from(c.time_chunks);
    let element = request.model.spec.training.precision.compute.between_products().size();
    let all = (tokens * table.width * element) as f64;
    let bytes = Bytes::new(all * (1.0 - at_home));
    let crosses_nodes = c.degrees.world_size() > request.per_node();
    price(&Work::Send(Send { bytes, crosses_nodes }), request.profile).value
}
