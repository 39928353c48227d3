//! Memory of each stage against what a plan may fill.

use super::Width;
use super::legend::{caption, legend};
use super::scale::{Scale, mark};
use super::svg::{Anchor, Svg};
use crate::render::report::gib;
use plan::report::{MemoryReport, StageMemory};
use plan::units::Bytes;

/// Parts with their colours and words, in the order in which they are drawn.
const PARTS: [(&str, &str, &str); 8] = [
    ("weights", "blue", "weights"),
    ("gradients", "red", "gradients"),
    ("optimizer", "green", "optimizer"),
    ("activations", "orange", "activations"),
    ("exchange", "pink", "embedding exchange"),
    ("buffers", "violet", "buffers"),
    ("runtime", "grey", "runtime"),
    ("reserve", "pale", "reserve"),
];

/// Stages that are drawn one by one.
const MANY: usize = 16;
const ROW: f64 = 22.0;
const BAR: f64 = 15.0;

/// The drawing.
#[must_use]
pub fn memory(memory: &MemoryReport, width: Width) -> Svg {
    let title = match memory.stages.len() {
        0 | 1 => "Memory of a GPU, all alike".to_string(),
        n => format!("Memory of each of {n} pipeline stages, fullest GPU"),
    };
    let mut svg = Svg::new("memory", width, &title, &description(memory));
    let names: Vec<(&str, &str)> = PARTS
        .iter()
        .filter(|(id, ..)| memory.stages.iter().any(|s| bytes(s, id) > 0.0))
        .map(|(_, class, word)| (*class, *word))
        .collect();
    legend(&mut svg, &names);
    let (left, right) = if svg.is_narrow() { (54.0, 62.0) } else { (64.0, 128.0) };
    let capacity = Bytes::new(memory.capacity_bytes).gib();
    let places = (left, svg.width() - right);
    let scale = Scale::new((0.0, capacity), places);
    let head = svg.grow(18.0);
    let rows = shown(&memory.stages);
    for stage in &rows {
        row(&mut svg, memory, stage, &scale);
    }
    let foot = svg.height();
    axis(&mut svg, &scale, places);
    limit(&mut svg, memory, &scale, (head, foot));
    if rows.len() < memory.stages.len() {
        let words = format!(
            "{} of {} stages are drawn: evenly chosen, and the fullest.",
            rows.len(),
            memory.stages.len()
        );
        caption(&mut svg, &words);
    }
    svg
}

fn description(memory: &MemoryReport) -> String {
    let stages = memory.stages.iter();
    let words: Vec<String> =
        stages.map(|s| format!("stage {} {} GiB", s.stage, gib(s.total_bytes))).collect();
    format!(
        "Stacked bars of GiB per GPU against a limit of {} GiB and a capacity of {} GiB: {}.",
        gib(memory.limit_bytes),
        gib(memory.capacity_bytes),
        words.join(", ")
    )
}

fn bytes(stage: &StageMemory, id: &str) -> f64 {
    stage.parts.iter().filter(|p| p.id == id).map(|p| p.bytes).sum()
}

/// All stages, or evenly chosen ones and the fullest.
fn shown(stages: &[StageMemory]) -> Vec<&StageMemory> {
    let every = stages.len().div_ceil(MANY).max(1);
    let fullest = stages.iter().map(|s| s.total_bytes).fold(0.0, f64::max);
    let mut has_fullest = false;
    let mut is_shown = |(i, s): (usize, &StageMemory)| {
        let is_first = s.total_bytes == fullest && !has_fullest;
        has_fullest |= is_first;
        i % every == 0 || is_first || i + 1 == stages.len()
    };
    stages.iter().enumerate().filter(|(i, s)| is_shown((*i, s))).map(|(_, s)| s).collect()
}

fn row(svg: &mut Svg, memory: &MemoryReport, stage: &StageMemory, scale: &Scale) {
    let y = svg.grow(ROW);
    let name = match memory.stages.len() {
        1 => "each".to_string(),
        _ => format!("stage {}", stage.stage),
    };
    svg.open(&format!("stage {}", stage.stage), "");
    svg.text(0.0, y + 12.0, Anchor::Start, "", &name);
    let mut from = 0.0;
    for (id, class, _) in PARTS {
        let to = from + Bytes::new(bytes(stage, id)).gib();
        svg.rect((scale.at(from), y), (scale.at(to) - scale.at(from), BAR), class);
        from = to;
    }
    let flight = match (svg.is_narrow(), stage.in_flight) {
        (true, _) | (_, 0) => String::new(),
        (_, n) => format!(" · {n} in flight"),
    };
    let words = format!("{}{flight}", gib(stage.total_bytes));
    svg.text(
        scale.at(Bytes::new(memory.capacity_bytes).gib()) + 8.0,
        y + 12.0,
        Anchor::Start,
        "",
        &words,
    );
    svg.close();
}

fn axis(svg: &mut Svg, scale: &Scale, (left, right): (f64, f64)) {
    let y = svg.grow(24.0);
    svg.line((left, y), (right, y), "axis");
    let marks = scale.marks(if svg.is_narrow() { 4 } else { 8 });
    for &value in &marks {
        let x = scale.at(value);
        svg.line((x, y), (x, y + 4.0), "axis");
        if x < right - 24.0 {
            svg.text(x, y + 17.0, Anchor::Middle, "dim", &mark(value, &marks));
        }
    }
    svg.text(right + 6.0, y + 17.0, Anchor::Start, "dim", "GiB");
}

/// What a plan may fill, and what the device has.
fn limit(svg: &mut Svg, memory: &MemoryReport, scale: &Scale, (head, foot): (f64, f64)) {
    let x = scale.at(Bytes::new(memory.limit_bytes).gib());
    let end = scale.at(Bytes::new(memory.capacity_bytes).gib());
    let share = memory.limit_bytes / memory.capacity_bytes * 100.0;
    svg.open("limit", "what a plan may fill");
    svg.line((x, head + 14.0), (x, foot), "limit");
    let words = format!("limit {} GiB, {share:.0} %", gib(memory.limit_bytes));
    svg.text(x, head + 10.0, Anchor::End, "dim", &words);
    svg.close();
    svg.line((end, head + 14.0), (end, foot), "axis");
    let words = match svg.is_narrow() {
        true => format!("{} GiB", gib(memory.capacity_bytes)),
        false => format!("capacity {} GiB", gib(memory.capacity_bytes)),
    };
    svg.text(end + 8.0, head + 10.0, Anchor::Start, "dim", &words);
}
