//! Candidates: what the search met, solved or ruled out, with the reason.

use cost_model::memory::Zero;
use plan::document::{Reason, RuledOut};
use plan::mesh::Degrees;
use plan::units::{Seconds, percent};
use planner::answer::{Planned, detail_of};
use planner::label::label;
use planner::report::time_parts;
use planner::request::{Effort, Pins, Request};
use planner::search::search;
use planner::solution::Solution;

/// What is known of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// The plan.
    Best,
    /// Solved.
    Solved,
    /// Ruled out by a bound of its step.
    Bound,
    /// It does not fit into memory.
    Memory,
    /// It cannot be: a dimension does not divide, or the machine lacks something.
    Impossible,
    /// The search ended before.
    Undecided,
}

impl Status {
    /// The word on screens.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Best => "best",
            Self::Solved => "solved",
            Self::Bound => "ruled out",
            Self::Memory => "does not fit",
            Self::Impossible => "impossible",
            Self::Undecided => "undecided",
        }
    }
}

/// A plan, or a mesh without one.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The plan in a line.
    pub label: String,
    /// Its mesh.
    pub degrees: Degrees,
    /// Its ZeRO stage, where it is solved.
    pub zero: Option<u8>,
    /// What asks for it.
    pub pins: Pins,
    /// Its step, seconds.
    pub seconds: Option<f64>,
    /// No plan of the mesh has a shorter step, seconds.
    pub bound: Option<f64>,
    /// Its largest memory, bytes.
    pub memory: Option<f64>,
    /// Communication that nothing hides, seconds.
    pub exposed: Option<f64>,
    /// What is known.
    pub status: Status,
    /// Why it is not the plan, in a few words.
    pub why: String,
}

/// Parts of the step that are communication.
const COMMUNICATION: [&str; 7] =
    ["tensor", "context", "expert", "gradients", "exchange", "messages", "sharding"];

/// The plan, what was solved on the way, and a line for every other mesh.
#[must_use]
pub fn met(request: &Request<'_>, planned: &Planned) -> Vec<Candidate> {
    let best = solved(request, planned, &planned.solution);
    let mut all: Vec<Candidate> = best.into_iter().collect();
    for other in planned.others.iter().rev().take(MOST_OTHERS) {
        add(&mut all, solved(request, planned, other));
    }
    let meshes = planned.certificate.meshes.iter();
    let open: Vec<Candidate> = meshes
        .filter(|mesh| all.iter().all(|c| c.degrees != mesh.degrees))
        .map(|mesh| ruled_out(request, planned, mesh))
        .collect();
    all.extend(open);
    sort(&mut all);
    all
}

/// Plans met on the way that are listed: the fastest.
const MOST_OTHERS: usize = 24;

fn add(all: &mut Vec<Candidate>, candidate: Option<Candidate>) {
    if let Some(new) = candidate.filter(|new| all.iter().all(|old| old.label != new.label)) {
        all.push(new);
    }
}

/// By step, by bound, then by mesh; what is solved before what is not.
pub fn sort(all: &mut [Candidate]) {
    let key = |c: &Candidate| c.seconds.or(c.bound).unwrap_or(f64::INFINITY);
    all.sort_by(|a, b| {
        let solved = b.seconds.is_some().cmp(&a.seconds.is_some());
        solved.then(key(a).total_cmp(&key(b))).then(a.degrees.cmp(&b.degrees))
    });
}

/// A solution with its numbers.
#[must_use]
pub fn solved(request: &Request<'_>, winner: &Planned, s: &Solution) -> Option<Candidate> {
    let is_best = *s == winner.solution;
    let detail = if is_best { winner.detail.clone() } else { detail_of(request, s)? };
    let certificate = winner.certificate.clone();
    let planned = Planned { solution: s.clone(), detail, others: Vec::new(), certificate };
    let is_exposed = |id: &str| COMMUNICATION.contains(&id);
    let parts = time_parts(&planned);
    let exposed = parts.iter().filter(|p| is_exposed(&p.id)).map(|p| p.time.value).sum();
    let slower = s.step / winner.solution.step - 1.0;
    let (degrees, zero) = (s.configuration.degrees, s.setting.zero);
    Some(Candidate {
        label: short(&label(request, s)),
        degrees,
        zero: Some(zero.stage()),
        pins: Pins { zero: Some(zero), ..request.pins.on_mesh(degrees) },
        seconds: Some(s.step.get()),
        bound: None,
        memory: Some(request.occupied(planned.tensors()).get()),
        exposed: Some(exposed),
        status: if is_best { Status::Best } else { Status::Solved },
        why: if is_best { "proven".into() } else { slower_words(slower) },
    })
}

fn slower_words(slower: f64) -> String {
    match slower {
        s if s.abs() < 5e-4 => "as fast".into(),
        s if s < 0.0 => format!("{} faster, not surely", percent(-s)),
        s => format!("{} slower", percent(s)),
    }
}

/// The line without what every plan has: trivial degrees and the number format.
#[must_use]
pub fn short(label: &str) -> String {
    let is_trivial = |part: &&str| {
        !matches!(*part, "TP 1" | "PP 1" | "fp32" | "fp16" | "bf16" | "fp8" | "ZeRO 0")
    };
    let parts: Vec<&str> = label.split(" · ").filter(is_trivial).collect();
    parts.join(" · ")
}

/// A mesh by its degrees.
#[must_use]
pub fn mesh_label(d: Degrees) -> String {
    let all = [("DP", d.dp), ("TP", d.tp), ("PP", d.pp), ("CP", d.cp), ("EP", d.ep)];
    let kept = all.iter().filter(|(name, n)| *name == "DP" || *n > 1);
    kept.map(|(name, n)| format!("{name} {n}")).collect::<Vec<_>>().join(" · ")
}

fn ruled_out(request: &Request<'_>, winner: &Planned, mesh: &RuledOut) -> Candidate {
    let (status, why) = match mesh.reason {
        Reason::Memory => (Status::Memory, "no split fits into memory".to_string()),
        Reason::Divisibility => (Status::Impossible, "does not divide the model".into()),
        Reason::Unsupported => (Status::Impossible, "the machine lacks what it needs".into()),
        Reason::Undecided => (Status::Undecided, "the search ended before".into()),
        Reason::Winner | Reason::Solved => (Status::Bound, bound_words(winner, mesh, "solved")),
        Reason::Bound => (Status::Bound, bound_words(winner, mesh, "bound")),
        Reason::StageBound => (Status::Bound, bound_words(winner, mesh, "bound over stages")),
        Reason::Ilp => (Status::Bound, bound_words(winner, mesh, "integer programme")),
    };
    Candidate {
        label: mesh_label(mesh.degrees),
        degrees: mesh.degrees,
        zero: None,
        pins: request.pins.on_mesh(mesh.degrees),
        seconds: None,
        bound: mesh.bound_seconds,
        memory: None,
        exposed: None,
        status,
        why,
    }
}

fn bound_words(winner: &Planned, mesh: &RuledOut, by: &str) -> String {
    match mesh.bound_seconds {
        Some(bound) => {
            let slower = bound / winner.solution.step.get() - 1.0;
            format!("at least {} slower, {by}", percent(slower.max(0.0)))
        }
        None => format!("not below the plan, {by}"),
    }
}

/// Solves a candidate that was only bounded: the best plan of its mesh, without integer programmes.
#[must_use]
pub fn refined(request: &Request<'_>, winner: &Planned, open: &Candidate) -> Option<Candidate> {
    let asked = Request { pins: open.pins, effort: Effort::Labels, ..*request };
    solved(request, winner, &search(&asked).best?)
}

/// The other ZeRO stages of the plan's configuration.
#[must_use]
pub fn variants(request: &Request<'_>, winner: &Planned) -> Vec<Candidate> {
    let c = &winner.solution.configuration;
    let own = winner.solution.setting.zero;
    let asked = |zero| Pins {
        zero: Some(zero),
        micro_sequences: Some(c.micro_sequences),
        schedule: Some(c.schedule),
        chunks: Some(c.chunks),
        ..request.pins.on_mesh(c.degrees)
    };
    let others = Zero::ALL.into_iter().filter(|z| *z != own && request.pins.zero.is_none());
    let of = |zero| {
        let asked = Request { pins: asked(zero), effort: Effort::Labels, ..*request };
        solved(request, winner, &search(&asked).best?)
    };
    others.filter_map(of).collect()
}

/// Candidates that no other one beats in step and memory at once.
#[must_use]
pub fn pareto(all: &[Candidate]) -> Vec<bool> {
    let both = |c: &Candidate| Some((c.seconds?, c.memory?));
    let beats = |a: (f64, f64), b: (f64, f64)| {
        a.0 <= b.0 && a.1 <= b.1 && (a.0 < b.0 * (1.0 - 1e-9) || a.1 < b.1 * (1.0 - 1e-9))
    };
    let is_kept = |c: &Candidate| {
        both(c).is_some_and(|own| all.iter().filter_map(both).all(|other| !beats(other, own)))
    };
    all.iter().map(is_kept).collect()
}

/// Time of a candidate relative to the best one, where both are known.
#[must_use]
pub fn slower(all: &[Candidate], candidate: &Candidate) -> Option<f64> {
    let best = all.iter().find(|c| c.status == Status::Best)?.seconds?;
    Some(Seconds::new(candidate.seconds?) / Seconds::new(best) - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(seconds: f64, memory: f64) -> Candidate {
        Candidate {
            label: format!("{seconds} s"),
            degrees: Degrees { dp: 1, tp: 1, pp: 1, cp: 1, ep: 1 },
            zero: Some(0),
            pins: Pins::default(),
            seconds: Some(seconds),
            bound: None,
            memory: Some(memory),
            exposed: None,
            status: Status::Solved,
            why: String::new(),
        }
    }

    #[test]
    fn the_front_is_what_nothing_beats() {
        // (1, 5) and (2, 3) are on it; (3, 3) is slower than (2, 3), (4, 9) is worse than all.
        let all = [(1.0, 5.0), (2.0, 3.0), (3.0, 3.0), (4.0, 9.0)].map(|(s, m)| candidate(s, m));
        assert_eq!(pareto(&all), [true, true, false, false]);
        // Equals do not beat each other.
        assert_eq!(pareto(&[candidate(1.0, 1.0), candidate(1.0, 1.0)]), [true, true]);
    }

    #[test]
    fn solved_candidates_come_first_and_then_the_least_bound() {
        let open = |bound| Candidate { seconds: None, bound, ..candidate(0.0, 0.0) };
        let mut all = vec![open(None), open(Some(0.5)), candidate(2.0, 1.0), candidate(1.0, 1.0)];
        sort(&mut all);
        let keys: Vec<_> = all.iter().map(|c| (c.seconds, c.bound)).collect();
        let expected = [(Some(1.0), None), (Some(2.0), None), (None, Some(0.5)), (None, None)];
        assert_eq!(keys, expected);
        assert_eq!(short("DP 192 · TP 1 · PP 1 · ZeRO 0 · fp16"), "DP 192");
    }
}
