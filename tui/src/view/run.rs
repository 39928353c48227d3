//! A run: measured beside predicted, step by step.

use super::pen::{Pen, below, row};
use super::words::{percent_of, signed, size, time};
use crate::model::{Model, Run};
use crate::theme::Role;
use plan::record::StepRecord;
use plan::report::Report;
use plan::units::count;
use ratatui::layout::Rect;

/// Rows of the curve of steps.
const CURVE: u16 = 8;
const LEVELS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

pub fn draw(model: &Model, area: Rect, pen: &mut Pen<'_>) {
    let run = &model.run;
    if run.steps.is_empty() {
        return nothing(model, area, pen);
    }
    let plan = model.report().filter(|report| report.plan.id == run.plan);
    let (head, rest) = below(area, 7);
    numbers(model, plan, head, pen);
    let (curve, rest) = below(rest, CURVE.min(rest.height / 2));
    let step = |s: &StepRecord| Some(s.seconds);
    let line = plan.map(|report| report.step.value);
    drawn("step time", run, &step, line, curve, pen);
    let (loss, _) = below(rest, CURVE.min(rest.height));
    drawn("loss", run, &|s| Some(s.loss), None, loss, pen);
}

fn nothing(model: &Model, area: Rect, pen: &mut Pen<'_>) {
    let inside = pen.panel(area, "Run", false);
    let lines = match (&model.run.failed, model.run.is_live) {
        (Some(why), _) => vec![(Role::Bad, why.as_str())],
        (None, true) => vec![(Role::Plain, "The first step is running …")],
        (None, false) => vec![
            (Role::Plain, "No run was loaded."),
            (Role::Plain, ""),
            (
                Role::Plain,
                "R trains the plan here, on CPU ranks, where it was made for this machine",
            ),
            (Role::Dim, "  meshwright explore -m mlstm-tiny -g 2 -c local"),
            (Role::Plain, "--replay shows a run that was recorded"),
            (Role::Dim, "  meshwright execute plan.json --record run.json"),
            (Role::Dim, "  meshwright explore plan.json --replay run.json"),
        ],
    };
    let broken = lines.iter().flat_map(|(role, text)| {
        let width = usize::from(inside.width.saturating_sub(2));
        let all = match text.starts_with(' ') {
            true => vec![(*text).to_string()],
            false => super::words::wrap(text, width),
        };
        all.into_iter().map(|line| (*role, line))
    });
    for (i, (role, text)) in broken.enumerate() {
        let line = row(inside, i);
        pen.text((line.x + 1, line.y), line.width.saturating_sub(1), role, &text);
    }
}

fn numbers(model: &Model, plan: Option<&Report>, area: Rect, pen: &mut Pen<'_>) {
    let run = &model.run;
    let title = match (run.file.is_empty(), run.is_live, run.held.is_some()) {
        (false, ..) => run.file.clone(),
        (_, _, true) => "held; f lets it go on".into(),
        (_, true, _) => "running here".into(),
        _ => "ran here".into(),
    };
    let inside = pen.panel(area, &title, false);
    let Some((at, now)) = run.now() else { return };
    let typical = run.typical().unwrap_or(now.seconds);
    let until = run.until.unwrap_or(run.steps.len() as u64);
    let first = format!(" step {} of {until}", at + 1);
    let beside = plan.map(|report| {
        let predicted = report.step.value;
        let ratio = now.seconds / predicted - 1.0;
        let is_outside = typical < report.step.low || typical > report.step.high;
        let role = if is_outside { Role::Warn } else { Role::Good };
        let word = if is_outside { "outside" } else { "within" };
        (role, format!("  plan {}, {}; median {word} its interval", time(predicted), signed(ratio)))
    });
    let beside = beside.unwrap_or((Role::Dim, "  of another plan".into()));
    let step = format!("   {}", time(now.seconds));
    pen.line(row(inside, 0), &[(Role::Title, &first), (Role::Title, &step), (beside.0, &beside.1)]);
    let tokens = plan.map(|report| {
        let b = report.plan.decision.batch;
        let tokens = (b.global_sequences * b.tokens_per_sequence) as f64;
        let each = tokens / typical / f64::from(report.machine.gpus);
        let mfu = report.mfu.value * report.step.value / typical;
        format!(
            "  {} tok/s, {} per rank, MFU {}",
            count(tokens / typical),
            count(each),
            percent_of(mfu, 1.0)
        )
    });
    let text = format!(" median {}{}", time(typical), tokens.unwrap_or_default());
    pen.line(row(inside, 1), &[(Role::Plain, &text)]);
    pen.line(row(inside, 2), &[(Role::Plain, &learning(run, now))]);
    let left = until.saturating_sub(at as u64 + 1) as f64 * typical;
    let mut last = match run.is_live {
        true => format!(" about {} to go", time(left)),
        false => String::from(" done"),
    };
    if let Some(peak) = run.peak {
        last += &format!(" · the process held {} at most", size(peak));
    }
    pen.line(row(inside, 3), &[(Role::Dim, &last)]);
    if let Some(why) = &run.failed {
        pen.line(row(inside, 4), &[(Role::Bad, " "), (Role::Bad, why)]);
    }
}

/// Loss and gradients, with their distance from the steps before in standard deviations.
fn learning(run: &Run, now: &StepRecord) -> String {
    let z = |of: &dyn Fn(&StepRecord) -> Option<f64>| {
        run.deviation(of).map(|z| format!(" ({z:+.1} z)")).unwrap_or_default()
    };
    let norm = now.norm.map_or("overflowed".to_string(), |norm| format!("{norm:.3}"));
    format!(
        " loss {:.4}{}   gradients {norm}{}   step {}",
        now.loss,
        z(&|s| Some(s.loss)),
        z(&|s| s.norm),
        z(&|s| Some(s.seconds)).trim_start()
    )
}

/// A value over the steps; the plan's as a line.
fn drawn(
    title: &str,
    run: &Run,
    of: &dyn Fn(&StepRecord) -> Option<f64>,
    plan: Option<f64>,
    area: Rect,
    pen: &mut Pen<'_>,
) {
    if area.height < 3 {
        return;
    }
    let inside = pen.panel(area, title, false);
    let left = 11u16;
    let columns = usize::from(inside.width.saturating_sub(left + 1)).max(1);
    let steps = run.shown();
    let values: Vec<f64> = steps.iter().map(|s| of(s).unwrap_or(0.0)).collect();
    let skip = values.len().saturating_sub(columns);
    let shown = &values[skip..];
    // The first step also touches memory for the first time, and would flatten the others.
    let others = if shown.len() > 1 && skip == 0 { &shown[1..] } else { shown };
    let most = others.iter().copied().chain(plan).fold(f64::MIN_POSITIVE, f64::max);
    let height = inside.height;
    let at = run.now().map_or(0, |(at, _)| at);
    for (i, value) in shown.iter().enumerate() {
        let role = if skip + i == at { Role::Accent } else { Role::Part(0) };
        let eighths = (value / most * f64::from(height) * 8.0).round();
        for y in 0..height {
            let level = (eighths - f64::from(height - 1 - y) * 8.0).clamp(0.0, 8.0) as usize;
            let x = inside.x + left + u16::try_from(i).unwrap_or(0);
            pen.text((x, inside.y + y), 1, role, LEVELS[level]);
        }
    }
    let show = |value: f64| match title {
        "loss" => format!("{value:.3}"),
        _ => time(value),
    };
    pen.text((inside.x, inside.y), left, Role::Dim, &format!(" {}", show(most)));
    if let Some(plan) = plan {
        let y = f64::from(height) - (plan / most * f64::from(height)).max(1.0);
        let y = inside.y + (y.round() as u16).min(height - 1);
        let text = format!("plan {}", show(plan));
        if y > inside.y {
            pen.text((inside.x + 1, y), left, Role::Good, &text);
        }
    }
}
