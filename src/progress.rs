//! Progress of what takes long: on stderr, on a terminal, after two seconds.

use crate::output::{Output, Talk};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

/// What is quicker than this needs no progress.
const PATIENCE: Duration = Duration::from_secs(2);

/// Progress in bytes.
pub struct Progress {
    bar: ProgressBar,
    started: Instant,
    /// Whether anybody may watch; and whether somebody does.
    is_wanted: bool,
    is_shown: bool,
}

impl Progress {
    /// Progress towards `total` bytes, where the total is known.
    pub fn new(total: Option<u64>, output: &Output) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        let template = match total {
            Some(_) => "{wide_bar} {bytes} of {total_bytes}, {eta} left",
            None => "{spinner} {bytes} read, {bytes_per_sec}",
        };
        // The templates are constants; one that is wrong falls back to the default look.
        if let Ok(style) = ProgressStyle::with_template(template) {
            let glyphs = if output.err.is_ascii { "##." } else { "█▌░" };
            bar.set_style(style.progress_chars(glyphs).tick_chars("-\\|/ "));
        }
        let is_wanted = output.talk >= Talk::Normal && io::stderr().is_terminal();
        Self { bar, started: Instant::now(), is_wanted, is_shown: false }
    }

    /// Counts bytes that are done.
    pub fn advance(&mut self, bytes: u64) {
        self.bar.inc(bytes);
        if self.is_wanted && !self.is_shown && self.started.elapsed() >= PATIENCE {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.is_shown = true;
        }
    }
}

impl Drop for Progress {
    /// Leaves no half-drawn line behind.
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Steps of a run: one line that changes on a terminal, one line each everywhere else.
pub struct Steps<'a> {
    bar: Option<ProgressBar>,
    output: &'a Output,
    last: String,
}

impl<'a> Steps<'a> {
    /// Of so many steps.
    pub fn new(total: u64, output: &'a Output) -> Self {
        let is_watched = output.talk >= Talk::Normal && io::stderr().is_terminal();
        let bar = is_watched.then(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{bar:20} {msg}") {
                let glyphs = if output.err.is_ascii { "##." } else { "█▌░" };
                bar.set_style(style.progress_chars(glyphs));
            }
            bar
        });
        Self { bar, output, last: String::new() }
    }

    /// A step has ended.
    pub fn ended(&mut self, line: &str) {
        match &self.bar {
            Some(bar) => {
                bar.set_message(line.to_string());
                bar.inc(1);
            }
            None => self.output.note(line),
        }
        self.last = line.to_string();
    }
}

impl Drop for Steps<'_> {
    /// The last step stays on the screen.
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
            self.output.note(&self.last);
        }
    }
}
