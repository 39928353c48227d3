//! Real questions through the solver, without files or flags around it.

use crate::world::World;
use tui::candidates::Status;
use tui::message::{Job, Part, Task};
use tui::solver::perform;
use tui::theme::Look;
use tui::{Ask, Model as Explorer, capture, key};

fn parts(world: &World, ask: Ask, task: Task) -> Vec<Part> {
    let mut parts = Vec::new();
    let job = Job { generation: 1, ask, task };
    perform(world, &job, &|| false, &mut |part| parts.push(part));
    parts
}

#[test]
fn an_answer_comes_in_parts_and_they_agree() {
    let world = World::new("mlstm4096", "dgx1v");
    let parts = parts(&world, Ask::new(16, "dgx1v"), Task::Answer);
    let report = parts.iter().find_map(|part| match part {
        Part::Plan(report) => Some(report),
        _ => None,
    });
    let report = report.expect("a plan");
    let candidates: Vec<_> = parts
        .iter()
        .filter_map(|part| match part {
            Part::Candidates(all) => Some(all),
            _ => None,
        })
        .collect();
    let [first, last] = candidates[..] else { panic!("candidates come twice") };
    let best: Vec<_> = last.iter().filter(|c| c.status == Status::Best).collect();
    assert_eq!(best.len(), 1);
    assert_eq!(best[0].seconds, Some(report.step.value));
    let solved =
        |all: &[tui::candidates::Candidate]| all.iter().filter(|c| c.seconds.is_some()).count();
    assert!(solved(last) > solved(first), "more is solved later");
    // Without stragglers the simulated step is near the closed form.
    let in_time = parts.iter().find_map(|part| match part {
        Part::Timeline(Ok(in_time)) => Some(in_time),
        _ => None,
    });
    let in_time = in_time.expect("a step in time");
    let ratio = in_time.predicted.seconds / report.step.value;
    assert!((0.8..1.05).contains(&ratio), "{ratio}");
    let exposed: f64 = in_time.traffic.iter().filter_map(|t| t.exposed).sum();
    assert!(exposed > 0.0 && in_time.traffic.iter().all(|t| t.seconds > 0.0));
    let curve = in_time.curve.as_ref().expect("a table of tokens");
    assert_eq!(curve.ranks, [8, 16]);
    assert!(matches!(parts.last(), Some(Part::Done)));
}

#[test]
fn impossible_questions_are_refused_and_large_ones_do_not_fit() {
    let world = World::new("mlstm4096", "dgx1v");
    let mut ask = Ask::new(16, "dgx1v");
    ask.pins.pp = Some(5);
    let refused = parts(&world, ask.clone(), Task::Answer);
    assert!(matches!(&refused[..], [Part::Refused(_), Part::Done]), "{refused:?}");
    ask.pins.pp = None;
    ask.max_memory = Some(0.08);
    let large = parts(&world, ask, Task::Answer);
    assert!(matches!(&large[..], [Part::DoesNotFit(_), Part::Done]), "{large:?}");
}

#[test]
fn keys_solve_look_and_train() {
    let world = World::new("mlstm4096", "dgx1v");
    let (mut model, effects) =
        Explorer::new(Ask::new(8, "dgx1v"), world.menu.clone(), Look::default(), (120, 40), None);
    let keys = key::parse("6 j j j j j 2 j w").unwrap();
    assert!(capture::press(&world, &mut model, effects, &keys));
    let text = capture::text(&capture::buffer(&model));
    assert!(text.contains("Why not"), "{text}");
    let keys = key::parse("<esc> s 7 R").unwrap();
    capture::press(&world, &mut model, Vec::new(), &keys);
    let text = capture::text(&capture::buffer(&model));
    assert!(text.contains("only one step"), "{text}");
}
