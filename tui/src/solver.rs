//! Solving, away from the terminal: a job in, parts of its answer out as they are known.

use crate::candidates::{self, Candidate, Status};
use crate::communication::{curve, traffic};
use crate::host::{Host, Question, Refusal};
use crate::message::{Effected, InTime, Job, Numbers, Part, Task};
use crate::strips;
use cost_model::events::Fold;
use plan::document::Plan;
use plan::program::Granularity;
use planner::answer::{Answer, Planned};
use planner::events::Priced;
use planner::request::{Effort, Request};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// Runners-up that are solved for.
const OTHERS: usize = 4;
/// Meshes that were only bounded and are solved all the same, nearest first.
const REFINED: usize = 24;
/// Most passes of a program that is put in time: about a second.
const MOST_PASSES: u64 = 400_000;

/// Solves one job.
pub fn perform(
    host: &dyn Host,
    job: &Job,
    is_stale: &dyn Fn() -> bool,
    emit: &mut dyn FnMut(Part),
) {
    if let Err(refusal) = performed(host, job, is_stale, emit) {
        emit(Part::Refused(refusal));
    }
    emit(Part::Done);
}

fn performed(
    host: &dyn Host,
    job: &Job,
    is_stale: &dyn Fn() -> bool,
    emit: &mut dyn FnMut(Part),
) -> Result<(), Refusal> {
    if let Task::Effects(knob, choices) = &job.task {
        let mut known = Vec::new();
        for choice in choices {
            if is_stale() {
                break;
            }
            let outcome = numbers(host, choice, is_stale);
            known.push(Effected { word: choice.word.clone(), ask: choice.ask.clone(), outcome });
            emit(Part::Effects(*knob, known.clone()));
        }
        return Ok(());
    }
    let question = host.question(&job.ask)?;
    let request = question.request(is_stale)?;
    match question.answer(&request) {
        Answer::Plan(planned) => match job.task {
            Task::WhyNot(pins) => {
                let why = planner::why::why_not(&request, &planned, pins);
                emit(Part::WhyNot(Box::new(why)));
            }
            _ => {
                let solved = Solved { host, question: &*question, request: &request, is_stale };
                solved.everything(&planned, emit);
            }
        },
        Answer::Infeasible(found) => {
            emit(Part::DoesNotFit(Box::new(planner::report::infeasible(&request, &found))));
        }
        Answer::Impossible(why) => return Err(question.refusal(&request, &why)),
    }
    Ok(())
}

/// The best plan with one value of a knob, without integer programmes.
fn numbers(
    host: &dyn Host,
    choice: &crate::knob::Choice,
    is_stale: &dyn Fn() -> bool,
) -> Result<Numbers, String> {
    let question = host.question(&choice.ask).map_err(|refusal| refusal.what)?;
    let request = question.request(is_stale).map_err(|refusal| refusal.what)?;
    let asked = Request { effort: Effort::Labels, ..request };
    match question.answer(&asked) {
        Answer::Plan(planned) => {
            let tokens = request.global_sequences as f64 * request.sequence() as f64;
            let step = planned.detail.step.value;
            Ok(Numbers {
                label: candidates::short(&planner::label::label(&request, &planned.solution)),
                seconds: step.get(),
                memory: request.occupied(planned.tensors()).get(),
                rate: tokens / step.get(),
            })
        }
        Answer::Infeasible(_) => Err("does not fit into memory".into()),
        Answer::Impossible(why) => Err(why.to_string()),
    }
}

/// A question with a plan.
struct Solved<'a> {
    host: &'a dyn Host,
    question: &'a dyn Question,
    request: &'a Request<'a>,
    is_stale: &'a dyn Fn() -> bool,
}

impl Solved<'_> {
    /// The plan, then what is behind it, what is quick before what is not.
    fn everything(&self, planned: &Planned, emit: &mut dyn FnMut(Part)) {
        let report = self.question.report(self.request, planned, 0);
        let (plan, table) = (report.plan.clone(), report.exchange.as_ref());
        let tokens = table.map_or(0.0, |exchange| exchange.tokens_per_rank);
        emit(Part::Plan(Box::new(report)));
        let mut met = candidates::met(self.request, planned);
        emit(Part::Candidates(met.clone()));
        if (self.is_stale)() {
            return;
        }
        emit(Part::Timeline(self.in_time(planned, &plan, tokens).map(Box::new)));
        if (self.is_stale)() {
            return;
        }
        let report = self.question.report(self.request, planned, OTHERS);
        emit(Part::RunnersUp(report.runners_up));
        self.refine(planned, &mut met, emit);
    }

    /// Solves candidates that were only bounded, one after the other.
    fn refine(&self, planned: &Planned, met: &mut Vec<Candidate>, emit: &mut dyn FnMut(Part)) {
        for variant in candidates::variants(self.request, planned) {
            if met.iter().all(|old| old.label != variant.label) {
                met.push(variant);
            }
        }
        let is_open = |c: &&Candidate| c.seconds.is_none() && c.bound.is_some();
        let mut open: Vec<Candidate> = met.iter().filter(is_open).cloned().collect();
        candidates::sort(&mut open);
        for candidate in open.into_iter().take(REFINED) {
            if (self.is_stale)() {
                return;
            }
            let Some(solved) = candidates::refined(self.request, planned, &candidate) else {
                continue;
            };
            met.retain(|old| *old != candidate && old.label != solved.label);
            met.push(Candidate { status: Status::Solved, ..solved });
        }
        candidates::sort(met);
        emit(Part::Candidates(met.clone()));
    }

    fn in_time(&self, planned: &Planned, plan: &Plan, tokens: f64) -> Result<InTime, String> {
        let s = &planned.solution;
        let passes = s.stages.len() as u64 * u64::from(s.configuration.micro_batches) * 2;
        if passes > MOST_PASSES {
            return Err(format!("about {passes} passes are too many to draw"));
        }
        let priced = self.priced(planned, Granularity::Stage)?;
        let prepared = priced.prepared(Fold::classes(&priced.program));
        let prepared = prepared.map_err(|e| e.to_string())?;
        let timeline = prepared.run().map_err(|e| e.to_string())?.timeline(&plan.id);
        Ok(InTime {
            predicted: strips::simulated(&priced.program, &timeline),
            measured: self.measured(planned, plan),
            traffic: traffic(self.request, &priced.program, &timeline),
            curve: curve(self.request, tokens),
        })
    }

    fn priced(&self, planned: &Planned, granularity: Granularity) -> Result<Priced, String> {
        let settings = planner::program::settings(self.request, granularity);
        let priced = Priced::new(self.request, &planned.solution, &settings);
        priced.map_err(|why| format!("this plan has no program: {why}"))
    }

    /// The run that was loaded, where it is of this plan. Runs are recorded layer by layer.
    fn measured(&self, planned: &Planned, plan: &Plan) -> Option<strips::Strips> {
        let measured = self.host.measured().filter(|m| m.record.plan.id == plan.id)?;
        let priced = self.priced(planned, Granularity::Layer).ok()?;
        strips::measured(&priced.program, &measured.samples)
    }
}

/// What makes jobs stale.
#[derive(Default)]
struct Latest {
    /// Generation of the newest question.
    generation: AtomicU64,
    /// Number of the newest job that looks at something beside the plan.
    aside: AtomicU64,
}

impl Latest {
    fn is_old(&self, job: &Job, at: Option<u64>) -> bool {
        let is_aside = at.is_some_and(|at| self.aside.load(Ordering::Relaxed) != at);
        is_aside || self.generation.load(Ordering::Relaxed) != job.generation
    }
}

/// Two threads that solve. Questions go to one and looks aside to the other, where only the newest
/// one counts, so that neither waits for the other. They end with the process: a solve cannot be
/// waited for by somebody who leaves.
pub struct Solver {
    ask: Sender<(Job, Option<u64>)>,
    look: Sender<(Job, Option<u64>)>,
    latest: Arc<Latest>,
}

impl Solver {
    /// Starts both threads; parts of answers go to `emit`, with the generation of their question.
    pub fn start(
        host: &Arc<dyn Host + Send + Sync>,
        emit: impl Fn(u64, Part) + Clone + Send + 'static,
    ) -> Self {
        let latest = Arc::new(Latest::default());
        let begin = || {
            let (send, jobs) = channel();
            let (host, latest, emit) = (Arc::clone(host), Arc::clone(&latest), emit.clone());
            thread::spawn(move || serve(&*host, &jobs, &latest, &emit));
            send
        };
        Self { ask: begin(), look: begin(), latest }
    }

    /// Hands over a job; what was being solved for an older question is stale.
    pub fn submit(&self, job: Job) {
        self.latest.generation.store(job.generation, Ordering::Relaxed);
        // The threads end with their senders, which are here.
        let _received = match job.task {
            Task::Answer => self.ask.send((job, None)),
            _ => {
                let at = self.latest.aside.fetch_add(1, Ordering::Relaxed) + 1;
                self.look.send((job, Some(at)))
            }
        };
    }
}

/// Takes jobs until their sender is gone. One that is stale ends early.
fn serve(
    host: &dyn Host,
    jobs: &Receiver<(Job, Option<u64>)>,
    latest: &Latest,
    emit: &dyn Fn(u64, Part),
) {
    for (job, at) in jobs {
        let is_stale = || latest.is_old(&job, at);
        if !is_stale() {
            perform(host, &job, &is_stale, &mut |part| emit(job.generation, part));
        }
    }
}
