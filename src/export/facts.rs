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
    /// What was run, layer by layer.
    priced: Priced,
}

impl Run {
    fn read(
        path: &str,
        plan: &Plan,
        request: &Request<'_>,
        planned: &Planned,
    ) -> Result<Self, Failure> {
        let record = record::read(path)?;
        let priced = Priced::new(request, &planned.solution, &record::lowering());
        let priced = priced.map_err(|why| {
            let what = format!("plan {} has no program: {why}", plan.id);
            Failure::new(Exit::InvalidInput, what)
                .hint("`meshwright validate` checks every number of it")
        })?;
        record::belongs(path, &record, plan, &priced.program)?;
        let samples = record::read_samples(path, &record)?;
        Ok(Self { file: path.into(), record, samples, priced })
    }
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
        let planned = planned_again(request, &exported.plan)?;
        let run = run.map(|path| Run::read(path, &exported.plan, request, &planned)).transpose()?;
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
        let priced = self.priced()?;
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

    fn measured_strips(&self) -> Option<Strips> {
        let run = self.run.as_ref()?;
        strips::measured(&run.priced.program, &run.samples)
    }

    fn priced(&self) -> Result<Priced, String> {
        let settings = planner::program::settings(self.request, Granularity::Stage);
        let priced = Priced::new(self.request, &self.planned.solution, &settings);
        priced.map_err(|why| format!("this plan has no program: {why}"))
    }
}
