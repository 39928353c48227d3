//! The table of docs/trainers.md: which trainer is told which decision.

use super::recipe::Recipe;
use super::round_trip::{drawn, stages};
use super::said::{Said, Trainer};
use super::topic::Topic;
use crate::catalog::Catalog;
use crate::cli::Target;
use plan::Dtype;
use plan::document::Decision;
use plan::exchange::Exchange;
use plan::lower::Recompute;
use plan::mesh::Degrees;
use plan::schedule::{LocalSteps, ScheduleKind};
use plan::work::OptimizerRule;
use std::fmt::Write as _;
use std::path::Path;

/// A plan of two replicas of two stages of two tensor-parallel ranks.
fn base() -> Decision {
    let mut decision = drawn();
    decision.degrees = Degrees { dp: 2, tp: 2, pp: 2, cp: 1, ep: 1 };
    decision.world_size = 8;
    decision.sequence_parallel = true;
    decision.schedule = ScheduleKind::OneForwardOneBackward;
    decision.chunks = 1;
    decision.stages = stages(2, 1, 1, Recompute::Full);
    decision.precision.compute = Dtype::Bf16;
    decision
}

fn with(change: impl FnOnce(&mut Decision)) -> Decision {
    let mut decision = base();
    change(&mut decision);
    decision
}

/// Without pipelines.
fn flat(zero: u8) -> Decision {
    with(|d| {
        d.degrees = Degrees { dp: 8, tp: 1, pp: 1, cp: 1, ep: 1 };
        d.sequence_parallel = false;
        d.stages = stages(1, 1, zero, Recompute::None);
    })
}

/// Plans that decide a topic in the ways that there are.
fn ways(topic: Topic) -> Vec<Decision> {
    match topic {
        Topic::Sequence => vec![base(), with(|d| d.sequence_parallel = false)],
        Topic::Context => vec![with(|d| d.degrees.cp = 2)],
        Topic::Expert => vec![with(|d| d.degrees.ep = 2)],
        Topic::Schedule => ScheduleKind::ALL.into_iter().map(scheduled).collect(),
        Topic::Stages => vec![with(|d| {
            d.stages[0].layers.last -= 1;
            d.stages[0].recompute[0].layers -= 1;
            d.stages[1].layers.first -= 1;
            d.stages[1].recompute[0].layers += 1;
        })],
        Topic::Zero => vec![flat(1), flat(2), flat(3)],
        Topic::Recompute => [Recompute::Selective, Recompute::Full]
            .map(|level| with(|d| d.stages = stages(2, 1, 1, level)))
            .into(),
        Topic::Offload => vec![with(|d| d.offload = true)],
        Topic::TimeChunks => vec![with(|d| d.batch.time_chunks = 2)],
        Topic::Exchange => vec![with(|d| {
            d.embedding = d
                .embedding
                .map(|e| plan::document::EmbeddingDecision { exchange: Exchange::Unique, ..e });
        })],
        Topic::Pieces => vec![with(|d| {
            d.embedding = d.embedding.map(|e| plan::document::EmbeddingDecision { pieces: 2, ..e });
        })],
        Topic::Compute => Dtype::ALL.map(|f| with(|d| d.precision.compute = f)).into(),
        Topic::Formats => [[2, 4, 12, 4], [4, 4, 8, 4], [2, 2, 12, 2]].map(precise).into(),
        Topic::Optimizer => [OptimizerRule::Adam, OptimizerRule::Sgd, OptimizerRule::Lamb]
            .map(|rule| with(|d| d.precision.optimizer = rule))
            .into(),
        Topic::LocalSteps => vec![with(|d| {
            d.local_steps = Some(LocalSteps { every: 30, fragments: 1, delay: 0 });
        })],
        Topic::Data | Topic::Tensor | Topic::Pipeline | Topic::Batch | Topic::Length => {
            vec![base()]
        }
    }
}

fn scheduled(kind: ScheduleKind) -> Decision {
    with(|d| {
        d.schedule = kind;
        d.chunks = if kind.has_chunks() { 2 } else { 1 };
        d.stages = stages(2, d.chunks, 1, Recompute::Full);
    })
}

fn precise([weight, gradient, optimizer, wire]: [u64; 4]) -> Decision {
    with(|d| {
        d.precision.weight_bytes = weight;
        d.precision.gradient_bytes = gradient;
        d.precision.optimizer_bytes = optimizer;
        d.precision.wire_bytes = wire;
    })
}

/// How much of a decision a trainer is told.
fn cell(trainer: &dyn Trainer, topic: Topic) -> &'static str {
    let is_of_pipelines = matches!(topic, Topic::Schedule | Topic::Stages);
    if is_of_pipelines && cell(trainer, Topic::Pipeline) == "refused" {
        return "–";
    }
    let spec = Catalog::default().model("llama3-8b").unwrap();
    let said = |decision: &Decision| {
        let recipe = Recipe::drawn(decision, &spec, false);
        trainer.say(topic, &recipe)
    };
    let all: Vec<Said> = ways(topic).iter().map(said).collect();
    let whole = all.iter().filter(|s| s.instead.is_none() && s.refusal.is_none()).count();
    let refused = all.iter().filter(|s| s.refusal.is_some()).count();
    match (whole, refused) {
        (n, _) if n == all.len() => "yes",
        (_, n) if n == all.len() => "refused",
        (0, _) => "noted",
        _ => "partly",
    }
}

fn table() -> String {
    let trainers: Vec<_> =
        Target::TRAINERS.into_iter().filter_map(|t| Some((t, super::trainer(t)?))).collect();
    let mut text = String::from("| decision |");
    for (target, _) in &trainers {
        let _ = write!(text, " {} |", target.flag().trim_start_matches("--to "));
    }
    text.push_str(&format!("\n|---|{}\n", "---|".repeat(trainers.len())));
    for topic in Topic::ALL {
        let _ = write!(text, "| {} |", name(topic));
        for (_, trainer) in &trainers {
            let _ = write!(text, " {} |", cell(&**trainer, topic));
        }
        text.push('\n');
    }
    text
}

fn name(topic: Topic) -> &'static str {
    match topic {
        Topic::Data => "data parallel",
        Topic::Tensor => "tensor parallel",
        Topic::Sequence => "sequence parallel",
        Topic::Context => "context parallel",
        Topic::Expert => "expert parallel",
        Topic::Pipeline => "pipeline parallel",
        Topic::Schedule => "pipeline schedule",
        Topic::Stages => "uneven stages",
        Topic::Zero => "ZeRO stage",
        Topic::Recompute => "recompute",
        Topic::Offload => "activations in host memory",
        Topic::Batch => "batch, micro-batch",
        Topic::Length => "sequence length",
        Topic::TimeChunks => "chunks of time",
        Topic::Exchange => "embedding exchange",
        Topic::Pieces => "embedding in pieces",
        Topic::Compute => "number format",
        Topic::Formats => "bytes per parameter",
        Topic::Optimizer => "optimizer",
        Topic::LocalSteps => "local steps",
    }
}

const OPEN: &str = "<!-- table of trainers -->\n";
const CLOSE: &str = "<!-- end of the table -->";

/// `MESHWRIGHT_BLESS=1` rewrites the table.
#[test]
fn the_page_says_what_trainers_are_told() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/trainers.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = page.split_once(OPEN).unwrap();
    let (old, tail) = rest.split_once(CLOSE).unwrap();
    let new = table();
    if std::env::var_os("MESHWRIGHT_BLESS").is_some() {
        std::fs::write(&path, format!("{head}{OPEN}{new}{CLOSE}{tail}")).unwrap();
    } else {
        assert_eq!(old, new, "bless docs/trainers.md with MESHWRIGHT_BLESS=1");
    }
}
