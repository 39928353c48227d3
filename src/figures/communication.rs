//! What ranks send: time by cause, and buffers of the embedding exchanges by the number of ranks.

use super::Width;
use super::scale::Log;
use super::svg::{Anchor, Svg, text_width};
use crate::render::number::grouped;
use crate::render::report::{bytes, seconds};
use plan::exchange::Exchange;
use plan::report::ExchangeReport;
use std::fmt::Write as _;
use tui::communication::{Curve, Traffic};

/// Communication of one cause.
struct Cause<'a> {
    name: &'a str,
    total: f64,
    exposed: f64,
}

const ROW: f64 = 36.0;
const BAR: f64 = 14.0;

/// Time of communication by cause, and how much of it nothing hides.
#[must_use]
pub fn traffic(traffic: &[Traffic], width: Width) -> Svg {
    let causes = causes(traffic);
    let words: Vec<String> = causes
        .iter()
        .map(|c| format!("{} {}, {} exposed", c.name, seconds(c.total), seconds(c.exposed)))
        .collect();
    let title = "Communication of a step, on the rank that sends longest";
    let seen = format!("Bars of seconds per step by cause: {}.", words.join("; "));
    let mut svg = Svg::new("traffic", width, title, &seen);
    if causes.is_empty() {
        let y = svg.grow(20.0);
        svg.text(0.0, y + 14.0, Anchor::Start, "dim", "Nothing is sent.");
        return svg;
    }
    super::legend::legend(&mut svg, &[("red", "exposed"), ("red soft", "hidden by computation")]);
    let most = causes.iter().map(|c| c.total.max(c.exposed)).fold(f64::MIN_POSITIVE, f64::max);
    for cause in &causes {
        let y = svg.grow(ROW);
        let room = svg.width() - 4.0;
        svg.open(cause.name, "");
        svg.text(0.0, y + 14.0, Anchor::Start, "", cause.name);
        let words = format!("{} exposed of {}", seconds(cause.exposed), seconds(cause.total));
        svg.text(svg.width(), y + 14.0, Anchor::End, "dim", &words);
        svg.rect((0.0, y + 19.0), (cause.total / most * room, BAR), "red soft");
        svg.rect((0.0, y + 19.0), (cause.exposed / most * room, BAR), "red");
        svg.close();
    }
    svg.grow(4.0);
    super::legend::caption(&mut svg, "Length: seconds per step if each message ran alone.");
    svg
}

/// By cause, longest first. What waits for its peer may be exposed for longer than it takes.
fn causes(traffic: &[Traffic]) -> Vec<Cause<'_>> {
    let mut all: Vec<Cause<'_>> = Vec::new();
    for row in traffic {
        let exposed = row.exposed.unwrap_or(0.0);
        match all.iter_mut().find(|cause| cause.name == row.cause) {
            Some(cause) => {
                cause.total += row.seconds;
                cause.exposed += exposed;
            }
            None => all.push(Cause { name: &row.cause, total: row.seconds, exposed }),
        }
    }
    all.sort_by(|a, b| b.total.total_cmp(&a.total));
    all
}

/// The colour, and the cost as the literature writes it.
fn look(exchange: Exchange) -> (&'static str, &'static str) {
    match exchange {
        Exchange::Gather => ("red", "G·K·D"),
        Exchange::Unique => ("green", "G·K + U·D"),
        Exchange::Dense => ("blue", "V·D"),
        Exchange::DedupGather => ("orange", "G·U₁·D"),
        Exchange::Sharded => ("violet", "K·D"),
    }
}

const HEIGHT: f64 = 230.0;
const AXIS: &str = "buffer per GPU (log)";

/// Buffers of the ways to exchange the embedding gradient, against the number of ranks.
#[must_use]
pub fn exchange(curve: &Curve, report: &ExchangeReport, width: Width) -> Svg {
    let title = "Embedding gradient: buffer of a GPU by the number that exchange";
    let mut svg = Svg::new("exchange", width, title, &description(curve, report));
    let all = curve.lines.iter().flat_map(|(_, line)| line.iter().copied());
    let (low, high) = all
        .filter(|b| *b > 0.0)
        .fold((f64::INFINITY, 0.0f64), |(low, high), b| (low.min(b), high.max(b)));
    let first = f64::from(curve.ranks.first().copied().unwrap_or(1));
    let last = f64::from(curve.ranks.last().copied().unwrap_or(1)).max(first * 2.0);
    let top = svg.grow(HEIGHT + 62.0) + 22.0;
    let right = if svg.is_narrow() { 8.0 } else { 168.0 };
    let frame = (62.0, svg.width() - right);
    let x = Log::new((first, last), frame);
    let y = Log::new((low / 1.5, high * 1.5), (top + HEIGHT, top));
    axes(&mut svg, curve, (&x, &y), frame, top);
    chosen(&mut svg, curve, report, &x, top);
    for (exchange, line) in &curve.lines {
        one(&mut svg, (*exchange, line), curve, report, (&x, &y));
    }
    names(&mut svg, curve, &y, frame.1);
    super::legend::caption(&mut svg, &letters(report));
    svg
}

fn description(curve: &Curve, report: &ExchangeReport) -> String {
    let mut words = String::from("Lines of bytes per GPU against G, the number that exchange.");
    for (exchange, line) in &curve.lines {
        if let (Some(first), Some(last)) = (line.first(), line.last()) {
            let (a, b) = (bytes(*first), bytes(*last));
            let _infallible = write!(words, " {exchange} from {a} to {b}.");
        }
    }
    let chosen = report.members.iter().find(|m| m.chosen);
    words + &chosen.map_or(String::new(), |m| format!(" The plan takes {}.", m.exchange))
}

fn axes(svg: &mut Svg, curve: &Curve, (x, y): (&Log, &Log), (left, right): (f64, f64), top: f64) {
    let bottom = top + HEIGHT;
    for value in y.marks(6) {
        let at = y.at(value);
        svg.line((left, at), (right, at), "rule");
        svg.text(left - 6.0, at + 4.0, Anchor::End, "dim", &round(value));
    }
    svg.line((left, bottom), (right, bottom), "axis");
    let mut free = f64::NEG_INFINITY;
    for ranks in &curve.ranks {
        let at = x.at(f64::from(*ranks));
        let word = grouped(u64::from(*ranks));
        svg.line((at, bottom), (at, bottom + 4.0), "axis");
        if at - text_width(&word) / 2.0 > free {
            svg.text(at, bottom + 17.0, Anchor::Middle, "dim", &word);
            free = at + text_width(&word) / 2.0 + 4.0;
        }
    }
    let name = "G, GPUs that exchange (log)";
    svg.text((left + right) / 2.0, bottom + 34.0, Anchor::Middle, "dim", name);
    svg.text(0.0, top - 10.0, Anchor::Start, "dim", AXIS);
}

/// A size that is a power of two, without empty decimals.
fn round(value: f64) -> String {
    bytes(value).replace(".00 ", " ").replace(".0 ", " ")
}

/// Whether the plan's number of ranks is among those that are drawn.
fn is_drawn(curve: &Curve, ranks: u32) -> bool {
    let ends = curve.ranks.first().zip(curve.ranks.last());
    ends.is_some_and(|(first, last)| (*first..=*last).contains(&ranks))
}

/// The number of ranks of the plan.
fn chosen(svg: &mut Svg, curve: &Curve, report: &ExchangeReport, x: &Log, top: f64) {
    let at = x.at(f64::from(report.ranks));
    if is_drawn(curve, report.ranks) {
        svg.line((at, top - 4.0), (at, top + HEIGHT), "dash");
        let words = format!("plan: G {}", grouped(report.ranks.into()));
        let room = text_width(AXIS) + 12.0;
        match at - text_width(&words) > room {
            true => svg.text(at.min(svg.width() - 4.0), top - 10.0, Anchor::End, "dim", &words),
            false => svg.text(at + 6.0, top + 4.0, Anchor::Start, "dim", &words),
        }
    }
}

fn one(
    svg: &mut Svg,
    (exchange, line): (Exchange, &[f64]),
    curve: &Curve,
    report: &ExchangeReport,
    (x, y): (&Log, &Log),
) {
    let (class, _) = look(exchange);
    let place = |(ranks, bytes): (&u32, &f64)| (x.at(f64::from(*ranks)), y.at(*bytes));
    let places: Vec<(f64, f64)> = curve.ranks.iter().zip(line).map(place).collect();
    let mut path = String::new();
    for (i, (x, y)) in places.iter().enumerate() {
        let letter = if i == 0 { 'M' } else { 'L' };
        let _infallible = write!(path, "{letter}{x:.1} {y:.1}");
    }
    svg.open(exchange.name(), "");
    svg.path(&path, &format!("curve line-{class}"));
    for place in &places {
        svg.dot(*place, 2.6, class);
    }
    let is_chosen = report.members.iter().any(|m| m.chosen && m.exchange == exchange);
    if is_chosen && is_drawn(curve, report.ranks) {
        let at = x.at(f64::from(report.ranks));
        let level = between(&places, at);
        svg.dot((at, level), 5.5, class);
        svg.dot((at, level), 8.5, "halo");
    }
    svg.close();
}

/// The level of a line at a place.
fn between(places: &[(f64, f64)], at: f64) -> f64 {
    let right = places.partition_point(|(x, _)| *x < at).min(places.len().saturating_sub(1));
    let (Some(a), Some(b)) = (places.get(right.saturating_sub(1)), places.get(right)) else {
        return 0.0;
    };
    let share = if b.0 > a.0 { (at - a.0) / (b.0 - a.0) } else { 0.0 };
    a.1 + share * (b.1 - a.1)
}

/// Names at the ends of their lines, apart from each other; below the drawing where it is narrow.
fn names(svg: &mut Svg, curve: &Curve, y: &Log, right: f64) {
    let word = |exchange: Exchange| format!("{exchange}  {}", look(exchange).1);
    if svg.is_narrow() {
        let words: Vec<(&str, String)> =
            curve.lines.iter().map(|(e, _)| (look(*e).0, word(*e))).collect();
        let items: Vec<(&str, &str)> = words.iter().map(|(c, w)| (*c, w.as_str())).collect();
        return super::legend::legend(svg, &items);
    }
    let mut ends: Vec<(f64, Exchange)> =
        curve.lines.iter().filter_map(|(e, line)| Some((y.at(*line.last()?), *e))).collect();
    ends.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut free = f64::NEG_INFINITY;
    for (at, exchange) in ends {
        let at = at.max(free);
        svg.dot((right + 10.0, at), 3.5, look(exchange).0);
        svg.text(right + 18.0, at + 4.0, Anchor::Start, "", &word(exchange));
        free = at + 16.0;
    }
}

fn letters(report: &ExchangeReport) -> String {
    format!(
        "K {} tokens per GPU, D {}, V {}; in the plan G {}, U {}: {}.",
        grouped(report.tokens_per_rank as u64),
        grouped(report.width),
        grouped(report.vocab),
        grouped(report.ranks.into()),
        grouped(report.unique as u64),
        report.unique_source,
    )
}
