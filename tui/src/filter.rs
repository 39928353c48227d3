//! The filter of the candidates: `tp=2 mem<12GiB !zero`.

use crate::candidates::Candidate;
use plan::units::{Bytes, Quantity, Seconds};

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Less,
    LessOrEqual,
    Equal,
    MoreOrEqual,
    More,
}

/// Written forms, longer ones first.
const RELATIONS: [(&str, Relation); 5] = [
    ("<=", Relation::LessOrEqual),
    (">=", Relation::MoreOrEqual),
    ("<", Relation::Less),
    (">", Relation::More),
    ("=", Relation::Equal),
];

impl Relation {
    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Equal => (left - right).abs() < 1e-9,
            Self::MoreOrEqual => left >= right,
            Self::More => left > right,
        }
    }
}

/// Whether a candidate passes: every term has to hold, `!` turns a term round. A term compares a
/// number (`tp pp dp cp ep zero mem step exposed`), or is a text that label or reason contain.
#[must_use]
pub fn passes(filter: &str, candidate: &Candidate) -> bool {
    filter.split_whitespace().all(|term| match term.strip_prefix('!') {
        Some("") => true,
        Some(term) => !holds(term, candidate),
        None => holds(term, candidate),
    })
}

fn holds(term: &str, candidate: &Candidate) -> bool {
    let split = |(sign, relation): &(&str, Relation)| {
        term.split_once(sign).map(|(name, value)| (name.to_lowercase(), *relation, value))
    };
    let compared = RELATIONS.iter().find_map(split);
    let numbers = compared.and_then(|(name, relation, value)| {
        let right = number(&name, value)?;
        Some(quantity(&name, candidate).is_some_and(|left| relation.holds(left, right)))
    });
    numbers.unwrap_or_else(|| {
        let text = format!("{} {} {}", candidate.label, candidate.status.word(), candidate.why);
        text.to_lowercase().contains(&term.to_lowercase())
    })
}

fn number(name: &str, value: &str) -> Option<f64> {
    let plain = || value.parse().ok();
    match name {
        "tp" | "pp" | "dp" | "cp" | "ep" | "zero" => plain(),
        "mem" | "memory" => Bytes::parse(value).ok().map(Bytes::get),
        "step" | "exposed" => Seconds::parse(value).ok().map(Seconds::get),
        _ => None,
    }
}

fn quantity(name: &str, candidate: &Candidate) -> Option<f64> {
    let d = candidate.degrees;
    match name {
        "tp" => Some(f64::from(d.tp)),
        "pp" => Some(f64::from(d.pp)),
        "dp" => Some(f64::from(d.dp)),
        "cp" => Some(f64::from(d.cp)),
        "ep" => Some(f64::from(d.ep)),
        "zero" => candidate.zero.map(f64::from),
        "mem" | "memory" => candidate.memory,
        "step" => candidate.seconds,
        "exposed" => candidate.exposed,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::candidates::Status;
    use plan::mesh::Degrees;
    use planner::request::Pins;

    #[test]
    fn terms_compare_numbers_or_contain_texts() {
        let candidate = Candidate {
            label: "DP 96 · TP 2 · ZeRO 1".into(),
            degrees: Degrees { dp: 96, tp: 2, pp: 1, cp: 1, ep: 1 },
            zero: Some(1),
            pins: Pins::default(),
            seconds: Some(1.1),
            bound: None,
            memory: Some(6.0 * 1_073_741_824.0),
            exposed: Some(0.11),
            status: Status::Solved,
            why: "9 % slower".into(),
        };
        for filter in ["", "tp=2", "mem<7GiB", "dp>=96 tp<=2", "step>1s", "ZERO", "!pp=2", "slower"]
        {
            assert!(passes(filter, &candidate), "{filter}");
        }
        for filter in ["tp=1", "mem>7GiB", "tp=2 dp=1", "!zero=1", "!slower", "step<1s", "zzz"] {
            assert!(!passes(filter, &candidate), "{filter}");
        }
        // A value that is no number makes the term a text.
        assert!(!passes("mem<7", &candidate));
    }
}
