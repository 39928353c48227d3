//! Plans in a line: `DP 192 · TP 1 · PP 1 · ZeRO 0`.

use crate::request::Request;
use crate::solution::Solution;
use plan::lower::Recompute;
use plan::schedule::ScheduleKind;

/// The plan in a line.
#[must_use]
pub fn label(request: &Request<'_>, s: &Solution) -> String {
    let c = &s.configuration;
    let d = c.degrees;
    let mut parts = vec![format!("DP {}", d.dp), format!("TP {}", d.tp), format!("PP {}", d.pp)];
    let mut add = |on: bool, text: String| {
        if on {
            parts.push(text);
        }
    };
    add(d.cp > 1, format!("CP {}", d.cp));
    add(d.ep > 1, format!("EP {}", d.ep));
    add(true, format!("ZeRO {}", s.setting.zero.stage()));
    add(c.sequence_parallel, "SP".into());
    let format = request.model.spec.training.precision.compute;
    add(true, format.to_string());
    add(d.pp > 1, schedule(c.schedule, c.chunks, c.time_chunks));
    add(c.micro_batches > 1 && c.time_chunks == 1, micro_batches(s));
    add(c.pieces > 1, format!("table in {} pieces", c.pieces));
    let local = request.pins.local_steps;
    add(local.is_some(), local.map(plan::schedule::LocalSteps::words).unwrap_or_default());
    add(request.pins.offload == Some(true), "offload".into());
    let recompute = recompute(request, s);
    add(recompute != "none", format!("recompute {recompute}"));
    parts.join(" · ")
}

fn schedule(kind: ScheduleKind, chunks: u32, time_chunks: u32) -> String {
    match kind {
        ScheduleKind::Interleaved | ScheduleKind::BreadthFirst => {
            format!("{}, {chunks} chunks", kind.name())
        }
        _ if time_chunks > 1 => format!("wavefront of {time_chunks} time chunks"),
        other => other.name().into(),
    }
}

fn micro_batches(s: &Solution) -> String {
    let c = &s.configuration;
    format!("{} micro-batches of {}", c.micro_batches, c.micro_sequences)
}

/// Recomputation of the body layers in words.
#[must_use]
pub fn recompute(request: &Request<'_>, s: &Solution) -> String {
    let counts = recompute_counts(request, s);
    let total: u32 = counts.iter().map(|(_, n)| n).sum();
    let used: Vec<_> = counts.into_iter().filter(|(_, n)| *n > 0).collect();
    match used.as_slice() {
        [] => "none".into(),
        [(level, _)] => level.name().into(),
        many => {
            let words = many.iter().filter(|(level, _)| *level != Recompute::None);
            let words =
                words.map(|(level, n)| format!("{} in {n} of {total} layers", level.name()));
            words.collect::<Vec<_>>().join(", ")
        }
    }
}

/// Body layers per recomputation level.
#[must_use]
pub fn recompute_counts(request: &Request<'_>, s: &Solution) -> Vec<(Recompute, u32)> {
    let chain = &request.model.chain;
    let mut counts: Vec<(Recompute, u32)> = Recompute::ALL.into_iter().map(|r| (r, 0)).collect();
    for stage in &s.stages {
        for (run, layers) in chain.iter().zip(&stage.layers) {
            if request.model.kinds[run.kind].role != plan::model::LayerRole::Body {
                continue;
            }
            for (level, n) in s.levels[run.kind].iter().zip(layers) {
                if let Some(entry) = counts.iter_mut().find(|(r, _)| r == level) {
                    entry.1 += n;
                }
            }
        }
    }
    counts
}
