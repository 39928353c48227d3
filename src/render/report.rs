//! The screen of a plan: the answer first, then where time and memory go, then why.

mod exchange;
mod flat;
mod headline;
mod memory;
mod reasons;
mod time;
mod verbose;

pub use flat::facts;
pub use headline::{one_line, range, subject_line};
pub use memory::gib;
pub use reasons::{odds, proof};
pub use time::{bytes, seconds};
pub use verbose::bindings;

use crate::style::Canvas;
use plan::report::{Binding, Report};

/// What the screen says besides the report.
#[derive(Clone, Debug, Default)]
pub struct Around {
    /// Where the choice of the cluster came from; may be empty.
    pub cluster_from: String,
    /// What to do next: a command and what it is for; the first line says whether it was saved.
    pub next: Vec<(String, String)>,
    /// Where the plan was written.
    pub saved: Option<String>,
    /// Meshes, assumptions, what binds.
    pub is_verbose: bool,
    /// What binds, where it was asked for.
    pub bindings: Vec<Binding>,
}

/// The default screen.
pub fn screen(report: &Report, around: &Around, canvas: &Canvas) -> String {
    let mut blocks = vec![
        headline::subject(report, &around.cluster_from, canvas),
        headline::decision(report, canvas),
        headline::numbers(report, canvas),
        time::bars(report, canvas),
        memory::memory(&report.memory, canvas),
    ];
    blocks.extend(report.exchange.as_ref().map(|e| exchange::exchange(e, canvas)));
    blocks.push(reasons::why(report, canvas));
    blocks.push(reasons::runners_up(report, canvas));
    blocks.push(reasons::warnings(report, canvas));
    if around.is_verbose {
        blocks.push(verbose::meshes(&report.plan.certificate, canvas));
        blocks.push(verbose::reserve(report, canvas));
        blocks.push(verbose::assumptions(report, canvas));
    }
    blocks.push(bindings(&around.bindings, canvas));
    blocks.push(reasons::certificate(report, canvas));
    blocks.push(reasons::next(around, canvas));
    let filled: Vec<String> = blocks.into_iter().filter(|b| !b.is_empty()).collect();
    canvas.text(&filled.join("\n"))
}
