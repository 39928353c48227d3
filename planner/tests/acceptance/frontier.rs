//! Hestness, Ardalani and Diamos, PPoPP 2019, table 5: a word model whose embedding alone is twice
//! the memory of a device.

use crate::world::{World, fastest};
use cost_model::memory::{Zero, occupied};
use planner::Planned;
use planner::label::label;
use planner::request::{Pins, Request};

/// The paper's own space: data and layer parallelism, 128 sequences at a time, nothing sharded.
const ITS_SPACE: Pins = Pins {
    tp: Some(1),
    pp: None,
    dp: None,
    cp: None,
    ep: None,
    zero: Some(Zero::Off),
    micro_sequences: Some(128),
    recompute: None,
    schedule: None,
    chunks: None,
    sequence_parallel: None,
    exchange: None,
    exchange_wire: None,
};

fn show(what: &str, request: &Request<'_>, planned: &Planned) {
    let step = planned.solution.step.get();
    let t = &request.model.spec.training;
    let tokens = request.global_sequences as f64 * t.sequence as f64;
    let days = t.epoch_tokens.unwrap() / tokens * step / 86_400.0;
    let memory = planned.detail.ranks.iter().map(|r| occupied(r.tensors, request.profile).get() / 1e9);
    let memory: Vec<String> = memory.map(|gb| format!("{gb:.1}")).collect();
    println!("{what}: {}", label(request, &planned.solution));
    println!("  {step:.2} s per step, {days:.2} days per epoch, GB {{{}}}, exchange {:?}", memory.join(", "), planned.solution.setting.exchange);
}

#[test]
fn data_and_layer_parallelism_with_a_table_in_pieces() {
    let world = World::shipped("frontier-word-lm", "ppopp19");
    let whole = |pins, gpus| Request { max_memory: 1.0, ..world.request(gpus, pins) };
    println!("published: DP 512 × 4 layers, embedding in 3 pieces: 7.2 days, GB {{32, 31, 31, 32}}");
    let free = whole(Pins::default(), 2048);
    if let Some(planned) = fastest(&free) { show("nothing pinned", &free, &planned); }
    let its = whole(ITS_SPACE, 2048);
    match fastest(&its) { Some(p) => show("its space", &its, &p), None => println!("its space: nothing") }
    let roomy = Request { max_memory: 5.0, ..its };
    if let Some(planned) = fastest(&roomy) { show("its space with 160 GB", &roomy, &planned); }
    let four = Request { pins: Pins { pp: Some(4), ..ITS_SPACE }, ..roomy };
    if let Some(planned) = fastest(&four) { show("its mesh with 160 GB", &four, &planned); }
    let dp = Request { pins: Pins { pp: Some(1), ..ITS_SPACE }, global_sequences: 131_072, max_memory: 5.0, ..whole(ITS_SPACE, 1024) };
    if let Some(planned) = fastest(&dp) { show("DP 1024 with 160 GB (published 6.2 days, 125.7 GB)", &dp, &planned); }
    assert!(fastest(&Request { max_memory: 1.0, ..dp }).is_none(), "data parallelism alone fits");
}
