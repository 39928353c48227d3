//! `execute`: trains a plan on the ranks of this machine.

mod drift;
mod dry_run;
mod elsewhere;
mod processes;
mod ranks;
mod slice;

use crate::analysis;
use crate::catalog::Catalog;
use crate::cli::{ExecuteArgs, Format, PlanArgs, RateShape, TokenKind};
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
use executor::checkpoint::{Checkpoint, CheckpointError};
use executor::data::{Batches, Source, Tokens, Vocabulary};
use executor::optimizer::{BatchRamp, LossScale, Rule, Schedule};
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
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

/// The text that is trained on where none is named.
const SAMPLE: &[u8] = include_bytes!("../../scenarios/text/alice.txt");
/// Vocabularies up to this are of bytes.
const MOST_BYTES: u64 = 512;
/// Files of characters and words up to this many bytes are held in memory.
const MOST_HELD: u64 = 1 << 26;
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
    let from = flags.resume.as_deref().map(load).transpose()?;
    let first = from.as_ref().map_or(0, |checkpoint| checkpoint.step);
    let until = first + flags.steps.get();
    let mut job = job(&question, &plan, flags, until)?;
    job.watchdog = ranks::watchdog(flags, simulated(&question, &plan).as_ref());
    let named = flags.network.as_deref();
    let network = named.map(|c| ranks::network(&catalog, c, flags.ranks_per_node));
    job.network = network.transpose()?;
    if ranks.speaks()
        && let Some(warning) = drift::warning(&plan)?
    {
        output.note(&warning);
    }
    if output.talk > Talk::Quiet && ranks.speaks() {
        output.note(&execute::headline(&plan, &job, first));
    }
    let before = flags.record.is_some().then(|| Before::look(job.program.ranks));
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
    let job = job(&question, &plan, execute, execute.steps.get())?;
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
    let job = job(question, plan, flags, flags.steps.get())?;
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

/// The job of a plan that trains until a step.
fn job(question: &Question, plan: &Plan, flags: &ExecuteArgs, until: u64) -> Result<Job, Failure> {
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
        schedule: schedule(flags, plan, until),
        ramp: ramp(flags, plan),
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

fn schedule(flags: &ExecuteArgs, plan: &Plan, until: u64) -> Schedule {
    let (rate, steps) = (flags.rate, flags.schedule_steps.map_or(until, NonZeroU64::get));
    match flags.schedule {
        RateShape::Constant => Schedule::Constant { rate },
        RateShape::Linear => Schedule::Linear { rate, steps },
        RateShape::Cosine => Schedule::Cosine { rate, warm_up: 0, steps, floor: 0.0 },
        RateShape::OneCycle => Schedule::OneCycle { rate, rise: 0.5, steps },
        RateShape::LargeBatchMlstm => {
            Schedule::large_batch_mlstm(plan.decision.batch.global_sequences)
        }
    }
}

fn ramp(flags: &ExecuteArgs, plan: &Plan) -> Option<BatchRamp> {
    let batch = &plan.decision.batch;
    let least = batch.micro_sequences * u64::from(plan.decision.degrees.dp);
    let from = flags.ramp_from.map_or(least, NonZeroU64::get);
    flags.ramp_steps.map(|steps| BatchRamp { from, to: batch.global_sequences, steps: steps.get() })
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
/// and words are counted first, and kept in memory where they are few.
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
        (Some(path), _) if std::fs::metadata(path).is_ok_and(|file| file.len() > MOST_HELD) => {
            return Source::text_of(Path::new(path), tokens, vocab)
                .map_err(|e| broken(format!("{path}: {e}")));
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
        RunError::Checkpoint(CheckpointError::OtherRamp { theirs: Some(ramp), .. }) => {
            let BatchRamp { from, steps, .. } = ramp;
            failure.hint(format!("take --ramp-from {from} --ramp-steps {steps}"))
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse_plan;
    use plan::model::{Experts, Family, Model, ModelSpec, Positions, Transformer};
    use plan::program::Granularity;
    use planner::request::Request;

    const PINS: [&str; 14] = [
        "",
        "--zero 3",
        "--zero 2 --tp 1",
        "--tp 2",
        "--pp 2",
        "--cp 2 --seq 2048",
        "--ep 2",
        "--sequence-parallel on",
        "--schedule ouroboros",
        "--local-steps 4",
        "--local-steps 4 --ep 2",
        "--embedding unique",
        "--embedding sharded --zero 1",
        "--recompute full --micro-batch 1",
    ];

    fn small(t: &mut Transformer) {
        (t.layers, t.d_model, t.heads, t.kv_heads, t.head_dim) = (2, 32, 4, 4, 8);
        (t.d_ff, t.vocab) = (64, 300);
    }

    /// A shipped model, small and with something changed.
    fn changed(mut spec: ModelSpec, change: u32) -> Option<Model> {
        if let Family::Transformer(t) = &mut spec.family {
            small(t);
            match change {
                1 => t.tied = !t.tied,
                2 => {
                    let experts = Experts {
                        count: 4,
                        top_k: 2,
                        d_expert: 16,
                        d_shared: 0,
                        dense_layers: 0,
                        every: 1,
                        router_bias: false,
                        imbalance: 1.0,
                    };
                    // Experts with biases are not run at all.
                    (t.experts, t.bias) = (Some(experts), false);
                }
                3 => (t.positions, t.memory_length) = (Positions::Relative, 16),
                4 => t.vocab = 50_000,
                _ => {}
            }
        }
        Model::build(&spec).ok()
    }

    /// The plan for a question of a line and a change, and whether `execute` takes it; `None` where
    /// there is none.
    fn is_taken(catalog: &Catalog, words: &str, change: u32, knows: bool) -> Option<bool> {
        let mut question = Question::local(catalog, &parse_plan(words).unwrap()).ok()?;
        question.model = changed(question.model.spec.clone(), change)?;
        let gpus = words.split(' ').nth(4)?.parse().ok()?;
        let request = question.request(gpus, &|| false).unwrap();
        let asked = Request { refuses: if knows { request.refuses } else { &[] }, ..request };
        let Answer::Plan(planned) = question.answer(&asked) else { return None };
        let plan = question.report(&asked, &planned).plan;
        Some(job(&question, &plan, &ExecuteArgs::slice_of(0), 1).is_ok())
    }

    /// Whatever is planned for the cores of this machine, `execute` takes: the planner knows what
    /// is not run together. If it did not, the last of these plans would be refused.
    #[test]
    fn plans_for_cores_are_never_refused() {
        const NAMES: [&str; 6] =
            ["gpt-tiny", "mlstm-tiny", "word-lm-tiny", "gpt-tiny", "bert-base", "rhn-tiny"];
        let catalog = Catalog::from_environment().unwrap();
        let mut taken = 0;
        // 101 is prime to the numbers of choices: every pair of them is met.
        for i in (0..42u32).map(|i| i * 101) {
            let (name, gpus) = (NAMES[i as usize % 6], i / 6 % 6 + 1);
            let (pins, change) = (PINS[i as usize % PINS.len()], i % 5);
            let words = format!("plan -m {name} -g {gpus} -c local --local-batch 4 {pins}");
            if let Some(is_taken) = is_taken(&catalog, &words, change, true) {
                assert!(is_taken, "{words}, change {change}");
                taken += 1;
            }
        }
        assert!(taken > 12, "{taken} questions have plans");
        let words = "plan -m gpt-tiny -g 2 -c local --pp 1 --zero 3";
        let spec = catalog.model("gpt-tiny").unwrap();
        let is_tied = matches!(spec.family, Family::Transformer(t) if t.tied);
        let change = u32::from(!is_tied);
        assert_eq!(is_taken(&catalog, words, change, true), None);
        assert_eq!(is_taken(&catalog, words, change, false), Some(false));
    }

    /// The closed form of pipelines of cores, whose ranks send with the thread that computes,
    /// against the program action by action: what is left are norms that all ranks agree on.
    #[test]
    fn pipelines_of_cores_are_predicted_as_their_programs_run() {
        let catalog = Catalog::from_environment().unwrap();
        for words in [
            "plan -m mlstm-tiny -g 2 -c local --pp 2 --micro-batch 8",
            "plan -m gpt-tiny -g 4 -c local --pp 4 --micro-batch 4",
            "plan -m gpt-tiny -g 4 -c local --pp 2 --schedule gpipe --micro-batch 4",
            "plan -m rhn-tiny -g 4 -c local --pp 2 --micro-batch 4",
        ] {
            let question = Question::local(&catalog, &parse_plan(words).unwrap()).unwrap();
            let gpus = words.split(' ').nth(4).and_then(|n| n.parse().ok()).unwrap();
            let request = question.request(gpus, &|| false).unwrap();
            let Answer::Plan(planned) = question.answer(&request) else { panic!("{words}") };
            let step = planned.solution.step;
            let lowering = Lowering { granularity: Granularity::Layer, ..Lowering::default() };
            let priced = Priced::new(&request, &planned.solution, &lowering).unwrap();
            let simulated = analysis::simulated(&priced.program, &priced.prices).unwrap();
            let off = step / simulated - 1.0;
            assert!(off.abs() < 0.05, "{words}: {step}, its program {simulated}: {off:.3}");
        }
    }
}
