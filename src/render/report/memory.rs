//! Memory: one bar where all ranks are alike, else one per stage, with the limit marked.

use crate::render::bar::limited;
use crate::render::wrap::{wrap, wrap_items};
use crate::style::Canvas;
use plan::report::{MemoryReport, StageMemory};
use plan::units::{Bytes, significant};

/// A size in GiB, without the unit.
pub fn gib(bytes: f64) -> String {
    match Bytes::new(bytes).gib() {
        0.0 => "0".into(),
        n if n >= 99.95 => format!("{n:.0}"),
        n if n >= 0.995 => format!("{n:.1}"),
        n if n < 0.000_95 => "<0.001".into(),
        n if n < 0.01 => significant(n, 1),
        n => significant(n, 2),
    }
}

/// The parts in the groups that a bar tells apart by glyph.
const GROUPS: [(&str, &[&str]); 3] = [
    ("activations", &["activations"]),
    ("states", &["weights", "gradients", "optimizer"]),
    ("other", &["exchange", "buffers", "reserve", "runtime"]),
];

/// Stages that are shown one by one.
const MANY: usize = 8;

pub(super) fn memory(memory: &MemoryReport, canvas: &Canvas) -> String {
    match memory.stages.as_slice() {
        [] => String::new(),
        [stage] => alike(memory, stage, canvas),
        stages => {
            let mut text = title(memory, canvas);
            for stage in shown(stages) {
                text += &match stage {
                    Some(stage) => row(memory, stage, canvas),
                    None => "    ...\n".to_string(),
                };
            }
            text + &legend(stages, canvas)
        }
    }
}

/// One pipeline rank: all devices are alike.
fn alike(memory: &MemoryReport, stage: &StageMemory, canvas: &Canvas) -> String {
    let share = stage.total_bytes / memory.capacity_bytes * 100.0;
    let title = format!(
        "  Memory per GPU   {} of {} GiB ({share:.0} %), all ranks alike; limit {:.0} %\n",
        gib(stage.total_bytes),
        gib(memory.capacity_bytes),
        memory.limit_bytes / memory.capacity_bytes * 100.0,
    );
    let width = canvas.width.saturating_sub(8).min(60);
    let mut parts: Vec<_> = stage.parts.iter().filter(|p| p.bytes > 0.0).collect();
    parts.sort_by(|a, b| b.bytes.total_cmp(&a.bytes));
    let words: Vec<String> = parts.iter().map(|p| format!("{} {}", p.id, gib(p.bytes))).collect();
    let words = wrap_items(&words, canvas.width, 4);
    format!("{title}    {}\n    {words}\n", gauge(memory, stage, width, canvas))
}

fn title(memory: &MemoryReport, canvas: &Canvas) -> String {
    let left = format!(
        "  Memory per stage (worst rank of each; {} GiB capacity)",
        gib(memory.capacity_bytes)
    );
    let limit = memory.limit_bytes / memory.capacity_bytes * 100.0;
    let right = format!("limit {limit:.0} % {}", canvas.glyph("▏", "|"));
    let gap = canvas.width.saturating_sub(left.chars().count() + right.chars().count()).max(2);
    format!("{left}{}{right}\n", " ".repeat(gap))
}

/// The stages to show: all, or the ends and the fullest of many.
fn shown(stages: &[StageMemory]) -> Vec<Option<&StageMemory>> {
    if stages.len() <= MANY {
        return stages.iter().map(Some).collect();
    }
    let fullest = stages
        .iter()
        .enumerate()
        .fold(0, |best, (i, s)| if s.total_bytes > stages[best].total_bytes { i } else { best });
    let mut picked = vec![0, 1, fullest, stages.len() - 2, stages.len() - 1];
    picked.sort_unstable();
    picked.dedup();
    let mut rows = Vec::new();
    let mut next = 0;
    for at in picked {
        if at > next {
            rows.push(None);
        }
        rows.push(Some(&stages[at]));
        next = at + 1;
    }
    rows
}

fn row(memory: &MemoryReport, stage: &StageMemory, canvas: &Canvas) -> String {
    let width = canvas.width.saturating_sub(35).min(70);
    let share = stage.total_bytes / memory.capacity_bytes * 100.0;
    format!(
        "    stage {:<4}{}{:>9} GiB{share:>6.0} %\n",
        stage.stage,
        gauge(memory, stage, width, canvas),
        gib(stage.total_bytes),
    )
}

fn gauge(memory: &MemoryReport, stage: &StageMemory, width: usize, canvas: &Canvas) -> String {
    let share = |ids: &[&str]| group(stage, ids) / memory.capacity_bytes;
    let parts = GROUPS.map(|(_, ids)| share(ids));
    limited(canvas, &parts, memory.limit_bytes / memory.capacity_bytes, width)
}

fn group(stage: &StageMemory, ids: &[&str]) -> f64 {
    stage.parts.iter().filter(|p| ids.contains(&p.id.as_str())).map(|p| p.bytes).sum()
}

/// What the glyphs mean, from the first stage to the last where they differ.
fn legend(stages: &[StageMemory], canvas: &Canvas) -> String {
    let (Some(first), Some(last)) = (stages.first(), stages.last()) else {
        return String::new();
    };
    let change = |a: String, b: String| if a == b { a } else { format!("{a} → {b}") };
    let of = |id: &str| {
        let ids = [id];
        change(gib(group(first, &ids)), gib(group(last, &ids)))
    };
    let flight = change(first.in_flight.to_string(), last.in_flight.to_string());
    let other = GROUPS[2].1;
    let words = format!(
        "{} activations {} ({flight} in flight) {} weights {}, gradients {}, optimizer {} \
         {} other {}",
        canvas.glyph("█", "#"),
        of("activations"),
        canvas.glyph("▓", "="),
        of("weights"),
        of("gradients"),
        of("optimizer"),
        canvas.glyph("▒", "-"),
        change(gib(group(first, other)), gib(group(last, other))),
    );
    format!("    {}\n", wrap(&words, canvas.width, 4))
}
