//! The step in time, stage by stage: passes as blocks, communication below them.

use super::Width;
use super::legend::{caption, legend};
use super::scale::{Scale, mark};
use super::svg::{Anchor, Svg, short, text_width};
use crate::render::report::seconds;
use plan::timeline::Block;
use plan::units::percent;
use std::fmt::Write as _;
use tui::strips::{Strip, Strips};

/// Most ranks that are drawn.
const MOST_ROWS: usize = 16;
/// A pass is drawn this wide at least, where the whole step does not fit.
const PASS: f64 = 11.0;
/// Narrower passes run together where the whole step is drawn.
const LEAST: f64 = 1.6;
const ROW: f64 = 24.0;
const BLOCK: f64 = 14.0;
const WIRE: f64 = 3.0;
const LABEL: f64 = 56.0;

/// The colour of a pass, by its letter, and its word.
const PASSES: [(char, &str, &str); 6] = [
    ('F', "blue", "forward"),
    ('B', "green", "backward"),
    ('I', "green", "backward, inputs"),
    ('W', "gold", "backward, weights"),
    ('R', "sky", "recompute"),
    ('U', "violet", "update"),
];

/// The drawing: the whole step where passes can be seen in it, else its beginning and its end.
/// What was measured stands below.
#[must_use]
pub fn pipeline(predicted: &Strips, measured: Option<&Strips>, width: Width) -> Svg {
    let title = format!("A simulated step of {}, rank by rank", seconds(predicted.seconds));
    let mut svg = Svg::new("pipeline", width, &title, &description(predicted));
    legend(&mut svg, &names(predicted));
    let room = svg.width() - LABEL - 2.0;
    let windows = windows(predicted, room);
    for (i, window) in windows.iter().enumerate() {
        let name = match (windows.len(), i) {
            (1, _) => "the whole step".to_string(),
            (_, 0) => format!("the first {}", seconds(window.1 - window.0)),
            _ => format!("the last {}", seconds(window.1 - window.0)),
        };
        panel(&mut svg, predicted, *window, &name);
    }
    if let Some(measured) = measured {
        let name = format!("measured: {}", seconds(measured.seconds));
        panel(&mut svg, measured, (0.0, measured.seconds), &name);
    }
    caption(&mut svg, &words(predicted));
    svg
}

fn description(strips: &Strips) -> String {
    let rows: Vec<String> = strips
        .rows
        .iter()
        .take(MOST_ROWS)
        .map(|row| format!("rank {} waits {}", row.rank, percent(row.bubble(strips.seconds))))
        .collect();
    format!("Blocks of passes against seconds, one row per kind of rank: {}.", rows.join(", "))
}

fn names(strips: &Strips) -> Vec<(&'static str, &'static str)> {
    let has = |letter| strips.rows.iter().any(|r| r.passes.iter().any(|b| b.letter == letter));
    let mut names: Vec<(&str, &str)> =
        PASSES.iter().filter(|(l, ..)| has(*l)).map(|(_, class, word)| (*class, *word)).collect();
    if strips.rows.iter().any(|row| !row.messages.is_empty()) {
        names.push(("red", "communication"));
    }
    names
}

/// Parts of the step to draw.
fn windows(strips: &Strips, room: f64) -> Vec<(f64, f64)> {
    let all = strips.seconds;
    let passes = strips.rows.iter().flat_map(|row| &row.passes).filter(|b| b.letter != 'U');
    let mut lengths: Vec<f64> = passes.map(|b| b.end - b.start).collect();
    lengths.sort_by(f64::total_cmp);
    // The shortest ones are odd ones out: stages with the embedding alone.
    let usual = lengths.get(lengths.len() / 4).copied().unwrap_or(all);
    let is_seen = usual / all * room >= LEAST * 2.5 || usual <= 0.0;
    let span = usual * room / PASS;
    match is_seen || span * 2.0 >= all {
        true => vec![(0.0, all)],
        false => vec![(0.0, span), (all - span, all)],
    }
}

fn panel(svg: &mut Svg, strips: &Strips, (from, to): (f64, f64), name: &str) {
    let y = svg.grow(22.0);
    svg.text(0.0, y + 15.0, Anchor::Start, "dim", name);
    let scale = Scale::new((from, to), (LABEL, svg.width() - 2.0));
    let every = strips.rows.len().div_ceil(MOST_ROWS).max(1);
    svg.open(name, "");
    for row in strips.rows.iter().step_by(every) {
        let y = svg.grow(ROW);
        svg.text(0.0, y + 11.0, Anchor::Start, "", &format!("rank {}", row.rank));
        let base = y + BLOCK;
        svg.line((LABEL, base), (svg.width() - 2.0, base), "rule");
        passes(svg, row, &scale, (from, to), y);
        wires(svg, row, &scale, (from, to), base + 1.0);
    }
    svg.close();
    axis(svg, &scale);
}

/// One path per kind of pass: a pass is a small box in it.
fn passes(svg: &mut Svg, row: &Strip, scale: &Scale, (from, to): (f64, f64), y: f64) {
    let blocks = tui::strips::within(&row.passes, from, to);
    for (letter, class, _) in PASSES {
        let own = blocks.iter().filter(|b| b.letter == letter);
        let edges = own.map(|b| (scale.at(b.start.max(from)), scale.at(b.end.min(to))));
        svg.path(&boxes(edges, y, BLOCK), class);
    }
    for block in blocks {
        let (a, b) = (scale.at(block.start.max(from)), scale.at(block.end.min(to)));
        label(svg, block, (a, b), y);
    }
}

/// Its micro-batch, where there is room.
fn label(svg: &mut Svg, block: &Block, (a, b): (f64, f64), y: f64) {
    let Some(number) = block.micro_batch else { return };
    let word = number.to_string();
    if b - a > text_width(&word) + 3.0 {
        svg.text((a + b) / 2.0, y + 11.0, Anchor::Middle, "on", &word);
    }
}

fn wires(svg: &mut Svg, row: &Strip, scale: &Scale, (from, to): (f64, f64), y: f64) {
    let seen = row.messages.iter().filter(|m| m.end > from && m.start < to);
    let edges = seen.map(|m| (scale.at(m.start.max(from)), scale.at(m.end.min(to))));
    svg.path(&boxes(edges, y, WIRE), "red");
}

/// Boxes as one path. Edges are whole tenths; what would touch runs together where it is thin.
fn boxes(edges: impl Iterator<Item = (f64, f64)>, y: f64, height: f64) -> String {
    let mut merged: Vec<(f64, f64)> = Vec::new();
    for (a, b) in edges {
        match merged.last_mut() {
            Some(last) if a - last.1 < 0.3 && (b - a < LEAST || last.1 - last.0 < LEAST) => {
                last.1 = last.1.max(b);
            }
            _ => merged.push((a, b)),
        }
    }
    let mut path = String::new();
    for (a, b) in merged {
        // A hair of the sheet between two passes tells them apart.
        let width = if b - a > 3.0 { b - a - 0.6 } else { (b - a).max(0.3) };
        let (x, width) = (short(a), short(width));
        let _infallible = write!(path, "M{x} {}h{width}v{height}h-{width}z", short(y));
    }
    path
}

fn axis(svg: &mut Svg, scale: &Scale) {
    let y = svg.grow(24.0);
    let marks = scale.marks(if svg.is_narrow() { 3 } else { 6 });
    svg.line((LABEL, y), (svg.width() - 2.0, y), "axis");
    // A time reads best in the unit of the whole axis.
    let most = marks.iter().copied().fold(0.0, f64::max);
    let (unit, factor) = if most >= 2.0 { ("s", 1.0) } else { ("ms", 1e3) };
    let values: Vec<f64> = marks.iter().map(|m| m * factor).collect();
    for (&at, &value) in marks.iter().zip(&values) {
        let x = scale.at(at);
        svg.line((x, y), (x, y + 4.0), "axis");
        if x < svg.width() - 30.0 {
            svg.text(x, y + 17.0, Anchor::Middle, "dim", &mark(value, &values));
        }
    }
    svg.text(svg.width(), y + 17.0, Anchor::End, "dim", unit);
}

fn words(strips: &Strips) -> String {
    let kinds = strips.rows.len();
    let bubbles = strips.rows.iter().map(|row| row.bubble(strips.seconds));
    let (least, most) =
        bubbles.fold((f64::INFINITY, 0.0f64), |(low, high), b| (low.min(b), high.max(b)));
    let bubble = match percent(least) == percent(most) {
        true => percent(most),
        false => format!("{} to {}", percent(least), percent(most)),
    };
    let drawn = kinds.div_ceil(kinds.div_ceil(MOST_ROWS).max(1));
    let which = match kinds {
        1 => "The same happens on every rank; one is drawn.".to_string(),
        n if n > drawn => format!("{drawn} of {n} kinds of ranks are drawn."),
        n => format!("Each row stands for ranks to which the same happens: {n} kinds."),
    };
    format!("{which} Waiting for others takes {bubble} of the step.")
}
