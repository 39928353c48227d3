//! A solver that knows its answers beforehand: reports as the planner once wrote them, and steps in
//! time made up from a recurrence. Screens do not change when constants do.

use plan::record::{MemoryRecord, StepRecord};
use plan::report::{InfeasibleReport, Report, RunnerUp, WhyNot};
use plan::timeline::{Block, ExposedTime, MemoryPoint, RankMemory, RankTime};
use planner::request::Pins;
use tui::candidates::{Candidate, Status, mesh_label, sort};
use tui::communication::{Curve, Traffic};
use tui::host::{Measured, Menu, Recipe};
use tui::message::{Effect, Effected, InTime, Job, Message, Numbers, Part, Task};
use tui::strips::{Strip, Strips, Transfer};
use tui::theme::Look;
use tui::{Ask, Model, Refusal, RunEvent, update};

const GIB: f64 = 1_073_741_824.0;

/// A question with its answer.
pub struct Canned {
    pub report: Report,
    pub in_time: InTime,
}

impl Canned {
    /// A model of one layer: nothing to cut, much to copy.
    pub fn mlstm() -> Self {
        let report = report(include_str!("../fixtures/mlstm4096.json"));
        let in_time = in_time(&report, 1, 1);
        Self { report, in_time }
    }

    /// A pipeline.
    pub fn llama() -> Self {
        let report = report(include_str!("../fixtures/llama2-70b.json"));
        let in_time = in_time(&report, 4, 12);
        Self { report, in_time }
    }

    pub fn ask(&self) -> Ask {
        Ask::new(self.report.machine.gpus, &self.report.machine.cluster)
    }

    pub fn menu(&self) -> Menu {
        Menu {
            model: self.report.model.name.clone(),
            clusters: vec!["dgx1v".into(), "hgx-h100".into(), "local".into()],
            recipe: Recipe { layers: 80, ..Recipe::default() },
            file: "plan.json".into(),
            steps: 20,
        }
    }

    /// The model with everything answered.
    pub fn model(&self, size: (u16, u16), look: Look) -> Model {
        let (mut model, effects) = Model::new(self.ask(), self.menu(), look, size, None);
        self.settle(&mut model, effects);
        model
    }

    /// Answers what the model asks; `false`: it wants to end.
    pub fn settle(&self, model: &mut Model, effects: Vec<Effect>) -> bool {
        let mut open = effects;
        while let Some(effect) = open.pop() {
            for message in self.messages(effect) {
                match message {
                    Some(message) => open.extend(update(model, message)),
                    None => return false,
                }
            }
        }
        true
    }

    /// What an effect leads to; `None` at the end.
    pub fn messages(&self, effect: Effect) -> Vec<Option<Message>> {
        match effect {
            Effect::Quit => vec![None],
            Effect::Solve(job) => {
                let answer = |part| Some(Message::Answer(job.generation, part));
                self.parts(&job).into_iter().map(answer).collect()
            }
            Effect::Save(plan, path) => {
                vec![Some(Message::Saved(Ok(format!("plan {} is in {path}", plan.id))))]
            }
            Effect::Export(page) => {
                vec![Some(Message::Exported(Ok(format!("the page is {}", page.path))))]
            }
            Effect::Copy(ask) => vec![Some(Message::Copied(ask.flags().join(" ")))],
            Effect::Execute(_) => {
                let steps =
                    steps(&self.report).into_iter().map(|s| Some(Message::Run(RunEvent::Step(s))));
                steps.chain([Some(Message::Run(RunEvent::Ended(Ok(()))))]).collect()
            }
        }
    }

    fn parts(&self, job: &Job) -> Vec<Part> {
        match &job.task {
            Task::Answer if job.ask.pins.tp == Some(3) => vec![
                Part::Refused(Refusal {
                    what: "no mesh has --tp 3".into(),
                    hints: vec!["hint: try --tp 4".into()],
                }),
                Part::Done,
            ],
            Task::Answer if job.ask.max_memory == Some(0.5) => {
                vec![Part::DoesNotFit(Box::new(infeasible(&self.report))), Part::Done]
            }
            Task::Answer => vec![
                Part::Plan(Box::new(self.report.clone())),
                Part::Candidates(candidates(&self.report)),
                Part::Timeline(Ok(Box::new(self.in_time.clone()))),
                Part::RunnersUp(runners(&self.report)),
                Part::Done,
            ],
            Task::Effects(knob, choices) => {
                let of = |(i, choice): (usize, &tui::knob::Choice)| Effected {
                    word: choice.word.clone(),
                    ask: choice.ask.clone(),
                    outcome: match i % 4 {
                        3 => Err("does not fit into memory".into()),
                        i => Ok(Numbers {
                            label: format!("DP {}", 192 >> i),
                            seconds: self.report.step.value * (1.0 + 0.07 * i as f64),
                            memory: (5.0 + i as f64) * GIB,
                            rate: self.report.tokens_per_second.value / (1.0 + 0.07 * i as f64),
                        }),
                    },
                };
                vec![Part::Effects(*knob, choices.iter().enumerate().map(of).collect())]
            }
            Task::WhyNot(_) => vec![Part::WhyNot(Box::new(why_not(&self.report)))],
        }
    }
}

/// The report in a file of fixtures.
fn report(text: &str) -> Report {
    serde_json::from_str(text).expect("fixtures are reports")
}

/// The same as candidates: the meshes of the certificate, every third of them solved.
fn candidates(report: &Report) -> Vec<Candidate> {
    let best = report.step.value;
    let all = report.plan.certificate.meshes.iter().zip(1u32..);
    let of = |(mesh, i): (&plan::document::RuledOut, u32)| {
        let is_best = mesh.degrees == report.plan.decision.degrees;
        let bound = mesh.bound_seconds.unwrap_or(best * 1.5);
        let seconds = (is_best || i % 3 == 0).then_some(if is_best { best } else { bound * 1.1 });
        let status = match (is_best, seconds, i % 5) {
            (true, ..) => Status::Best,
            (_, Some(_), _) => Status::Solved,
            (_, None, 4) => Status::Memory,
            _ => Status::Bound,
        };
        Candidate {
            label: mesh_label(mesh.degrees),
            degrees: mesh.degrees,
            zero: seconds.map(|_| (i % 4) as u8),
            pins: Pins::default().on_mesh(mesh.degrees),
            seconds,
            bound: Some(bound).filter(|_| seconds.is_none() && status == Status::Bound),
            memory: seconds.map(|_| GIB * (12.0 - f64::from(i % 9))),
            exposed: seconds.map(|s| s * 0.01 * f64::from(i)),
            status,
            why: format!("{:?}", mesh.reason).to_lowercase(),
        }
    };
    let mut all: Vec<Candidate> = all.map(of).collect();
    sort(&mut all);
    all
}

fn runners(report: &Report) -> Vec<RunnerUp> {
    let one = |(label, slower): (&str, f64)| RunnerUp {
        label: label.into(),
        seconds: report.step.value * (1.0 + slower),
        slower,
        faster: None,
        memory_bytes: 5.25 * GIB,
        note: "same memory".into(),
    };
    [("ZeRO 1", 0.003), ("DP 96 · TP 2 · PP 1 · ZeRO 0 · fp16", 0.089)].map(one).into()
}

fn infeasible(report: &Report) -> InfeasibleReport {
    InfeasibleReport {
        schema: plan::report::INFEASIBLE_SCHEMA.into(),
        model: report.model.clone(),
        machine: report.machine.clone(),
        configurations: 36,
        closest: plan::report::ClosestPlan {
            label: "DP 192 · TP 1 · PP 1 · ZeRO 3".into(),
            stage: 0,
            needs_bytes: 9.5 * GIB,
            limit_bytes: 8.0 * GIB,
            capacity_bytes: 16.0 * GIB,
            parts: Vec::new(),
        },
        binding: "activations: 4.1 GiB per GPU however states are shared".into(),
        ways_out: vec![plan::report::WayOut {
            change: "--max-memory 60%".into(),
            label: "DP 192".into(),
            memory_bytes: 9.5 * GIB,
            seconds: 1.02,
            note: String::new(),
        }],
        dead_ends: vec!["full recomputation".into()],
    }
}

fn why_not(report: &Report) -> WhyNot {
    let part = |label: &str, winner_seconds, other_seconds| plan::report::Difference {
        label: label.into(),
        winner_seconds,
        other_seconds,
    };
    WhyNot {
        choice: "tp=2 pp=1".into(),
        label: "DP 96 · TP 2 · PP 1".into(),
        seconds: Some(report.step.value * 1.089),
        slower: Some(0.089),
        memory_bytes: Some(5.7 * GIB),
        differences: vec![part("tensor parallel", 0.0, 0.091), part("gradients", 0.014, 0.012)],
        verdict: vec!["The best plan with it is 8.9 % slower.".into()],
    }
}

/// Steps of a run whose loss falls.
pub fn steps(report: &Report) -> Vec<StepRecord> {
    let step = |step: u64| StepRecord {
        step,
        loss: 5.5 / (1.0 + step as f64 * 0.1),
        norm: (step != 3).then_some(1.0 + (step % 3) as f64 * 0.2),
        seconds: report.step.value * if step == 0 { 3.0 } else { 1.0 + (step % 4) as f64 * 0.05 },
    };
    (0..20).map(step).collect()
}

/// A run of the plan, without raw samples.
pub fn measured(canned: &Canned) -> Measured {
    let plan = canned.report.plan.clone();
    let machine = plan::record::MachineRecord {
        fingerprint: "0".into(),
        processor: "a processor".into(),
        cores: 2,
        vectors: "none".into(),
    };
    let provenance = plan::record::Provenance {
        program: "0".into(),
        command: vec!["meshwright".into()],
        seed: 1,
        machine,
        ranks: plan.decision.world_size,
        threads_per_rank: 1,
    };
    let record = plan::record::RunRecord {
        schema: plan::record::RUN_RECORD_SCHEMA.into(),
        made_by: "test".into(),
        provenance,
        plan,
        mode: plan::record::RecordMode::Off,
        steps: steps(&canned.report),
        actions: Vec::new(),
        memory: MemoryRecord { arena_bytes: GIB, before_bytes: None, peak_bytes: Some(2.0 * GIB) },
        traffic: Vec::new(),
        canary: plan::record::Canary::default(),
        samples: None,
    };
    Measured { file: "run.json".into(), record, samples: Vec::new() }
}

/// A step of 1F1B over `stages` ranks: forward passes take 1, backward passes 2, messages nothing.
pub fn in_time(report: &Report, stages: u32, micro_batches: u32) -> InTime {
    let p = stages as usize;
    let mut rows: Vec<Strip> = (0..stages)
        .map(|stage| Strip {
            rank: stage * report.machine.gpus / stages,
            stands_for: report.machine.gpus / stages,
            stage,
            ..Strip::default()
        })
        .collect();
    let orders: Vec<Vec<(char, u32)>> =
        (0..stages).map(|s| order(s, stages, micro_batches)).collect();
    let mut ends = vec![vec![[0.0_f64; 2]; micro_batches as usize]; p];
    let mut at = vec![0; p];
    let mut clock = vec![0.0_f64; p];
    let unit = report.step.value / (3.0 * f64::from(micro_batches + stages - 1));
    // Whoever's next pass has what it needs goes on; the orders of 1F1B never block all.
    while let Some((s, start)) = next(&orders, &at, &clock, &ends) {
        let (letter, batch) = orders[s][at[s]];
        let length = if letter == 'F' { unit } else { 2.0 * unit };
        let (micro_batch, stage, end) = (Some(batch), s as u32, start + length);
        rows[s].passes.push(Block { letter, micro_batch, stage, start, end });
        if s + 1 < p && letter == 'F' {
            let end = start + length;
            let block = Transfer { start: end, end: end + unit / 4.0, name: 0 };
            rows[s].messages.push(block);
        }
        ends[s][batch as usize][usize::from(letter == 'B')] = end;
        (clock[s], at[s]) = (end, at[s] + 1);
    }
    let seconds = clock.iter().copied().fold(0.0, f64::max);
    for row in &mut rows {
        let busy: f64 = row.passes.iter().map(|b| b.end - b.start).sum();
        row.time = RankTime {
            compute_seconds: busy,
            bubble_seconds: seconds - busy,
            exposed: vec![ExposedTime { cause: "data parallel".into(), seconds: unit / 2.0 }],
            ..RankTime::default()
        };
        row.memory = memory(row, stages);
    }
    let names = vec!["send F, pipeline parallel".into()];
    let traffic = traffic(stages);
    let curve = Some(Curve {
        ranks: vec![8, 32, 192],
        lines: vec![
            (plan::exchange::Exchange::Gather, vec![64.0 * 1e6, 256.0 * 1e6, 1.5e9]),
            (plan::exchange::Exchange::Unique, vec![2e6, 8e6, 48e6]),
            (plan::exchange::Exchange::Dense, vec![32e3, 32e3, 32e3]),
        ],
    });
    InTime { predicted: Strips { seconds, rows, names }, measured: None, traffic, curve }
}

/// Warm-up, then one forward and one backward pass in turn, then drain.
fn order(stage: u32, stages: u32, micro_batches: u32) -> Vec<(char, u32)> {
    let warm = (stages - stage).min(micro_batches);
    let mut order: Vec<(char, u32)> = (0..warm).map(|b| ('F', b)).collect();
    for b in 0..micro_batches {
        order.push(('B', b));
        if b + warm < micro_batches {
            order.push(('F', b + warm));
        }
    }
    order
}

type Ends = Vec<Vec<[f64; 2]>>;

/// The stage whose next pass can start, and when.
fn next(
    orders: &[Vec<(char, u32)>],
    at: &[usize],
    clock: &[f64],
    ends: &Ends,
) -> Option<(usize, f64)> {
    let last = orders.len() - 1;
    let of = |s: usize| {
        let (letter, batch) = *orders[s].get(at[s])?;
        let b = batch as usize;
        let needs = match letter {
            'F' if s == 0 => 0.0,
            'F' => Some(ends[s - 1][b][0]).filter(|end| *end > 0.0)?,
            _ if s == last => Some(ends[s][b][0]).filter(|end| *end > 0.0)?,
            _ => Some(ends[s + 1][b][1]).filter(|end| *end > 0.0)?,
        };
        Some((s, needs.max(clock[s])))
    };
    (0..orders.len()).find_map(of)
}

fn memory(row: &Strip, stages: u32) -> RankMemory {
    let mut live = GIB;
    let mut points = vec![MemoryPoint { seconds: 0.0, bytes: live }];
    for block in &row.passes {
        live += if block.letter == 'F' { GIB / 2.0 } else { -GIB / 2.0 };
        points.push(MemoryPoint { seconds: block.end, bytes: live });
    }
    let peak = points.iter().map(|p| p.bytes).fold(0.0, f64::max);
    let at = points.iter().find(|p| p.bytes == peak).map_or(0.0, |p| p.seconds);
    let arena = peak + GIB / f64::from(stages);
    RankMemory { arena_bytes: arena, peak_bytes: peak, peak_at_seconds: at, points }
}

fn traffic(stages: u32) -> Vec<Traffic> {
    let row = |cause: &str, op: &str, group, calls, bytes, exposed| Traffic {
        cause: cause.into(),
        op: op.into(),
        group,
        calls,
        bytes,
        seconds: bytes / 40e9,
        exposed,
    };
    let mut rows = vec![row("data parallel", "all-reduce", (192, 24), 3, 0.16 * GIB, Some(0.0137))];
    rows.extend(
        (stages > 1).then(|| row("pipeline parallel", "send", (2, 2), 24, GIB, Some(0.002))),
    );
    rows
}
