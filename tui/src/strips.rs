//! A step in time, rank by rank: blocks of computation above blocks of communication.

use plan::program::{Action, Lane, Program};
use plan::record::{StepSamples, median};
use plan::timeline::{self, Block, RankMemory, RankTime, Timeline};
use std::collections::BTreeMap;

/// A step, or several.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Strips {
    /// From the first start to the last end, seconds.
    pub seconds: f64,
    /// Ranks; of ranks to which the same happens one.
    pub rows: Vec<Strip>,
    /// What blocks of communication are, by [`Transfer::name`].
    pub names: Vec<String>,
}

/// A rank in time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Strip {
    /// The rank.
    pub rank: u32,
    /// Ranks to which the same happens, itself included.
    pub stands_for: u32,
    /// Its first virtual stage.
    pub stage: u32,
    /// Passes and updates, in order.
    pub passes: Vec<Block>,
    /// Collectives and messages, in order of their start.
    pub messages: Vec<Transfer>,
    /// Where its time goes; nothing of a measured rank.
    pub time: RankTime,
    /// Its memory; nothing of a measured rank.
    pub memory: RankMemory,
}

/// A collective or a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transfer {
    /// Start, seconds.
    pub start: f64,
    /// End, seconds.
    pub end: f64,
    /// Place in [`Strips::names`].
    pub name: u32,
}

/// A simulated step.
#[must_use]
pub fn simulated(program: &Program, timeline: &Timeline) -> Strips {
    let mut strips = Strips { seconds: timeline.seconds, ..Strips::default() };
    let mut names = Names::default();
    for rank in &timeline.ranks {
        let Some(class) = program.classes.get(rank.class as usize) else { continue };
        let mut row = Strip {
            rank: rank.rank,
            stands_for: rank.stands_for,
            stage: class.stages.first().copied().unwrap_or(0),
            time: rank.time.clone(),
            memory: rank.memory.clone(),
            ..Strip::default()
        };
        for span in &rank.spans {
            if let Some(action) = class.actions.get(span.action as usize) {
                row.add(action, (span.start_seconds, span.end_seconds), &mut names);
            }
        }
        row.messages.sort_by(|a, b| a.start.total_cmp(&b.start));
        strips.rows.push(row);
    }
    strips.names = names.all;
    strips
}

/// The measured step of median length, all ranks.
#[must_use]
pub fn measured(program: &Program, samples: &[StepSamples]) -> Option<Strips> {
    let step = typical(program.ranks, samples)?;
    let start = step.iter().map(|s| s.start).fold(f64::INFINITY, f64::min);
    let end = step.iter().map(|s| s.end).fold(0.0, f64::max);
    let mut strips = Strips { seconds: end - start, ..Strips::default() };
    let mut names = Names::default();
    for sample in step {
        let (class, _) = program.class_of(sample.rank)?;
        let class = &program.classes[class];
        let stage = class.stages.first().copied().unwrap_or(0);
        let mut row = Strip { rank: sample.rank, stands_for: 1, stage, ..Strip::default() };
        for one in &sample.actions {
            if let Some(action) = class.actions.get(one.a as usize) {
                row.add(action, (one.s - start, one.e - start), &mut names);
            }
        }
        row.messages.sort_by(|a, b| a.start.total_cmp(&b.start));
        strips.rows.push(row);
    }
    strips.names = names.all;
    Some(strips)
}

/// The samples of the step whose length is nearest to the median; the first one touches memory for
/// the first time.
fn typical(ranks: u32, samples: &[StepSamples]) -> Option<Vec<&StepSamples>> {
    let mut steps: BTreeMap<u64, Vec<&StepSamples>> = BTreeMap::new();
    for sample in samples {
        steps.entry(sample.step).or_default().push(sample);
    }
    steps.retain(|_, all| all.len() == ranks as usize);
    if steps.len() > 1 {
        steps.pop_first();
    }
    let length = |all: &Vec<&StepSamples>| {
        let start = all.iter().map(|s| s.start).fold(f64::INFINITY, f64::min);
        all.iter().map(|s| s.end).fold(0.0, f64::max) - start
    };
    let middle = median(steps.values().map(length).collect())?;
    let distance = |all: &Vec<&StepSamples>| (length(all) - middle).abs();
    let mut typical = steps.into_values().min_by(|a, b| distance(a).total_cmp(&distance(b)))?;
    typical.sort_by_key(|sample| sample.rank);
    Some(typical)
}

#[derive(Default)]
struct Names {
    all: Vec<String>,
    known: BTreeMap<String, u32>,
}

impl Names {
    fn place(&mut self, name: String) -> u32 {
        if let Some(place) = self.known.get(&name) {
            return *place;
        }
        let place = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.all.push(name.clone());
        self.known.insert(name, place);
        place
    }
}

impl Strip {
    fn add(&mut self, action: &Action, (start, end): (f64, f64), names: &mut Names) {
        if end <= start {
            return;
        }
        if action.lane == Lane::Compute {
            return timeline::extend(&mut self.passes, action, (start, end));
        }
        let what = timeline::op(action);
        let what = what.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end();
        let name = names.place(format!("{what}, {}", timeline::cause(action.cause)));
        self.messages.push(Transfer { start, end, name });
    }

    /// The pass that runs at a time, or the next one.
    #[must_use]
    pub fn at(&self, time: f64) -> Option<&Block> {
        let after = self.passes.partition_point(|block| block.end <= time);
        self.passes.get(after).or(self.passes.last())
    }

    /// Share of its time in which it waits for others.
    #[must_use]
    pub fn bubble(&self, seconds: f64) -> f64 {
        self.time.bubble_seconds / seconds.max(f64::MIN_POSITIVE)
    }
}

/// Blocks that overlap a window, of blocks in order.
#[must_use]
pub fn within(blocks: &[Block], from: f64, to: f64) -> &[Block] {
    let first = blocks.partition_point(|block| block.end <= from);
    let last = blocks.partition_point(|block| block.start < to);
    blocks.get(first.min(last)..last).unwrap_or(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(start: f64, end: f64) -> Block {
        Block { letter: 'F', micro_batch: None, stage: 0, start, end }
    }

    #[test]
    fn windows_hold_what_overlaps_them() {
        let all = [block(0.0, 1.0), block(1.0, 2.0), block(3.0, 4.0)];
        assert_eq!(within(&all, 0.5, 1.5).len(), 2);
        assert_eq!(within(&all, 2.0, 3.0).len(), 0);
        assert_eq!(within(&all, 1.0, 9.0).len(), 2);
        let strip = Strip { passes: all.to_vec(), ..Strip::default() };
        assert_eq!(strip.at(2.5).map(|b| b.start), Some(3.0));
        assert_eq!(strip.at(9.0).map(|b| b.start), Some(3.0));
    }
}
