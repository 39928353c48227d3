//! The values of a knob that are worth a look.

use super::{Knob, batch_word};
use crate::ask::Ask;
use crate::host::Menu;
use cost_model::memory::Zero;
use plan::Dtype;
use plan::exchange::Exchange;
use plan::lower::Recompute;
use plan::model::Batch;
use plan::schedule::ScheduleKind;
use planner::request::{Objective, Pins};

/// A value of a knob, and the question with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// As it is typed.
    pub word: String,
    /// The question.
    pub ask: Ask,
}

/// Largest degree that is offered.
const MOST_DEGREES: u32 = 64;
/// Most values that are offered of a knob.
const MOST: usize = 16;

/// The values of a knob, least first, what is free before them. The present one is among them.
#[must_use]
pub fn choices(knob: Knob, ask: &Ask, menu: &Menu, per_node: u32) -> Vec<Choice> {
    let mut all = Vec::new();
    if !matches!(knob, Knob::Gpus | Knob::Cluster | Knob::Objective) {
        let free = knob.freed(ask);
        all.push(Choice { word: knob.free_word(&menu.recipe), ask: free });
    }
    all.extend(fixed(knob, ask, menu, per_node));
    let now = Choice { word: knob.word(ask, &menu.recipe), ask: ask.clone() };
    if all.iter().all(|choice| choice.word != now.word) {
        all.push(now);
    }
    all
}

fn fixed(knob: Knob, ask: &Ask, menu: &Menu, per_node: u32) -> Vec<Choice> {
    let with = |word: String, change: &dyn Fn(&mut Ask)| {
        let mut changed = ask.clone();
        change(&mut changed);
        Choice { word, ask: changed }
    };
    match knob {
        Knob::Gpus => numbers(&gpus(ask.gpus, per_node), &|n, a| a.gpus = n, ask),
        Knob::Cluster => {
            let set = |name: &String| with(name.clone(), &|a| a.cluster.clone_from(name));
            menu.clusters.iter().map(set).collect()
        }
        Knob::Batch => batches(ask.batch.unwrap_or(menu.recipe.batch), ask),
        Knob::Sequence => {
            let now = ask.sequence.unwrap_or(menu.recipe.sequence);
            let some = [now / 4, now / 2, now, now * 2, now * 4];
            let some = some.into_iter().filter(|n| *n > 0);
            some.map(|n| with(n.to_string(), &|a| a.sequence = Some(n))).collect()
        }
        Knob::Dtype => {
            let set = |d: Dtype| with(d.to_string(), &|a| a.dtype = Some(d));
            Dtype::ALL.into_iter().map(set).collect()
        }
        Knob::MaxMemory => {
            let set = |percent: u32| {
                with(format!("{percent}%"), &|a| a.max_memory = Some(f64::from(percent) / 100.0))
            };
            [50, 60, 70, 80, 85, 90, 95, 100].into_iter().map(set).collect()
        }
        Knob::Objective => {
            let set = |o: Objective| with(o.name().into(), &|a| a.objective = o);
            // The others are of whole runs, or of money that a cluster may not know.
            [Objective::StepTime, Objective::Memory].into_iter().map(set).collect()
        }
        _ => pinned(knob, ask, menu),
    }
}

/// Knobs that are pins.
fn pinned(knob: Knob, ask: &Ask, menu: &Menu) -> Vec<Choice> {
    let with = |word: &str, change: &dyn Fn(&mut Pins)| {
        let mut changed = ask.clone();
        change(&mut changed.pins);
        Choice { word: word.into(), ask: changed }
    };
    let degrees = divisors(ask.gpus, MOST_DEGREES);
    let switch = |change: &dyn Fn(&mut Pins, bool)| {
        vec![with("on", &|p| change(p, true)), with("off", &|p| change(p, false))]
    };
    match knob {
        Knob::Tp => numbers(&degrees, &|n, a| a.pins.tp = Some(n), ask),
        Knob::Pp => {
            let most = menu.recipe.layers.min(MOST_DEGREES);
            numbers(&divisors(ask.gpus, most), &|n, a| a.pins.pp = Some(n), ask)
        }
        Knob::Dp => {
            let all = divisors(ask.gpus, ask.gpus);
            let skip = all.len().saturating_sub(MOST);
            numbers(&all[skip..], &|n, a| a.pins.dp = Some(n), ask)
        }
        Knob::Cp => numbers(&degrees[..degrees.len().min(6)], &|n, a| a.pins.cp = Some(n), ask),
        Knob::Ep => numbers(&degrees, &|n, a| a.pins.ep = Some(n), ask),
        Knob::MicroBatch => {
            let some = [1, 2, 4, 8, 16, 32, 64, 128, 256];
            numbers(&some, &|n, a| a.pins.micro_sequences = Some(n.into()), ask)
        }
        Knob::Chunks => numbers(&[1, 2, 4, 8], &|n, a| a.pins.chunks = Some(n), ask),
        Knob::Zero => {
            let all = Zero::ALL.into_iter();
            all.map(|z| with(&z.stage().to_string(), &|p| p.zero = Some(z))).collect()
        }
        Knob::Recompute => {
            let all = Recompute::ALL.into_iter();
            all.map(|r| with(r.name(), &|p| p.recompute = Some(r))).collect()
        }
        Knob::Schedule => {
            let in_step = ScheduleKind::ALL.into_iter().filter(|k| *k != ScheduleKind::Ouroboros);
            in_step.map(|k| with(k.word(), &|p| p.schedule = Some(k))).collect()
        }
        Knob::Embedding => {
            let all = Exchange::ALL.into_iter();
            all.map(|e| with(e.name(), &|p| p.exchange = Some(e))).collect()
        }
        Knob::EmbeddingWire => {
            let all = [("fp16", 2), ("fp32", 4)].into_iter();
            all.map(|(word, n)| with(word, &|p| p.exchange_wire = Some(n))).collect()
        }
        Knob::SequenceParallel => switch(&|p, on| p.sequence_parallel = Some(on)),
        Knob::Offload => switch(&|p, on| p.offload = Some(on)),
        _ => Vec::new(),
    }
}

fn numbers(all: &[u32], set: &dyn Fn(u32, &mut Ask), ask: &Ask) -> Vec<Choice> {
    let choice = |&n: &u32| {
        let mut changed = ask.clone();
        set(n, &mut changed);
        Choice { word: n.to_string(), ask: changed }
    };
    all.iter().take(MOST).map(choice).collect()
}

/// Divisors of `n` up to `most`.
fn divisors(n: u32, most: u32) -> Vec<u32> {
    let root = f64::from(n).sqrt() as u32;
    let small: Vec<u32> = (1..=root).filter(|d| n.is_multiple_of(*d)).collect();
    let large = small.iter().rev().map(|d| n / d).filter(|d| *d > root);
    small.iter().copied().chain(large).filter(|d| *d <= most).collect()
}

/// Fewer and more devices: by halves and doubles, and node by node.
fn gpus(now: u32, per_node: u32) -> Vec<u32> {
    let node = if now >= per_node.max(1) { per_node.max(1) } else { 1 };
    let mut all = vec![now / 4, now / 2, now.saturating_sub(node), now];
    all.extend([now.checked_add(node), now.checked_mul(2), now.checked_mul(4)].iter().flatten());
    all.retain(|n| (1..=1 << 24).contains(n));
    all.sort_unstable();
    all.dedup();
    all
}

fn batches(now: Batch, ask: &Ask) -> Vec<Choice> {
    let scaled = |factor: f64| {
        let of = |n: u64| Some((n as f64 * factor) as u64).filter(|n| (1..1 << 40).contains(n));
        match now {
            Batch::Global(n) => of(n).map(Batch::Global),
            Batch::PerDevice(n) => of(n).map(Batch::PerDevice),
        }
    };
    let mut all: Vec<Batch> = [0.25, 0.5, 1.0, 2.0, 4.0].into_iter().filter_map(scaled).collect();
    all.dedup();
    let choice = |b| Choice { word: batch_word(b), ask: Ask { batch: Some(b), ..ask.clone() } };
    all.into_iter().map(choice).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(knob: Knob, ask: &Ask) -> Vec<String> {
        choices(knob, ask, &Menu::default(), 8).into_iter().map(|c| c.word).collect()
    }

    #[test]
    fn values_are_those_worth_a_look() {
        let mut ask = Ask::new(24, "c");
        assert_eq!(words(Knob::Gpus, &ask), ["6", "12", "16", "24", "32", "48", "96"]);
        assert_eq!(words(Knob::Tp, &ask), ["auto", "1", "2", "3", "4", "6", "8", "12", "24"]);
        assert_eq!(words(Knob::Zero, &ask), ["auto", "0", "1", "2", "3"]);
        assert_eq!(words(Knob::Offload, &ask), ["auto", "on", "off"]);
        // What was typed and is not offered stands at the end.
        ask.pins.tp = Some(5);
        assert_eq!(words(Knob::Tp, &ask).last().map(String::as_str), Some("5"));
        assert_eq!(divisors(36, 9), [1, 2, 3, 4, 6, 9]);
    }

    #[test]
    fn every_choice_asks_what_its_word_says() {
        let ask = Ask::new(64, "c");
        let menu = Menu { clusters: vec!["c".into(), "d".into()], ..Menu::default() };
        for knob in Knob::ALL {
            for choice in choices(knob, &ask, &menu, 8) {
                assert_eq!(knob.word(&choice.ask, &menu.recipe), choice.word, "{knob:?}");
            }
        }
    }
}
