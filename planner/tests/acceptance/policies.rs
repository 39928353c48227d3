//! Decisions that change what is learned, or where activations are: never chosen, only pinned, and
//! always said.

use crate::world::{World, at_most, context, fastest, model};
use cost_model::events::Fold;
use cost_model::memory::Zero;
use plan::schedule::{LocalSteps, ScheduleKind};
use planner::events::{Priced, scored};
use planner::program::program;
use planner::report::{Context, document, report};
use planner::request::{Objective, Pins, Request};
use planner::validate::validate;
use planner::{Answer, Impossible, Planned, plan};

fn warns(request: &Request<'_>, planned: &Planned, words: &str) -> bool {
    let context = Context { top: 0, ..context() };
    report(request, planned, &context).warnings.iter().any(|w| w.contains(words))
}

/// As a program, a plan takes what its closed form says to 8 %.
fn program_agrees(request: &Request<'_>, planned: &Planned) {
    let s = scored(request, &planned.solution, planned.detail.step.value).unwrap();
    println!("closed form {}, program {}", s.closed_form, s.simulated);
    assert!(s.difference().abs() < 0.08, "{s:?}");
}

const LOCAL: LocalSteps = LocalSteps { every: 30, fragments: 3, delay: 2 };

/// Replicas that meet every 30 steps over a slow link take a step as if there were hardly a link,
/// and the plan says what that costs.
#[test]
fn training_apart_is_planned_when_it_is_asked_for() {
    // One 10 Gbit/s card per node.
    let world = World::shipped("gpt2-medium", "dgx-a100").with_machine(|cluster| {
        if let Some(link) = &mut cluster.groups[0].inter {
            link.bandwidth.value = plan::units::BytesPerSecond::new(1.25e9 / 8.0);
        }
    });
    let mesh =
        Pins { tp: Some(1), pp: Some(1), dp: Some(16), zero: Some(Zero::Off), ..Pins::default() };
    let in_step = world.request(16, mesh);
    let apart = world.request(16, Pins { local_steps: Some(LOCAL), ..mesh });
    let (a, b) = (fastest(&in_step).unwrap(), fastest(&apart).unwrap());
    println!("in step {}, apart {}", a.detail.step.value, b.detail.step.value);
    assert!(b.solution.step < a.solution.step * 0.9);
    assert!(warns(&apart, &b, "train apart for 30 steps") && !warns(&in_step, &a, "apart"));
    assert!(b.tensors() > a.tensors(), "outer weights and momentum are there as well");
    let file = document(&apart, &b, &context());
    assert_eq!(file.decision.local_steps, Some(LOCAL));
    let checks = validate(&apart, &file);
    assert!(checks.iter().all(|c| c.ok), "{checks:?}");
    program_agrees(&apart, &b);
    slow_ranks_hold_up_the_mean_step(&apart, &b);
}

/// A rank twice as slow makes the mean step of a period between once and twice as long, whichever
/// steps it meets the others in.
fn slow_ranks_hold_up_the_mean_step(request: &Request<'_>, planned: &Planned) {
    let settings = planner::program::settings(request, plan::program::Granularity::Stage);
    let priced = Priced::new(request, &planned.solution, &settings).unwrap();
    assert_eq!(priced.period(), u64::from(LOCAL.every));
    let prepared = priced.prepared_period(Fold::around(&priced.program, &[3])).unwrap();
    let mut slow = vec![1.0; prepared.fold().len()];
    slow[prepared.fold().instance(&priced.program, 3).unwrap() as usize] = 2.0;
    let mean = prepared.run_slowed(slow).unwrap().makespan() / priced.period() as f64;
    let calm = priced.makespan().unwrap();
    println!("calm {calm}, with a slow rank {mean}");
    assert!(calm * 1.5 < mean && mean < calm * 2.0);
}

#[test]
fn what_training_apart_cannot_share_is_named() {
    let world = World::shipped("gpt2-xl", "dgx-a100");
    let pins = Pins { local_steps: Some(LOCAL), zero: Some(Zero::Parameters), ..Pins::default() };
    let Answer::Impossible(why) = plan(&world.request(16, pins), Objective::StepTime) else {
        panic!("replicas that train apart share their states");
    };
    assert!(matches!(why, Impossible::LocalSteps { .. }), "{why}");
    assert!(why.to_string().contains("--zero 3"), "{why}");
}

/// Copies take time and save memory; what is copied is what the program copies.
#[test]
fn offloading_trades_time_for_memory() {
    let world = World::shipped("llama2-7b", "hgx-h100");
    let pins = Pins {
        tp: Some(1),
        pp: Some(1),
        zero: Some(Zero::Optimizer),
        micro_sequences: Some(1),
        recompute: Some(plan::lower::Recompute::None),
        ..Pins::default()
    };
    let (stays, goes) =
        (world.request(8, pins), world.request(8, Pins { offload: Some(true), ..pins }));
    let (a, b) = (fastest(&stays).unwrap(), fastest(&goes).unwrap());
    println!(
        "on the device {} {}, on the host {} {}",
        a.solution.step,
        a.tensors(),
        b.solution.step,
        b.tensors()
    );
    assert_eq!(a.solution.configuration.degrees, b.solution.configuration.degrees);
    assert_eq!(a.solution.setting, b.solution.setting);
    assert!(at_most(a.solution.step.get(), b.solution.step.get()) && b.tensors() < a.tensors());
    let file = document(&goes, &b, &context());
    assert!(file.decision.offload && validate(&goes, &file).iter().all(|c| c.ok));
    let settings = plan::program::Settings::default();
    let whole = program(&goes, &file.decision, &settings).unwrap();
    let copies =
        whole.classes[0].actions.iter().filter(|a| a.op == plan::program::Op::Offload).count();
    assert!(copies > 0);
    program_agrees(&goes, &b);
}

/// Yang et al. 2019 (arXiv:1909.06695): a Transformer-XL in K = 4 modules with gradients that are
/// up to three steps old is faster than data parallelism ("a much faster speedup beyond data
/// parallelism"), which is faster than modules that wait for each other.
///
/// Assumed: the 16-layer Transformer-XL of wt103 on V100, three devices each, as modules 1 and 4
/// share one with their table; the paper's machines and tables could not be read. What replicas
/// exchange is 600 MB per step, so the first half of the order is one of the link: it holds at
/// 2 GB/s, which all-reduces through the host reach, and not over NVLink.
#[test]
fn stale_modules_beat_replicas_and_replicas_beat_waiting_modules() {
    let [ouroboros, replicas, modules] = times_of_three(2e9);
    assert!(ouroboros < replicas && replicas < modules);
    let [ouroboros, replicas, modules] = times_of_three(120e9);
    assert!(replicas < ouroboros && ouroboros < modules);
}

/// Ouroboros, three replicas, and three modules without pipelining, in seconds per step.
fn times_of_three(bytes_per_second: f64) -> [f64; 3] {
    let world = World::shipped("txl-wt103", "dgx1v-ethernet").with_machine(|cluster| {
        let link = &mut cluster.groups[0].intra;
        link.bandwidth.value = plan::units::BytesPerSecond::new(bytes_per_second);
        link.pair_bandwidth = None;
    });
    let step = |pp, dp, schedule, micro| {
        let pins = Pins {
            tp: Some(1),
            pp: Some(pp),
            dp: Some(dp),
            schedule,
            micro_sequences: micro,
            ..Pins::default()
        };
        let request = world.request(3, pins);
        let planned = fastest(&request).unwrap();
        let is_stale = schedule == Some(ScheduleKind::Ouroboros);
        assert_eq!(warns(&request, &planned, "gradients are up to 3 steps old"), is_stale);
        let settings = plan::program::Settings::default();
        let timed = Priced::new(&request, &planned.solution, &settings).unwrap();
        assert_eq!(timed.program.staleness(), if is_stale { 3 } else { 0 });
        planned.solution.step.get()
    };
    let ouroboros = step(3, 1, Some(ScheduleKind::Ouroboros), None);
    let all = [ouroboros, step(1, 3, None, None), step(3, 1, Some(ScheduleKind::GPipe), Some(60))];
    println!("at {bytes_per_second:.1e} B/s: Ouroboros, replicas, modules take {all:.3?} s");
    all
}

/// Layered gradient accumulation (Lamy-Poirier 2021, arXiv:2106.02679) in the bytes that the
/// simulated program sends: gathered once per step instead of once per micro-batch.
#[test]
fn breadth_first_sends_states_once_per_batch() {
    let world = World::new(&model("megatron-1.7b"), "dgx-a100", Some("torchtitan-eager"));
    let sent = |schedule, micro| {
        let pins = Pins {
            tp: Some(1),
            pp: Some(2),
            dp: Some(4),
            zero: Some(Zero::Parameters),
            schedule: Some(schedule),
            chunks: Some(1),
            micro_sequences: Some(micro),
            recompute: Some(plan::lower::Recompute::None),
            ..Pins::default()
        };
        let mut request = world.request(8, pins);
        request.global_sequences = 64;
        let planned = fastest(&request).unwrap();
        let priced =
            Priced::new(&request, &planned.solution, &plan::program::Settings::default()).unwrap();
        let class = &priced.program.classes[1];
        let group = plan::program::Traffic::Group(plan::program::Purpose::Replicas);
        let bytes = class.ledger.iter().find(|e| e.traffic == group).unwrap().bytes.get();
        (bytes, priced.program.micro_batches, planned.detail.step.value)
    };
    let (each, m, depth) = sent(ScheduleKind::GPipe, 2);
    let (once, _, breadth) = sent(ScheduleKind::BreadthFirst, 2);
    println!("{m} micro-batches: {each:.3e} B in {depth} against {once:.3e} B in {breadth}");
    assert!((each / once - f64::from(m)).abs() < 1e-9, "{} for {m}", each / once);
    assert!(breadth <= depth);
}
