//! Splits as rows state them.

use super::*;
use crate::published::fixtures::gpt3;
use crate::published::shipped_rules;

fn of(row: &Row) -> Result<(Split, Assumptions), Skip> {
    let mut assumed = Assumptions::default();
    let split = split(row, 98, &shipped_rules().unwrap(), &mut assumed)?;
    Ok((split, assumed))
}

fn said(assumed: &Assumptions) -> Vec<String> {
    assumed.0.iter().map(ToString::to_string).collect()
}

#[test]
fn a_complete_row_needs_no_assumption() {
    let (split, assumed) = of(&gpt3()).unwrap();
    let c = &split.configurations[0];
    assert_eq!(c.degrees, Degrees { dp: 1, tp: 8, pp: 8, cp: 1, ep: 1 });
    assert_eq!((c.micro_sequences, c.micro_batches, c.chunks), (1, 64, 1));
    assert_eq!(split.recompute, Some(Recompute::Full));
    assert!(assumed.0.is_empty(), "{assumed:?}");
}

#[test]
fn contradictions_are_refused() {
    let mut row = gpt3();
    row.run.gpus = Some(63);
    assert_eq!(of(&row).unwrap_err(), Skip::Degrees);
    let mut row = gpt3();
    (row.run.gpus, row.run.dp) = (Some(128), Some(2));
    row.run.global_batch = Some(63);
    assert_eq!(of(&row).unwrap_err(), Skip::Batch);
    let mut row = gpt3();
    (row.run.tp, row.run.pp) = (Some(u64::MAX), Some(2));
    assert_eq!(of(&row).unwrap_err(), Skip::Degrees);
    let mut row = gpt3();
    (row.run.tp, row.run.pp, row.run.gpus) = (Some(1), Some(128), Some(128));
    assert_eq!(of(&row).unwrap_err(), Skip::Stages);
    let mut row = gpt3();
    row.run.global_batch = Some(1 << 40);
    assert_eq!(of(&row).unwrap_err(), Skip::Large("the number of micro-batches"));
}

#[test]
fn an_empty_column_is_assumed_and_said() {
    let mut row = gpt3();
    (row.run.chunks, row.run.micro_batch) = (None, None);
    (row.run.zero, row.run.sequence_parallel) = (None, None);
    row.recompute = String::new();
    let (split, assumed) = of(&row).unwrap();
    assert_eq!(split.recompute, None);
    let said = said(&assumed);
    for words in ["micro-batch: 1", "virtual stages", "sharding", "sequence", "recomputation"] {
        assert!(said.iter().any(|a| a.starts_with(words)), "{words}: {said:?}");
    }
    // 96 layers in 8 stages leave 12 per rank: six chunks of two is the most below 8.
    assert_eq!(split.configurations[0].chunks, 6);
    assert_eq!(split.configurations[0].schedule, ScheduleKind::Interleaved);
}

/// Without a pipeline, the largest power of two that divides 64/8 = 8 sequences comes first.
#[test]
fn an_unknown_micro_batch_is_tried_from_the_largest() {
    let mut row = gpt3();
    (row.run.tp, row.run.pp, row.run.dp) = (Some(8), Some(1), Some(8));
    row.run.micro_batch = None;
    let (split, _) = of(&row).unwrap();
    let tried: Vec<u64> = split.configurations.iter().map(|c| c.micro_sequences).collect();
    assert_eq!(tried, [8, 4, 2, 1]);
}

#[test]
fn expert_ranks_beyond_the_data_ranks_are_cut_to_what_divides() {
    let mut row = gpt3();
    (row.run.gpus, row.run.tp, row.run.pp) = (Some(64), Some(2), Some(1));
    (row.run.dp, row.run.ep) = (Some(32), Some(64));
    row.run.global_batch = Some(64);
    let (split, assumed) = of(&row).unwrap();
    assert_eq!(split.configurations[0].degrees.ep, 32);
    assert!(said(&assumed)[0].starts_with("expert parallelism"));
}

/// 98 layers of the chain in 8 stages: 96 of the body, 12 each; the ends join first and last.
#[test]
fn even_stages_share_the_body() {
    let mut assumed = Assumptions::default();
    assert_eq!(even(98, 8, &mut assumed), [13, 25, 37, 49, 61, 73, 85, 98]);
    // 70 layers in 12 stages leave rest; with the ends they are 72: six each.
    assert_eq!(even(72, 12, &mut assumed)[..3], [6, 12, 18]);
    assert!(assumed.0.is_empty());
    // 9 in 4: 3, 2, 2, 2.
    assert_eq!(even(11, 4, &mut assumed), [4, 6, 8, 11]);
    assert_eq!(assumed.0.len(), 1);
}

#[test]
fn words_for_recomputation_mean_what_people_write() {
    let mut row = gpt3();
    let mut level = |word: &str| {
        row.recompute = word.into();
        of(&row).unwrap().0.recompute
    };
    for word in ["full", "true", "uniform", "full-uniform-1"] {
        assert_eq!(level(word), Some(Recompute::Full), "{word}");
    }
    for word in ["none", "false", "off"] {
        assert_eq!(level(word), Some(Recompute::None), "{word}");
    }
    assert_eq!(level("selective"), Some(Recompute::Selective));
}
