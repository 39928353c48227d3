//! Plans as programs: how far the closed form is from the simulation of every action, and what
//! interleaving gains.

use crate::world::{World, fastest};
use plan::schedule::ScheduleKind;
use planner::events::scored;
use planner::request::Pins;

/// Model, cluster, devices, pins, and the largest difference in percent that is explained.
type Row = (&'static str, &'static str, u32, Pins, f64);

/// What is exposed at the end depends most on buckets where the step is short.
fn rows() -> Vec<Row> {
    let none = Pins::default();
    let pp = |pp, tp| Pins { pp: Some(pp), tp: Some(tp), ..Pins::default() };
    vec![
        ("mlstm4096", "dgx1v", 192, none, 0.1),
        ("gpt2-xl", "dgx-a100", 64, none, 4.0),
        ("llama2-7b", "hgx-h100", 64, none, 0.5),
        ("biglstm", "dgx1v", 8, none, 1.0),
        ("llama2-13b", "hgx-h100", 32, pp(4, 2), 1.0),
    ]
}

#[test]
fn closed_forms_are_near_their_programs() {
    println!("{:12} {:>5} {:>12} {:>12} {:>8}", "model", "GPUs", "closed form", "program", "");
    for (model, cluster, gpus, pins, most) in rows() {
        let world = World::shipped(model, cluster);
        let request = world.request(gpus, pins);
        let planned = fastest(&request).unwrap();
        let step = planned.detail.step.value;
        let s =
            scored(&request, &planned.solution, step).unwrap_or_else(|e| panic!("{model}: {e}"));
        let percent = s.difference() * 100.0;
        println!("{model:12} {gpus:5} {:>12} {:>12} {percent:+7.2} %", s.closed_form, s.simulated);
        assert!(percent.abs() <= most, "{model}: {percent:+.2} %");
    }
}

/// Narayanan et al. 2021 (arXiv:2104.04473), figure 12 and section 5.3.2: 175 billion parameters on
/// 96 GPUs, TP 8 · PP 12, micro-batches of one sequence, two layers per chunk. Interleaving gains
/// "10+ %", most where micro-batches are few.
///
/// Assumed: the shipped stack of the paper's time, and recomputation as its script sets it.
#[test]
fn interleaving_gains_ten_percent_and_more() {
    let world = World::shipped("gpt3-175b", "dgx-a100");
    let gain = |sequences: u64| {
        let time = |schedule, chunks| {
            let pins = Pins {
                tp: Some(8),
                pp: Some(12),
                micro_sequences: Some(1),
                schedule: Some(schedule),
                chunks: Some(chunks),
                ..Pins::default()
            };
            let mut request = world.request(96, pins);
            (request.global_sequences, request.max_memory) = (sequences, 1.0);
            let planned = fastest(&request).unwrap();
            let step = planned.detail.step.value;
            scored(&request, &planned.solution, step).unwrap().simulated
        };
        time(ScheduleKind::OneForwardOneBackward, 1) / time(ScheduleKind::Interleaved, 4) - 1.0
    };
    let gains = [12, 36, 60].map(gain);
    println!("interleaving gains {gains:.3?} at 12, 36, 60 sequences");
    assert!(gains[0] > gains[1] && gains[1] > gains[2], "{gains:?}");
    assert!(gains[2] > 0.05 && gains[0] < 0.6, "{gains:?}");
}
