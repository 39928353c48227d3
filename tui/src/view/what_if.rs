//! Other questions: every knob, and what its values lead to.

use super::WIDE;
use super::pen::{Pen, Target, below, beside, first, row};
use super::words::{cut, padded, signed, signed_size, signed_time, size, time};
use crate::knob::{Choice, Knob, choices};
use crate::message::{Effected, Numbers};
use crate::model::{Answered, Model, largest};
use crate::theme::Role;
use plan::units::{count, percent};
use ratatui::layout::Rect;

/// Rows of the comparison.
const FOOT: u16 = 5;

pub fn draw(model: &Model, area: Rect, pen: &mut Pen<'_>) {
    let (upper, lower) = below(area, area.height.saturating_sub(FOOT));
    let left = if area.width < WIDE { 38 } else { 46 };
    let (left, right) = beside(upper, left);
    knobs(model, left, pen);
    values(model, right, pen);
    comparison(model, lower, pen);
}

fn knobs(model: &Model, area: Rect, pen: &mut Pen<'_>) {
    let inside = pen.panel(area, "Question", model.choice.is_none());
    let from = first(model.knob, inside.height);
    for (i, knob) in Knob::ALL.into_iter().enumerate().skip(from) {
        let line = row(inside, i - from);
        if line.height == 0 {
            break;
        }
        let is_free = knob.is_free(&model.ask) && !matches!(knob, Knob::Gpus | Knob::Cluster);
        let role = if is_free { Role::Dim } else { Role::Accent };
        let word = knob.word(&model.ask, &model.menu.recipe);
        let taken = taken(model, knob).filter(|_| is_free);
        let word = match taken {
            Some(taken) if word == "auto" => format!("auto → {taken}"),
            _ => word,
        };
        let mark = if i == model.knob { "▶ " } else { "  " };
        let name = padded(knob.name(), 18, false);
        let room = usize::from(line.width.saturating_sub(20));
        pen.line(line, &[(Role::Accent, mark), (Role::Plain, &name), (role, &cut(&word, room))]);
        pen.clickable(line, Target::Line(i));
        if i == model.knob && model.choice.is_none() {
            pen.select(line);
        }
    }
}

/// What the planner took where the knob is free.
fn taken(model: &Model, knob: Knob) -> Option<String> {
    let d = &model.report()?.plan.decision;
    let zero = || d.stages.iter().map(|s| s.zero).max().map(|z| z.to_string());
    let on = |on: bool| Some(if on { "on" } else { "off" }.to_string());
    match knob {
        Knob::Tp => Some(d.degrees.tp.to_string()),
        Knob::Pp => Some(d.degrees.pp.to_string()),
        Knob::Dp => Some(d.degrees.dp.to_string()),
        Knob::Cp => Some(d.degrees.cp.to_string()),
        Knob::Ep => Some(d.degrees.ep.to_string()),
        Knob::Zero => zero(),
        Knob::MicroBatch => Some(d.batch.micro_sequences.to_string()),
        Knob::Schedule => Some(d.schedule.word().to_string()).filter(|_| d.degrees.pp > 1),
        Knob::Chunks => Some(d.chunks.to_string()),
        Knob::SequenceParallel => on(d.sequence_parallel),
        Knob::Offload => on(d.offload),
        Knob::Embedding => d.embedding.map(|e| e.exchange.name().to_string()),
        _ => None,
    }
}

/// Values of the knob with what they lead to, as it becomes known.
fn values(model: &Model, area: Rect, pen: &mut Pen<'_>) {
    let knob = model.knob();
    let inside = pen.panel(area, knob.name(), model.choice.is_some());
    let does = super::words::wrap(knob.does(), usize::from(inside.width.saturating_sub(2)));
    let (head, list) = below(inside, u16::try_from(does.len() + 2).unwrap_or(3));
    for (i, text) in does.iter().enumerate() {
        let line = row(head, i);
        pen.text((line.x + 1, line.y), line.width, Role::Dim, text);
    }
    let widest = word_width(inside);
    let title = format!("{:<widest$}{:>9} {:>9} {:>9}", "", "step", "memory", "tokens/s");
    let line = row(head, does.len() + 1);
    pen.text((line.x + 3, line.y), line.width.saturating_sub(3), Role::Dim, &title);
    let all = choices(knob, &model.ask, &model.menu, model.per_node());
    let now = knob.word(&model.ask, &model.menu.recipe);
    let known = match &model.effects {
        Some((of, effects)) if *of == knob => effects.as_slice(),
        _ => &[],
    };
    let from = first(model.choice.unwrap_or(0), list.height);
    for (i, choice) in all.iter().enumerate().skip(from) {
        let line = row(list, i - from);
        if line.height == 0 {
            break;
        }
        let effect = known.iter().find(|e| e.word == choice.word);
        value(model, choice, effect, choice.word == now, line, pen);
        if model.choice == Some(i) {
            pen.select(line);
        }
    }
}

/// Columns of a value.
fn word_width(area: Rect) -> usize {
    if area.width < 60 { 14 } else { 18 }
}

fn value(
    model: &Model,
    choice: &Choice,
    effect: Option<&Effected>,
    is_now: bool,
    line: Rect,
    pen: &mut Pen<'_>,
) {
    let mark = if is_now { " ◆ " } else { "   " };
    let role = if is_now { Role::Good } else { Role::Plain };
    let widest = word_width(line);
    let word = padded(&choice.word, widest, false);
    let room = usize::from(line.width).saturating_sub(widest + 3);
    let (text, text_role) = match effect.map(|e| &e.outcome) {
        None if model.answered == Answered::Nothing => (String::new(), Role::Dim),
        None => ("…".to_string(), Role::Dim),
        Some(Err(why)) => (why.clone(), Role::Dim),
        Some(Ok(numbers)) => (leads_to(model, numbers, is_now), Role::Plain),
    };
    pen.line(line, &[(role, mark), (role, &word), (text_role, &cut(&text, room))]);
}

/// The change against the plan that is shown; its own numbers of itself.
fn leads_to(model: &Model, n: &Numbers, is_now: bool) -> String {
    let Some(report) = model.report().filter(|_| !is_now) else {
        return format!("{:>9} {:>9}", time(n.seconds), size(n.memory));
    };
    let step = signed_time(n.seconds - report.step.value);
    let memory = signed_size(n.memory - largest(report));
    let rate = signed(n.rate / report.tokens_per_second.value - 1.0);
    format!("{step:>9} {memory:>9} {rate:>9}  {}", n.label)
}

fn comparison(model: &Model, area: Rect, pen: &mut Pen<'_>) {
    let inside = pen.panel(area, "Now against the plan that was saved, or the first", false);
    let now = match (&model.answered, model.is_solving) {
        (_, true) => "solving …".to_string(),
        (Answered::Plan(report), _) => {
            numbers(
                report.step.value,
                report.tokens_per_second.value,
                report.mfu.value,
                largest(report),
            ) + &format!("   {}", super::overview::plan_line(report))
        }
        (Answered::DoesNotFit(report), _) => {
            format!("does not fit: {}", report.binding)
        }
        (Answered::Refused(refusal), _) => refusal.what.clone(),
        (Answered::Nothing, _) => String::new(),
    };
    let role = match &model.answered {
        Answered::Plan(_) => Role::Title,
        _ => Role::Bad,
    };
    let width = usize::from(inside.width.saturating_sub(9));
    pen.line(row(inside, 0), &[(Role::Dim, " now    "), (role, &cut(&now, width))]);
    if let Some(kept) = &model.kept {
        let text = numbers(kept.seconds, kept.rate, kept.mfu, kept.memory);
        let text = format!("{text}   plan {}", kept.id);
        pen.line(row(inside, 1), &[(Role::Dim, " saved  "), (Role::Plain, &cut(&text, width))]);
    }
    pen.line(row(inside, 2), &[(Role::Warn, &cut(&note(model), width + 8))]);
}

fn numbers(seconds: f64, rate: f64, mfu: f64, memory: f64) -> String {
    format!(
        "{:>8} · {:>7} tok/s · MFU {} · {}",
        time(seconds),
        count(rate),
        percent(mfu),
        size(memory)
    )
}

/// What a change of the batch means, which no number here knows.
fn note(model: &Model) -> String {
    let (Some(report), Some(kept)) = (model.report(), &model.kept) else { return String::new() };
    let b = report.plan.decision.batch;
    let tokens = (b.global_sequences * b.tokens_per_sequence) as f64;
    let before = kept.rate * kept.seconds;
    let ratio = tokens / before.max(f64::MIN_POSITIVE);
    if (ratio - 1.0).abs() < 1e-3 {
        return String::new();
    }
    format!(
        " note: a step has {} tokens now, {ratio:.2} × as many: how well it learns is not modelled",
        count(tokens)
    )
}
