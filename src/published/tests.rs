//! The shipped tables, and what is said about them.

use super::*;
use std::collections::BTreeSet;

fn shipped(text: &'static str) -> Vec<Scored> {
    let table = read(text).unwrap();
    assert!(table.problems.is_empty(), "{:?}", table.problems);
    score(&Catalog::default(), &shipped_rules().unwrap(), table.rows)
}

/// README of the data: 5,318 rows, of which 5,043 are complete; all but a few can be expressed.
#[test]
fn nearly_every_complete_row_is_predicted() {
    let rows = shipped(RUNS);
    assert_eq!(rows.len(), 5318);
    let complete: Vec<&Scored> = rows.iter().filter(|s| s.row.is_scored()).collect();
    assert_eq!(complete.len(), 5043);
    let predicted = complete.iter().filter(|s| s.prediction.is_ok()).count();
    assert!(predicted * 100 >= complete.len() * 98, "{predicted}");
}

#[test]
fn parts_of_a_step_add_up() {
    for scored in shipped(RUNS) {
        if let Ok(p) = &scored.prediction {
            let sum: f64 = p.parts.all().iter().map(|(_, seconds)| seconds).sum();
            let step = p.step.get();
            assert!((sum - step).abs() <= 1e-9 * step, "{}: {sum} {step}", scored.row.id);
            assert!(p.low <= p.step && p.step <= p.high, "{}", scored.row.id);
        }
    }
}

#[test]
fn scoring_does_not_depend_on_threads_or_order() {
    let rows: Vec<Row> = read(RUNS).unwrap().rows.into_iter().step_by(97).collect();
    let (catalog, rules) = (Catalog::default(), shipped_rules().unwrap());
    let forward = score(&catalog, &rules, rows.clone());
    let mut backward = score(&catalog, &rules, rows.into_iter().rev().collect());
    backward.reverse();
    for (a, b) in forward.iter().zip(&backward) {
        assert_eq!(a.prediction, b.prediction, "{}", a.row.id);
    }
}

#[test]
fn every_group_has_a_provenance_that_names_its_stacks() {
    let mut stacks: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for scored in shipped(RUNS) {
        let all = stacks.entry(scored.row.group.clone()).or_default();
        all.extend(Some(scored.stack).filter(|s| !s.is_empty()));
    }
    for (group, chosen) in stacks {
        let known = provenance(&group).unwrap();
        let known = known.unwrap_or_else(|| panic!("no provenance of {group}"));
        let said: BTreeSet<String> = known.stacks.into_iter().collect();
        assert!(chosen.is_subset(&said), "{group}: {chosen:?} {said:?}");
    }
}

#[test]
fn configurations_that_did_not_run_are_expressed() {
    let rows = shipped(FIT_LIMITS);
    let predicted = rows.iter().filter(|s| s.prediction.is_ok()).count();
    assert!(predicted * 10 >= rows.len() * 9, "{predicted} of {}", rows.len());
}

#[test]
fn memory_of_small_models_is_that_of_their_last_rank() {
    let rows = shipped(SMALL_MEMORY);
    let known = rows.iter().filter(|s| s.memory.is_some_and(|(_, k)| k == MemoryKind::Allocated));
    assert!(known.count() > 400);
}

/// Nothing may depend on what a row is called.
#[test]
fn ids_do_not_matter() {
    let mut rows: Vec<Row> = read(RUNS).unwrap().rows.into_iter().step_by(211).collect();
    let (catalog, rules) = (Catalog::default(), shipped_rules().unwrap());
    let named = score(&catalog, &rules, rows.clone());
    rows.iter_mut().for_each(|row| row.id = "x".into());
    for (a, b) in named.iter().zip(score(&catalog, &rules, rows)) {
        assert_eq!(a.prediction, b.prediction, "{}", a.row.id);
    }
}
