//! Predicted against measured steps as a drawing: both axes in logarithms, one colour per group.

use crate::figures::escaped;
use crate::published::Scored;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Side of the square that points lie in, and the room around it.
const SIDE: f64 = 560.0;
const LEFT: f64 = 64.0;
const TOP: f64 = 44.0;
/// Width of the legend.
const LEGEND: f64 = 190.0;
/// Height of a line of the legend.
const LINE: f64 = 17.0;
/// Colours that differ in hue and lightness, in turn.
const COLOURS: [&str; 10] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#56b4e9", "#7a4fbf", "#8c564b",
    "#5f6b6d", "#c51b7d",
];

/// What axes span, in powers of ten.
#[derive(Clone, Copy)]
struct Range {
    low: f64,
    high: f64,
}

impl Range {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let logs = values.filter(|v| *v > 0.0 && v.is_finite()).map(f64::log10);
        let (low, high) = logs
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        if low > high {
            return Self { low: -2.0, high: 2.0 };
        }
        let (low, high) = (low.floor(), high.ceil());
        Self { low, high: high.max(low + 1.0) }
    }

    /// From 0 to 1.
    fn place(self, value: f64) -> f64 {
        (value.max(1e-12).log10() - self.low) / (self.high - self.low)
    }

    fn x(self, value: f64) -> f64 {
        LEFT + SIDE * self.place(value)
    }

    fn y(self, value: f64) -> f64 {
        TOP + SIDE * (1.0 - self.place(value))
    }
}

/// The drawing, complete in itself. Colours of lines and letters follow the reader's.
#[must_use]
pub fn chart(rows: &[Scored]) -> String {
    let mut groups: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for scored in rows {
        if let (Some(measured), Ok(p)) = (scored.measured, &scored.prediction) {
            groups.entry(&scored.row.group).or_default().push((measured, p.step.get()));
        }
    }
    let all = groups.values().flatten().flat_map(|(m, p)| [*m, *p]);
    let range = Range::of(all);
    let (width, height) = (LEFT + SIDE + LEGEND, TOP + SIDE + 48.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         role=\"img\" aria-label=\"Predicted against measured seconds per step\">\n\
         <style>text{{font:12px system-ui,sans-serif;fill:#333}}.g{{stroke:#ccc;stroke-width:1}}\
         .d{{stroke:#333;stroke-width:1.2}}.b{{stroke:#999;stroke-dasharray:4 4}}\
         .p{{fill:none;stroke-width:3;stroke-opacity:.55}}\
         @media(prefers-color-scheme:dark){{text{{fill:#ddd}}.g{{stroke:#444}}.d{{stroke:#ddd}}}}\
         </style>\n"
    );
    axes(&mut svg, range);
    diagonals(&mut svg, range);
    for (i, (name, points)) in groups.iter().enumerate() {
        svg += &marks(points, range, i);
        legend(&mut svg, i, name, points.len());
    }
    svg += "</svg>\n";
    svg
}

fn axes(svg: &mut String, range: Range) {
    let (right, bottom) = (LEFT + SIDE, TOP + SIDE);
    let mut power = range.low;
    while power <= range.high + 1e-9 {
        let value = 10f64.powf(power);
        let (x, y) = (range.x(value), range.y(value));
        let label = label(power);
        let _infallible = writeln!(
            svg,
            "<path class=\"g\" d=\"M{x:.1} {TOP}V{bottom}M{LEFT} {y:.1}H{right}\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            bottom + 18.0,
            LEFT - 6.0,
            y + 4.0
        );
        power += 1.0;
    }
    let middle = LEFT + SIDE / 2.0;
    let _infallible = writeln!(
        svg,
        "<text x=\"{middle}\" y=\"{:.0}\" text-anchor=\"middle\">measured seconds per step</text>\
         <text x=\"{LEFT}\" y=\"{:.0}\">predicted seconds per step</text>",
        bottom + 38.0,
        TOP - 14.0
    );
}

fn label(power: f64) -> String {
    match power as i32 {
        -3 => "1 ms".to_string(),
        -2 => "10 ms".to_string(),
        -1 => "0.1 s".to_string(),
        0 => "1 s".to_string(),
        1 => "10 s".to_string(),
        2 => "100 s".to_string(),
        3 => "1,000 s".to_string(),
        n => format!("1e{n} s"),
    }
}

/// Equality, and a factor of two on both sides.
fn diagonals(svg: &mut String, range: Range) {
    let (low, high) = (10f64.powf(range.low), 10f64.powf(range.high));
    for (class, factor) in [("b", 0.5), ("d", 1.0), ("b", 2.0)] {
        let (from, to) = (low.max(low / factor), high.min(high / factor));
        let _infallible = writeln!(
            svg,
            "<path class=\"{class}\" d=\"M{:.1} {:.1}L{:.1} {:.1}\"/>",
            range.x(from),
            range.y(from * factor),
            range.x(to),
            range.y(to * factor)
        );
    }
}

/// Points on a grid of one unit: those that fall together are drawn once.
fn marks(points: &[(f64, f64)], range: Range, group: usize) -> String {
    let (colour, cap) = look(group);
    let place = |(m, p): &(f64, f64)| (range.x(*m).round() as i64, range.y(*p).round() as i64);
    let places: BTreeSet<(i64, i64)> = points.iter().map(place).collect();
    let path: String = places.iter().map(|(x, y)| format!("M{x} {y}h0")).collect();
    format!("<path class=\"p\" stroke=\"{colour}\" stroke-linecap=\"{cap}\" d=\"{path}\"/>\n")
}

/// Colour and shape: where colours are used up, points become squares.
fn look(group: usize) -> (&'static str, &'static str) {
    let cap = if (group / COLOURS.len()).is_multiple_of(2) { "round" } else { "square" };
    (COLOURS[group % COLOURS.len()], cap)
}

fn legend(svg: &mut String, i: usize, name: &str, count: usize) {
    let (colour, cap) = look(i);
    let (x, y) = (LEFT + SIDE + 16.0, TOP + 8.0 + LINE * i as f64);
    let _infallible = writeln!(
        svg,
        "<path stroke=\"{colour}\" stroke-width=\"7\" stroke-linecap=\"{cap}\" \
         d=\"M{x} {:.1}h0\"/><text x=\"{}\" y=\"{y:.1}\">{} ({count})</text>",
        y - 4.0,
        x + 10.0,
        escaped(name)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0.02 and 30 span 0.01 to 100: four powers; 1 is in the middle.
    #[test]
    fn axes_span_whole_powers() {
        let range = Range::of([0.02, 30.0].into_iter());
        assert_eq!((range.low, range.high), (-2.0, 2.0));
        assert!((range.place(1.0) - 0.5).abs() < 1e-12);
        assert_eq!(range.x(0.01), LEFT);
        assert_eq!(range.y(100.0), TOP);
    }

    #[test]
    fn nothing_to_draw_is_an_empty_drawing() {
        let svg = chart(&[]);
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"), "{svg}");
        assert!(!svg.contains("class=\"p\""), "{svg}");
    }
}
