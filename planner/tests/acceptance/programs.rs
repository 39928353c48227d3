//! Plans as programs: how far the closed form is from the simulation of every action.

use crate::world::{World, fastest};
use planner::events::scored;
use planner::request::Pins;

/// Model, cluster, devices, pins.
type Row = (&'static str, &'static str, u32, Pins);

fn rows() -> Vec<Row> {
    let none = Pins::default();
    let pp = |pp, tp| Pins { pp: Some(pp), tp: Some(tp), ..Pins::default() };
    vec![
        ("mlstm4096", "dgx1v", 192, none),
        ("gpt2-xl", "dgx-a100", 64, none),
        ("llama2-7b", "hgx-h100", 64, none),
        ("llama2-70b", "hgx-h100", 64, none),
        ("llama2-70b", "hgx-h100", 64, pp(4, 8)),
        ("llama3-405b", "hgx-h100", 1024, none),
        ("gpt3-175b", "dgx-a100", 512, none),
        ("biglstm", "dgx1v", 8, none),
    ]
}

#[test]
fn closed_forms_are_near_their_programs() {
    for (model, cluster, gpus, pins) in rows() {
        let world = World::shipped(model, cluster);
        let request = world.request(gpus, pins);
        let Some(planned) = fastest(&request) else { continue };
        let start = std::time::Instant::now();
        let scored = scored(&request, &planned.solution, planned.detail.step.value);
        println!(
            "{model:12} {gpus:5} {:?} {scored:?} {:?}",
            planned.solution.configuration,
            start.elapsed()
        );
        if let Ok(s) = scored {
            println!("     {:+.2} %", s.difference() * 100.0);
        }
    }
}
