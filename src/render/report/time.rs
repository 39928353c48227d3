//! Where the step goes: bars, largest first.

use crate::render::bar::bar;
use crate::render::table::cut;
use crate::style::{Canvas, Role};
use plan::report::{Report, TimePart};
use plan::units::{Bytes, Seconds, significant};
use unicode_width::UnicodeWidthStr;

/// A time with its unit.
pub fn seconds(value: f64) -> String {
    Seconds::new(value).to_string()
}

/// A long time in the unit that people count it in.
pub fn span(value: f64) -> String {
    match value {
        s if s >= 2.0 * 86_400.0 => format!("{} days", significant(s / 86_400.0, 3)),
        s if (120.0..3600.0).contains(&s) => format!("{} min", significant(s / 60.0, 3)),
        s => seconds(s),
    }
}

/// A size with its unit.
pub fn bytes(value: f64) -> String {
    Bytes::new(value).to_string()
}

/// The unit of a column of times.
struct Unit {
    name: &'static str,
    per_second: f64,
    decimals: usize,
}

impl Unit {
    /// The unit in which a step of this length has three or four digits.
    fn of(step: f64) -> Self {
        let (name, per_second) = match step {
            s if s >= 10.0 => ("s", 1.0),
            s if s >= 0.01 => ("ms", 1e3),
            _ => ("µs", 1e6),
        };
        let decimals = match step * per_second {
            n if n >= 1000.0 => 0,
            n if n >= 100.0 => 1,
            _ => 2,
        };
        Self { name, per_second, decimals }
    }

    fn number(&self, seconds: f64) -> String {
        let (value, decimals) = (seconds * self.per_second, self.decimals);
        // What is there is never shown as nothing.
        let shown = format!("{value:.decimals$}");
        let is_lost = value != 0.0 && shown.chars().all(|c| "0.".contains(c));
        if is_lost { format!("<{:.decimals$}", 0.1f64.powi(decimals as i32)) } else { shown }
    }
}

/// Columns of numbers at the right: time and percentage.
const NUMBERS: usize = 17;

pub(super) fn bars(report: &Report, canvas: &Canvas) -> String {
    let step = report.step.value;
    let unit = Unit::of(step);
    let light = "speed of light";
    let labels = report.time.iter().map(|p| p.label.width()).chain([light.width()]);
    let label = labels.max().unwrap_or(0).min(30);
    let room = canvas.width.saturating_sub(4 + label + 1 + NUMBERS);
    let view = View { canvas, unit, step, label, room };
    let mut text = view.title();
    for part in &report.time {
        text += &view.line(part);
    }
    text + &view.row(light, report.speed_of_light.value, "if all products ran at peak")
}

struct View<'a> {
    canvas: &'a Canvas,
    unit: Unit,
    step: f64,
    label: usize,
    room: usize,
}

impl View<'_> {
    fn title(&self) -> String {
        let width = self.canvas.width.saturating_sub(NUMBERS + 2);
        format!("  {:<width$}{:>9}{:>8}\n", "Time per step", self.unit.name, "%")
    }

    fn line(&self, part: &TimePart) -> String {
        self.row(&part.label, part.time.value, &self.note(part))
    }

    fn row(&self, label: &str, time: f64, note: &str) -> String {
        let bar = self.bar(time, note);
        let share = time / self.step * 100.0;
        let number = self.unit.number(time);
        let name = cut(label, self.label);
        let padding = " ".repeat(self.label - name.width());
        format!("    {name}{padding} {bar}{number:>9}{share:>8.1}\n")
    }

    /// The bar of a time, the note behind it where there is room, padded.
    fn bar(&self, time: f64, note: &str) -> String {
        let full = bar(self.canvas, time / self.step, self.room);
        let drawn = full.trim_end();
        let gap = if drawn.is_empty() { "" } else { "  " };
        let used = drawn.width() + gap.len() + note.width();
        match self.room.checked_sub(used + 1) {
            Some(rest) if !note.is_empty() => {
                let note = self.canvas.paint(Role::Dim, note);
                format!("{drawn}{gap}{note}{}", " ".repeat(rest + 1))
            }
            _ => full,
        }
    }

    /// Communication says how much of it is exposed.
    fn note(&self, part: &TimePart) -> String {
        let exposed = match part.total_seconds {
            Some(total) if total > part.time.value * 1.0005 => {
                format!("exposed, of {}", self.unit.number(total))
            }
            Some(_) if part.time.value > 0.0 => "all exposed".into(),
            _ => String::new(),
        };
        let parts = [exposed, part.note.clone()];
        parts.into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join("; ")
    }
}
