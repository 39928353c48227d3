//! Where a step goes: one bar, its parts beside each other, and what was measured below.

use super::Width;
use super::scale::{Scale, mark};
use super::svg::{Anchor, Svg, text_width};
use crate::render::report::{range, seconds};
use plan::report::{Report, TimePart};
use plan::units::percent;

/// Steps of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Where they are from.
    pub file: String,
    /// How many.
    pub steps: usize,
    /// The median step, seconds.
    pub median: f64,
    /// The tenth and ninetieth of a hundred, seconds.
    pub middle: (f64, f64),
}

/// The colour of a part of the step.
#[must_use]
pub fn colour(id: &str) -> &'static str {
    match id {
        "compute" => "blue",
        "recompute" => "sky",
        "tensor" => "orange",
        "context" | "expert" => "pink",
        "gradients" => "red",
        "exchange" => "pink",
        "sharding" | "messages" => "violet",
        "optimizer" => "green",
        "launch" => "gold",
        "bubble" => "pale",
        _ => "grey",
    }
}

const BAR: f64 = 26.0;
const ROW: f64 = 18.0;

/// The drawing.
#[must_use]
pub fn time(report: &Report, measured: Option<&Measured>, width: Width) -> Svg {
    let title = format!("A step of {}, part by part", seconds(report.step.value));
    let mut svg = Svg::new("time", width, &title, &description(report, measured));
    let most = measured.map_or(0.0, |m| m.middle.1).max(report.step.high).max(report.step.value);
    let unit = Unit::of(most);
    let scale = Scale::new((0.0, most * unit.per_second * 1.02), (0.0, svg.width() - 2.0));
    let top = svg.height();
    predicted(&mut svg, report, &unit, &scale);
    if let Some(measured) = measured {
        below(&mut svg, measured, &unit, &scale);
    }
    axis(&mut svg, report, &unit, &scale, top);
    rows(&mut svg, report);
    svg
}

fn description(report: &Report, measured: Option<&Measured>) -> String {
    let step = report.step.value;
    let parts = report.time.iter().filter(|part| part.time.value > 0.0);
    let words: Vec<String> = parts
        .map(|p| {
            let share = percent(p.time.value / step);
            format!("{} {} ({share})", p.label, seconds(p.time.value))
        })
        .collect();
    let measured = measured.map_or(String::new(), |m| {
        format!(" Measured: {} in the median of {} steps.", seconds(m.median), m.steps)
    });
    format!("Stacked bar of seconds per step: {}.{measured}", words.join(", "))
}

/// The unit of an axis of times.
struct Unit {
    name: &'static str,
    per_second: f64,
}

impl Unit {
    fn of(most: f64) -> Self {
        let (name, per_second) = match most {
            s if s >= 2.0 => ("s", 1.0),
            s if s >= 2e-3 => ("ms", 1e3),
            _ => ("µs", 1e6),
        };
        Self { name, per_second }
    }
}

fn predicted(svg: &mut Svg, report: &Report, unit: &Unit, scale: &Scale) {
    let (low, high) = (report.step.low, report.step.high);
    let y = svg.grow(20.0 + BAR);
    let words = format!("predicted {}, {}", seconds(report.step.value), range(low, high));
    svg.text(0.0, y + 14.0, Anchor::Start, "dim", &words);
    let mut from = 0.0;
    for part in &report.time {
        let to = from + part.time.value;
        let (x, end) = (scale.at(from * unit.per_second), scale.at(to * unit.per_second));
        svg.open(&part.id, &format!("{}: {}", part.label, seconds(part.time.value)));
        svg.rect((x, y + 20.0), (end - x, BAR), colour(&part.id));
        if end - x > text_width(&part.label) + 8.0 {
            svg.text(x + 5.0, y + 37.0, Anchor::Start, "on", &part.label);
        }
        svg.close();
        from = to;
    }
    whisker(svg, y + 20.0 + BAR / 2.0, (low, high), unit, scale);
}

/// From one end of an interval to the other.
fn whisker(svg: &mut Svg, y: f64, (low, high): (f64, f64), unit: &Unit, scale: &Scale) {
    let (a, b) = (scale.at(low * unit.per_second), scale.at(high * unit.per_second));
    if b - a < 0.5 {
        return;
    }
    svg.line((a, y), (b, y), "mark");
    for x in [a, b] {
        svg.line((x, y - 5.0), (x, y + 5.0), "mark");
    }
}

fn below(svg: &mut Svg, measured: &Measured, unit: &Unit, scale: &Scale) {
    let (low, high) = measured.middle;
    let y = svg.grow(24.0 + BAR) + 4.0;
    let words = format!(
        "measured {} in {} steps, {}",
        seconds(measured.median),
        measured.steps,
        range(low, high)
    );
    svg.text(0.0, y + 14.0, Anchor::Start, "dim", &words);
    svg.open("measured", &words);
    svg.rect((0.0, y + 20.0), (scale.at(measured.median * unit.per_second), BAR), "grey");
    svg.close();
    whisker(svg, y + 20.0 + BAR / 2.0, (low, high), unit, scale);
}

/// The axis, and the step if every product ran at the peak.
fn axis(svg: &mut Svg, report: &Report, unit: &Unit, scale: &Scale, top: f64) {
    let y = svg.grow(52.0) + 6.0;
    svg.line((0.0, y), (svg.width(), y), "axis");
    let marks = scale.marks(if svg.is_narrow() { 4 } else { 8 });
    for &value in &marks {
        let x = scale.at(value);
        svg.line((x, y), (x, y + 4.0), "axis");
        let anchor = if value == 0.0 { Anchor::Start } else { Anchor::Middle };
        if x < svg.width() - 16.0 {
            svg.text(x, y + 17.0, anchor, "dim", &mark(value, &marks));
        }
    }
    svg.text(svg.width(), y + 34.0, Anchor::End, "dim", &format!("{} per step", unit.name));
    let light = report.speed_of_light.value;
    let x = scale.at(light * unit.per_second);
    svg.open("speed-of-light", "the step if all products ran at the peak");
    svg.line((x, top + 18.0), (x, y + 24.0), "dash");
    let words = format!("speed of light {}", seconds(light));
    let start = x.min(svg.width() - 90.0 - text_width(&words)).max(0.0);
    svg.text(start, y + 34.0, Anchor::Start, "dim", &words);
    svg.close();
}

/// What is left of a difference of equal numbers is no part of a step.
const RESIDUE: f64 = 1e-9;

/// Every part with its time and share.
fn rows(svg: &mut Svg, report: &Report) {
    let time = svg.width() * if svg.is_narrow() { 0.72 } else { 0.45 };
    let share = time + 68.0;
    for part in report.time.iter().filter(|part| part.time.value > RESIDUE * report.step.value) {
        let y = svg.grow(ROW) + 4.0;
        svg.rect((0.0, y + 1.0), (10.0, 10.0), colour(&part.id));
        svg.text(16.0, y + 10.0, Anchor::Start, "", &part.label);
        svg.text(time, y + 10.0, Anchor::End, "", &seconds(part.time.value));
        let percent = percent(part.time.value / report.step.value);
        svg.text(share, y + 10.0, Anchor::End, "", &percent);
        if !svg.is_narrow() {
            svg.text(share + 18.0, y + 10.0, Anchor::Start, "dim", &note(part));
        }
    }
}

/// Communication says how much of it is exposed.
fn note(part: &TimePart) -> String {
    let exposed = match part.total_seconds {
        Some(total) if total > part.time.value * 1.0005 => {
            format!("exposed, of {}", seconds(total))
        }
        Some(_) if part.time.value > 0.0 => "all exposed".into(),
        _ => String::new(),
    };
    let parts = [exposed, part.note.clone()];
    parts.into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join("; ")
}
