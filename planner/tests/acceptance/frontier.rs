//! Hestness, Ardalani and Diamos, PPoPP 2019, table 5: a word model whose embedding alone is twice
//! the memory of a device. The paper models caches, which slow one device down by 4671/2707.

use crate::world::{World, fastest};
use cost_model::memory::Zero;
use plan::exchange::Exchange;
use plan::program::{BufferKind, Class, Granularity, validate};
use plan::units::Bytes;
use planner::Planned;
use planner::events::scored;
use planner::label::label;
use planner::program::{program, settings};
use planner::report::decision;
use planner::request::{Pins, Request};

/// The paper's own space: data and layer parallelism, 128 sequences at a time, nothing sharded over
/// replicas, dense gradients.
fn its_space() -> Pins {
    Pins {
        tp: Some(1),
        zero: Some(Zero::Off),
        micro_sequences: Some(128),
        exchange: Some(Exchange::Dense),
        ..Pins::default()
    }
}

/// GB per stage.
fn memory(request: &Request<'_>, planned: &Planned) -> Vec<f64> {
    let ranks = planned.detail.ranks.iter();
    ranks.map(|r| request.occupied(r.tensors).get() / 1e9).collect()
}

fn show(what: &str, request: &Request<'_>, planned: &Planned) {
    let step = planned.solution.step.get();
    let t = &request.model.spec.training;
    let tokens = request.global_sequences as f64 * t.sequence as f64;
    let days = t.epoch_tokens.unwrap() / tokens * step / 86_400.0;
    let memory = memory(request, planned).into_iter();
    let memory: Vec<String> = memory.map(|gb| format!("{gb:.1}")).collect();
    println!("{what}: {}", label(request, &planned.solution));
    println!(
        "  {step:.2} s per step, {days:.2} days per epoch, GB {{{}}}, exchange {:?}",
        memory.join(", "),
        planned.solution.setting.exchange
    );
}

#[test]
fn data_and_layer_parallelism_with_a_table_in_pieces() {
    let world = World::shipped("frontier-word-lm", "ppopp19");
    let whole = |pins| Request { max_memory: 1.0, ..world.request(2048, pins) };
    println!(
        "published: DP 512 × 4 layers, embedding in 3 pieces: 7.2 days, GB {{32, 31, 31, 32}}"
    );
    let own = whole(its_space());
    let planned = fastest(&own).expect("the published plan fits");
    show("in its space", &own, &planned);
    let c = planned.solution.configuration;
    assert_eq!((c.degrees.dp, c.degrees.tp, c.degrees.pp, c.pieces), (512, 1, 4, 3));
    let memory = memory(&own, &planned);
    assert!(memory.iter().all(|gb| (30.5..=32.0).contains(gb)), "{memory:?}");

    as_a_program(&own, &planned);

    let free = whole(Pins::default());
    let faster = fastest(&free).expect("more choices fit too");
    show("nothing pinned", &free, &faster);
    assert!(faster.solution.step < planned.solution.step);
}

/// The plan runs action by action: each of three stages stores its rows, and what they exchange
/// hides behind the passes, where the closed form adds it to those of the embedding.
fn as_a_program(request: &Request<'_>, planned: &Planned) {
    let settings = settings(request, Granularity::Layer);
    // Gaps between buffers take one percent more than the closed form counts.
    let request = &Request { max_memory: 1.01, ..*request };
    let whole = program(request, &decision(request, &planned.solution), &settings).unwrap();
    assert_eq!(validate(&whole), Ok(()));
    let stored = |class: &Class| {
        let mine = class.buffers.iter().filter(|b| b.kind == BufferKind::Weights);
        mine.map(|b| b.size.max).sum::<Bytes>().get() / 1e9
    };
    let stored: Vec<f64> = whole.classes.iter().map(stored).collect();
    let s = scored(request, &planned.solution, planned.detail.step.value).unwrap();
    println!("as a program: {s:?}, GB of weights {stored:.2?}");
    assert!((-0.25..=0.01).contains(&s.difference()), "{s:?}");
}

#[test]
fn data_parallelism_alone_needs_four_times_the_memory() {
    let world = World::shipped("frontier-word-lm", "ppopp19");
    let pins = Pins { pp: Some(1), ..its_space() };
    let asked = Request { global_sequences: 131_072, max_memory: 1.0, ..world.request(1024, pins) };
    assert!(fastest(&asked).is_none(), "32 GB are enough");
    let roomy = Request { max_memory: 4.0, ..asked };
    let planned = fastest(&roomy).expect("128 GB are enough");
    println!("published: DP 1024: 6.2 days, 125.7 GB");
    show("with 128 GB", &roomy, &planned);
    let memory = memory(&roomy, &planned);
    assert!((memory[0] / 125.7 - 1.0).abs() < 0.02, "{memory:?}");
}
