//! Whatever goes wrong on a rank, in whatever action: all ranks end, with one message.

use super::plans::{Plan, job};
use crate::comm::{Call, Fault, Problem, Tag, Task, Threads, Transport};
use crate::train::{Job, Links, RunError, Watchdog, run_rank};
use plan::exchange::Exchange;
use plan::program::Op;
use plan::schedule::ScheduleKind;
use std::mem::{Discriminant, discriminant};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wrong {
    /// The rank panics.
    Panic,
    /// The rank does nothing for longer than anybody waits.
    Stall,
    /// A message is lost.
    Lose,
    /// A message arrives cut.
    Cut,
}

/// A transport on which something goes wrong at the n-th message in an action of a kind.
struct Faulty {
    inner: Threads,
    wrong: Wrong,
    kind: Discriminant<Op>,
    countdown: AtomicU32,
}

/// How long ranks wait where somebody will be late.
const SHORT: Duration = Duration::from_millis(300);

/// How long they wait where nobody should be.
const LONG: Duration = Duration::from_secs(60);

/// Unwinds as a panic does, without printing.
fn panic_quietly() -> ! {
    std::panic::resume_unwind(Box::new("struck by a test".to_string()))
}

impl Faulty {
    fn strikes(&self, call: &Call) -> bool {
        let Task::Action(_, op, _) = call.task else { return false };
        discriminant(&op) == self.kind && self.countdown.fetch_sub(1, Ordering::SeqCst) == 1
    }
}

impl Transport for Faulty {
    fn rank(&self) -> u32 {
        self.inner.rank()
    }

    fn send(&self, to: u32, tag: Tag, message: Vec<u8>, call: &Call) -> Result<(), Fault> {
        if !self.strikes(call) {
            return self.inner.send(to, tag, message, call);
        }
        match self.wrong {
            Wrong::Panic => panic_quietly(),
            Wrong::Stall => std::thread::sleep(SHORT * 3),
            Wrong::Lose => return Ok(()),
            Wrong::Cut => {
                return self.inner.send(to, tag, message[..message.len() - 1].to_vec(), call);
            }
        }
        self.inner.send(to, tag, message, call)
    }

    fn receive(&self, from: u32, tag: Tag, call: &Call) -> Result<Vec<u8>, Fault> {
        if matches!(self.wrong, Wrong::Panic | Wrong::Stall) && self.strikes(call) {
            match self.wrong {
                Wrong::Panic => panic_quietly(),
                _ => std::thread::sleep(SHORT * 3),
            }
        }
        self.inner.receive(from, tag, call)
    }

    fn abort(&self, fault: Fault) {
        self.inner.abort(fault);
    }

    fn fault(&self) -> Option<Fault> {
        self.inner.fault()
    }
}

/// Runs all ranks of a job, one of them with a fault; returns how each ended.
fn strike(job: &Job, victim: u32, wrong: Wrong, op: Op, at: u32) -> Vec<Result<(), RunError>> {
    let all = Threads::all(job.program.ranks, |rank| Links::queues(&job.program, rank));
    let run = |inner: Threads| {
        let kind = discriminant(&op);
        let transport: Arc<dyn Transport> = if inner.rank() == victim {
            Arc::new(Faulty { inner, wrong, kind, countdown: AtomicU32::new(at) })
        } else {
            Arc::new(inner)
        };
        run_rank(job, &transport, 3, None, &super::quiet).map(|_| ())
    };
    std::thread::scope(|scope| {
        let run = &run;
        let handles: Vec<_> = all.into_iter().map(|t| scope.spawn(move || run(t))).collect();
        handles.into_iter().map(|h| h.join().unwrap()).collect()
    })
}

fn shares_layers(job: &Job) -> bool {
    let degrees = job.decision.degrees;
    degrees.tp * degrees.cp * degrees.ep > 1
}

/// Operations of a rank that talk, one of each kind.
fn talking(job: &Job, rank: u32) -> Vec<Op> {
    let (class, _) = job.program.class_of(rank).unwrap();
    let mut found: Vec<Op> = Vec::new();
    for action in &job.program.classes[class].actions {
        let talks = !matches!(action.peers, plan::program::Peers::Nobody)
            || action.op == Op::Optimizer
            || (shares_layers(job) && action.is_pass() && action.op != Op::BackwardWeight);
        let is_new = found.iter().all(|op| discriminant(op) != discriminant(&action.op));
        if talks && is_new && !matches!(action.op, Op::WaitSend(_)) {
            found.push(action.op);
        }
    }
    found
}

/// What must be said: the rank that was struck, and the action.
fn check(ends: &[Result<(), RunError>], victim: u32, wrong: Wrong, what: &str) {
    let faults: Vec<&Fault> = ends
        .iter()
        .map(|end| match end {
            Err(RunError::Fault(fault)) => fault,
            other => panic!("{what}: ended with {other:?}"),
        })
        .collect();
    assert!(faults.iter().all(|fault| *fault == faults[0]), "{what}: {faults:?}");
    let fault = faults[0];
    assert!(fault.task.starts_with("action "), "{what}: {fault}");
    match (wrong, &fault.problem) {
        (Wrong::Panic, Problem::Panicked(words)) => {
            assert_eq!((fault.rank, &words[..]), (victim, "struck by a test"), "{what}");
        }
        (Wrong::Stall | Wrong::Lose, Problem::Late { .. }) => {}
        // The next message stands in for the lost one, if it comes in time.
        (Wrong::Lose, Problem::Mismatch { from, .. })
        | (Wrong::Cut, Problem::Mismatch { from, .. }) => assert_eq!(*from, victim, "{what}"),
        (Wrong::Lose | Wrong::Cut, Problem::Damaged { from, .. }) => {
            assert_eq!(*from, victim, "{what}")
        }
        (_, problem) => panic!("{what}: {problem}"),
    }
}

#[test]
fn every_fault_ends_every_rank_with_one_message() {
    let pipeline = ScheduleKind::OneForwardOneBackward;
    let plans = [
        (Plan { dp: 2, zero: 1, ..Plan::default() }, "mlstm"),
        (Plan { dp: 2, zero: 3, ..Plan::default() }, "llama"),
        (Plan { dp: 2, pp: 2, micro_batches: 2, schedule: pipeline, ..Plan::default() }, "mlstm"),
        (Plan { tp: 2, pp: 2, micro_batches: 2, ..Plan::default() }, "llama"),
        (Plan { pp: 2, micro_batches: 2, ..Plan::default() }, "gpt"),
        (Plan { dp: 2, exchange: Some(Exchange::Sharded), ..Plan::default() }, "mlstm"),
        (Plan { dp: 2, exchange: Some(Exchange::Unique), ..Plan::default() }, "llama"),
        (Plan { cp: 2, ..Plan::default() }, "gpt"),
        (Plan { dp: 2, ep: 2, ..Plan::default() }, "experts"),
        (Plan { tp: 3, ..Plan::default() }, "mlstm"),
        (Plan { pp: 2, schedule: ScheduleKind::Ouroboros, ..Plan::default() }, "mlstm"),
    ];
    let mut cases = Vec::new();
    for (plan, name) in plans {
        let waiting = |limit| {
            let mut job = job(&plan, name);
            (job.recipe.limit, job.watchdog) = (limit, Watchdog::flat(limit));
            Arc::new(job)
        };
        let (job, hasty) = (waiting(LONG), waiting(SHORT));
        for victim in 0..job.program.ranks {
            for op in talking(&job, victim) {
                for (wrong, at) in [
                    (Wrong::Panic, 1),
                    (Wrong::Panic, 2),
                    (Wrong::Cut, 1),
                    (Wrong::Lose, 1),
                    (Wrong::Stall, 1),
                ] {
                    let is_late = matches!(wrong, Wrong::Lose | Wrong::Stall);
                    let job = if is_late { &hasty } else { &job };
                    cases.push((job.clone(), victim, wrong, op, at));
                }
            }
        }
    }
    // A receive sends nothing that could be lost or cut; an action may have one message only.
    let happens = |case: &(Arc<Job>, u32, Wrong, Op, u32)| {
        let sends = !matches!(case.3, Op::Receive(_));
        sends || matches!((case.2, case.4), (Wrong::Panic | Wrong::Stall, 1))
    };
    cases.retain(happens);
    assert!(cases.len() >= 100, "{}", cases.len());
    let next = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::SeqCst) as usize) {
                    let (job, victim, wrong, op, at) = case;
                    let what = format!("{op:?} of rank {victim}, {wrong:?} {at}");
                    let ends = strike(job, *victim, *wrong, *op, *at);
                    check(&ends, *victim, *wrong, &what);
                }
            });
        }
    });
    println!("{} faults, each ended all ranks with one message", cases.len());
}
