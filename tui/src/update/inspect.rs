//! Windows that say where a number is from, and why.

use crate::candidates::Candidate;
use crate::model::{Line, Model, Overlay, Screen, Window};
use crate::theme::Role;
use crate::view::{gib, pass_name, signed, time};
use cost_model::formulas;
use plan::quantity::Value;
use plan::report::{Report, TimePart, WhyNot};
use plan::units::percent;

/// Title and text of what is under the cursor.
#[must_use]
pub fn inspected(model: &Model) -> (String, Vec<Line>) {
    let Some(report) = model.report() else { return ("Nothing".into(), Vec::new()) };
    match (model.screen, model.panel) {
        (Screen::Overview, 0) => part(report, model.lines[0]),
        (Screen::Overview, 1) => memory(report, model.lines[1]),
        (Screen::Memory, _) if !model.is_per_rank => memory(report, model.stage),
        (Screen::Timeline, _) => block(model),
        (Screen::Communication, _) => traffic(model),
        (Screen::Overview, 2) => ("Why".into(), why_lines(model)),
        _ => (format!("Plan {}", report.plan.id), headline(report)),
    }
}

fn plain(text: impl Into<String>) -> Line {
    (Role::Plain, text.into())
}

fn dim(text: impl Into<String>) -> Line {
    (Role::Dim, text.into())
}

fn interval(value: &Value) -> String {
    format!("{} – {}, {}", time(value.low), time(value.high), value.source)
}

fn headline(report: &Report) -> Vec<Line> {
    let mut lines = vec![
        plain(format!("step {}: {}", time(report.step.value), interval(&report.step))),
        dim(report.interval.clone()),
        plain(format!("speed of light {}", time(report.speed_of_light.value))),
        (Role::Title, "Constants that are guesses".into()),
    ];
    lines.extend(report.assumptions.iter().map(|a| plain(format!("{}: {}", a.what, a.source))));
    if report.assumptions.is_empty() {
        lines.push(plain("none"));
    }
    lines
}

fn part(report: &Report, at: usize) -> (String, Vec<Line>) {
    let Some(part) = report.time.get(at.min(report.time.len().saturating_sub(1))) else {
        return ("Step".into(), headline(report));
    };
    let step = report.step.value;
    let mut lines = vec![
        plain(format!(
            "{} of {}, {}",
            time(part.time.value),
            time(step),
            percent(part.time.value / step)
        )),
        dim(interval(&part.time)),
    ];
    lines.extend(
        part.total_seconds.map(|t| plain(format!("{} with what other work hides", time(t)))),
    );
    lines.extend((!part.note.is_empty()).then(|| plain(part.note.clone())));
    lines.extend(formula(&part.formula));
    if !part.parts.is_empty() {
        lines.push((Role::Title, "Consists of".into()));
        add_parts(&part.parts, 1, &mut lines);
    }
    (part.label.clone(), lines)
}

/// Parts of parts, three levels deep.
fn add_parts(parts: &[TimePart], depth: usize, lines: &mut Vec<Line>) {
    for part in parts {
        let indent = "  ".repeat(depth);
        let id =
            if part.formula.is_empty() { String::new() } else { format!("   [{}]", part.formula) };
        let label = format!("{indent}{}", part.label);
        let text = format!("{label:<44}{:>10}  {}{id}", time(part.time.value), part.time.source);
        lines.push(plain(text));
        if depth < 3 {
            add_parts(&part.parts, depth + 1, lines);
        }
    }
}

fn formula(id: &str) -> Vec<Line> {
    let Some(formula) = formulas::find(id) else { return Vec::new() };
    vec![
        (Role::Title, format!("{} [{id}]", formula.title)),
        (Role::Accent, formula.equation.to_string()),
        plain(formula.letters),
        dim(format!("from {}", formula.source)),
        dim(format!("checked by {}", formula.test)),
    ]
}

fn memory(report: &Report, at: usize) -> (String, Vec<Line>) {
    let stages = &report.memory.stages;
    let Some(stage) = stages.get(at.min(stages.len().saturating_sub(1))) else {
        return ("Memory".into(), Vec::new());
    };
    let mut lines: Vec<Line> = stage
        .parts
        .iter()
        .filter(|part| part.bytes > 0.0)
        .map(|part| plain(format!("  {:<14}{:>8} GiB", part.id, gib(part.bytes))))
        .collect();
    lines.push((Role::Title, format!("  {:<14}{:>8} GiB", "total", gib(stage.total_bytes))));
    lines.push(plain(format!("activations of {} micro-batches in flight", stage.in_flight)));
    lines.push((Role::Title, "Kept free".into()));
    lines.extend(report.memory.reserve.iter().map(|text| plain(text.clone())));
    (format!("Memory of stage {}", stage.stage), lines)
}

fn block(model: &Model) -> (String, Vec<Line>) {
    let strips = model.in_time().map(|t| &t.predicted);
    let strip =
        strips.and_then(|s| s.rows.get(model.cursor.row.min(s.rows.len().saturating_sub(1))));
    let (Some(strips), Some(strip)) = (strips, strip) else {
        return ("Timeline".into(), vec![dim("nothing is simulated yet")]);
    };
    let t = &strip.time;
    let mut lines = Vec::new();
    if let Some(block) = strip.at(model.cursor.time) {
        lines.push(plain(format!(
            "{} of stage {}: {} to {}",
            pass_name(block.letter),
            block.stage,
            time(block.start),
            time(block.end)
        )));
    }
    lines.push((Role::Title, format!("The {} of rank {}", time(strips.seconds), strip.rank)));
    let parts = [
        ("passes", t.compute_seconds),
        ("recomputation", t.recompute_seconds),
        ("updates", t.update_seconds),
        ("contention", t.contention_seconds),
        ("launches", t.launch_seconds),
        ("exposed communication", t.exposed_seconds()),
        ("bubble", t.bubble_seconds),
    ];
    let whole = strips.seconds.max(f64::MIN_POSITIVE);
    let row = |(name, value): &(&str, f64)| {
        plain(format!("  {name:<24}{:>10}{:>9}", time(*value), percent(value / whole)))
    };
    lines.extend(parts.iter().filter(|(_, value)| *value > 0.0).map(row));
    for one in &t.exposed {
        lines.push(dim(format!("    {:<22}{:>10}", one.cause, time(one.seconds))));
    }
    (format!("Rank {}", strip.rank), lines)
}

fn traffic(model: &Model) -> (String, Vec<Line>) {
    let all = model.in_time().map_or(&[][..], |t| &t.traffic);
    let Some(t) = all.get(model.group.min(all.len().saturating_sub(1))) else {
        return ("Communication".into(), vec![dim("nothing is sent")]);
    };
    let (ranks, nodes) = t.group;
    let lines = vec![
        plain(format!("{} calls per step over {ranks} ranks on {nodes} nodes", t.calls)),
        plain(format!(
            "{} GiB in full tensors, {} each",
            gib(t.bytes),
            size_each(t.bytes, t.calls)
        )),
        plain(format!(
            "{} alone, {} each",
            time(t.seconds),
            time(t.seconds / f64::from(t.calls.max(1)))
        )),
        dim("priced like every collective; `explain --formula comm.ring` has the equation"),
    ];
    (format!("{}, {}", t.op, t.cause), lines)
}

fn size_each(bytes: f64, calls: u32) -> String {
    plan::units::Bytes::new(bytes / f64::from(calls.max(1))).to_string()
}

/// Why the plan is the plan.
#[must_use]
pub fn why_lines(model: &Model) -> Vec<Line> {
    let Some(report) = model.report() else { return Vec::new() };
    let warned = report.warnings.iter().map(|text| (Role::Warn, text.clone()));
    let proof = &report.plan.certificate;
    let proven = format!(
        "{} configurations on {} meshes; {} solved, {} integer programmes ({})",
        proof.configurations,
        proof.meshes.len(),
        proof.solved,
        proof.programmes,
        proof.solver
    );
    let why = report.why.iter().map(plain);
    why.chain(warned).chain([dim(proven)]).collect()
}

/// The answer to a question why not.
pub(super) fn why_window(why: &WhyNot) -> Overlay {
    let mut lines: Vec<Line> = why.verdict.iter().map(plain).collect();
    lines.extend((!why.label.is_empty()).then(|| dim(why.label.clone())));
    if let (Some(seconds), Some(slower)) = (why.seconds, why.slower) {
        let memory = why.memory_bytes.map(|b| format!(", {} GiB", gib(b))).unwrap_or_default();
        lines.push(plain(format!("{} ({}){memory}", time(seconds), signed(slower))));
    }
    let most = why.differences.iter().map(|d| (d.other_seconds - d.winner_seconds).abs());
    let most = most.fold(0.0, f64::max);
    let shown =
        why.differences.iter().filter(|d| (d.other_seconds - d.winner_seconds).abs() > most * 1e-3);
    let rows: Vec<Line> = shown
        .map(|d| {
            let change = d.other_seconds - d.winner_seconds;
            let sign = if change > 0.0 { "+" } else { "−" };
            let (a, b) = (time(d.winner_seconds), time(d.other_seconds));
            plain(format!("  {:<32}{a:>10} → {b:>10}   {sign}{}", d.label, time(change.abs())))
        })
        .collect();
    if !rows.is_empty() {
        lines.push((Role::Title, "What differs".into()));
        lines.extend(rows);
    }
    Window::overlay(format!("Why not {}?", why.choice), lines)
}

/// Tagged candidates side by side, and the verdict.
#[must_use]
pub fn comparison(model: &Model) -> Vec<Line> {
    let mut all: Vec<&Candidate> =
        model.candidates.iter().filter(|c| model.list.tagged.contains(&c.label)).collect();
    all.sort_by(|a, b| {
        let key = |c: &Candidate| c.seconds.or(c.bound).unwrap_or(f64::INFINITY);
        key(a).total_cmp(&key(b))
    });
    let dash = || "–".to_string();
    let mut lines =
        vec![dim(format!("  {:<40}{:>10}{:>11}{:>10}", "", "step", "memory", "exposed"))];
    for c in &all {
        let label: String = c.label.chars().take(39).collect();
        let step =
            c.seconds.map_or_else(|| c.bound.map_or_else(dash, |b| format!("≥ {}", time(b))), time);
        let memory = c.memory.map_or_else(dash, |b| format!("{} GiB", gib(b)));
        let exposed = c.exposed.map_or_else(dash, time);
        lines.push(plain(format!("  {label:<40}{step:>10}{memory:>11}{exposed:>10}")));
    }
    lines.push(plain(""));
    let Some((first, rest)) = all.split_first() else { return lines };
    let spread = model.report().map_or(0.0, |r| (r.step.high - r.step.low) / r.step.value);
    for other in rest {
        let text = match (first.seconds, other.seconds) {
            (Some(a), Some(b)) if b / a - 1.0 < 0.005 => {
                format!("{} and {} tie within half a percent", first.label, other.label)
            }
            (Some(a), Some(b)) => {
                format!("{} is {:.2} times as fast as {}", first.label, b / a, other.label)
            }
            _ => format!("{} is not solved: w solves it", other.label),
        };
        lines.push(plain(text));
    }
    if spread > 0.0 {
        lines
            .push(dim("Both rest on the same constants: their order is surer than either number."));
    }
    lines
}
