//! Replicas that do not train in step: local steps against an average taken by hand, Ouroboros
//! against a loop over its modules, activations on the host against those that stay.

use super::plans::{Plan, job};
use super::{close, losses, quiet, same_bits, state, train};
use crate::checkpoint::Checkpoint;
use crate::data::{Batches, Slice, Source};
use crate::matrix::Matrix;
use crate::model::{Carries, Kept, MicroBatch, Output, Stage};
use crate::ops::across::Alone;
use crate::optimizer::{Rule, Schedule};
use crate::train::{Job, Outer, run_threads};
use plan::document::Decision;
use plan::program::Op;
use plan::schedule::{LocalSteps, ScheduleKind};
use std::collections::VecDeque;
use std::sync::Arc;

fn apart(every: u32, fragments: u32, delay: u32) -> impl Fn(&mut Decision) {
    move |decision| decision.local_steps = Some(LocalSteps { every, fragments, delay })
}

fn run(job: &Job, until: u64, from: Option<&Checkpoint>) -> Checkpoint {
    state(run_threads(job, until, from, &quiet).unwrap())
}

/// Meeting after every step, with plain descent inside and the mean taken as it is outside, is
/// training in step: the mean of the steps is the step of the mean.
#[test]
fn meeting_every_step_is_training_in_step() {
    let plan = Plan { dp: 2, ..Plan::default() };
    for name in ["mlstm", "llama", "gpt"] {
        let plain = |mut job: Job| {
            job.recipe.rule = Rule::Sgd;
            job.recipe.schedule = Schedule::Constant { rate: 0.1 };
            job.recipe.clip = None;
            job.outer = Outer { rate: 1.0, momentum: 0.0, mixing: 0.0 };
            run(&job, 3, None)
        };
        let met = plain(plan.job_but(name, apart(1, 1, 0)));
        let plainly = plain(job(&plan, name));
        for (name, tensor) in &plainly.tensors {
            let other = &met.tensors[name];
            for (a, b) in tensor.values.iter().zip(&other.values) {
                assert!((a - b).abs() <= 1e-6 + 1e-5 * a.abs(), "{name} {a} {b}");
            }
        }
    }
}

/// With weights in bfloat16 what is compared and merged are the masters in single precision: the
/// same up to weights that lie between two numbers of the format.
#[test]
fn masters_meet_where_weights_are_rounded() {
    let rounded = Plan { dp: 2, is_rounded: true, ..Plan::default() };
    let plain = |mut job: Job| {
        job.recipe.rule = Rule::Sgd;
        job.recipe.schedule = Schedule::Constant { rate: 0.1 };
        job.recipe.clip = None;
        job.outer = Outer { rate: 1.0, momentum: 0.0, mixing: 0.0 };
        job
    };
    let met = run(&plain(rounded.job_but("llama", apart(1, 1, 0))), 3, None);
    let plainly = run(&plain(job(&rounded, "llama")), 3, None);
    for (name, tensor) in &plainly.tensors {
        for (a, b) in tensor.values.iter().zip(&met.tensors[name].values) {
            assert!((a - b).abs() <= 1e-4 + 1e-3 * a.abs(), "{name} {a} {b}");
        }
    }
    let job = rounded.job_but("llama", apart(4, 2, 1));
    let half = run(&job, 3, None);
    assert!(run(&job, 7, Some(&half)) == run(&job, 7, None));
}

/// Two replicas by hand: each is a job of one rank on its half of the text; after the first step
/// and the third their weights are averaged outside, by the formula of the outer optimizer.
#[test]
fn local_steps_are_replicas_that_are_averaged_by_hand() {
    let plan = Plan { dp: 2, ..Plan::default() };
    let mut both = plan.job_but("llama", apart(2, 1, 0));
    both.recipe.clip = Some(0.1);
    let met = run(&both, 3, None);
    let alone = job(&Plan::default(), "llama");
    let (mut replicas, mut velocity) = (Vec::new(), Vec::new());
    for replica in 0..2u64 {
        let mut one = alone.clone();
        one.recipe.clip = Some(0.1);
        // The lanes of the replica's sequences, one after the other.
        let text = both.batches.source();
        let half = text.tokens() / 4 * 2;
        let tokens = text.read(replica * half, half as usize).unwrap();
        one.batches = Batches::new(Source::Memory(Arc::new(tokens)), 2, 4, 11).unwrap();
        replicas.push((one, None));
    }
    let mut anchor = run(&alone, 0, None);
    let Outer { rate, momentum, .. } = both.outer;
    for until in [1, 3] {
        for (job, now) in &mut replicas {
            *now = Some(run(job, until, now.as_ref()));
        }
        let weights = |c: &Checkpoint, name: &str| c.tensors[name].values.clone();
        let names: Vec<String> = anchor.tensors.keys().cloned().collect();
        let is_weight = |name: &&String| !name.starts_with("mean");
        for (i, name) in names.iter().filter(is_weight).enumerate() {
            let parts: Vec<Vec<f32>> =
                replicas.iter().map(|(_, c)| weights(c.as_ref().unwrap(), name)).collect();
            let theta = &mut anchor.tensors.get_mut(name).unwrap().values;
            velocity.resize_with(velocity.len().max(i + 1), Vec::new);
            let v: &mut Vec<f32> = &mut velocity[i];
            v.resize(theta.len(), 0.0);
            for (j, theta) in theta.iter_mut().enumerate() {
                let d = ((*theta - parts[0][j]) + (*theta - parts[1][j])) * 0.5;
                v[j] = momentum * v[j] + d;
                *theta -= rate * (d + momentum * v[j]);
                for (_, now) in &mut replicas {
                    now.as_mut().unwrap().tensors.get_mut(name).unwrap().values[j] = *theta;
                }
            }
        }
    }
    for (name, tensor) in &anchor.tensors {
        if !name.starts_with("mean") {
            assert_eq!(tensor.values, met.tensors[name].values, "{name}");
        }
    }
}

/// Fragments and delays: a run that stops in the middle of a period goes on as if it had not.
#[test]
fn a_run_with_local_steps_goes_on_where_it_stopped() {
    let plan = Plan { dp: 2, pp: 2, ..Plan::default() };
    let job = plan.job_but("llama", apart(4, 2, 1));
    let whole = run(&job, 7, None);
    let half = run(&job, 3, None);
    assert!(half.tensors.keys().any(|name| name.starts_with("replica/1/")));
    assert!(run(&job, 7, Some(&half)) == whole);
}

/// One module of a pipeline that does not wait.
struct Module {
    stage: Stage,
    weights: Vec<f32>,
    carries: Carries<f32>,
    kept: VecDeque<(Kept<f32>, Arc<MicroBatch>)>,
    /// The gradient that came in the step before.
    dy: Option<Arc<Matrix<f32>>>,
}

/// Module `k` of `K` works on activations and gradients that are `K − 1 − k` steps old; until they
/// exist its gradients are zeros. A table that both ends share has the sum of both gradients.
fn ouroboros_by_hand(job: &Job, steps: u64, recompute: bool) -> Vec<Vec<f32>> {
    let modules = job.decision.stages.iter().map(|s| {
        let chain = s.layers.first as usize..s.layers.last as usize + 1;
        let stage = Stage::new(&job.model, chain, (0, 1)).unwrap();
        let weights = stage.initial(job.recipe.seed);
        let carries = stage.start(2);
        Module { stage, weights, carries, kept: VecDeque::new(), dy: None }
    });
    let mut modules: Vec<Module> = modules.collect();
    let mut states: Vec<_> =
        modules.iter().map(|m| job.recipe.rule.start(m.weights.len())).collect();
    let last = modules.len() - 1;
    for step in 0..steps {
        let slice = Slice { step, sequences: 0..2, piece: (0, 1), loss_scale: 1.0, draw: 0 };
        let batch = Arc::new(job.batches.micro_batch(&slice).unwrap());
        let mut x = None;
        for m in &mut modules {
            let carries = &mut m.carries;
            let (out, kept) =
                m.stage.forward(&m.weights, &batch, &Alone, x, carries, &|_| recompute).unwrap();
            m.kept.push_back((kept, batch.clone()));
            x = if let Output::Activation(y) = out { Some(y) } else { None };
        }
        let mut gradients: Vec<Vec<f32>> =
            modules.iter().map(|m| vec![0.0; m.weights.len()]).collect();
        let mut handed: Vec<Option<Arc<Matrix<f32>>>> = vec![None; modules.len()];
        for (k, m) in modules.iter_mut().enumerate() {
            if m.kept.len() <= last - k {
                continue;
            }
            let (kept, batch) = m.kept.pop_front().unwrap();
            let mut back = m.stage.start(2);
            let dy = m.dy.take();
            let (dx, left) =
                m.stage.backward(&m.weights, &batch, &Alone, kept, dy, &mut back).unwrap();
            m.stage.add(&m.weights, &batch, left, &mut gradients[k]);
            if let Some(before) = k.checked_sub(1) {
                handed[before] = dx;
            }
        }
        let copy = modules[last].stage.placed().find(|(p, _)| p.copy_of.is_some());
        let copy = copy.map(|(_, place)| place);
        if let Some(copy) = &copy {
            let other = gradients[last][copy.clone()].to_vec();
            crate::matrix::add(&mut gradients[0][..other.len()], &other);
        }
        for (k, m) in modules.iter_mut().enumerate() {
            m.dy = handed[k].take();
            let by = (0.003, 1.0, step);
            job.recipe.rule.update(&mut m.weights, &gradients[k], &mut states[k], by);
        }
        if let Some(copy) = copy {
            let table = modules[0].weights[..copy.len()].to_vec();
            modules[last].weights[copy].copy_from_slice(&table);
        }
    }
    modules.into_iter().map(|m| m.weights).collect()
}

#[test]
fn ouroboros_is_a_loop_over_its_modules() {
    for name in ["mlstm", "llama", "gpt", "lstm"] {
        let plan = Plan { pp: 2, schedule: ScheduleKind::Ouroboros, ..Plan::default() };
        for recompute in [false, true] {
            let mut job = job(&Plan { recompute, ..plan }, name);
            job.recipe.clip = None;
            let trained = run(&job, 6, None);
            let by_hand = ouroboros_by_hand(&job, 6, recompute);
            for (stage, values) in job.decision.stages.iter().zip(by_hand) {
                let chain = stage.layers.first as usize..stage.layers.last as usize + 1;
                let stage = Stage::new(&job.model, chain, (0, 1)).unwrap();
                for (parameter, place) in stage.placed().filter(|(p, _)| p.copy_of.is_none()) {
                    let ours = &trained.tensors[&parameter.name].values;
                    assert_eq!(ours, &values[place], "{name} {}", parameter.name);
                }
            }
        }
    }
}

#[test]
fn ouroboros_trains_replicas_as_micro_batches() {
    let plan = Plan { pp: 2, schedule: ScheduleKind::Ouroboros, ..Plan::default() };
    for name in ["llama", "mlstm", "gpt", "lstm"] {
        let two = Plan { dp: 2, ..plan };
        let (a, b) = (train(&two, name), train(&Plan { micro_batches: 2, ..plan }, name));
        assert_eq!(losses(&a).len(), 3);
        close(&state(a), &state(b), name);
    }
}

#[test]
fn activations_on_the_host_change_no_bit() {
    let schedule = ScheduleKind::GPipe;
    for name in ["llama", "gpt", "mlstm"] {
        let plan = Plan { micro_batches: 4, schedule, ..Plan::default() };
        for plan in [plan, Plan { recompute: true, ..plan }] {
            let away = plan.job_but(name, |decision| decision.offload = true);
            let actions = || away.program.classes.iter().flat_map(|class| &class.actions);
            assert!(actions().any(|action| action.op == Op::Offload), "{name}: nothing leaves");
            assert!(run(&away, 3, None) == state(train(&plan, name)), "{name}");
            same_bits(name, &plan);
        }
    }
}
