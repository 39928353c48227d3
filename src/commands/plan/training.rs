//! A run to a loss: each batch as a line, the best one as a plan.

use super::{Answered, deadline, document, value};
use crate::cli::{Format, PlanArgs, TrainingArgs};
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::files;
use crate::output::{Output, Talk};
use crate::question::Question;
use crate::render::report::{self, Around};
use crate::render::{json, training};
use crate::settings::Settings;
use cost_model::training::allocation;
use cost_model::training::critical::CriticalBatch;
use cost_model::training::energy::Power;
use cost_model::training::goodput::Failures;
use plan::model::Family;
use plan::units::{Flops, Seconds, Watts, count, percent};
use planner::request::{Objective, Request};
use planner::training::{Goal, train};
use serde_json::json;

/// Assumptions about power where no flag says better.
const POWER_SHARE: f64 = 0.9;
const NODE_POWER_PER_GPU: f64 = 250.0;
const EFFECTIVENESS: f64 = 1.2;
/// Assumptions about failures where only their rate is given.
const CHECKPOINT_PAUSE: f64 = 30.0;
const RESTART_TIME: f64 = 600.0;

/// Whether the flags ask for a run.
pub fn is_asked(flags: &PlanArgs, question: &Question) -> bool {
    flags.training.is_run() || question.objective == Objective::TimeToLoss
}

/// Finds batch and plan.
pub fn run(
    question: &Question,
    gpus: u32,
    flags: &PlanArgs,
    settings: &Settings,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let stop = deadline(flags.search.time_limit);
    let request = question.request(gpus, &stop)?;
    let goal = goal(question, &request, &flags.training)?;
    let run = train(&request, &goal);
    let Some((sequences, planned)) = &run.best else {
        return Err(Failure::new(Exit::NoPlan, "no batch near the recipe's has a plan")
            .hint("`meshwright plan` without a run says what is missing"));
    };
    let request = Request { global_sequences: *sequences, ..request };
    let answered = Answered::new(question, &request, planned, None, false);
    if let Some(path) = settings.output.as_deref() {
        files::write_quietly(output, path, &document(&answered.report.plan)?)?;
        if path == "-" {
            return Ok(Exit::Done);
        }
    }
    let text = match settings.format {
        Format::Json => json::document(&json!({
            "schema": "meshwright.run/1",
            "training": value(&run.report)?,
            "report": value(&answered.report)?,
        })),
        Format::Markdown => training::facts(&run.report).markdown(),
        Format::Csv => training::facts(&run.report).csv(),
        _ if output.talk <= Talk::Quiet => training::one_line(&run.report) + "\n",
        _ => {
            let around = Around {
                cluster_from: question.cluster_from.clone(),
                next: Vec::new(),
                saved: settings.output.clone(),
                is_verbose: output.talk == Talk::Verbose,
                bindings: Vec::new(),
            };
            let canvas = &output.out;
            let plan = report::screen(&answered.report, &around, canvas);
            format!("{}\n{plan}", training::screen(&run.report, canvas))
        }
    };
    output.data(&text)?;
    Ok(Exit::Done)
}

fn goal(question: &Question, request: &Request<'_>, flags: &TrainingArgs) -> Result<Goal, Failure> {
    let mut assumptions = Vec::new();
    let least_tokens = least_tokens(question, flags, &mut assumptions)?;
    let critical = critical(flags, &mut assumptions)?;
    let failures = failures(request, flags, &mut assumptions);
    let power = power(request, flags, &mut assumptions);
    let own = request.cluster.groups.first().and_then(|g| g.device.price.as_ref());
    let price = flags.price.or(own.map(|p| p.value));
    if let (None, Some(price)) = (flags.price, own) {
        let (value, source) = (price.value, &price.source);
        assumptions.push(format!("{value} per GPU ({source}; --price)"));
    }
    let objective = question.objective;
    let unknown = match objective {
        Objective::Dollars if price.is_none() => Some("the rent of a GPU; --price gives it"),
        Objective::KilowattHours if power.is_none() => Some("the power of a GPU"),
        _ => None,
    };
    match unknown {
        Some(what) => Err(Failure::usage(format!("the device file does not say {what}"))),
        None => Ok(Goal { objective, least_tokens, critical, failures, power, price, assumptions }),
    }
}

fn least_tokens(
    question: &Question,
    flags: &TrainingArgs,
    assumptions: &mut Vec<String>,
) -> Result<f64, Failure> {
    if let Some(loss) = flags.target_loss {
        return tokens_for(question, loss, assumptions);
    }
    let spec = &question.model.spec;
    if let Some(tokens) = flags.tokens {
        assumptions.push(format!("{} tokens at tiny batches (--tokens)", count(tokens)));
        return Ok(tokens);
    }
    let epoch = spec.training.epoch_tokens;
    let tokens = epoch.ok_or_else(|| {
        Failure::usage(format!("{} does not say how many tokens it trains on", spec.name))
            .hint("--tokens gives them, or --target-loss a loss to reach")
    })?;
    assumptions.push(format!(
        "{} tokens at tiny batches: one epoch of the recipe (--tokens)",
        count(tokens)
    ));
    Ok(tokens)
}

/// Tokens that a loss takes by the scaling law of Transformers.
fn tokens_for(
    question: &Question,
    loss: f64,
    assumptions: &mut Vec<String>,
) -> Result<f64, Failure> {
    if !matches!(question.model.spec.family, Family::Transformer(_)) {
        return Err(Failure::usage("scaling laws are known for Transformers only")
            .hint("--tokens and --critical-batch say what was measured for this model"));
    }
    let parameters = question.model.parameters() as f64;
    let Some(tokens) = allocation::tokens_for(loss, parameters) else {
        let least = allocation::least_loss(parameters);
        return Err(Failure::new(
            Exit::NoPlan,
            format!("{} parameters do not reach a loss of {loss}", count(parameters)),
        )
        .evidence(format!("their limit is {least:.3} nats per token (training.allocation)"))
        .hint("a larger model, or a loss above that limit"));
    };
    assumptions.push(format!(
        "{} tokens to a loss of {loss}: web text, one pass (training.allocation)",
        count(tokens)
    ));
    let (n, d) = allocation::best_split(Flops::new(6.0 * parameters * tokens));
    assumptions.push(format!(
        "for the same FLOPs the least loss, {:.3}, is that of {} parameters and {} tokens",
        allocation::loss(n, d),
        count(n),
        count(d)
    ));
    Ok(tokens)
}

fn critical(flags: &TrainingArgs, assumptions: &mut Vec<String>) -> Result<CriticalBatch, Failure> {
    let steps = "steps to the loss: (E_min/B)·(1 + B/B_crit) (training.critical-batch)";
    assumptions.push(steps.into());
    if let Some(tokens) = flags.critical_batch {
        assumptions.push(format!("critical batch {} tokens (--critical-batch)", count(tokens)));
        return Ok(CriticalBatch { tokens });
    }
    let loss = flags.target_loss.ok_or_else(|| {
        Failure::usage("how many steps a loss takes depends on the critical batch")
            .hint("--critical-batch 4M: measured for this model, as the noise scale of gradients")
            .hint("--target-loss 2.1: tokens and critical batch from scaling laws of Transformers")
    })?;
    let critical = CriticalBatch::at_loss(loss);
    assumptions.push(format!(
        "critical batch {} tokens at that loss (--critical-batch)",
        count(critical.tokens)
    ));
    Ok(critical)
}

fn failures(
    request: &Request<'_>,
    flags: &TrainingArgs,
    assumptions: &mut Vec<String>,
) -> Option<Failures> {
    let Some(between_per_device) = flags.gpu_mtbf else {
        assumptions.push("nothing fails (--gpu-mtbf counts failures and checkpoints)".into());
        return None;
    };
    let checkpoint = flags.checkpoint_pause.unwrap_or(Seconds::new(CHECKPOINT_PAUSE));
    let restart = flags.restart_time.unwrap_or(Seconds::new(RESTART_TIME));
    let failures = Failures { between_per_device, checkpoint, restart };
    assumptions.push(format!(
        "an interruption every {}; checkpoints every {}, pause {checkpoint} (--checkpoint-pause), \
         restart {restart} (--restart-time): goodput {} (training.goodput)",
        failures.between(request.gpus),
        failures.interval(request.gpus),
        percent(failures.goodput(request.gpus)),
    ));
    Some(failures)
}

fn power(
    request: &Request<'_>,
    flags: &TrainingArgs,
    assumptions: &mut Vec<String>,
) -> Option<Power> {
    let device = request.cluster.groups.first()?.device.power.as_ref()?.value;
    let per_gpu = NODE_POWER_PER_GPU * f64::from(request.per_node().min(request.gpus));
    let power = Power {
        device,
        utilisation: flags.power_share.unwrap_or(POWER_SHARE),
        rest_of_node: flags.node_power.unwrap_or(Watts::new(per_gpu)),
        effectiveness: flags.pue.unwrap_or(EFFECTIVENESS),
    };
    assumptions.push(format!(
        "electricity: {} of {device} per GPU (--power-share), {} per node beside them \
         (--node-power), PUE {} (--pue) (training.energy)",
        percent(power.utilisation),
        power.rest_of_node,
        power.effectiveness,
    ));
    Some(power)
}
