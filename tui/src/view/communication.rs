//! Communication per group, and the ways to exchange the embedding gradient.

use super::pen::{Pen, Target, below, first, row};
use super::words::{cut, grouped, padded, size, time};
use crate::communication::Traffic;
use crate::model::Model;
use crate::theme::Role;
use plan::exchange::Exchange;
use plan::report::{ExchangeReport, Report};
use plan::units::{BytesPerSecond, count};
use ratatui::layout::Rect;

/// Rows of the ways to exchange.
const EXCHANGE: u16 = 9;

pub fn draw(model: &Model, report: &Report, area: Rect, pen: &mut Pen<'_>) {
    let exchange = report.exchange.as_ref().filter(|_| !model.is_expanded);
    let is_room = area.height > EXCHANGE + 5;
    let lower = if exchange.is_some() && is_room { EXCHANGE } else { 0 };
    let (upper, lower) = below(area, area.height - lower);
    groups(model, upper, pen);
    if let Some(exchange) = exchange.filter(|_| lower.height > 0) {
        ways(model, exchange, lower, pen);
    }
}

fn groups(model: &Model, area: Rect, pen: &mut Pen<'_>) {
    let (head, list) = below(area, 1);
    let name = name_width(area);
    let title = format!(
        " {} {:<15}{:>10}{:>7}{:>10}{:>11}{:>9}{:>9}",
        padded("for", name, false),
        "what",
        "ranks",
        "calls",
        "volume",
        "rate",
        "time",
        "exposed"
    );
    pen.text((head.x, head.y), head.width, Role::Dim, &title);
    let Some(in_time) = model.in_time() else {
        let text = match &model.in_time {
            Some(Err(why)) => why.as_str(),
            _ => "solving …",
        };
        pen.text((list.x + 1, list.y), list.width, Role::Dim, text);
        return;
    };
    if in_time.traffic.is_empty() {
        pen.text((list.x + 1, list.y), list.width, Role::Dim, "nobody has anything to send");
    }
    let at = model.group.min(in_time.traffic.len().saturating_sub(1));
    let from = first(at, list.height);
    for (i, traffic) in in_time.traffic.iter().enumerate().skip(from) {
        let line = row(list, i - from);
        if line.height == 0 {
            break;
        }
        one(traffic, name, line, pen);
        pen.clickable(line, Target::Line(i));
        if i == at {
            pen.select(line);
        }
    }
}

/// Columns for what asks for it.
fn name_width(area: Rect) -> usize {
    usize::from(area.width).saturating_sub(75).clamp(7, 34)
}

fn one(traffic: &Traffic, name: usize, line: Rect, pen: &mut Pen<'_>) {
    let (ranks, nodes) = traffic.group;
    let rate = BytesPerSecond::new(traffic.bytes / traffic.seconds.max(f64::MIN_POSITIVE));
    let group = if nodes > 1 { format!("{ranks} on {nodes}") } else { ranks.to_string() };
    let text = format!(
        " {} {:<15}{:>10}{:>7}{:>10}{:>11}{:>9}",
        padded(&traffic.cause, name, false),
        traffic.op,
        group,
        grouped(traffic.calls.into()),
        size(traffic.bytes),
        rate.to_string(),
        time(traffic.seconds),
    );
    let exposed = traffic.exposed.map_or("–".to_string(), time);
    let role = if traffic.exposed.is_some_and(|t| t > 0.0) { Role::Warn } else { Role::Dim };
    let exposed = padded(&exposed, 9, true);
    pen.line(line, &[(Role::Plain, &text), (role, &exposed)]);
}

fn ways(model: &Model, exchange: &ExchangeReport, area: Rect, pen: &mut Pen<'_>) {
    let title = format!(
        "Embedding gradient per rank: G {}, K {}, D {}, V {}",
        exchange.ranks,
        count(exchange.tokens_per_rank),
        exchange.width,
        grouped(exchange.vocab)
    );
    let inside = pen.panel(area, &title, false);
    let curve = model.in_time().and_then(|t| t.curve.as_ref());
    let ranks: &[u32] = curve.map_or(&[], |c| &c.ranks);
    let columns = ranks.len().min(usize::from(inside.width.saturating_sub(28)) / 11);
    let skip = ranks.len() - columns;
    let heads: String =
        ranks[skip..].iter().map(|n| padded(&grouped((*n).into()), 11, true)).collect();
    let line = row(inside, 0);
    pen.line(line, &[(Role::Dim, &format!(" {:<25}{heads}", "G"))]);
    let lines = curve.map_or(&[][..], |c| &c.lines);
    for (i, (way, all)) in lines.iter().enumerate() {
        let member = exchange.members.iter().find(|m| m.exchange == *way);
        let formula = member.map_or("", |m| m.formula.as_str());
        let is_chosen = member.is_some_and(|m| m.chosen);
        let name = format!(" {:<13}{:<12}", name(*way), formula);
        let role = if is_chosen { Role::Good } else { Role::Plain };
        let numbers: String = all[skip..].iter().map(|b| padded(&size(*b), 11, true)).collect();
        let mark = if is_chosen { " ◀" } else { "" };
        pen.line(row(inside, i + 1), &[(role, &name), (role, &numbers), (Role::Good, mark)]);
    }
    let least = |i: usize| {
        let of = |(way, all): &(Exchange, Vec<f64>)| (all[i], *way);
        let all = lines.iter().map(of);
        all.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, way)| way)
    };
    if let (Some(first), Some(last)) =
        (least(0).filter(|_| !ranks.is_empty()), ranks.len().checked_sub(1))
    {
        let end = least(last).unwrap_or(first);
        let text = match first == end {
            true => format!(" {} needs least at every G", name(first)),
            false => format!(
                " {} needs least at G {}, {} at G {}",
                name(first),
                ranks[0],
                name(end),
                ranks[last]
            ),
        };
        pen.line(row(inside, 4), &[(Role::Dim, &text)]);
    }
    let text = format!(" U {}: {}", count(exchange.unique), exchange.unique_source);
    let width = usize::from(inside.width);
    pen.line(row(inside, 5), &[(Role::Dim, &cut(&text, width))]);
    let chosen = exchange.members.iter().find(|m| m.chosen);
    if let Some(m) = chosen {
        let text = format!(
            " chosen: {}, {} on the wire, {}",
            m.exchange.name(),
            size(m.wire_bytes),
            time(m.seconds)
        );
        pen.line(row(inside, 6), &[(Role::Good, &cut(&text, width))]);
    }
}

/// The name, and the one of the literature (arXiv:1810.10045).
fn name(way: Exchange) -> &'static str {
    match way {
        Exchange::Gather => "gather GKD",
        Exchange::Unique => "unique GK+UD",
        Exchange::Dense => "dense VD",
        other => other.name(),
    }
}
