//! The pipeline as strips: one line per kind of rank, time to the right.

use super::{LABEL, Screen, line};
use crate::render::report::seconds;
use crate::style::{Canvas, Role};
use plan::program::{Action, Lane};
use plan::timeline::{Block, RankTimeline, Span, extend};

/// A pass is worth a label from this many columns on.
const LEAST_PASS: f64 = 4.0;
/// Most lines.
const MOST_LINES: usize = 16;
/// How full a column is, in ninths.
const LEVELS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
const ASCII_LEVELS: [&str; 9] = [" ", ".", ".", ":", ":", "=", "=", "#", "#"];

/// Two strips: how busy each rank is over the whole timeline, and its beginning pass by pass.
pub fn strip(screen: &Screen<'_>, canvas: &Canvas) -> String {
    let columns = canvas.width.saturating_sub(LABEL + 1).max(1);
    let ranks = shown(&screen.timeline.ranks);
    let whole = screen.timeline.seconds;
    let mut text = line(&format!("busy        0 to {}", seconds(whole)), canvas);
    for rank in &ranks {
        let strip = density(screen, rank, columns, canvas);
        text += &line(&format!("{}{strip}", label(rank)), canvas);
    }
    if let Some(window) = window(screen, columns) {
        let title = format!("passes      0 to {}; {}", seconds(window), LEGEND);
        text += &line(&title, canvas);
        for rank in &ranks {
            let strip = passes(screen, rank, window, columns, canvas);
            text += &format!("{}{strip}\n", label(rank));
        }
    }
    text
}

const LEGEND: &str = "F forward, B backward (I, W), R again, U update";

/// At most [`MOST_LINES`] ranks, evenly chosen.
fn shown(ranks: &[RankTimeline]) -> Vec<&RankTimeline> {
    let every = ranks.len().div_ceil(MOST_LINES).max(1);
    ranks.iter().step_by(every).collect()
}

fn label(rank: &RankTimeline) -> String {
    let number = rank.rank;
    let text = if number < 100_000 { format!("  rank {number}") } else { format!("  {number}") };
    format!("{text:<LABEL$}")
}

fn computing<'a>(
    screen: &'a Screen<'_>,
    rank: &'a RankTimeline,
) -> impl Iterator<Item = (&'a Action, &'a Span)> {
    let class = screen.program.classes.get(rank.class as usize);
    let actions = class.map_or(&[][..], |c| &c.actions);
    let spans = rank.spans.iter();
    let all = spans.filter_map(|span| Some((actions.get(span.action as usize)?, span)));
    all.filter(|(action, span)| {
        action.lane == Lane::Compute && span.end_seconds > span.start_seconds
    })
}

/// How busy a rank is in each column.
fn density(screen: &Screen<'_>, rank: &RankTimeline, columns: usize, canvas: &Canvas) -> String {
    let mut busy = vec![0.0; columns];
    let per_column = screen.timeline.seconds.max(f64::MIN_POSITIVE) / columns as f64;
    for (_, span) in computing(screen, rank) {
        let (from, to) = (span.start_seconds / per_column, span.end_seconds / per_column);
        let last = (to.ceil() as usize).min(columns);
        for (column, busy) in busy.iter_mut().enumerate().take(last).skip(from as usize) {
            *busy += to.min(column as f64 + 1.0) - from.max(column as f64);
        }
    }
    let level = |share: &f64| {
        let level = (share.clamp(0.0, 1.0) * 8.0).round() as usize;
        canvas.glyph(LEVELS[level], ASCII_LEVELS[level])
    };
    busy.iter().map(level).collect()
}

/// As much from the beginning as leaves room for labels; all of it where that fits. `None` where
/// passes are so uneven that most would have none.
fn window(screen: &Screen<'_>, columns: usize) -> Option<f64> {
    let ranks = screen.timeline.ranks.iter();
    let forward = ranks.flat_map(|rank| blocks(screen, rank)).filter(|b| b.letter == 'F');
    let shortest = forward.map(|b| b.end - b.start).fold(f64::INFINITY, f64::min);
    let window = (shortest * columns as f64 / LEAST_PASS).min(screen.timeline.seconds);
    (window.is_finite() && window > 0.0).then_some(window)
}

fn blocks(screen: &Screen<'_>, rank: &RankTimeline) -> Vec<Block> {
    let mut blocks = Vec::new();
    for (action, span) in computing(screen, rank) {
        extend(&mut blocks, action, (span.start_seconds, span.end_seconds));
    }
    blocks
}

/// The passes of a rank up to `window`.
fn passes(
    screen: &Screen<'_>,
    rank: &RankTimeline,
    window: f64,
    columns: usize,
    canvas: &Canvas,
) -> String {
    let mut cells: Vec<(char, Option<Role>)> = vec![(' ', None); columns];
    let column = |time: f64| ((time / window * columns as f64).round() as usize).min(columns);
    for block in blocks(screen, rank).iter().filter(|b| b.start < window) {
        let (from, to) = (column(block.start), column(block.end));
        let number = block.micro_batch.map_or(String::new(), |b| b.to_string());
        let is_forward = block.letter == 'F';
        let fill = match is_forward {
            true => canvas.glyph("─", "-"),
            false => canvas.glyph("═", "="),
        };
        let fill = fill.chars().next().unwrap_or(' ');
        let role = if is_forward { Role::Accent } else { Role::Good };
        let label = format!("{}{number}", block.letter);
        let room = to.saturating_sub(from);
        let label = if label.len() <= room { label } else { block.letter.to_string() };
        let text = label.chars().chain(std::iter::repeat(fill));
        for (cell, c) in cells[from..to.max(from)].iter_mut().zip(text) {
            *cell = (c, Some(role));
        }
    }
    let runs = cells.chunk_by(|a, b| a.1 == b.1);
    let painted = runs.map(|run| {
        let text: String = run.iter().map(|(c, _)| c).collect();
        run[0].1.map_or(text.clone(), |role| canvas.paint(role, &text))
    });
    painted.collect::<String>().trim_end().to_string()
}
