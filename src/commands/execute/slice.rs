//! `execute --slice`: one rank's share of a plan at its true shapes, on this machine.

use super::{job, ranks};
use crate::analysis;
use crate::catalog::Catalog;
use crate::cli::{ExecuteArgs, Format, SourceArgs};
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::files;
use crate::output::Output;
use crate::question::{Question, rebuild};
use crate::record::Before;
use crate::render::execute;
use crate::settings::Settings;
use cost_model::events::{Fold, Prices};
use cost_model::flops;
use executor::bench;
use executor::train::{Job, Outcome, run_slice};
use plan::document::Plan;
use plan::program::{Charge, Granularity, Settings as Lowering};
use plan::record::RecordMode;
use plan::units::{Bytes, Flops, FlopsPerSecond, Seconds};
use planner::events::Priced;

/// Why a slice of a plan cannot be run; `None` where it can.
pub fn refused(catalog: &Catalog, plan: &Plan) -> Option<Failure> {
    let flags = ExecuteArgs::slice_of(0);
    let question = match rebuild(catalog, plan, &SourceArgs::default()) {
        Ok(question) => question,
        Err(failure) => return Some(failure),
    };
    job(&question, plan, &flags, 1).err()
}

/// Runs a rank of a plan by itself and shows what it took.
pub fn run(
    question: &Question,
    plan: &Plan,
    rank: u32,
    flags: &ExecuteArgs,
    settings: &Settings,
    output: &mut Output,
) -> Result<Exit, Failure> {
    if rank >= plan.decision.world_size {
        let last = plan.decision.world_size - 1;
        return Err(Failure::usage(format!("the plan has ranks 0 to {last}"))
            .hint("`--slice rank=0` runs the first"));
    }
    let job = job(question, plan, flags, flags.steps.get())?.recorded(RecordMode::Full);
    let outlook = Outlook::of(&job, rank);
    outlook.fits(plan)?;
    let before = Before::look(1);
    output.note(&format!(
        "rank {rank} of {} by itself: its own shapes, the network of {} priced; losses mean \
         nothing",
        plan.decision.world_size, question.cluster.label
    ));
    output.note(&outlook.words(flags.steps.get()));
    let network = match &flags.network {
        Some(name) => ranks::network(&Catalog::from_environment()?, name, flags.ranks_per_node)?,
        None => ranks::network_of(&question.cluster, None)?,
    };
    let outcome = run_slice(&job, rank, flags.steps.get(), &network, &|_| {})
        .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    let prices = prices(question, plan)?;
    let record = crate::record::record(plan, &job, &outcome, &before);
    let rows = analysis::rows_of_slice(&question.model, &job.program, &prices, &record.actions);
    let text = match settings.format {
        Format::Json => execute::json(plan, &outcome, predicted(plan)),
        _ => output.out.text(&execute::slice(plan, &record, &rows, network_share(&job, &outcome))),
    };
    files::write(output, settings.output.as_deref(), &text)?;
    Ok(Exit::Done)
}

/// What a step of the rank takes here, before it starts.
struct Outlook {
    flops: Flops,
    rate: FlopsPerSecond,
    memory: Bytes,
    free: Option<Bytes>,
}

impl Outlook {
    /// FLOPs of the rank's program at the rate of a product of some size; memory of its arena,
    /// which processors fill with numbers of 32 bit.
    fn of(job: &Job, rank: u32) -> Self {
        const SIZE: usize = 512;
        let class = job.program.class_of(rank).map(|(class, _)| &job.program.classes[class]);
        let charges = class.into_iter().flat_map(|c| &c.actions).map(|a| a.charge.0 as usize);
        let items = charges.filter_map(|id| job.program.charges.get(id)).flat_map(Charge::items);
        let flops = items.map(|(times, work)| flops::executed(work) * f64::from(times)).sum();
        let one = Flops::new(2.0 * (SIZE as f64).powi(3));
        let rate = one / bench::product_time(1, [SIZE; 3]) * job.recipe.threads as f64;
        let wider = 4.0 / job.decision.precision.compute.size().min(4) as f64;
        let memory = class.map_or(Bytes::ZERO, |class| class.arena * wider);
        Self { flops, rate, memory, free: executor::machine::detect().available_memory }
    }

    fn words(&self, steps: u64) -> String {
        let Self { flops, rate, memory, .. } = self;
        let steps = if steps > 1 { format!("each of {steps} steps") } else { "the step".into() };
        format!(
            "{steps} takes about {} ({flops} at {rate}) and the priced network, in about {memory}",
            *flops / *rate
        )
    }

    /// Refuses what the system would kill halfway.
    fn fits(&self, plan: &Plan) -> Result<(), Failure> {
        let Some(free) = self.free.filter(|free| self.memory > *free) else { return Ok(()) };
        let what = format!("a rank of plan {} needs about {} here", plan.id, self.memory);
        let batch = plan.decision.batch.global_sequences;
        let model = &plan.inputs.model.name;
        Err(Failure::new(Exit::NoPlan, what)
            .evidence(format!("{free} are free; processors compute in 32 bit"))
            .hint(format!(
                "meshwright plan -m {model} -g {} --global-batch {}   half of the batch",
                plan.decision.world_size,
                batch.div_ceil(2)
            )))
    }
}

fn predicted(plan: &Plan) -> Seconds {
    Seconds::new(plan.prediction.step.value)
}

/// Prices of the plan's program on the machine that it is for.
fn prices(question: &Question, plan: &Plan) -> Result<Prices, Failure> {
    let request = question.request(plan.decision.world_size, &|| false)?;
    let broken = |why: String| {
        Failure::new(Exit::InvalidInput, format!("plan {} does not fit its inputs: {why}", plan.id))
            .hint("`meshwright validate` checks every number of it")
    };
    let solution = planner::validate::solution(&request, plan).map_err(broken)?;
    let lowering = Lowering { granularity: Granularity::Layer, ..Lowering::default() };
    let priced = Priced::new(&request, &solution, &lowering);
    let priced = priced.map_err(|why| broken(why.to_string()))?;
    // A program that cannot be simulated has no prices worth showing.
    priced.prepared(Fold::classes(&priced.program)).map_err(|why| broken(why.to_string()))?;
    Ok(priced.prices)
}

/// Part of the rank's time that went into the priced network: what is neither work nor waiting.
fn network_share(job: &Job, outcome: &Outcome) -> f64 {
    let talks = |step: &plan::record::StepSamples, a: u32| {
        let class = job.program.class_of(step.rank).map(|(class, _)| class);
        let action = class.and_then(|c| job.program.classes[c].actions.get(a as usize));
        action.is_some_and(|a| !matches!(a.peers, plan::program::Peers::Nobody))
    };
    let all = outcome.samples.iter().flat_map(|s| s.actions.iter().map(move |a| (s, a)));
    let (mut network, mut whole) = (0.0, 0.0);
    for (step, action) in all {
        whole += action.seconds();
        if talks(step, action.a) {
            network += (action.seconds() - action.b).max(0.0);
        }
    }
    if whole > 0.0 { network / whole } else { 0.0 }
}
