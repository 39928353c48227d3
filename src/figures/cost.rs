//! A sweep over clusters and GPU counts: time against dollars, and what nothing beats in both.

use super::Width;
use super::legend::{DASH, caption, legend};
use super::scale::{Log, Scale, mark};
use super::svg::{Anchor, Svg, lines, text_width};
use crate::render::clusters::{amount, unpriced};
use crate::render::number::grouped;
use plan::report::ClusterRow;
use plan::units::significant;
use planner::report::Cost;
use std::fmt::Write as _;

const HEIGHT: f64 = 260.0;
const LEFT: f64 = 60.0;
/// Plans of the front that are named below the drawing.
const NAMED: usize = 12;
/// A colour per cluster, from the beginning again where there are more clusters than colours.
const COLOURS: [&str; 8] = ["blue", "orange", "green", "violet", "red", "pink", "gold", "sky"];

/// A row that has a plan and a cost.
struct Point<'a> {
    row: &'a ClusterRow,
    hours: f64,
    cost: f64,
    colour: &'static str,
}

/// The drawing; `name` is what is trained.
#[must_use]
pub fn cost(name: &str, rows: &[ClusterRow], width: Width) -> Svg {
    let kind = Cost::of(rows);
    let mut names: Vec<&str> = rows.iter().map(|r| r.cluster.as_str()).collect();
    names.dedup();
    let points = points(rows, kind, &names);
    let what = match kind {
        Cost::Dollars => "dollars",
        Cost::GpuHours => "GPU-hours",
    };
    let title = format!("{name}: time against {what}, for a billion tokens");
    let mut svg = Svg::new("cost", width, &title, &description(&points, kind));
    if points.is_empty() {
        caption(&mut svg, "No cluster has a plan whose cost is known.");
        return svg;
    }
    let is_drawn = |name: &str| points.iter().any(|p| p.row.cluster == name);
    let mut items: Vec<(&str, &str)> = names
        .iter()
        .enumerate()
        .filter(|(_, name)| is_drawn(name))
        .map(|(i, name)| (colour(i), *name))
        .collect();
    items.push((DASH, "what is faster costs more"));
    legend(&mut svg, &items);
    let top = svg.grow(HEIGHT + 70.0) + 26.0;
    let frame = (LEFT, svg.width() - 40.0);
    let longest = points.iter().map(|p| p.hours).fold(0.0, f64::max);
    let unit = Unit::of(longest);
    let (x, y) = scales(&points, &unit, frame, top);
    axes(&mut svg, (&x, &y), (&unit, what), frame, top);
    front(&mut svg, &points, (&x, &y), &unit);
    dots(&mut svg, &points, (&x, &y), &unit, kind);
    list(&mut svg, &points, kind);
    let without = unpriced(rows);
    if kind == Cost::Dollars && !without.is_empty() {
        caption(&mut svg, &format!("Without a price, and so not drawn: {without}."));
    }
    svg
}

fn colour(cluster: usize) -> &'static str {
    COLOURS[cluster % COLOURS.len()]
}

fn points<'a>(rows: &'a [ClusterRow], kind: Cost, names: &[&str]) -> Vec<Point<'a>> {
    let point = |row: &'a ClusterRow| {
        let at = names.iter().position(|name| *name == row.cluster)?;
        let (hours, cost) = row.hours_per_billion_tokens.zip(kind.value(&row.row))?;
        Some(Point { row, hours, cost, colour: colour(at) })
    };
    rows.iter().filter_map(point).collect()
}

/// The unit that hours are shown in.
struct Unit {
    name: &'static str,
    per_hour: f64,
}

impl Unit {
    fn of(hours: f64) -> Self {
        let (name, per_hour) = match hours {
            hours if hours >= 96.0 => ("days", 1.0 / 24.0),
            hours if hours >= 2.0 => ("hours", 1.0),
            hours if hours >= 2.0 / 60.0 => ("minutes", 60.0),
            _ => ("seconds", 3600.0),
        };
        Self { name, per_hour }
    }
}

fn time(hours: f64) -> String {
    let unit = Unit::of(hours);
    format!("{} {}", significant(hours * unit.per_hour, 3), unit.name)
}

fn words(point: &Point<'_>, kind: Cost) -> String {
    let cost = match kind {
        Cost::Dollars => amount(kind, point.cost),
        Cost::GpuHours => format!("{} GPU-hours", amount(kind, point.cost)),
    };
    format!("{}, {cost}", time(point.hours))
}

fn place(point: &Point<'_>) -> String {
    format!("{} × {}", grouped(point.row.row.gpus.into()), point.row.cluster)
}

fn description(points: &[Point<'_>], kind: Cost) -> String {
    let kept = points.iter().filter(|p| p.row.is_pareto);
    let words: Vec<String> = kept.map(|p| format!("{} {}", place(p), words(p, kind))).collect();
    format!("Dots of time against cost; nothing beats {}.", words.join("; "))
}

fn span(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
}

fn scales(points: &[Point<'_>], unit: &Unit, frame: (f64, f64), top: f64) -> (Log, Scale) {
    let (low, high) = span(points.iter().map(|p| p.hours * unit.per_hour));
    let x = Log::new((low / 1.15, high * 1.15), frame);
    let (low, high) = span(points.iter().map(|p| p.cost));
    let room = ((high - low) * 0.1).max(high * 0.02);
    (x, Scale::new(((low - room).max(0.0), high + room), (top + HEIGHT, top)))
}

fn axes(
    svg: &mut Svg,
    (x, y): (&Log, &Scale),
    (unit, what): (&Unit, &str),
    (left, right): (f64, f64),
    top: f64,
) {
    let bottom = top + HEIGHT;
    let marks = y.marks(5);
    for &value in &marks {
        svg.line((left, y.at(value)), (right, y.at(value)), "rule");
        svg.text(left - 6.0, y.at(value) + 4.0, Anchor::End, "dim", &mark(value, &marks));
    }
    svg.line((left, bottom), (right, bottom), "axis");
    for value in x.tens(if svg.is_narrow() { 5 } else { 10 }) {
        let at = x.at(value);
        svg.line((at, bottom), (at, bottom + 4.0), "axis");
        svg.text(at, bottom + 17.0, Anchor::Middle, "dim", &significant(value, 1));
    }
    svg.text(0.0, top - 10.0, Anchor::Start, "dim", &format!("{what} per billion tokens"));
    let name = format!("{} per billion tokens (log)", unit.name);
    svg.text(right, bottom + 34.0, Anchor::End, "dim", &name);
}

/// Steps from row to row that nothing beats, the fastest first.
fn front(svg: &mut Svg, points: &[Point<'_>], (x, y): (&Log, &Scale), unit: &Unit) {
    let mut kept: Vec<&Point<'_>> = points.iter().filter(|p| p.row.is_pareto).collect();
    kept.sort_by(|a, b| a.hours.total_cmp(&b.hours));
    let mut path = String::new();
    for (i, point) in kept.iter().enumerate() {
        let (at, level) = (x.at(point.hours * unit.per_hour), y.at(point.cost));
        let _infallible = match i {
            0 => write!(path, "M{at:.1} {level:.1}"),
            _ => write!(path, "H{at:.1}V{level:.1}"),
        };
    }
    svg.path(&path, DASH);
}

/// Dots with their numbers of GPUs; of those that would lie on each other the front's are kept.
fn dots(svg: &mut Svg, points: &[Point<'_>], (x, y): (&Log, &Scale), unit: &Unit, kind: Cost) {
    let mut taken: Vec<(f64, f64, f64)> = Vec::new();
    let (kept, others): (Vec<_>, Vec<_>) = points.iter().partition(|p| p.row.is_pareto);
    for point in kept.into_iter().chain(others) {
        let (at, level) = (x.at(point.hours * unit.per_hour), y.at(point.cost));
        let row = &point.row.row;
        let shown = format!("{}: {}; {}", place(point), words(point, kind), row.label);
        svg.open(&format!("{} {}", point.row.cluster, row.gpus), &shown);
        svg.dot((at, level), 4.5, point.colour);
        if point.row.is_pareto {
            svg.dot((at, level), 7.5, "halo");
        }
        svg.close();
        let word = grouped(row.gpus.into());
        // The line of the front goes to the right.
        let level = if point.row.is_pareto { level - 9.0 } else { level };
        let (start, end) = (at + 9.0, at + 9.0 + text_width(&word));
        let is_free = |t: &(f64, f64, f64)| t.1 < start || end < t.0 || (t.2 - level).abs() > 13.0;
        if taken.iter().all(is_free) {
            svg.text(start, level + 4.0, Anchor::Start, "dim", &word);
            taken.push((start, end, level));
        }
    }
}

/// The plans of the front, the fastest first.
fn list(svg: &mut Svg, points: &[Point<'_>], kind: Cost) {
    let mut kept: Vec<&Point<'_>> = points.iter().filter(|p| p.row.is_pareto).collect();
    kept.sort_by(|a, b| a.hours.total_cmp(&b.hours));
    let left = svg.width() * if svg.is_narrow() { 1.0 } else { 0.7 };
    for point in kept.iter().take(NAMED) {
        let y = svg.grow(17.0);
        svg.dot((5.0, y + 8.0), 4.5, point.colour);
        let text = format!("{}: {}", place(point), point.row.row.label);
        for (i, line) in lines(&text, (left - 18.0) / 6.9).iter().enumerate() {
            let y = if i == 0 { y } else { svg.grow(15.0) };
            svg.text(18.0, y + 12.0, Anchor::Start, "", line);
        }
        let y = if svg.is_narrow() { svg.grow(16.0) } else { y };
        svg.text(svg.width(), y + 12.0, Anchor::End, "dim", &words(point, kind));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plan::report::SweepRow;

    fn row(
        cluster: &str,
        gpus: u32,
        hours: Option<f64>,
        dollars: f64,
        is_pareto: bool,
    ) -> ClusterRow {
        let row = SweepRow {
            gpus,
            label: format!("DP {gpus}"),
            seconds: hours,
            tokens_per_second: hours.map(|h| 1e9 / h / 3600.0),
            mfu: None,
            scaling: None,
            memory_bytes: None,
            gpu_hours_per_billion_tokens: hours.map(|h| h * f64::from(gpus)),
            dollars_per_billion_tokens: hours.map(|_| dollars).filter(|d| *d > 0.0),
            is_best: false,
            note: String::new(),
        };
        ClusterRow { cluster: cluster.into(), row, hours_per_billion_tokens: hours, is_pareto }
    }

    #[test]
    fn the_front_goes_from_the_fastest_to_the_cheapest() {
        let rows = [
            row("h", 8, Some(4.0), 100.0, true),
            row("h", 16, Some(2.0), 120.0, true),
            row("a", 8, Some(8.0), 110.0, false),
            row("a", 4, None, 0.0, false),
            row("v", 8, Some(1.0), 0.0, false),
        ];
        let file = cost("m", &rows, Width::Wide).file();
        assert!(
            file.contains("nothing beats 8 × h 4.00 hours, $100.00; 16 × h 2.00 hours, $120.00."),
            "{file}"
        );
        // Three dots, rings around two of them, and two dots in the list.
        assert_eq!(file.matches("<circle").count(), 7);
        assert!(!file.contains("cost-a-4\"") && !file.contains("cost-v-8\""));
        assert!(file.contains("Without a price, and so not drawn: v."));
        let first = file.find("16 × h: DP 16").expect("named");
        assert!(first < file.rfind("8 × h: DP 8").expect("named"));
    }

    #[test]
    fn nothing_to_draw_is_said() {
        let file = cost("m", &[row("h", 8, None, 0.0, false)], Width::Narrow).file();
        assert!(file.contains("No cluster has a plan") && !file.contains("<circle"));
    }

    #[test]
    fn times_are_in_units_of_people() {
        assert_eq!([time(240.0), time(3.0)], ["10.0 days", "3.00 hours"]);
        assert_eq!([time(0.5), time(0.01)], ["30.0 minutes", "36.0 seconds"]);
    }
}
