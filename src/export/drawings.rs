//! A plan for eyes: a page, or one figure of it.

use super::Exported;
use super::facts::Facts;
use crate::cli::{DrawingArgs, Figure};
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::figures::{Svg, Width, candidates, communication, memory, pipeline, time};
use crate::render::page::{self, Shown};
use clap::ValueEnum;

/// The page.
pub fn page(exported: &Exported, drawing: &DrawingArgs) -> Result<String, Failure> {
    if drawing.figure.is_some() {
        return Err(Failure::usage("--figure picks a figure of --to svg; a page shows all"));
    }
    let request = exported.question.request(exported.plan.decision.world_size, &|| false)?;
    let facts = Facts::new(exported, &request, drawing.record.as_deref())?;
    let shown = Shown {
        report: &facts.report,
        measured: facts.measured(),
        in_time: facts.in_time(),
        curve: facts.curve(),
        candidates: facts.candidates(),
        guesses: facts.weighed(),
        command: &exported.command,
    };
    page::report(&shown)
}

/// The figure, on white.
pub fn figure(exported: &Exported, drawing: &DrawingArgs) -> Result<String, Failure> {
    let Some(figure) = drawing.figure else {
        let names: Vec<String> = Figure::ALL.iter().map(|f| name(*f)).collect();
        return Err(Failure::usage("--to svg draws one figure")
            .hint(format!("--figure is one of {}", names.join(", "))));
    };
    let request = exported.question.request(exported.plan.decision.world_size, &|| false)?;
    let facts = Facts::new(exported, &request, drawing.record.as_deref())?;
    Ok(draw(&facts, figure)?.file())
}

fn name(figure: Figure) -> String {
    figure.to_possible_value().map_or(String::new(), |value| value.get_name().to_string())
}

fn draw(facts: &Facts<'_>, figure: Figure) -> Result<Svg, Failure> {
    let report = &facts.report;
    let in_time = || {
        facts.in_time().map_err(|why| {
            Failure::new(Exit::Failed, format!("the {} cannot be drawn: {why}", name(figure)))
                .hint("--figure time, memory and candidates need no simulation")
        })
    };
    Ok(match figure {
        Figure::Time => time::time(report, facts.measured().as_ref(), Width::Wide),
        Figure::Memory => memory::memory(&report.memory, Width::Wide),
        Figure::Communication => match (facts.curve(), &report.exchange) {
            (Some(curve), Some(exchange)) => communication::exchange(&curve, exchange, Width::Wide),
            _ => communication::traffic(&in_time()?.traffic, Width::Wide),
        },
        Figure::Pipeline => {
            let in_time = in_time()?;
            pipeline::pipeline(&in_time.predicted, in_time.measured.as_ref(), Width::Wide)
        }
        Figure::Candidates => {
            let limit = report.memory.limit_bytes;
            candidates::candidates(&facts.candidates(), limit, Width::Wide)
        }
    })
}
