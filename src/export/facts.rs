//! What a page or a figure is drawn from.

use super::Exported;
use crate::commands::explain::planned_again;
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::figures::time::Measured;
use crate::record;
use cost_model::events::Fold;
use plan::document::Plan;
use plan::program::Granularity;
use plan::record::{RunRecord, StepSamples};
use plan::report::Report;
use planner::answer::Planned;
use planner::events::Priced;
use planner::report::{Weighed, weighed};
use planner::request::Request;
use tui::candidates::{self, Candidate, Status};
use tui::communication::{self, Curve, Traffic};
use tui::strips::{self, Strips};

/// Meshes that are solved for the figure though a bound ruled them out.
const REFINED: usize = 8;
/// Longer programs are not simulated for a drawing.
const MOST_PASSES: u64 = 400_000;

/// A plan that was priced again.
pub struct Facts<'a> {
    request: &'a Request<'a>,
    planned: Planned,
    /// Everything there is to say.
    pub report: Report,
    run: Option<Run>,
}

/// A run of the plan.
struct Run {
    file: String,
    record: RunRecord,
    samples: Vec<StepSamples>,
}

/// The plan in time.
pub struct InTime {
    /// Simulated.
    pub predicted: Strips,
    /// Measured, where a run is at hand.
    pub measured: Option<Strips>,
    /// What is sent.
    pub traffic: Vec<Traffic>,
}

impl<'a> Facts<'a> {
    /// Prices the plan of a file again, and reads the run that belongs to it.
    ///
    /// # Errors
    /// Plans and runs that do not belong together.
    pub fn new(
        exported: &'a Exported,
        request: &'a Request<'a>,
        run: Option<&str>,
    ) -> Result<Self, Failure> {
        let run = run.map(|path| read(path, &exported.plan)).transpose()?;
        let planned = planned_again(request, &exported.plan)?;
        let mut report = exported.question.report(request, &planned);
        // What is drawn is the plan of the file, also where the machine at hand is not what it was.
        report.plan.id.clone_from(&exported.plan.id);
        Ok(Self { request, planned, report, run })
    }

    /// What was measured.
    pub fn measured(&self) -> Option<Measured> {
        let run = self.run.as_ref()?;
        let mut all: Vec<f64> = run.record.steps.iter().map(|step| step.seconds).collect();
        all.sort_by(f64::total_cmp);
        let at = |share: f64| all.get((share * (all.len().max(1) - 1) as f64).round() as usize);
        Some(Measured {
            file: run.file.clone(),
            steps: all.len(),
            median: run.record.median_seconds()?,
            middle: (*at(0.1)?, *at(0.9)?),
        })
    }

    /// Plans that were solved, and meshes that were ruled out.
    pub fn candidates(&self) -> Vec<Candidate> {
        let mut met = candidates::met(self.request, &self.planned);
        let add = |met: &mut Vec<Candidate>, new: Candidate| {
            if met.iter().all(|old| old.label != new.label) {
                met.push(new);
            }
        };
        for variant in candidates::variants(self.request, &self.planned) {
            add(&mut met, variant);
        }
        let is_open = |c: &&Candidate| c.seconds.is_none() && c.bound.is_some();
        let mut open: Vec<Candidate> = met.iter().filter(is_open).cloned().collect();
        candidates::sort(&mut open);
        for candidate in open.into_iter().take(REFINED) {
            let solved = candidates::refined(self.request, &self.planned, &candidate);
            if let Some(solved) = solved {
                met.retain(|old| *old != candidate);
                add(&mut met, Candidate { status: Status::Solved, ..solved });
            }
        }
        candidates::sort(&mut met);
        met
    }

    /// Constants that are guesses, with what hangs on them.
    pub fn weighed(&self) -> Vec<Weighed> {
        weighed(self.request, &self.planned)
    }

    /// Buffers of the embedding exchanges by the number of ranks.
    pub fn curve(&self) -> Option<Curve> {
        let exchange = self.report.exchange.as_ref()?;
        communication::curve(self.request, exchange.tokens_per_rank)
    }

    /// The plan in time.
    ///
    /// # Errors
    /// Why it is not simulated, in a sentence.
    pub fn in_time(&self) -> Result<InTime, String> {
        let s = &self.planned.solution;
        let passes = s.stages.len() as u64 * u64::from(s.configuration.micro_batches) * 2;
        if passes > MOST_PASSES {
            let passes = crate::render::number::grouped(passes);
            return Err(format!("about {passes} passes are too many to draw"));
        }
        let priced = self.priced(Granularity::Stage)?;
        let prepared = priced.prepared(Fold::classes(&priced.program));
        let prepared = prepared.map_err(|e| e.to_string())?;
        let timeline = prepared.run().map_err(|e| e.to_string())?;
        let timeline = timeline.timeline(&self.report.plan.id);
        Ok(InTime {
            predicted: strips::simulated(&priced.program, &timeline),
            measured: self.measured_strips(),
            traffic: communication::traffic(self.request, &priced.program, &timeline),
        })
    }

    /// Runs are recorded layer by layer.
    fn measured_strips(&self) -> Option<Strips> {
        let run = self.run.as_ref()?;
        let priced = self.priced(Granularity::Layer).ok()?;
        strips::measured(&priced.program, &run.samples)
    }

    fn priced(&self, granularity: Granularity) -> Result<Priced, String> {
        let settings = planner::program::settings(self.request, granularity);
        let priced = Priced::new(self.request, &self.planned.solution, &settings);
        priced.map_err(|why| format!("this plan has no program: {why}"))
    }
}

fn read(path: &str, plan: &Plan) -> Result<Run, Failure> {
    let record = record::read(path)?;
    if record.plan.id != plan.id {
        let what = format!("{path} records plan {}, not plan {}", record.plan.id, plan.id);
        return Err(Failure::new(Exit::InvalidInput, what)
            .hint("name the plan that was run; its record says which command ran it"));
    }
    let samples = record::read_samples(path, &record)?;
    Ok(Run { file: path.into(), record, samples })
}
