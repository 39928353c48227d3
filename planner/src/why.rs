//! Why the winner wins, and why another choice does not.

use crate::answer::{Answer, Planned, plan};
use crate::label::label;
use crate::report::time_parts;
use crate::request::{Objective, Pins, Request};
use plan::document::{Reason, RuledOut};
use plan::mesh::Degrees;
use plan::report::{Difference, TimePart, WhyNot};
use plan::units::{Bytes, Seconds, percent};

/// Parts of the step that are communication.
const COMMUNICATION: [&str; 7] =
    ["tensor", "context", "expert", "gradients", "exchange", "messages", "sharding"];

/// Reasons, most important first: what binds, then what the nearest other meshes lose by.
#[must_use]
pub fn reasons(request: &Request<'_>, planned: &Planned) -> Vec<String> {
    let parts = time_parts(planned);
    let mut all: Vec<String> = preferred(planned).into_iter().collect();
    all.push(headroom(planned, &parts));
    all.extend(bubble(planned, &parts));
    all.extend(other_degrees(planned, "TP", |d| d.tp));
    all.extend(other_degrees(planned, "PP", |d| d.pp));
    all.push(memory(request, planned));
    all
}

/// Why the fastest prediction was not taken, where it was not.
fn preferred(planned: &Planned) -> Option<String> {
    let fastest = planned.certificate.fastest.as_ref()?;
    let whole = |share: f64| format!("{:.0} %", share * 100.0);
    Some(format!(
        "{} is predicted to be {} faster, and is so with a probability of {}; in the worst {} of \
         cases it is {} slower or more, for {} is predicted poorly. It would be taken from {} on \
         (--quantile).",
        fastest.label,
        percent((planned.solution.step.get() / fastest.seconds - 1.0).max(0.0)),
        whole(fastest.faster),
        whole(1.0 - fastest.quantile),
        whole(fastest.worst),
        fastest.because,
        whole(fastest.quantile),
    ))
}

fn share(planned: &Planned, seconds: f64) -> String {
    percent(seconds / planned.detail.step.value.get())
}

fn headroom(planned: &Planned, parts: &[TimePart]) -> String {
    let communication = |p: &&TimePart| COMMUNICATION.contains(&p.id.as_str());
    let exposed: f64 = parts.iter().filter(communication).map(|p| p.time.value).sum();
    if exposed == 0.0 {
        return "Nothing waits for communication.".into();
    }
    format!(
        "All exposed communication costs {} of the step: the most that less of it could gain.",
        share(planned, exposed)
    )
}

fn bubble(planned: &Planned, parts: &[TimePart]) -> Option<String> {
    let c = &planned.solution.configuration;
    let idle = parts.iter().find(|p| p.id == "bubble").filter(|_| c.degrees.pp > 1)?;
    let (m, p) = (c.micro_batches, c.degrees.pp);
    Some(format!(
        "The bubble costs {} with {m} micro-batches over {p} stages.",
        share(planned, idle.time.value)
    ))
}

/// The nearest mesh with more, and the nearest with less, of one degree.
fn other_degrees(planned: &Planned, name: &str, of: impl Fn(&Degrees) -> u32) -> Vec<String> {
    let own = of(&planned.solution.configuration.degrees);
    let best = |wanted: &dyn Fn(u32) -> bool| {
        let meshes = planned.certificate.meshes.iter().filter(|m| wanted(of(&m.degrees)));
        meshes.min_by(|a, b| order(a).total_cmp(&order(b)))
    };
    let less = best(&|d| d < own);
    let more = best(&|d| d > own);
    let name = |m: &RuledOut| format!("{name} {}", of(&m.degrees));
    less.into_iter().chain(more).map(|m| format!("{}: {}", name(m), verdict(planned, m))).collect()
}

fn order(m: &RuledOut) -> f64 {
    m.bound_seconds.unwrap_or(f64::INFINITY)
}

fn verdict(planned: &Planned, m: &RuledOut) -> String {
    let slower = |s: f64| percent((s / planned.solution.step.get() - 1.0).max(0.0));
    let ties = m.bound_seconds.is_some_and(|s| s < planned.solution.step.get() * 1.0005);
    match (m.reason, m.bound_seconds) {
        (Reason::Solved | Reason::Bound | Reason::StageBound | Reason::Ilp, _) if ties => {
            "at best as fast.".into()
        }
        (Reason::Winner, Some(s)) if planned.certificate.fastest.is_some() => {
            let step = planned.solution.step.get();
            format!("{} faster as predicted, but not surely.", percent((step / s - 1.0).max(0.0)))
        }
        (Reason::Memory, _) => "does not fit into memory.".into(),
        (Reason::Divisibility, _) => "does not divide the model.".into(),
        (Reason::Unsupported, _) => "needs something that this machine lacks.".into(),
        (Reason::Solved, Some(s)) => format!("{} slower at best.", slower(s)),
        (_, Some(s)) => format!("at least {} slower, by a bound.", slower(s)),
        _ => "not decided.".into(),
    }
}

fn memory(request: &Request<'_>, planned: &Planned) -> String {
    let used = request.occupied(planned.tensors());
    let free = request.limit() - used;
    match used / request.limit() {
        x if x > 0.97 => format!("Memory binds: {free} of the limit are left."),
        _ => format!("Memory does not bind: {free} of the limit are left."),
    }
}

/// The best plan under other pins, held against the winner.
#[must_use]
pub fn why_not(request: &Request<'_>, planned: &Planned, pins: Pins) -> WhyNot {
    let choice = pins.flags().join(" ");
    let asked = Request { pins: over(request.pins, pins), ..*request };
    match plan(&asked, Objective::StepTime) {
        Answer::Plan(other) => against(&asked, planned, &other, choice),
        Answer::Infeasible(found) => {
            let missing = found.closest.map_or(Bytes::ZERO, |c| c.missing);
            none(choice, format!("Nothing fits: the closest plan lacks {missing} on one rank."))
        }
        Answer::Impossible(why) => none(choice, format!("There is no such plan: {why}.")),
    }
}

/// New pins on top of those of the request.
fn over(old: Pins, new: Pins) -> Pins {
    Pins {
        tp: new.tp.or(old.tp),
        pp: new.pp.or(old.pp),
        dp: new.dp.or(old.dp),
        cp: new.cp.or(old.cp),
        ep: new.ep.or(old.ep),
        zero: new.zero.or(old.zero),
        micro_sequences: new.micro_sequences.or(old.micro_sequences),
        recompute: new.recompute.or(old.recompute),
        schedule: new.schedule.or(old.schedule),
        chunks: new.chunks.or(old.chunks),
        sequence_parallel: new.sequence_parallel.or(old.sequence_parallel),
        exchange: new.exchange.or(old.exchange),
        exchange_wire: new.exchange_wire.or(old.exchange_wire),
        local_steps: new.local_steps.or(old.local_steps),
        offload: new.offload.or(old.offload),
    }
}

fn none(choice: String, verdict: String) -> WhyNot {
    WhyNot {
        choice,
        label: String::new(),
        seconds: None,
        slower: None,
        memory_bytes: None,
        differences: Vec::new(),
        verdict: vec![verdict],
    }
}

fn against(request: &Request<'_>, winner: &Planned, other: &Planned, choice: String) -> WhyNot {
    let slower = other.solution.step / winner.solution.step - 1.0;
    let differences = differences(winner, other);
    let mut verdict = vec![match slower {
        s if s.abs() < 1e-9 => "It is the winner, or ties with it.".into(),
        s if s < 0.0 => format!("{} faster: the winner was found under other pins.", percent(-s)),
        s => format!("The best plan with it is {} slower.", percent(s)),
    }];
    if let Some(d) = differences.first().filter(|_| slower > 0.0) {
        let change = Seconds::new((d.other_seconds - d.winner_seconds).abs());
        let sign = if d.other_seconds > d.winner_seconds { "+" } else { "−" };
        verdict.push(format!("What decides: {} {sign}{change}.", d.label));
    }
    let (low, high) = (other.detail.step.low, winner.detail.step.high);
    if slower > 0.0 && low < high {
        let note = "The intervals overlap, but both plans share their constants: the order is \
                    surer than either number.";
        verdict.push(note.into());
    }
    WhyNot {
        choice,
        label: label(request, &other.solution),
        seconds: Some(other.solution.step.get()),
        slower: Some(slower),
        memory_bytes: Some(request.occupied(other.tensors()).get()),
        differences,
        verdict,
    }
}

fn differences(winner: &Planned, other: &Planned) -> Vec<Difference> {
    let (a, b) = (time_parts(winner), time_parts(other));
    let of = |parts: &[TimePart], id: &str| {
        parts.iter().find(|p| p.id == id).map_or(0.0, |p| p.time.value)
    };
    let mut seen: Vec<(String, String)> = Vec::new();
    for part in a.iter().chain(&b) {
        if seen.iter().all(|(id, _)| *id != part.id) {
            seen.push((part.id.clone(), part.label.clone()));
        }
    }
    let mut all: Vec<Difference> = seen
        .into_iter()
        .map(|(id, label)| Difference {
            label,
            winner_seconds: of(&a, &id),
            other_seconds: of(&b, &id),
        })
        .filter(|d| d.winner_seconds != d.other_seconds)
        .collect();
    let gap = |d: &Difference| (d.other_seconds - d.winner_seconds).abs();
    all.sort_by(|x, y| gap(y).total_cmp(&gap(x)));
    all
}
