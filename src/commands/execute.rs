//! `execute`: trains a plan on the ranks of this machine.

mod drift;
mod dry_run;
mod elsewhere;
mod processes;
mod ranks;
mod slice;

use crate::analysis;
use crate::catalog::Catalog;
use crate::cli::{ExecuteArgs, Format, PlanArgs, TokenKind};
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::files;
use crate::output::{Output, Talk};
use crate::planfile;
use crate::progress::Steps;
use crate::question::{Question, rebuild};
use crate::record::{self, Before};
use crate::render::execute;
use crate::settings::Settings;
use cost_model::events::Fold;
use executor::checkpoint::Checkpoint;
use executor::data::{Batches, Source, Tokens, Vocabulary};
use executor::optimizer::{LossScale, Rule, Schedule};
use executor::train::{Job, Outcome, Recipe, RunError, StepReport, run_threads};
use plan::document::Plan;
use plan::exchange::SamplingSeeds;
use plan::program::Settings as Lowering;
use plan::record::{RunRecord, StepSamples};
use plan::timeline::Timeline;
use plan::units::Seconds;
use planner::answer::Answer;
use planner::events::Priced;
use ranks::Ranks;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

/// The text that is trained on where none is named.
const SAMPLE: &[u8] = include_bytes!("../../scenarios/text/alice.txt");
/// Vocabularies up to this are of bytes.
const MOST_BYTES: u64 = 512;
/// Tokens that a repeated text has at most.
const MOST_REPEATED: usize = 1 << 27;
/// How long a rank may wait for the others; ranks share processors, so this is generous.
const LIMIT: Duration = Duration::from_secs(300);

/// Trains a plan.
pub fn run(flags: &ExecuteArgs, settings: &Settings, output: &mut Output) -> Result<Exit, Failure> {
    let name = files::shown(&flags.plan);
    let plan = planfile::parse(name, &files::read(&flags.plan)?)?;
    let catalog = Catalog::from_environment()?;
    let question = rebuild(&catalog, &plan, &flags.sources)?;
    if flags.dry_run {
        return dry_run::run(&question, &plan, name, settings, output);
    }
    if let Some(rank) = flags.slice {
        return slice::run(&question, &plan, rank, flags, settings, output);
    }
    if flags.network.is_none() {
        elsewhere::fits_here(&catalog, &plan, name)?;
    }
    let ranks = Ranks::find(flags, &plan)?;
    if matches!(ranks, Ranks::Started) {
        return started(&plan, flags, output);
    }
    let mut job = job(&question, &plan, flags)?;
    job.watchdog = ranks::watchdog(flags, simulated(&question, &plan).as_ref());
    let named = flags.network.as_deref();
    let network = named.map(|c| ranks::network(&catalog, c, flags.ranks_per_node));
    job.network = network.transpose()?;
    if ranks.speaks()
        && let Some(warning) = drift::warning(&plan)?
    {
        output.note(&warning);
    }
    let from = flags.resume.as_deref().map(load).transpose()?;
    let first = from.as_ref().map_or(0, |checkpoint| checkpoint.step);
    if output.talk > Talk::Quiet && ranks.speaks() {
        output.note(&execute::headline(&plan, &job, first));
    }
    let before = flags.record.is_some().then(|| Before::look(job.program.ranks));
    let until = first + flags.steps.get();
    let predicted = Seconds::new(plan.prediction.step.value);
    let outcome = match train(&ranks, &job, (until, predicted), from.as_ref(), output) {
        Ok(outcome) if ranks.speaks() => outcome,
        Ok(_) => return Ok(Exit::Done),
        Err(RunError::Fault(fault)) if !ranks.reports(&fault) => return Ok(Exit::Failed),
        Err(error) => return Err(broken(error)),
    };
    if let (Some(path), Some(before)) = (flags.record.as_deref(), &before) {
        write_record(path, &record::record(&plan, &job, &outcome, before), &outcome, output)?;
    }
    if let Some(path) = flags.save.as_deref() {
        save(path, &outcome)?;
    }
    let text = match settings.format {
        Format::Json => execute::json(&plan, &outcome, predicted),
        _ => {
            let share = analysis::share(&outcome.samples);
            let done = execute::summary(&outcome, predicted, share, flags.save.as_deref());
            output.out.text(&done)
        }
    };
    if let Some(path) = flags.record.as_deref().filter(|_| output.talk > Talk::Quiet) {
        output.note(&format!("\nNext: meshwright explain {name} --analyze {path}"));
    }
    files::write(output, settings.output.as_deref(), &text)?;
    Ok(Exit::Done)
}

/// Plans with some flags and trains with others, in this process: the record and its samples.
///
/// # Errors
/// As `plan` and `execute`.
pub fn recorded(
    catalog: &Catalog,
    plan: &PlanArgs,
    execute: &ExecuteArgs,
) -> Result<(RunRecord, Vec<StepSamples>), Failure> {
    let question = Question::local(catalog, plan)?;
    let ranks = plan.gpus.counts().last().copied().unwrap_or(1);
    let request = question.request(ranks, &|| false)?;
    let Answer::Plan(planned) = question.answer(&request) else {
        let what = format!("{} does not fit this machine", question.model.spec.name);
        return Err(Failure::new(Exit::NoPlan, what));
    };
    let plan = question.report(&request, &planned).plan;
    let job = job(&question, &plan, execute)?;
    let before = Before::look(job.program.ranks);
    let outcome = run_threads(&job, execute.steps.get(), None, &|_| {})
        .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    Ok((record::record(&plan, &job, &outcome, &before), outcome.samples))
}

/// Trains a plan of this machine, with somebody who watches.
///
/// # Errors
/// As `execute`.
pub fn watched(
    catalog: &Catalog,
    question: &Question,
    plan: &Plan,
    flags: &ExecuteArgs,
    observe: &(dyn Fn(&StepReport) + Sync),
) -> Result<(), Failure> {
    elsewhere::fits_here(catalog, plan, "plan.json")?;
    let job = job(question, plan, flags)?;
    run_threads(&job, flags.steps.get(), None, observe).map(|_| ()).map_err(broken)
}

/// Raw samples first: a record never names lines that are not there.
fn write_record(
    path: &str,
    record: &RunRecord,
    outcome: &Outcome,
    output: &mut Output,
) -> Result<(), Failure> {
    let samples = record::append(path, &outcome.samples)?;
    let record = RunRecord { samples, ..record.clone() };
    let bug = |e| Failure::new(Exit::Bug, format!("the record cannot be written: {e}"));
    let mut text = serde_json::to_string_pretty(&record).map_err(bug)?;
    text.push('\n');
    files::write(output, Some(path), &text)
}

/// Starts a process per rank.
fn started(plan: &Plan, flags: &ExecuteArgs, output: &Output) -> Result<Exit, Failure> {
    if flags.plan == "-" {
        return Err(Failure::usage("--ranks processes needs a plan in a file")
            .hint("every rank reads it; a pipe can be read once"));
    }
    processes::run(plan.decision.world_size, output)
}

/// A step of the plan in simulated time; `None` where it cannot be simulated.
fn simulated(question: &Question, plan: &Plan) -> Option<Timeline> {
    let request = question.request(plan.decision.world_size, &|| false).ok()?;
    let solution = planner::validate::solution(&request, plan).ok()?;
    let priced = Priced::new(&request, &solution, &Lowering::default()).ok()?;
    let prepared = priced.prepared(Fold::classes(&priced.program)).ok()?;
    Some(prepared.run().ok()?.timeline(&plan.id))
}

fn job(question: &Question, plan: &Plan, flags: &ExecuteArgs) -> Result<Job, Failure> {
    let request = question.request(plan.decision.world_size, &|| false)?;
    let facts = planner::program::facts(&request, &plan.decision);
    let refused = |why: String| {
        Failure::new(Exit::InvalidInput, format!("plan {} cannot be run here: {why}", plan.id))
    };
    let optimizer = question.model.spec.training.optimizer;
    let rule = Rule::of(optimizer)
        .ok_or_else(|| refused(format!("{optimizer:?} is not among the optimizers")))?;
    let recipe = Recipe {
        rule,
        schedule: Schedule::Constant { rate: flags.rate },
        clip: Some(flags.clip),
        scale: LossScale::NONE,
        seed: flags.seed,
        seeds: SamplingSeeds::Shared,
        limit: LIMIT,
        threads: usize::try_from(flags.threads.get()).unwrap_or(usize::MAX),
    };
    let batches = batches(question, plan, flags)?;
    let job = Job::new(question.model.clone(), plan.decision.clone(), &facts, batches, recipe);
    Ok(job.map_err(|why| refused(why.to_string()))?.recorded(flags.mode()))
}

fn batches(question: &Question, plan: &Plan, flags: &ExecuteArgs) -> Result<Batches, Failure> {
    let vocab = question.model.table.map_or(0, |table| table.vocab);
    let tokens = match flags.tokens {
        Some(TokenKind::Byte) => Tokens::Bytes,
        Some(TokenKind::Char) => Tokens::Characters,
        Some(TokenKind::Word) => Tokens::Words,
        None if vocab <= MOST_BYTES => Tokens::Bytes,
        None => Tokens::Words,
    };
    let broken = |why: String| Failure::new(Exit::InvalidInput, why);
    let source = source(flags.text.as_deref(), tokens, vocab)?;
    let batch = &plan.decision.batch;
    let length = usize::try_from(batch.tokens_per_sequence).unwrap_or(usize::MAX);
    let source = match (flags.slice, source) {
        (Some(_), Source::Memory(text)) => {
            Source::Memory(Arc::new(repeated(&text, batch.global_sequences, length)))
        }
        (_, source) => source,
    };
    Batches::new(source, batch.global_sequences, length, flags.seed).map_err(|e| {
        broken(e.to_string()).hint("plan with a smaller batch: --global-batch and --seq set it")
    })
}

/// The tokens of a text. Bytes are read as they are needed, however large the file is; characters
/// and words are counted first, and kept in memory.
fn source(text: Option<&str>, tokens: Tokens, vocab: u64) -> Result<Source, Failure> {
    let broken = |why: String| Failure::new(Exit::InvalidInput, why);
    let unreadable = |path: &str, e: std::io::Error| {
        broken(format!("cannot read {path}: {e}"))
            .hint("--text takes a file; without it a small text that ships is used")
    };
    let read = match (text, tokens) {
        (Some(path), Tokens::Bytes) => {
            Vocabulary::build(tokens, &[], vocab).map_err(|e| broken(e.to_string()))?;
            return Source::bytes_of(Path::new(path)).map_err(|e| unreadable(path, e));
        }
        (Some(path), _) => std::fs::read(path).map_err(|e| unreadable(path, e))?,
        (None, _) => SAMPLE.to_vec(),
    };
    let vocabulary = Vocabulary::build(tokens, &read, vocab).map_err(|e| broken(e.to_string()))?;
    let encoded = vocabulary.encode(&read).map_err(|e| broken(e.to_string()))?;
    Ok(Source::Memory(Arc::new(encoded)))
}

/// The text over and over, until it is long enough for a step: of a slice only its shapes matter.
fn repeated(text: &[u32], sequences: u64, length: usize) -> Vec<u32> {
    let each = length as u64 + 1;
    let needed = usize::try_from(sequences.saturating_mul(2 * each)).unwrap_or(usize::MAX);
    let long = needed.min(MOST_REPEATED).max(text.len());
    text.iter().copied().cycle().take(long).collect()
}

/// One line per step on stderr as it ends.
fn train(
    ranks: &Ranks,
    job: &Job,
    (until, predicted): (u64, Seconds),
    from: Option<&Checkpoint>,
    output: &Output,
) -> Result<Outcome, RunError> {
    let (send, steps) = mpsc::channel();
    let result = thread::scope(|scope| {
        let running = scope.spawn(move || {
            let observe = |step: &StepReport| {
                let line = execute::step(step, job, until, predicted);
                let _nobody_listens = send.send(line);
            };
            ranks.run(job, until, from, &observe)
        });
        let mut shown = Steps::new(until, output);
        for line in steps {
            shown.ended(&line);
        }
        running.join()
    });
    // Ranks catch their panics; what is left is a bug of this file.
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn broken(error: RunError) -> Failure {
    let failure = Failure::new(Exit::Failed, error.to_string());
    match error {
        RunError::Checkpoint(_) => {
            failure.hint("--resume takes a state of the same model, written by --save")
        }
        _ => failure.hint("all ranks have ended; nothing that was saved before is lost"),
    }
}

fn load(path: &str) -> Result<Checkpoint, Failure> {
    Checkpoint::load(Path::new(path))
        .map_err(|e| Failure::new(Exit::InvalidInput, format!("cannot go on from {path}: {e}")))
}

fn save(path: &str, outcome: &Outcome) -> Result<(), Failure> {
    let Some(checkpoint) = &outcome.checkpoint else { return Ok(()) };
    checkpoint
        .save(Path::new(path))
        .map_err(|e| Failure::new(Exit::Failed, format!("cannot write {path}: {e}")))
}
