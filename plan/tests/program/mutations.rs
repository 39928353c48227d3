//! Nothing in a program is there for nothing: whatever is changed, the program is refused, or it
//! computes the same.
//!
//! A mutant that is accepted must have the dataflow of the original: the same set of actions with
//! the same versions ([`Program::dataflow`]). In a valid program each version has one writer, so
//! such a mutant computes the same values; it may only run them in another order.

use crate::support::{Case, degrees, model};
use plan::exchange::Exchange;
use plan::lower::Recompute;
use plan::program::{Access, Digest, Granularity, Program, validate};
use plan::schedule::{LocalSteps, ScheduleKind};
use std::collections::BTreeMap;

/// What is done to a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Drop,
    Duplicate,
    Swap,
    SwapOnLane,
    MisVersion,
    UnWait,
    UnSignal,
    OneSlotFewer,
}

/// Mutants of a kind: refused, and accepted with the same dataflow.
type Counts = BTreeMap<Kind, (u64, u64)>;

struct Bench<'a> {
    original: &'a Program,
    dataflow: Digest,
    counts: &'a mut Counts,
    name: &'a str,
}

impl Bench<'_> {
    /// Judges a mutant, made from the original and taken back.
    fn judge(&mut self, kind: Kind, mutant: &Program) {
        let count = self.counts.entry(kind).or_default();
        if validate(mutant).is_err() {
            count.0 += 1;
            return;
        }
        let same = mutant.dataflow() == self.dataflow && kind != Kind::OneSlotFewer;
        assert!(same, "{}: {kind:?} is accepted and computes something else", self.name);
        count.1 += 1;
    }

    fn all(&mut self) {
        let mut mutant = self.original.clone();
        for class in 0..mutant.classes.len() {
            for action in 0..mutant.classes[class].actions.len() {
                self.lists(&mut mutant, class, action);
                self.accesses(&mut mutant, class, action);
                self.tokens(&mut mutant, class, action);
                self.memory(&mut mutant, class, action);
            }
        }
        assert_eq!(&mutant, self.original, "mutants are taken back");
    }

    fn lists(&mut self, mutant: &mut Program, class: usize, i: usize) {
        let gone = mutant.classes[class].actions.remove(i);
        self.judge(Kind::Drop, mutant);
        mutant.classes[class].actions.insert(i, gone.clone());
        mutant.classes[class].actions.insert(i, gone);
        self.judge(Kind::Duplicate, mutant);
        mutant.classes[class].actions.remove(i);
        let list = &self.original.classes[class].actions;
        if i + 1 < list.len() {
            mutant.classes[class].actions.swap(i, i + 1);
            self.judge(Kind::Swap, mutant);
            mutant.classes[class].actions.swap(i, i + 1);
        }
        let next = (i + 2..list.len()).find(|&j| list[j].lane == list[i].lane);
        if let Some(next) = next {
            mutant.classes[class].actions.swap(i, next);
            self.judge(Kind::SwapOnLane, mutant);
            mutant.classes[class].actions.swap(i, next);
        }
    }

    fn accesses(&mut self, mutant: &mut Program, class: usize, i: usize) {
        let (reads, writes) = {
            let action = &self.original.classes[class].actions[i];
            (action.reads.len(), action.writes.len())
        };
        for at in 0..reads + writes {
            for change in [-1, 1] {
                access(mutant, (class, i, at)).version += change;
                self.judge(Kind::MisVersion, mutant);
                access(mutant, (class, i, at)).version -= change;
            }
        }
    }

    fn tokens(&mut self, mutant: &mut Program, class: usize, i: usize) {
        for at in 0..self.original.classes[class].actions[i].waits.len() {
            let token = mutant.classes[class].actions[i].waits.remove(at);
            self.judge(Kind::UnWait, mutant);
            mutant.classes[class].actions[i].waits.insert(at, token);
        }
        if let Some(token) = mutant.classes[class].actions[i].signals.take() {
            self.judge(Kind::UnSignal, mutant);
            mutant.classes[class].actions[i].signals = Some(token);
        }
    }

    /// Puts a buffer where another one is that the same action uses.
    fn memory(&mut self, mutant: &mut Program, class: usize, i: usize) {
        let original = &self.original.classes[class];
        let has_place = |a: &&Access| {
            let buffer = &original.buffers[a.buffer.0 as usize];
            buffer.offset.is_some() && buffer.size.max.get() > 0.0
        };
        let mut used: Vec<&Access> = original.actions[i].accesses().filter(has_place).collect();
        used.dedup_by_key(|a| a.buffer);
        for pair in used.windows(2) {
            let (a, b) = (pair[0].buffer.0 as usize, pair[1].buffer.0 as usize);
            if a == b || original.buffers[a].home != original.buffers[b].home {
                continue;
            }
            let place = mutant.classes[class].buffers[a].offset;
            mutant.classes[class].buffers[a].offset = original.buffers[b].offset;
            self.judge(Kind::OneSlotFewer, mutant);
            mutant.classes[class].buffers[a].offset = place;
        }
    }
}

fn access(program: &mut Program, (class, action, at): (usize, usize, usize)) -> &mut Access {
    let action = &mut program.classes[class].actions[action];
    let reads = action.reads.len();
    if at < reads { &mut action.reads[at] } else { &mut action.writes[at - reads] }
}

/// Two layers of GPT-2 and two micro-batches.
fn gpt(dp: u32, tp: u32, pp: u32) -> Case {
    let mut case = Case::new(model("gpt2", 2), degrees(dp, tp, pp));
    case.micro_batches = 2;
    case
}

fn with(mut case: Case, change: fn(&mut Case)) -> Case {
    change(&mut case);
    case
}

/// One plan for everything that is lowered in its own way.
fn plans() -> Vec<(&'static str, Case)> {
    [splits(), schedules(), exchanges()].concat()
}

/// Ways to split, and orders of whole passes.
fn splits() -> Vec<(&'static str, Case)> {
    vec![
        ("one rank", gpt(1, 1, 1)),
        ("data parallel", gpt(4, 1, 1)),
        ("tensor parallel", with(gpt(1, 2, 1), |c| c.settings.granularity = Granularity::Operator)),
        (
            "sequence parallel",
            with(gpt(2, 2, 2), |c| {
                c.sequence_parallel = true;
                c.settings.granularity = Granularity::Operator;
            }),
        ),
        ("1F1B", with(gpt(2, 2, 2), |c| c.micro_batches = 4)),
        (
            "1F1B, one message at a time",
            with(gpt(1, 1, 3), |c| {
                c.micro_batches = 5;
                c.settings.send_budget = 1;
            }),
        ),
        ("GPipe", with(gpt(1, 1, 2), |c| c.schedule = ScheduleKind::GPipe)),
        (
            "interleaved",
            with(Case::new(model("gpt2", 6), degrees(1, 1, 2)), |c| {
                (c.schedule, c.chunks) = (ScheduleKind::Interleaved, 2);
            }),
        ),
    ]
}

/// Orders of halves, stale gradients, sharded states.
fn schedules() -> Vec<(&'static str, Case)> {
    vec![
        (
            "breadth-first, ZeRO 3",
            with(gpt(2, 1, 2), |c| {
                (c.schedule, c.chunks, c.zero) = (ScheduleKind::BreadthFirst, 2, 3);
            }),
        ),
        (
            "zero-bubble H1",
            with(gpt(2, 1, 2), |c| {
                (c.schedule, c.micro_batches) = (ScheduleKind::ZeroBubbleH1, 3);
            }),
        ),
        (
            "zero-bubble H2, ZeRO 2",
            with(gpt(2, 1, 2), |c| {
                (c.schedule, c.zero, c.micro_batches) = (ScheduleKind::ZeroBubbleH2, 2, 3);
            }),
        ),
        (
            "zero-bubble V",
            with(gpt(1, 1, 2), |c| {
                (c.schedule, c.chunks) = (ScheduleKind::ZeroBubbleV, 2);
            }),
        ),
        (
            "Ouroboros",
            with(gpt(1, 1, 3), |c| {
                (c.schedule, c.micro_batches) = (ScheduleKind::Ouroboros, 1);
            }),
        ),
        (
            "Ouroboros, recompute",
            with(gpt(2, 1, 2), |c| {
                (c.schedule, c.recompute) = (ScheduleKind::Ouroboros, Recompute::Full);
            }),
        ),
        ("ZeRO 1", with(gpt(2, 1, 1), |c| c.zero = 1)),
        ("ZeRO 2", with(gpt(2, 1, 1), |c| c.zero = 2)),
    ]
}

/// What is not kept, and what is not dense.
fn exchanges() -> Vec<(&'static str, Case)> {
    vec![
        ("ZeRO 3", with(gpt(2, 1, 1), |c| c.zero = 3)),
        ("recompute", with(gpt(1, 1, 2), |c| c.recompute = Recompute::Full)),
        (
            "offload",
            with(gpt(1, 1, 1), |c| {
                (c.schedule, c.micro_batches) = (ScheduleKind::GPipe, 3);
                c.settings.offload = true;
            }),
        ),
        ("gather", with(gpt(2, 1, 1), |c| c.exchange = Some(Exchange::Gather))),
        ("dedup-gather", with(gpt(2, 1, 2), |c| c.exchange = Some(Exchange::DedupGather))),
        (
            "unique, sampled",
            with(Case::new(model("word-lm-1b", 1), degrees(2, 1, 1)), |c| {
                c.exchange = Some(Exchange::Unique);
            }),
        ),
        ("sharded", with(gpt(2, 1, 1), |c| c.exchange = Some(Exchange::Sharded))),
        (
            "time chunks",
            with(Case::new(model("biglstm", 2), degrees(2, 1, 2)), |c| {
                (c.schedule, c.time_chunks) = (ScheduleKind::GPipe, 4);
            }),
        ),
        (
            "table in pieces",
            with(Case::new(model("biglstm", 2), degrees(2, 1, 3)), |c| {
                (c.exchange, c.pieces, c.zero) = (Some(Exchange::Dense), 3, 1);
            }),
        ),
        (
            "experts",
            with(Case::new(model("mixtral-8x7b", 2), degrees(4, 1, 1)), |c| {
                (c.degrees.ep, c.micro_batches) = (2, 2);
                c.settings.granularity = Granularity::Operator;
            }),
        ),
        (
            "DiLoCo",
            with(gpt(2, 1, 2), |c| {
                c.settings.local = Some(LocalSteps { every: 5, fragments: 2, delay: 1 });
            }),
        ),
    ]
}

#[test]
fn every_mutant_is_refused_or_equal() {
    let mut counts = Counts::new();
    for (name, case) in plans() {
        let original = case.lower().unwrap();
        assert_eq!(validate(&original), Ok(()), "{name}");
        let dataflow = original.dataflow();
        Bench { original: &original, dataflow, counts: &mut counts, name }.all();
    }
    for (kind, (refused, equal)) in &counts {
        eprintln!("{kind:?}: {refused} refused, {equal} equal");
    }
    let equal = |kind: Kind| counts[&kind].1;
    assert_eq!(equal(Kind::Drop) + equal(Kind::Duplicate) + equal(Kind::MisVersion), 0);
    assert_eq!(equal(Kind::UnSignal), 0);
    let total: u64 = counts.values().map(|(refused, equal)| refused + equal).sum();
    assert!(total > 10_000, "{total} mutants");
}
