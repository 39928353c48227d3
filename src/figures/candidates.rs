//! Plans that were solved: step against memory, with what nothing beats in both.

use super::Width;
use super::scale::{Scale, mark};
use super::svg::{Anchor, Svg, lines};
use crate::render::number::signed_percent;
use crate::render::report::{gib, seconds};
use plan::units::Bytes;
use std::fmt::Write as _;
use tui::candidates::{Candidate, Status, pareto};

const HEIGHT: f64 = 220.0;
/// Plans that are named below the drawing.
const NAMED: usize = 8;

/// A plan with its place among all.
struct Point<'a> {
    plan: &'a Candidate,
    seconds: f64,
    gib: f64,
    is_pareto: bool,
}

/// The drawing.
#[must_use]
pub fn candidates(all: &[Candidate], limit_bytes: f64, width: Width) -> Svg {
    let points = points(all);
    let open = all.iter().filter(|c| c.seconds.is_none()).count();
    let title = format!("{} plans that were solved: step against memory", points.len());
    let mut svg = Svg::new("candidates", width, &title, &description(&points));
    let Some(best) = points.iter().find(|p| p.plan.status == Status::Best) else { return svg };
    let top = svg.grow(HEIGHT + 64.0) + 18.0;
    let frame = (46.0, svg.width() - 12.0);
    let (x, y) = scales(&points, Bytes::new(limit_bytes).gib(), frame, top);
    axes(&mut svg, (&x, &y), frame, top);
    limit(&mut svg, Bytes::new(limit_bytes).gib(), &y, frame, top);
    front(&mut svg, &points, (&x, &y));
    for (i, point) in points.iter().enumerate().rev() {
        dot(&mut svg, (i, point), best, (&x, &y));
    }
    list(&mut svg, &points, best.seconds);
    if open > 0 {
        let words = format!(
            "{open} more meshes were ruled out unsolved: by a bound of their step, by memory, or \
             because a dimension does not divide."
        );
        super::legend::caption(&mut svg, &words);
    }
    svg
}

/// The plan first, then by step.
fn points(all: &[Candidate]) -> Vec<Point<'_>> {
    let marks = pareto(all);
    let mut points: Vec<Point<'_>> = Vec::new();
    for (plan, is_pareto) in all.iter().zip(marks) {
        let both = plan.seconds.zip(plan.memory);
        if let Some((seconds, memory)) = both {
            let gib = Bytes::new(memory).gib();
            points.push(Point { plan, seconds, gib, is_pareto });
        }
    }
    let rank = |p: &Point<'_>| p.plan.status != Status::Best;
    points.sort_by(|a, b| rank(a).cmp(&rank(b)).then(a.seconds.total_cmp(&b.seconds)));
    points
}

fn description(points: &[Point<'_>]) -> String {
    let named = points.iter().take(NAMED);
    let words: Vec<String> = named
        .map(|p| format!("{} {}, {} GiB", p.plan.label, seconds(p.seconds), one_decimal(p.gib)))
        .collect();
    format!("Dots at seconds per step and GiB of the fullest GPU: {}.", words.join("; "))
}

fn one_decimal(gib: f64) -> String {
    format!("{gib:.1}")
}

fn scales(points: &[Point<'_>], limit: f64, frame: (f64, f64), top: f64) -> (Scale, Scale) {
    let span = |values: &mut dyn Iterator<Item = f64>| {
        let (low, high) = values
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        let room = ((high - low) * 0.08).max(high * 0.01);
        ((low - room).max(0.0), high + room)
    };
    // Far slower plans would press all others into a corner.
    let best = points.first().map_or(0.0, |p| p.seconds);
    let near = points.iter().map(|p| p.seconds).filter(|s| *s <= best * FAR);
    let x = span(&mut near.into_iter());
    let (low, high) = span(&mut points.iter().map(|p| p.gib));
    let high = if limit < high * 1.25 { high.max(limit * 1.02) } else { high };
    (Scale::new(x, frame), Scale::new((low, high), (top + HEIGHT, top)))
}

/// Plans that are slower than this many times the best are drawn at the edge.
const FAR: f64 = 2.0;

fn axes(svg: &mut Svg, (x, y): (&Scale, &Scale), (left, right): (f64, f64), top: f64) {
    let bottom = top + HEIGHT;
    let marks = y.marks(5);
    for &value in &marks {
        let at = y.at(value);
        svg.line((left, at), (right, at), "rule");
        svg.text(left - 6.0, at + 4.0, Anchor::End, "dim", &mark(value, &marks));
    }
    svg.line((left, bottom), (right, bottom), "axis");
    let marks = x.marks(if svg.is_narrow() { 4 } else { 7 });
    for &value in &marks {
        let at = x.at(value);
        svg.line((at, bottom), (at, bottom + 4.0), "axis");
        let word = seconds(value);
        let word = if word.contains(' ') { word.replace(".00 ", " ") } else { word };
        svg.text(at, bottom + 17.0, Anchor::Middle, "dim", &word);
    }
    svg.text(0.0, top - 8.0, Anchor::Start, "dim", "GiB of the fullest GPU");
    svg.text(right, bottom + 33.0, Anchor::End, "dim", "time per step");
}

fn limit(svg: &mut Svg, limit: f64, y: &Scale, (left, right): (f64, f64), top: f64) {
    let at = y.at(limit);
    if at >= top {
        svg.line((left, at), (right, at), "limit");
        let words = format!("limit {limit:.1} GiB");
        svg.text(right, at - 4.0, Anchor::End, "dim", &words);
    }
}

/// Steps down from plan to plan that nothing beats.
fn front(svg: &mut Svg, points: &[Point<'_>], (x, y): (&Scale, &Scale)) {
    let mut kept: Vec<&Point<'_>> = points.iter().filter(|p| p.is_pareto).collect();
    kept.sort_by(|a, b| a.seconds.total_cmp(&b.seconds).then(b.gib.total_cmp(&a.gib)));
    let mut path = String::new();
    for (i, point) in kept.iter().enumerate() {
        let (at, level) = (place(x, point.seconds, svg), y.at(point.gib));
        let _infallible = match i {
            0 => write!(path, "M{at:.1} {level:.1}"),
            _ => write!(path, "H{at:.1}V{level:.1}"),
        };
    }
    svg.path(&path, "curve line-green soft");
}

/// Inside the drawing, at its right edge for what is far slower.
fn place(x: &Scale, seconds: f64, svg: &Svg) -> f64 {
    x.at(seconds).min(svg.width() - 12.0)
}

fn dot(svg: &mut Svg, (i, point): (usize, &Point<'_>), best: &Point<'_>, (x, y): (&Scale, &Scale)) {
    let (at, level) = (place(x, point.seconds, svg), y.at(point.gib));
    let words = format!("{}: {}, {:.1} GiB", point.plan.label, seconds(point.seconds), point.gib);
    svg.open(&format!("plan {}", i + 1), &words);
    if std::ptr::eq(point, best) {
        let d = format!("M{at:.1} {:.1}l7 7l-7 7l-7 -7z", level - 7.0);
        svg.path(&d, "green");
        svg.path(&format!("M{at:.1} {:.1}l10 10l-10 10l-10 -10z", level - 10.0), "halo");
    } else {
        svg.dot((at, level), 4.5, if point.is_pareto { "green" } else { "grey" });
    }
    svg.close();
    if i < NAMED && !std::ptr::eq(point, best) {
        svg.text(at + 7.0, level + 4.0, Anchor::Start, "dim", &(i + 1).to_string());
    }
}

/// The plans by their numbers.
fn list(svg: &mut Svg, points: &[Point<'_>], best: f64) {
    let room = if svg.is_narrow() { 0.0 } else { 200.0 };
    for (i, point) in points.iter().take(NAMED).enumerate() {
        let slower = match i {
            0 => "the plan".to_string(),
            _ => signed_percent(point.seconds / best - 1.0),
        };
        let memory = gib(point.gib * 1024.0 * 1024.0 * 1024.0);
        let numbers = format!("{} · {memory} GiB · {slower}", seconds(point.seconds));
        let letters = (svg.width() - 20.0 - room) / 6.9;
        let y = svg.grow(16.0);
        let number = if i == 0 { "◆".to_string() } else { (i + 1).to_string() };
        svg.text(0.0, y + 12.0, Anchor::Start, "strong", &number);
        for (line, text) in lines(&point.plan.label, letters).iter().enumerate() {
            let y = if line == 0 { y } else { svg.grow(15.0) };
            svg.text(18.0, y + 12.0, Anchor::Start, "", text);
        }
        let y = if svg.is_narrow() { svg.grow(16.0) } else { y };
        let (x, anchor) =
            if svg.is_narrow() { (18.0, Anchor::Start) } else { (svg.width(), Anchor::End) };
        svg.text(x, y + 12.0, anchor, "dim", &numbers);
    }
}
