//! The plan at a glance.

use super::WIDE;
use super::pen::{Pen, Target, below, beside, first, row};
use super::words::{cut, gib, grouped, padded, signed, size, time, wrap};
use crate::candidates::short;
use crate::keymap::Action;
use crate::model::{Model, largest};
use crate::theme::Role;
use plan::report::{Report, TimePart};
use plan::units::{count, percent};
use ratatui::layout::Rect;

/// Names of the panels that the cursor goes through.
const PANELS: [&str; 4] = ["Time per step", "Memory per GPU", "Why", "Runners-up"];
/// Rows of the plan and its numbers.
const HEAD: u16 = 6;

pub fn draw(model: &Model, report: &Report, area: Rect, pen: &mut Pen<'_>) {
    let (head, rest) = below(area, HEAD);
    let (left, right) = beside(head, area.width / 2);
    decision(report, pen.panel(left, "Plan", false), pen);
    headline(report, pen.panel(right, "Headline", false), pen);
    if area.width < WIDE {
        return narrow(model, report, rest, pen);
    }
    let lines = report.time.len().max(report.memory.stages.len() + 3) + 3;
    let most = rest.height.saturating_sub(6);
    let upper = u16::try_from(lines).unwrap_or(most).clamp(6, most.max(6));
    let (top, bottom) = below(rest, upper);
    for (place, area) in [top, bottom].into_iter().enumerate() {
        let (left, right) = beside(area, area.width / 2);
        panel(model, report, 2 * place, left, pen);
        panel(model, report, 2 * place + 1, right, pen);
    }
}

/// One panel at a time, the others as tabs.
fn narrow(model: &Model, report: &Report, area: Rect, pen: &mut Pen<'_>) {
    let (tabs, rest) = below(area, 1);
    let mut x = tabs.x + 1;
    for (place, name) in PANELS.iter().enumerate() {
        let role = if place == model.panel { Role::Accent } else { Role::Dim };
        let end = pen.text((x, tabs.y), tabs.right() - x, role, name);
        pen.clickable(Rect { x, width: end - x, ..tabs }, Target::Do(Action::Panel(true)));
        x = end + 3;
    }
    panel(model, report, model.panel, rest, pen);
}

fn panel(model: &Model, report: &Report, place: usize, area: Rect, pen: &mut Pen<'_>) {
    let has_cursor = place == model.panel;
    let name = PANELS[place.min(3)];
    let title = match place {
        1 => format!("{name}, {}", size(report.memory.capacity_bytes)),
        _ => name.to_string(),
    };
    let inside = pen.panel(area, &title, has_cursor);
    let at = has_cursor.then(|| model.lines[place.min(3)]);
    match place {
        0 => times(report, at, inside, pen),
        1 => memory(report, at, inside, pen),
        2 => why(report, at, inside, pen),
        _ => runners_up(model, at, inside, pen),
    }
}

fn decision(report: &Report, area: Rect, pen: &mut Pen<'_>) {
    let d = &report.plan.decision;
    let b = &d.batch;
    let tokens = b.global_sequences as f64 * b.tokens_per_sequence as f64;
    let label = wrap(&plan_line(report), usize::from(area.width.saturating_sub(2)));
    let mut lines: Vec<(Role, String)> = label.into_iter().map(|l| (Role::Good, l)).collect();
    lines.truncate(2);
    lines.push((
        Role::Plain,
        format!(
            "{} seq × {} = {} tok/step",
            grouped(b.global_sequences),
            grouped(b.tokens_per_sequence),
            count(tokens)
        ),
    ));
    let exchange = d.embedding.map(|e| format!("embedding {} · ", e.exchange.name()));
    let proof = &report.plan.certificate;
    let proven = match proof.gap > 0.0 {
        true => format!("gap {}", percent(proof.gap)),
        false => format!("proven best of {}", grouped(proof.configurations)),
    };
    lines.push((Role::Dim, exchange.unwrap_or_default() + &proven));
    for (i, (role, text)) in lines.iter().enumerate() {
        let line = row(area, i);
        pen.text((line.x + 1, line.y), line.width.saturating_sub(1), *role, text);
    }
}

/// The plan in a line.
pub fn plan_line(report: &Report) -> String {
    let d = &report.plan.decision;
    let mesh = d.degrees;
    let mut parts = vec![format!("DP {}", mesh.dp), format!("TP {}", mesh.tp)];
    parts.push(format!("PP {}", mesh.pp));
    parts.extend((mesh.cp > 1).then(|| format!("CP {}", mesh.cp)));
    parts.extend((mesh.ep > 1).then(|| format!("EP {}", mesh.ep)));
    let zero: Vec<u8> = d.stages.iter().map(|s| s.zero).collect();
    let (least, most) = (zero.iter().min().unwrap_or(&0), zero.iter().max().unwrap_or(&0));
    parts.push(if least == most {
        format!("ZeRO {least}")
    } else {
        format!("ZeRO {least}–{most}")
    });
    parts.extend(d.sequence_parallel.then(|| "SP".to_string()));
    parts.push(d.precision.compute.to_string());
    parts.extend((mesh.pp > 1).then(|| d.schedule.name().to_string()));
    parts.extend((d.chunks > 1).then(|| format!("{} chunks", d.chunks)));
    let b = &d.batch;
    if b.micro_batches > 1 {
        parts.push(format!("{} micro-batches of {}", b.micro_batches, b.micro_sequences));
    }
    parts.extend(d.offload.then(|| "offload".to_string()));
    parts.join(" · ")
}

fn headline(report: &Report, area: Rect, pen: &mut Pen<'_>) {
    let step = &report.step;
    let rate = &report.tokens_per_second;
    let each = report.tokens_per_second_per_gpu.value;
    let peak = report.peak.value / 1e12;
    let memory = largest(report);
    let share = memory / report.memory.capacity_bytes;
    let rows = [
        ("step", time(step.value), format!("{} – {}", time(step.low), time(step.high))),
        ("tokens/s", count(rate.value), format!("{} per GPU", count(each))),
        ("MFU", percent(report.mfu.value), format!("of {peak:.0} TFLOP/s dense")),
        ("memory", size(memory), format!("{} of a GPU", percent(share))),
    ];
    for (i, (name, value, more)) in rows.iter().enumerate() {
        let line = row(area, i);
        let (name, value) = (padded(name, 9, false), padded(value, 11, true));
        let parts = [
            (Role::Dim, " "),
            (Role::Dim, name.as_str()),
            (Role::Title, &value),
            (Role::Plain, "   "),
            (Role::Plain, more),
        ];
        pen.line(line, &parts);
    }
}

fn times(report: &Report, at: Option<usize>, area: Rect, pen: &mut Pen<'_>) {
    let from = at.map_or(0, |at| first(at, area.height));
    let whole = report.step.value.max(f64::MIN_POSITIVE);
    let label = report.time.iter().map(|p| p.label.chars().count()).max().unwrap_or(0).min(24);
    let width = usize::from(area.width);
    let bars = width.saturating_sub(label + 22);
    for (i, part) in report.time.iter().enumerate().skip(from) {
        let line = row(area, i - from);
        if line.height == 0 {
            break;
        }
        let name = padded(&part.label, label, false);
        pen.text((line.x + 1, line.y), line.width, Role::Plain, &name);
        let x = line.x + 2 + u16::try_from(label).unwrap_or(0);
        let bar = Rect { x, width: u16::try_from(bars).unwrap_or(0), ..line };
        pen.bar(bar, part.time.value / whole, role_of(part));
        let numbers = format!(
            "{} {}",
            padded(&time(part.time.value), 9, true),
            padded(&percent(part.time.value / whole), 7, true)
        );
        pen.right(Rect { width: line.width.saturating_sub(1), ..line }, Role::Plain, &numbers);
        mark(line, i, at, pen);
    }
}

/// Marks the line under the cursor, and makes every line clickable.
fn mark(line: Rect, i: usize, at: Option<usize>, pen: &mut Pen<'_>) {
    if at == Some(i) {
        pen.select(line);
    }
    if at.is_some() {
        pen.clickable(line, Target::Line(i));
    }
}

fn role_of(part: &TimePart) -> Role {
    match part.id.as_str() {
        "compute" => Role::Part(0),
        "bubble" => Role::Part(5),
        "recompute" | "optimizer" | "launch" => Role::Part(4),
        _ if part.total_seconds.is_some() => Role::Part(1),
        _ => Role::Part(2),
    }
}

fn memory(report: &Report, at: Option<usize>, area: Rect, pen: &mut Pen<'_>) {
    let stages = &report.memory.stages;
    let capacity = report.memory.capacity_bytes;
    let from = at.map_or(0, |at| first(at, area.height.saturating_sub(2)));
    for (i, stage) in stages.iter().enumerate().skip(from) {
        let line = row(area, i - from);
        if i - from + 2 >= usize::from(area.height) {
            break;
        }
        let name =
            if stages.len() > 1 { format!("stage {:<3}", stage.stage) } else { "all".into() };
        pen.text((line.x + 1, line.y), line.width, Role::Plain, &name);
        let bar = Rect { x: line.x + 11, width: line.width.saturating_sub(29), ..line };
        let parts: Vec<f64> = stage.parts.iter().map(|p| p.bytes).collect();
        pen.stack(bar, &parts, capacity);
        let numbers = format!(
            "{} {}",
            padded(&format!("{} GiB", gib(stage.total_bytes)), 9, true),
            padded(&percent(stage.total_bytes / capacity), 7, true)
        );
        pen.right(Rect { width: line.width.saturating_sub(1), ..line }, Role::Plain, &numbers);
        mark(line, i, at, pen);
    }
    legend(report, area, pen);
}

/// What the parts of the fullest stage are.
fn legend(report: &Report, area: Rect, pen: &mut Pen<'_>) {
    let fullest =
        report.memory.stages.iter().max_by(|a, b| a.total_bytes.total_cmp(&b.total_bytes));
    let parts = fullest.map_or(&[][..], |stage| &stage.parts);
    let shown = (0u8..).zip(parts).filter(|(_, part)| part.bytes > 0.0);
    let mut line = row(area, usize::from(area.height.saturating_sub(2)));
    let mut x = line.x + 1;
    for (place, part) in shown {
        let glyph = crate::theme::PARTS[usize::from(place) % crate::theme::PARTS.len()];
        let text = format!(" {} {}  ", part.id, gib(part.bytes));
        let width = u16::try_from(text.chars().count() + 1).unwrap_or(0);
        if x + width > line.right() {
            line = row(area, usize::from(area.height.saturating_sub(1)));
            if x == line.x + 1 || line.y == area.y {
                return;
            }
            x = line.x + 1;
        }
        if x + width > line.right() {
            return;
        }
        let end = pen.text((x, line.y), line.right() - x, Role::Part(place), glyph);
        x = pen.text((end, line.y), line.right() - end, Role::Dim, &text);
    }
}

fn why(report: &Report, at: Option<usize>, area: Rect, pen: &mut Pen<'_>) {
    let width = usize::from(area.width.saturating_sub(2));
    let warned = report.warnings.iter().map(|text| (Role::Warn, text));
    let all = report.why.iter().map(|text| (Role::Plain, text)).chain(warned);
    let mut lines: Vec<(usize, Role, String)> = Vec::new();
    for (i, (role, text)) in all.enumerate() {
        lines.extend(wrap(text, width).into_iter().map(|line| (i, role, line)));
    }
    let under = lines.iter().rposition(|(i, _, _)| Some(*i) == at).unwrap_or(0);
    let from = first(under, area.height);
    for (place, (i, role, text)) in lines.iter().skip(from).enumerate() {
        let line = row(area, place);
        if line.height == 0 {
            break;
        }
        pen.text((line.x + 1, line.y), line.width.saturating_sub(1), *role, text);
        mark(line, *i, at, pen);
    }
}

fn runners_up(model: &Model, at: Option<usize>, area: Rect, pen: &mut Pen<'_>) {
    if model.runners_up.is_empty() {
        let text = if model.is_refining { "solving …" } else { "no other plan came close" };
        pen.text((area.x + 1, area.y), area.width, Role::Dim, text);
    }
    let from = at.map_or(0, |at| first(at, area.height));
    for (i, runner) in model.runners_up.iter().enumerate().skip(from) {
        let line = row(area, i - from);
        if line.height == 0 {
            break;
        }
        let numbers = format!(
            "{}  {}",
            padded(&signed(runner.slower), 8, true),
            padded(&size(runner.memory_bytes), 9, true)
        );
        let room = usize::from(line.width).saturating_sub(numbers.chars().count() + 3);
        pen.text((line.x + 1, line.y), line.width, Role::Plain, &cut(&short(&runner.label), room));
        pen.right(Rect { width: line.width.saturating_sub(1), ..line }, Role::Plain, &numbers);
        mark(line, i, at, pen);
    }
}
