//! A plan in a line: degrees first, then what else was decided.

use plan::document::{Decision, StageDecision};
use plan::lower::Recompute;
use plan::schedule::ScheduleKind;

/// All decisions that a line can hold: `DP 12 · TP 4 · PP 4 · ZeRO 1 · SP · bf16 · 1F1B · …`.
pub fn full(decision: &Decision) -> String {
    parts(decision).join(" · ")
}

/// The same, part by part.
pub fn parts(decision: &Decision) -> Vec<String> {
    let d = decision.degrees;
    let mut parts = vec![format!("DP {}", d.dp), format!("TP {}", d.tp), format!("PP {}", d.pp)];
    parts.extend((d.cp > 1).then(|| format!("CP {}", d.cp)));
    parts.extend((d.ep > 1).then(|| format!("EP {}", d.ep)));
    parts.push(zero(&decision.stages));
    parts.extend(extras(decision));
    parts
}

/// What is left of a full line without trivial degrees and without what `winner` has as well.
pub fn against(label: &str, winner: &Decision) -> String {
    let common = parts(winner);
    let is_trivial = |part: &str| matches!(part, "TP 1" | "PP 1" | "CP 1" | "EP 1");
    let is_degree =
        |part: &str| ["DP ", "TP ", "PP ", "CP ", "EP "].iter().any(|name| part.starts_with(name));
    let all: Vec<&str> = label.split(" · ").collect();
    let same_mesh = all.iter().filter(|p| is_degree(p)).all(|p| common.iter().any(|c| c == p));
    let kept = all.into_iter().filter(|part| match is_degree(part) {
        true => !same_mesh && !is_trivial(part),
        false => !common.iter().any(|c| c == part),
    });
    let kept: Vec<&str> = kept.collect();
    if kept.is_empty() { label.to_string() } else { kept.join(" · ") }
}

/// Only what is not the trivial choice: `DP 8`, `DP 96 · TP 2 · ZeRO 1`.
pub fn short(decision: &Decision) -> String {
    let d = decision.degrees;
    let degrees = [("DP", d.dp), ("TP", d.tp), ("PP", d.pp), ("CP", d.cp), ("EP", d.ep)];
    let split = degrees.iter().filter(|(_, n)| *n > 1).map(|(name, n)| format!("{name} {n}"));
    let mut parts: Vec<String> = split.collect();
    if parts.is_empty() {
        parts.push("1 GPU".into());
    }
    let zero = zero(&decision.stages);
    parts.extend((zero != "ZeRO 0").then_some(zero));
    let batch = decision.batch;
    let many = batch.micro_batches > 1 && batch.time_chunks <= 1;
    parts.extend(many.then(|| format!("{} × {}", batch.micro_batches, batch.micro_sequences)));
    parts.extend(decision.local_steps.map(|local| format!("{} steps apart", local.every)));
    let recompute = recompute(&decision.stages);
    parts.extend((recompute != "none").then(|| format!("recompute {recompute}")));
    parts.join(" · ")
}

/// What sharding and formats add to the degrees.
fn extras(decision: &Decision) -> Vec<String> {
    let batch = decision.batch;
    let mut parts: Vec<String> = Vec::new();
    parts.extend(decision.sequence_parallel.then(|| "SP".to_string()));
    parts.push(decision.precision.compute.to_string());
    if decision.degrees.pp > 1 {
        parts.push(schedule(decision));
    }
    if batch.micro_batches > 1 && batch.time_chunks <= 1 {
        parts.push(format!("{} micro-batches of {}", batch.micro_batches, batch.micro_sequences));
    }
    let pieces = decision.embedding.map_or(1, |e| e.pieces);
    parts.extend((pieces > 1).then(|| format!("table in {pieces} pieces")));
    parts.extend(decision.local_steps.map(plan::schedule::LocalSteps::words));
    parts.extend(decision.offload.then(|| "offload".to_string()));
    let recompute = recompute(&decision.stages);
    parts.extend((recompute != "none").then(|| format!("recompute {recompute}")));
    parts
}

/// The schedule in words.
pub fn schedule(decision: &Decision) -> String {
    match decision.schedule {
        kind @ (ScheduleKind::Interleaved | ScheduleKind::BreadthFirst) => {
            format!("{}, {} chunks", kind.name(), decision.chunks)
        }
        _ if decision.batch.time_chunks > 1 => {
            format!("wavefront of {} time chunks", decision.batch.time_chunks)
        }
        other => other.name().into(),
    }
}

/// ZeRO stage, or the stages where they differ.
pub fn zero(stages: &[StageDecision]) -> String {
    let least = stages.iter().map(|s| s.zero).min().unwrap_or(0);
    let most = stages.iter().map(|s| s.zero).max().unwrap_or(0);
    if least == most { format!("ZeRO {least}") } else { format!("ZeRO {least}–{most}") }
}

/// Recomputation in words: one level, or levels with the layers that use them.
pub fn recompute(stages: &[StageDecision]) -> String {
    let body = || stages.iter().flat_map(|s| &s.recompute);
    let count = |level: Recompute| -> u64 {
        body().filter(|c| c.level == level).map(|c| u64::from(c.layers)).sum()
    };
    let [none, selective, full] = Recompute::ALL.map(count);
    match (none, selective, full) {
        (_, 0, 0) => "none".into(),
        (0, _, 0) => "selective".into(),
        (0, 0, _) => "full".into(),
        _ => {
            let total = none + selective + full;
            let used = [("selective", selective), ("full", full)];
            let used = used.into_iter().filter(|(_, n)| *n > 0);
            let words: Vec<String> = used.map(|(name, n)| format!("{name} in {n}")).collect();
            format!("{} of {total} layers", words.join(", "))
        }
    }
}
