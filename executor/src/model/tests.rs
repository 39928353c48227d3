//! Whole models: gradients, sizes, and that splits change nothing.

pub(crate) mod small;
mod splits;

use super::*;
use crate::ops::across::Alone;
use crate::ops::check::{compare, numbers};
use plan::model::Model;
use plan::scenario::parse_model;
pub(super) use small::{ALL, batch, model};
use std::path::Path;

fn whole(model: &Model) -> Stage {
    Stage::new(model, 0..model.layers() as usize, (0, 1)).unwrap()
}

/// Loss of a micro-batch after another one has left its carry; gradient of the loss as trained.
fn run(stage: &Stage, weights: &[f64], batch: &MicroBatch) -> (f64, Vec<f64>, Carries<f64>) {
    let mut carries = first_carries(stage, weights, batch);
    let (out, kept) =
        stage.forward(weights, batch, &Alone, None, &mut carries, &|_| false).unwrap();
    let Output::Loss(loss) = out else { panic!("the last layer is a head") };
    let mut back = stage.start(batch.sequences);
    let (dx, left) = stage.backward(weights, batch, &Alone, kept, None, &mut back).unwrap();
    assert!(dx.is_none());
    let mut gradients = vec![0.0; stage.elements()];
    stage.add(weights, batch, left, &mut gradients);
    (loss * batch.scale, gradients, carries)
}

/// Carries that earlier text left, from weights that do not change with the test's.
fn first_carries(stage: &Stage, weights: &[f64], batch: &MicroBatch) -> Carries<f64> {
    let fixed = vec![0.125; weights.len()];
    let mut carries = stage.start(batch.sequences);
    stage.forward(&fixed, batch, &Alone, None, &mut carries, &|_| false).unwrap();
    carries
}

#[test]
fn gradients_of_whole_models_are_central_differences() {
    for name in ALL {
        let model = model(name);
        let stage = whole(&model);
        let mut weights: Vec<f64> = numbers(stage.elements(), 4);
        weights.iter_mut().for_each(|w| *w *= 1.2);
        let batch = batch(&model, 0);
        let (_, gradients, _) = run(&stage, &weights, &batch);
        for (parameter, place) in stage.placed() {
            println!("{name} {}", parameter.name);
            let mut all = weights.clone();
            compare(&weights[place.clone()], &gradients[place.clone()], |part| {
                all[place.clone()].copy_from_slice(part);
                run(&stage, &all, &batch).0
            });
        }
    }
}

#[test]
fn recompute_and_two_stages_change_no_bit() {
    for name in ALL {
        let model = model(name);
        let stage = whole(&model);
        let weights: Vec<f64> = stage.initial(7);
        let batch = batch(&model, 0);
        let expected = run(&stage, &weights, &batch);
        for cut in 1..model.layers() as usize {
            assert_eq!(splits::in_two(&model, cut, &weights, &batch, false), expected, "{name}");
            assert_eq!(splits::in_two(&model, cut, &weights, &batch, true), expected, "{name}");
        }
    }
}

#[test]
fn tensor_parallel_gives_the_same_gradients() {
    let halved = ["gpt", "llama", "bert", "txl", "experts"].map(|name| (name, 2));
    let thirds = ["lstm", "sampled", "mlstm", "rhn"].map(|name| (name, 3));
    for (name, ranks) in halved.into_iter().chain(thirds) {
        let model = model(name);
        let stage = whole(&model);
        let weights: Vec<f64> = stage.initial(7);
        let batch = batch(&model, 0);
        let (loss, gradients, _) = run(&stage, &weights, &batch);
        for (part_loss, part) in splits::over_tensor(&model, ranks, &batch) {
            assert!((loss - part_loss).abs() < 1e-12 * loss.abs(), "{name}");
            splits::compare_parts(&stage, &gradients, &part, name);
        }
    }
}

/// Every shipped model that can be run has as many parameters as the planner counts.
#[test]
fn sizes_are_those_of_the_planner() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/models");
    let mut compared = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let spec = parse_model(&std::fs::read_to_string(file.unwrap().path()).unwrap()).unwrap();
        let Ok(model) = Model::build(&spec) else { continue };
        if check(&model, 1).is_err() {
            continue;
        }
        let stage = whole(&model);
        let own = stage.parameters().filter(|p| p.copy_of.is_none());
        let held: u64 = own.map(|p| p.len() as u64).sum();
        assert_eq!(held, model.parameters() + small::untied_biases(&model), "{}", spec.name);
        compared += 1;
    }
    assert!(compared > 40, "{compared}");
}

#[test]
fn what_cannot_run_says_what_can() {
    let message = check(&model("mlstm"), 2).unwrap_err().to_string();
    assert!(message.contains("hidden = 3 does not divide by tp = 2"), "{message}");
    let message = check(&model("gpt"), 3).unwrap_err().to_string();
    assert!(message.contains("heads = 2 does not divide by tp = 3"), "{message}");
}
