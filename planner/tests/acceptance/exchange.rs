//! Which exchange of the embedding gradient wins, and where.

use crate::world::{World, fastest};
use cost_model::memory::Zero;
use plan::exchange::Exchange;
use planner::label::label;
use planner::request::Pins;
use planner::setting::applies;

/// Seconds per step, and the exchange.
type Chosen = (f64, Option<Exchange>);

fn under(world: &World, gpus: u32, pins: Pins) -> Option<Chosen> {
    let request = world.request(gpus, pins);
    let planned = fastest(&request)?;
    let name = pins.exchange.map_or("free", Exchange::name);
    println!(
        "  {name:12} {:9.4} ms  {}",
        planned.solution.step.get() * 1e3,
        label(&request, &planned.solution)
    );
    Some((planned.solution.step.get(), planned.solution.setting.exchange))
}

fn side_by_side(model: &str, cluster: &str, gpus: u32) -> Vec<(Option<Exchange>, Option<Chosen>)> {
    let world = World::shipped(model, cluster);
    println!("{model} on {gpus} of {cluster}");
    let all = std::iter::once(None).chain(Exchange::ALL.into_iter().map(Some));
    all.map(|exchange| (exchange, under(&world, gpus, Pins { exchange, ..Pins::default() })))
        .collect()
}

/// Whole tables: unique rows win everywhere. A sharded table wins where there are enough replicas.
#[test]
fn words_are_exchanged_as_unique_rows() {
    for (gpus, winner) in [(64, Exchange::Unique), (192, Exchange::Sharded)] {
        let all = side_by_side("word-lm-1b", "titanx-fdr", gpus);
        let (step, chosen) = all[0].1.unwrap();
        assert_eq!(chosen, Some(winner), "{gpus} GPUs");
        let of = |e: Exchange| all.iter().find(|(x, _)| *x == Some(e)).and_then(|(_, a)| *a);
        let (unique, _) = of(Exchange::Unique).unwrap();
        for exchange in Exchange::ALL {
            let Some((other, _)) = of(exchange) else { continue };
            assert!(other >= step * (1.0 - 1e-9), "{exchange:?}");
            let is_whole = exchange != Exchange::Sharded;
            assert!(!is_whole || other >= unique * (1.0 - 1e-9), "{exchange:?}");
        }
    }
}

#[test]
fn bytes_are_exchanged_densely() {
    let all = side_by_side("mlstm4096", "dgx1v", 192);
    assert_eq!(all[0].1.unwrap().1, Some(Exchange::Dense));
}

#[test]
fn a_tied_table_under_a_full_softmax_has_a_dense_gradient() {
    let all = side_by_side("gpt2", "dgx-a100", 8);
    for (exchange, answer) in &all {
        let chosen = answer.map(|(_, chosen)| chosen);
        let is_possible = exchange.is_none_or(|e| e == Exchange::Dense);
        assert_eq!(chosen, is_possible.then_some(Some(Exchange::Dense)), "{exchange:?}");
    }
    let table = World::shipped("gpt2", "dgx-a100").model.table.unwrap();
    for exchange in Exchange::ALL {
        assert_eq!(applies(table, exchange).is_none(), exchange == Exchange::Dense, "{exchange:?}");
    }
}

#[test]
fn large_tables_fit_only_in_parts() {
    let world = World::shipped("biglstm", "v100-station");
    let whole = Pins { dp: Some(4), zero: Some(Zero::Off), ..Pins::default() };
    let fits = |exchange| {
        let pins = Pins { exchange: Some(exchange), ..whole };
        under(&world, 4, pins).is_some()
    };
    let fitting: Vec<Exchange> = Exchange::ALL.into_iter().filter(|e| fits(*e)).collect();
    println!("biglstm on 4 V100 of 16 GB, whole replicas: {fitting:?}");
    assert!(!fitting.contains(&Exchange::Dense) && !fitting.contains(&Exchange::Gather));
    assert!(fitting.contains(&Exchange::Sharded));
}
