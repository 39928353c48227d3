//! The ways to exchange the embedding gradient, side by side.

use crate::answer::Planned;
use crate::exchange::{table, time};
use crate::prices::mesh_of;
use crate::request::Request;
use crate::setting::applies;
use cost_model::exchange::{Table, buffer_bytes, wire_bytes};
use plan::exchange::Exchange;
use plan::report::{ExchangeMember, ExchangeReport};

pub(super) fn exchange(request: &Request<'_>, planned: &Planned) -> Option<ExchangeReport> {
    let model = request.model.table?;
    let c = &planned.solution.configuration;
    let group = mesh_of(request, c.degrees).replica_group();
    let table = table(request, c, group)?;
    let chosen = planned.solution.setting.exchange;
    let member = |exchange| ExchangeMember {
        exchange,
        formula: formula(exchange).into(),
        buffer_bytes: buffer_bytes(exchange, &table).get(),
        wire_bytes: wire_bytes(exchange, &table).get(),
        seconds: time(request, exchange, &table).get(),
        chosen: chosen == Some(exchange),
        note: applies(model, exchange).unwrap_or_default().into(),
    };
    Some(ExchangeReport {
        ranks: group.size,
        tokens_per_rank: table.tokens as f64,
        width: table.width,
        vocab: table.vocabulary,
        unique: table.unique_all,
        unique_source: unique_source(request, &table),
        tied: model.tied,
        members: Exchange::ALL.into_iter().map(member).collect(),
    })
}

fn formula(exchange: Exchange) -> &'static str {
    match exchange {
        Exchange::Gather => "G·K·D",
        Exchange::DedupGather => "G·U₁·D",
        Exchange::Unique => "G·K + U·D",
        Exchange::Dense => "V·D",
        Exchange::Sharded => "K·D, V/G rows each",
    }
}

fn unique_source(request: &Request<'_>, table: &Table) -> String {
    if table.unique_all >= table.vocabulary as f64 {
        return "every row occurs".into();
    }
    match request.corpus {
        Some(corpus) => {
            let (a, b) = (corpus.prefactor.value, corpus.exponent.value);
            format!("U = {a}·N^{b}, {} ({})", corpus.name, corpus.prefactor.grade.word())
        }
        None => "no corpus: every token counts as different".into(),
    }
}
