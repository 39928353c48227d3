//! Every shipped model gets an answer whose numbers agree with each other.

use crate::whole_search::planned_models;
use crate::world::{World, at_most, fastest, model};
use plan::document::Plan;
use plan::model::Batch;
use plan::report::Report;
use planner::report::{self, Context};
use planner::request::{Objective, Pins, Request};
use planner::validate::{Check, validate};
use planner::{Answer, Planned, plan};

fn hash(text: &str) -> String {
    format!("{:08x}", text.bytes().fold(0u32, |h, b| h.wrapping_mul(31).wrapping_add(u32::from(b))))
}

fn context() -> Context<'static> {
    let none = ("none", "none");
    Context {
        made_by: "test",
        model: none,
        cluster: none,
        stack: none,
        corpus: None,
        objective: Objective::StepTime,
        hash: &hash,
        top: 3,
    }
}

fn world_of(name: &str) -> World {
    let cluster = model(name).training.default_cluster;
    World::shipped(name, if cluster == "local" { "rtx-3090" } else { &cluster })
}

fn consistent(request: &Request<'_>, planned: &Planned) {
    let name = &request.model.spec.name;
    let report = report::report(request, planned, &Context { top: 0, ..context() });
    let sum: f64 = report.time.iter().map(|p| p.time.value).sum();
    assert!((sum / report.step.value - 1.0).abs() < 1e-9, "{name}: parts {sum}, step {}", report.step.value);
    for stage in &report.memory.stages {
        let sum: f64 = stage.parts.iter().map(|p| p.bytes).sum();
        assert!((sum / stage.total_bytes - 1.0).abs() < 1e-9, "{name}: stage {}", stage.stage);
        assert!(at_most(stage.total_bytes, report.memory.limit_bytes), "{name}: stage {}", stage.stage);
        assert!(stage.parts.iter().all(|p| p.bytes >= -1.0), "{name}: {:?}", stage.parts);
    }
    let (mfu, hfu) = (report.mfu.value, report.hfu.value);
    assert!(mfu > 0.0 && at_most(mfu, hfu) && hfu <= 1.0, "{name}: MFU {mfu}, HFU {hfu}");
    assert!(at_most(report.speed_of_light.value, report.step.value), "{name}");
    assert!(report.step.low <= report.step.value && report.step.value <= report.step.high, "{name}");
    assert!(report.time.iter().all(|p| p.time.value >= 0.0), "{name}: {:?}", report.time);
}

#[test]
fn numbers_of_every_answer_agree() {
    let mut answers = 0;
    for name in planned_models() {
        let world = world_of(&name);
        // Large models are asked for once, on the count that they need.
        let counts = if world.model.parameters() < 2_000_000_000 { &[8, 64][..] } else { &[64] };
        for &gpus in counts {
            if world.cluster.capacity().is_some_and(|most| most < gpus) {
                continue;
            }
            let request = world.request(gpus, Pins::default());
            match plan(&request, Objective::StepTime) {
                Answer::Plan(planned) => {
                    consistent(&request, &planned);
                    answers += 1;
                    println!("{name:22} {gpus:3} GPUs  {}  {}", planned.solution.step, planner::label::label(&request, &planned.solution));
                }
                Answer::Infeasible(found) => {
                    assert!(found.closest.is_some(), "{name} on {gpus}");
                    println!("{name:22} {gpus:3} GPUs  does not fit");
                }
                Answer::Impossible(why) => println!("{name:22} {gpus:3} GPUs  {why}"),
            }
        }
    }
    assert!(answers > 50, "{answers}");
}

fn json(request: &Request<'_>) -> (String, Report) {
    let planned = fastest(request).unwrap();
    let report = report::report(request, &planned, &context());
    (serde_json::to_string_pretty(&report).unwrap(), report)
}

fn questions() -> [(World, u32, Pins); 4] {
    let interleaved = Pins { tp: Some(8), pp: Some(4), ..Pins::default() };
    [
        (World::shipped("mlstm4096", "dgx1v"), 64, Pins::default()),
        (World::shipped("gpt2-xl", "rtx-3090"), 8, Pins::default()),
        (World::shipped("megatron-76b", "dgx-a100"), 256, interleaved),
        (World::shipped("word-lm-1b", "titanx-fdr"), 16, Pins::default()),
    ]
}

#[test]
fn the_same_question_has_the_same_answer_to_the_byte() {
    for (world, gpus, pins) in questions() {
        let request = world.request(gpus, pins);
        assert_eq!(json(&request).0, json(&request).0, "{}", world.model.spec.name);
    }
}

fn failed(checks: &[Check]) -> Vec<&'static str> {
    checks.iter().filter(|c| !c.ok).map(|c| c.name).collect()
}

/// A mistake, and the check that must find it.
type Tampering = (&'static str, fn(&mut Plan), &'static [&'static str]);

const TAMPERINGS: [Tampering; 7] = [
    ("more replicas", |p| p.decision.degrees.dp *= 2, &["degrees", "batch"]),
    ("a degree of zero", |p| p.decision.degrees.tp = 0, &["degrees"]),
    ("more micro-batches", |p| p.decision.batch.micro_batches += 1, &["batch"]),
    ("a layer too few", |p| p.decision.stages.last_mut().unwrap().layers.last -= 1, &["stages"]),
    ("a layer counted twice", |p| p.decision.stages[0].recompute[0].layers += 1, &["layers"]),
    ("a faster prediction", |p| p.prediction.step.value *= 0.99, &["prediction"]),
    ("no stages", |p| p.decision.stages.clear(), &["stages"]),
];

#[test]
fn plans_are_valid_until_somebody_changes_them() {
    for (world, gpus, pins) in questions() {
        let name = &world.model.spec.name;
        let request = world.request(gpus, pins);
        let (text, report) = json(&request);
        let back: Report = serde_json::from_str(&text).unwrap();
        assert_eq!(back.plan, report.plan, "{name}: through JSON");
        assert_eq!(failed(&validate(&request, &back.plan)), Vec::<&str>::new(), "{name}");
        for (what, tamper, expected) in TAMPERINGS {
            let mut plan = back.plan.clone();
            tamper(&mut plan);
            let found = failed(&validate(&request, &plan));
            assert!(expected.iter().any(|e| found.contains(e)), "{name}: {what}: {found:?}");
        }
        let small = Request { max_memory: 0.02, ..request };
        assert!(failed(&validate(&small, &back.plan)).contains(&"memory"), "{name}");
    }
}

#[test]
fn a_plan_that_is_not_the_best_is_refused() {
    let world = World::shipped("mlstm4096", "dgx1v");
    let pinned = world.request(64, Pins { dp: Some(32), ..Pins::default() });
    let plan = json(&pinned).1.plan;
    assert_eq!(failed(&validate(&pinned, &plan)), Vec::<&str>::new(), "under its own pins");
    let free = world.request(64, Pins::default());
    assert_eq!(failed(&validate(&free, &plan)), ["certificate"]);
}

/// Questions without an answer; each is an error in words, none a panic.
#[test]
fn bad_questions_get_words() {
    let gpt = World::shipped("gpt2", "dgx-a100");
    let mlstm = World::shipped("mlstm4096", "dgx1v");
    let pins = Pins::default();
    let with = |pins| gpt.request(8, pins);
    let batch = |global_sequences, pins| Request { global_sequences, ..gpt.request(8, pins) };
    let questions = [
        ("no GPUs", gpt.request(0, pins)),
        ("a million GPUs", gpt.request(1_000_000, pins)),
        ("a prime number of GPUs", gpt.request(999_983, pins)),
        ("all GPUs there can be", gpt.request(u32::MAX, pins)),
        ("no batch", batch(0, pins)),
        ("a huge batch", batch(u64::MAX, pins)),
        ("7 sequences, DP 8", batch(7, Pins { dp: Some(8), ..pins })),
        ("TP 3 of 8", with(Pins { tp: Some(3), ..pins })),
        ("TP 0", with(Pins { tp: Some(0), ..pins })),
        ("DP 4 × TP 4 of 8", with(Pins { dp: Some(4), tp: Some(4), ..pins })),
        ("TP 8 of 12 heads", with(Pins { tp: Some(8), ..pins })),
        ("micro-batches of 7", with(Pins { micro_sequences: Some(7), ..pins })),
        ("interleaved, 50 chunks", with(Pins { pp: Some(2), schedule: Some(plan::schedule::ScheduleKind::Interleaved), chunks: Some(50), ..pins })),
        ("CP 8 of short sequences", with(Pins { cp: Some(8), ..pins })),
        ("8 experts of none", with(Pins { ep: Some(8), ..pins })),
        ("8 stages of 3 layers", mlstm.request(8, Pins { pp: Some(8), ..pins })),
        ("sparse rows of a tied table", with(Pins { exchange: Some(plan::exchange::Exchange::Unique), dp: Some(8), ..pins })),
        ("no memory", Request { max_memory: 0.0, ..gpt.request(8, pins) }),
        ("memory that is no number", Request { max_memory: f64::NAN, ..gpt.request(8, pins) }),
    ];
    for (what, request) in questions {
        for objective in [Objective::StepTime, Objective::Memory] {
            match plan(&request, objective) {
                Answer::Plan(planned) => println!("{what}: {}", planner::label::label(&request, &planned.solution)),
                Answer::Impossible(why) => println!("{what}: {why}"),
                Answer::Infeasible(found) => println!("{what}: nothing of {} fits", found.certificate.configurations),
            }
        }
    }
}

#[test]
fn a_batch_per_device_grows_with_the_devices() {
    let world = World::shipped("mlstm4096", "dgx1v");
    assert_eq!(world.model.spec.training.batch, Batch::PerDevice(256));
    assert_eq!(world.request(192, Pins::default()).global_sequences, 256 * 192);
}
