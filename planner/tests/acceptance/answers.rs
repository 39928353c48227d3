//! Every shipped model gets an answer whose numbers agree with each other.

use crate::whole_search::planned_models;
use crate::world::{World, at_most, context, fastest, model};
use plan::document::Plan;
use plan::exchange::Exchange;
use plan::model::Batch;
use plan::report::{Report, TimePart};
use plan::schedule::ScheduleKind;
use planner::label::label;
use planner::report::{self, Context};
use planner::request::{Objective, Pins, Request};
use planner::validate::{Check, validate};
use planner::{Answer, Planned, plan};

fn world_of(name: &str) -> World {
    let cluster = model(name).training.default_cluster;
    World::shipped(name, if cluster == "local" { "rtx-3090" } else { &cluster })
}

/// What a part consists of sums to the part, all the way down.
fn adds_up(model: &str, part: &TimePart) {
    if part.parts.is_empty() {
        return;
    }
    let (sum, whole) = (part.parts.iter().map(|p| p.time.value).sum::<f64>(), part.time.value);
    assert!((sum / whole - 1.0).abs() < 1e-9, "{model}: {} is {whole}, parts {sum}", part.id);
    part.parts.iter().for_each(|part| adds_up(model, part));
}

fn consistent(request: &Request<'_>, planned: &Planned) {
    let name = &request.model.spec.name;
    let report = report::report(request, planned, &Context { top: 0, ..context() });
    let sum: f64 = report.time.iter().map(|p| p.time.value).sum();
    assert!(
        (sum / report.step.value - 1.0).abs() < 1e-9,
        "{name}: parts {sum}, step {}",
        report.step.value
    );
    report.time.iter().for_each(|part| adds_up(name, part));
    for stage in &report.memory.stages {
        let sum: f64 = stage.parts.iter().map(|p| p.bytes).sum();
        assert!((sum / stage.total_bytes - 1.0).abs() < 1e-9, "{name}: stage {}", stage.stage);
        assert!(
            at_most(stage.total_bytes, report.memory.limit_bytes),
            "{name}: stage {}",
            stage.stage
        );
        assert!(stage.parts.iter().all(|p| p.bytes >= -1.0), "{name}: {:?}", stage.parts);
    }
    let (mfu, hfu) = (report.mfu.value, report.hfu.value);
    assert!(mfu > 0.0 && at_most(mfu, hfu) && hfu <= 1.0, "{name}: MFU {mfu}, HFU {hfu}");
    assert!(at_most(report.speed_of_light.value, report.step.value), "{name}");
    assert!(
        report.step.low <= report.step.value && report.step.value <= report.step.high,
        "{name}"
    );
    assert!(report.time.iter().all(|p| p.time.value >= 0.0), "{name}: {:?}", report.time);
}

#[test]
fn numbers_of_every_answer_agree() {
    let mut answers = 0;
    for name in planned_models() {
        let world = world_of(&name);
        // Large models are asked for once, on the count that they need; the largest elsewhere.
        let counts = match world.model.parameters() / 1_000_000_000 {
            0..2 => &[8, 64][..],
            2..200 => &[64],
            _ => &[],
        };
        for &gpus in counts {
            if world.cluster.capacity().is_some_and(|most| most < gpus) {
                continue;
            }
            let request = world.request(gpus, Pins::default());
            match plan(&request, Objective::StepTime) {
                Answer::Plan(planned) => {
                    consistent(&request, &planned);
                    answers += 1;
                    println!(
                        "{name:22} {gpus:3} GPUs  {}  {}",
                        planned.solution.step,
                        label(&request, &planned.solution)
                    );
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

/// A question without an answer, and words that the refusal has to contain.
type BadQuestion<'a> = (Request<'a>, &'static str);

/// What is said to a question that has no plan.
fn refusal(request: &Request<'_>, objective: Objective) -> String {
    match plan(request, objective) {
        Answer::Plan(planned) => panic!("{}", label(request, &planned.solution)),
        Answer::Impossible(why) => why.to_string(),
        Answer::Infeasible(found) => {
            format!("none of {} fits", found.certificate.configurations)
        }
    }
}

fn bad_numbers<'a>(gpt: &'a World, station: &'a World) -> Vec<BadQuestion<'a>> {
    let pins = Pins::default();
    let base = gpt.request(8, pins);
    let batch = |global_sequences| Request { global_sequences, ..base };
    let memory = |max_memory| Request { max_memory, ..base };
    vec![
        (station.request(8, pins), "8 GPUs asked for, 4 there"),
        (gpt.request(0, pins), "number of GPUs is 0"),
        (gpt.request(1_000_000, pins), "512 does not divide over 1000000"),
        (gpt.request(999_983, pins), "512 does not divide over 999983"),
        (gpt.request(u32::MAX, pins), "does not divide over"),
        (batch(0), "global batch is 0"),
        (batch(u64::MAX), "at most"),
        (memory(0.0), "none of"),
        (memory(-1.0), "none of"),
        (memory(f64::NAN), "none of"),
    ]
}

fn bad_pins<'a>(gpt: &'a World, mlstm: &'a World) -> Vec<BadQuestion<'a>> {
    let none = Pins::default();
    let with = |pins| gpt.request(8, pins);
    let interleaved = Some(ScheduleKind::Interleaved);
    let many = Pins { pp: Some(2), schedule: interleaved, chunks: Some(50), ..none };
    let sparse = Pins { exchange: Some(Exchange::Unique), dp: Some(8), ..none };
    let seven = Request { global_sequences: 7, ..with(Pins { dp: Some(8), ..none }) };
    vec![
        (seven, "batch 7 does not divide over 8"),
        (with(Pins { tp: Some(3), ..none }), "--tp 3"),
        (with(Pins { tp: Some(0), ..none }), "--tp 0"),
        (with(Pins { dp: Some(4), tp: Some(4), ..none }), "--tp 4 --dp 4"),
        (with(Pins { tp: Some(8), ..none }), "qkv_heads = 36 does not divide by 8"),
        (with(Pins { micro_sequences: Some(7), ..none }), "--micro-batch 7"),
        (with(many), "--chunks 50"),
        (with(Pins { cp: Some(8), ..none }), "--cp 8"),
        (with(Pins { ep: Some(8), ..none }), "--ep 8"),
        (with(sparse), "every row has a gradient"),
        (mlstm.request(8, Pins { pp: Some(8), ..none }), "--pp 8"),
    ]
}

#[test]
fn bad_questions_get_words() {
    let gpt = World::shipped("gpt2", "dgx-a100");
    let mlstm = World::shipped("mlstm4096", "dgx1v");
    let station = World::shipped("word-lm-1b", "v100-station");
    for (request, words) in bad_numbers(&gpt, &station).into_iter().chain(bad_pins(&gpt, &mlstm)) {
        for objective in [Objective::StepTime, Objective::Memory] {
            let said = refusal(&request, objective);
            assert!(said.contains(words), "{said}");
        }
    }
}

#[test]
fn a_batch_per_device_grows_with_the_devices() {
    let world = World::shipped("mlstm4096", "dgx1v");
    assert_eq!(world.model.spec.training.batch, Batch::PerDevice(256));
    assert_eq!(world.request(192, Pins::default()).global_sequences, 256 * 192);
}

/// 1,001 sequences are 7 · 11 · 13, 192 devices 2⁶ · 3: the devices can only share every sequence.
/// The batches beside it use them, and what is said of them is what planning them gives.
#[test]
fn batches_that_do_not_divide_are_named_with_those_that_do() {
    let world = World::shipped("mlstm4096", "dgx1v");
    let asked =
        |batch: u64| Request { global_sequences: batch, ..world.request(192, Pins::default()) };
    let warning = |batch: u64| {
        let request = asked(batch);
        let planned = fastest(&request).unwrap();
        let context = Context { top: 0, ..context() };
        let warnings = report::report(&request, &planned, &context).warnings;
        let rate = batch as f64 / planned.detail.step.value.get();
        (rate, warnings.into_iter().find(|w| w.contains("divisor")))
    };
    let (now, said) = warning(1001);
    let (below, above) = (warning(960), warning(1152));
    let gain = |rate: f64| format!("{:.1} ×", rate / now);
    let said = said.unwrap();
    println!("{said}");
    assert!(said.contains("global batch 1001 and 192 GPUs have only the divisor 1 in common"));
    assert!(said.contains(&format!("960 does {}", gain(below.0))), "{said}");
    assert!(said.contains(&format!("1152 does {}", gain(above.0))), "{said}");
    assert!(below.1.is_none() && above.1.is_none());
}

/// A tenth less time per launch takes at least a tenth of the part of launches off the step (more
/// where launches show elsewhere: in loops over time), and no more than a tenth of the step; a
/// tenth less of an efficiency cannot make the step shorter.
#[test]
fn guesses_weigh_what_hangs_on_them() {
    let world = world_of("mlstm4096");
    let request = world.request(8, Pins::default());
    let planned = fastest(&request).expect("a plan");
    let report = report::report(&request, &planned, &Context { top: 0, ..context() });
    let all = report::weighed(&request, &planned);
    assert_eq!(all.len(), report.assumptions.len());
    let weight = |word: &str| {
        let one = all.iter().find(|w| w.what.ends_with(word)).expect(word);
        one.weight.expect(word)
    };
    let launch = report.time.iter().find(|p| p.id == "launch").expect("launches").time.value;
    let shorter = -weight("launch time") * report.step.value;
    let most = 0.1 * report.step.value;
    assert!((0.1 * launch..=most).contains(&shorter), "{shorter} of {launch}");
    assert!(weight("sustained efficiency") > 0.0);
    assert_eq!(weight("context memory"), 0.0, "memory takes no time");
}
