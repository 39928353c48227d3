//! Where the step goes: bars, largest first.

use crate::render::bar::bar;
use crate::render::table::cut;
use crate::style::{Canvas, Role};
use plan::report::{Report, TimePart};
use plan::units::{Bytes, Seconds};
use std::fmt::Write as _;
use unicode_width::UnicodeWidthStr;

/// A time with its unit.
pub fn seconds(value: f64) -> String {
    Seconds::new(value).to_string()
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
        // What is there but rounds to nothing keeps a digit.
        let shown = format!("{value:.decimals$}");
        let is_lost = value != 0.0 && shown.chars().all(|c| "0.".contains(c));
        if is_lost { format!("{value:.*}", decimals + 1) } else { shown }
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
    let note = format!("{}, every product at the peak", seconds(report.speed_of_light.value));
    let bar = view.bar(report.speed_of_light.value, &note);
    let _infallible = writeln!(text, "    {light:<label$} {}", bar.trim_end());
    text
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
        let bar = self.bar(part.time.value, &self.note(part));
        let share = part.time.value / self.step * 100.0;
        let number = self.unit.number(part.time.value);
        let name = cut(&part.label, self.label);
        let padding = " ".repeat(self.label - name.width());
        format!("    {name}{padding} {bar}{number:>9}{share:>8.1}\n")
    }

    /// The bar of a time, the note behind it, padded to the room there is.
    fn bar(&self, time: f64, note: &str) -> String {
        let drawn = bar(self.canvas, time / self.step, self.room);
        if note.is_empty() {
            return drawn;
        }
        let drawn = drawn.trim_end();
        let gap = if drawn.is_empty() { "" } else { "  " };
        let note = cut(note, self.room.saturating_sub(drawn.width() + gap.len() + 1));
        let line = format!("{drawn}{gap}{}", self.canvas.paint(Role::Dim, &note));
        let used = drawn.width() + gap.len() + note.width();
        line + &" ".repeat(self.room.saturating_sub(used))
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
