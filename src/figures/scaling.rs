//! A sweep over GPU counts: tokens per second beside the ideal line, and the efficiency.

use super::Width;
use super::legend::{DASH, legend};
use super::scale::{Log, Scale, mark};
use super::svg::{Anchor, Svg, short, text_width};
use crate::render::number::grouped;
use plan::report::SweepRow;
use plan::units::{count, percent};

const RATE: f64 = 220.0;
const SHARE: f64 = 90.0;
const LEFT: f64 = 64.0;

/// A count that has a plan.
struct Point<'a> {
    row: &'a SweepRow,
    gpus: f64,
    rate: f64,
    scaling: f64,
}

/// The drawing; `name` is what scales.
#[must_use]
pub fn scaling(name: &str, rows: &[SweepRow], width: Width) -> Svg {
    let points: Vec<Point<'_>> = rows.iter().filter_map(point).collect();
    let title = format!("{name}: tokens per second by the number of GPUs");
    let mut svg = Svg::new("scaling", width, &title, &description(&points));
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return svg };
    legend(&mut svg, &[("blue", "best plan of each count"), (DASH, "ideal: as the first count")]);
    let frame = (LEFT, svg.width() - 24.0);
    let x = Log::new((first.gpus, last.gpus.max(first.gpus * 2.0)), frame);
    let ideal = last.gpus * first.rate / first.gpus;
    let most = points.iter().map(|p| p.rate).fold(ideal, f64::max);
    let least = points.iter().map(|p| p.rate).fold(first.rate, f64::min);
    let top = svg.grow(RATE + 40.0) + 28.0;
    let y = Log::new((least / 1.15, most * 1.15), (top + RATE, top));
    rates(&mut svg, &points, (&x, &y), frame, top);
    let top = svg.grow(SHARE + 66.0) + 24.0;
    shares(&mut svg, &points, &x, frame, top);
    svg
}

fn point(row: &SweepRow) -> Option<Point<'_>> {
    let gpus = f64::from(row.gpus);
    Some(Point { row, gpus, rate: row.tokens_per_second?, scaling: row.scaling? })
}

fn description(points: &[Point<'_>]) -> String {
    let word = |p: &Point<'_>| {
        let (gpus, rate) = (grouped(p.row.gpus.into()), count(p.rate));
        format!("{gpus} GPUs {rate} tokens per second, efficiency {}", percent(p.scaling))
    };
    let words: Vec<String> = points.iter().map(word).collect();
    format!("Line of tokens per second against GPUs, and bars of efficiency: {}.", words.join("; "))
}

fn rates(svg: &mut Svg, points: &[Point<'_>], (x, y): (&Log, &Log), frame: (f64, f64), top: f64) {
    svg.text(0.0, top - 10.0, Anchor::Start, "dim", "tokens per second (log)");
    for value in decades(points, y, top) {
        svg.line((frame.0, y.at(value)), (frame.1, y.at(value)), "rule");
        let word = count(value).replace(".00", "").replace(".0", "");
        svg.text(frame.0 - 6.0, y.at(value) + 4.0, Anchor::End, "dim", &word);
    }
    svg.line((frame.0, top + RATE), (frame.1, top + RATE), "axis");
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return };
    let ideal = last.gpus * first.rate / first.gpus;
    svg.open("ideal", "tokens per second if each GPU did as in the first count");
    svg.line((x.at(first.gpus), y.at(first.rate)), (x.at(last.gpus), y.at(ideal)), DASH);
    svg.close();
    let places: Vec<(f64, f64)> = points.iter().map(|p| (x.at(p.gpus), y.at(p.rate))).collect();
    let path: String = places
        .iter()
        .enumerate()
        .map(|(i, (x, y))| format!("{}{} {}", if i == 0 { 'M' } else { 'L' }, short(*x), short(*y)))
        .collect();
    svg.path(&path, "curve line-blue");
    for (point, place) in points.iter().zip(&places) {
        let words = format!("{}: {} tokens/s", point.row.label, count(point.rate));
        svg.open(&format!("gpus {}", point.row.gpus), &words);
        svg.dot(*place, 4.0, "blue");
        if point.row.is_best {
            svg.dot(*place, 7.5, "halo");
        }
        svg.close();
    }
}

/// 1, 2 and 5 times powers of ten inside; of many only the powers.
fn decades(points: &[Point<'_>], y: &Log, top: f64) -> Vec<f64> {
    let rates = || points.iter().map(|p| p.rate.max(1e-9).log10().floor() as i32);
    let (low, high) = (rates().min().unwrap_or(0), rates().max().unwrap_or(0));
    let steps: &[f64] = if high - low > 2 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let all = (low..=high + 1).flat_map(|p| steps.iter().map(move |s| s * 10f64.powi(p)));
    all.filter(|v| (top..=top + RATE).contains(&y.at(*v))).collect()
}

fn shares(svg: &mut Svg, points: &[Point<'_>], x: &Log, frame: (f64, f64), top: f64) {
    let most = points.iter().map(|p| p.scaling).fold(1.0, f64::max) * 100.0;
    let y = Scale::new((0.0, most), (top + SHARE, top));
    svg.text(0.0, top - 8.0, Anchor::Start, "dim", "efficiency, % of the first count");
    let marks = y.marks(2);
    for &value in &marks {
        svg.line((frame.0, y.at(value)), (frame.1, y.at(value)), "rule");
        let word = mark(value, &marks);
        svg.text(frame.0 - 6.0, y.at(value) + 4.0, Anchor::End, "dim", &word);
    }
    svg.line((frame.0, top + SHARE), (frame.1, top + SHARE), "axis");
    let mut free = f64::NEG_INFINITY;
    for point in points {
        let at = x.at(point.gpus);
        svg.rect((at - 4.0, y.at(point.scaling * 100.0)), (8.0, height(&y, point, top)), "blue");
        let word = grouped(point.row.gpus.into());
        if at - text_width(&word) / 2.0 > free {
            svg.text(at, top + SHARE + 16.0, Anchor::Middle, "dim", &word);
            free = at + text_width(&word) / 2.0 + 4.0;
        }
    }
    svg.text(frame.1, top + SHARE + 34.0, Anchor::End, "dim", "GPUs (log)");
}

fn height(y: &Scale, point: &Point<'_>, top: f64) -> f64 {
    top + SHARE - y.at(point.scaling * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(gpus: u32, rate: Option<f64>, scaling: f64) -> SweepRow {
        SweepRow {
            gpus,
            label: format!("DP {gpus}"),
            seconds: rate.map(|_| 1.0),
            tokens_per_second: rate,
            mfu: rate.map(|_| 0.5),
            scaling: rate.map(|_| scaling),
            memory_bytes: None,
            gpu_hours_per_billion_tokens: None,
            dollars_per_billion_tokens: None,
            is_best: gpus == 16,
            note: String::new(),
        }
    }

    /// 8 GPUs do 1,000 tokens/s, so 16 would do 2,000 ideally; they do 1,800, which is 90 %.
    #[test]
    fn counts_without_a_plan_are_left_out() {
        let rows = [row(4, None, 0.0), row(8, Some(1000.0), 1.0), row(16, Some(1800.0), 0.9)];
        let file = scaling("m on c", &rows, Width::Wide).file();
        assert!(file.contains("id=\"scaling-gpus-16\"") && !file.contains("scaling-gpus-4\""));
        assert!(file.contains("16 GPUs 1.80 k tokens per second, efficiency 90.0 %"), "{file}");
        assert_eq!(file.matches("class=\"halo\"").count(), 1);
        // The ideal is a dashed line, and so is its swatch.
        assert_eq!(file.matches("class=\"dash\"").count(), 2);
        let nothing = scaling("m on c", &rows[..1], Width::Wide).file();
        assert!(nothing.ends_with("</svg>\n") && !nothing.contains("<circle"), "{nothing}");
    }
}
