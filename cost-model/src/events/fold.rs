//! Which ranks are simulated: one for each set of ranks to which the same things happen.
//!
//! Ranks of a class do the same with different peers, so without a rank that differs one of each
//! class stands for all. Where some rank is slower, ranks are alike when they do the same *and*
//! everybody they meet is alike: the coarsest such partition is found by refining colours until
//! nothing changes. Starts are maxima and sums over whom a rank meets, so alike ranks have equal
//! times, and simulating one of each is exact (checked by `folding_changes_nothing`).

use plan::program::{ChannelId, CommunicatorId, Peers, Program};
use std::collections::BTreeMap;

/// Ranks that are simulated, and whom each stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fold {
    /// The simulated ranks, rising.
    pub(super) ranks: Vec<u32>,
    /// Class of each.
    pub(super) classes: Vec<u32>,
    /// Ranks that each stands for, itself included.
    pub(super) counts: Vec<u32>,
    /// Simulated rank of every rank; empty where it is that of its class.
    of_rank: Vec<u32>,
}

impl Fold {
    /// One rank of each class: nobody is slower than its like.
    #[must_use]
    pub fn classes(program: &Program) -> Self {
        Self {
            ranks: program.classes.iter().map(|c| c.first_rank).collect(),
            classes: (0..program.classes.len() as u32).collect(),
            counts: program.classes.iter().map(|c| c.ranks).collect(),
            of_rank: Vec::new(),
        }
    }

    /// Every rank for itself.
    #[must_use]
    pub fn nobody(program: &Program) -> Self {
        let ranks: Vec<u32> = (0..program.ranks).collect();
        Self::by_colour(program, ranks)
    }

    /// As few as possible when the ranks of `different` are like nobody else.
    #[must_use]
    pub fn around(program: &Program, different: &[u32]) -> Self {
        let mut colours: Vec<u32> = (0..program.ranks)
            .map(|rank| program.class_of(rank).map_or(0, |(class, _)| class as u32))
            .collect();
        for (i, &rank) in (0u32..).zip(different) {
            if let Some(colour) = colours.get_mut(rank as usize) {
                *colour = program.classes.len() as u32 + i;
            }
        }
        let meetings = Meetings::of(program);
        let mut kinds = 0;
        loop {
            let (next, n) = meetings.refine(program, &colours);
            colours = next;
            if n == kinds {
                return Self::by_colour(program, colours);
            }
            kinds = n;
        }
    }

    fn by_colour(program: &Program, colours: Vec<u32>) -> Self {
        let mut fold = Self {
            ranks: vec![],
            classes: vec![],
            counts: vec![],
            of_rank: vec![0; colours.len()],
        };
        let mut seen: BTreeMap<u32, u32> = BTreeMap::new();
        for (rank, colour) in (0u32..).zip(colours) {
            let fresh = fold.ranks.len() as u32;
            let instance = *seen.entry(colour).or_insert(fresh);
            if instance == fresh {
                let class = program.class_of(rank).map_or(0, |(class, _)| class as u32);
                fold.ranks.push(rank);
                fold.classes.push(class);
                fold.counts.push(0);
            }
            fold.counts[instance as usize] += 1;
            fold.of_rank[rank as usize] = instance;
        }
        fold
    }

    /// Simulated ranks.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ranks.len()
    }

    /// Whether there is nothing to simulate.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranks.is_empty()
    }

    /// Who stands for a rank.
    #[must_use]
    pub fn instance(&self, program: &Program, rank: u32) -> Option<u32> {
        match self.of_rank.is_empty() {
            true => program.class_of(rank).map(|(class, _)| class as u32),
            false => self.of_rank.get(rank as usize).copied(),
        }
    }
}

/// Whom ranks meet, class by class.
struct Meetings {
    groups: Vec<Vec<CommunicatorId>>,
    channels: Vec<Vec<ChannelId>>,
}

impl Meetings {
    fn of(program: &Program) -> Self {
        let mut groups = Vec::new();
        let mut channels = Vec::new();
        for class in &program.classes {
            let (mut mine, mut ends) = (Vec::new(), Vec::new());
            for action in &class.actions {
                match action.peers {
                    Peers::Nobody => {}
                    Peers::Group { communicator, .. } => mine.push(communicator),
                    Peers::Channel { channel, .. } => ends.push(channel),
                }
            }
            mine.sort_unstable();
            mine.dedup();
            ends.sort_unstable();
            ends.dedup();
            groups.push(mine);
            channels.push(ends);
        }
        Self { groups, channels }
    }

    /// Tells ranks of a colour apart that meet other colours; also how many colours there are now.
    fn refine(&self, program: &Program, colours: &[u32]) -> (Vec<u32>, usize) {
        let mut sets: BTreeMap<(u32, u32), Vec<u32>> = BTreeMap::new();
        let mut seen: BTreeMap<Vec<u32>, u32> = BTreeMap::new();
        let mut next = Vec::with_capacity(colours.len());
        for rank in 0..program.ranks {
            let mut signature = vec![colours[rank as usize]];
            if let Some((class, _)) = program.class_of(rank) {
                for &id in &self.groups[class] {
                    signature.extend(group_colours(program, id, rank, colours, &mut sets));
                    signature.push(u32::MAX);
                }
                for &id in &self.channels[class] {
                    let other = other_end(program, id, class as u32, rank);
                    let colour = other.and_then(|r| colours.get(r as usize));
                    signature.push(colour.copied().unwrap_or(u32::MAX));
                }
            }
            let fresh = seen.len() as u32;
            next.push(*seen.entry(signature).or_insert(fresh));
        }
        let kinds = seen.len();
        (next, kinds)
    }
}

/// Colours in the group of a rank, each once.
fn group_colours(
    program: &Program,
    id: CommunicatorId,
    rank: u32,
    colours: &[u32],
    sets: &mut BTreeMap<(u32, u32), Vec<u32>>,
) -> Vec<u32> {
    let Some(communicator) = program.communicators.get(id.0 as usize) else { return Vec::new() };
    let leader = rank - communicator.place(rank) * communicator.stride;
    let set = sets.entry((id.0, leader)).or_insert_with(|| {
        let members = communicator.members(rank);
        let mut set: Vec<u32> =
            members.iter().filter_map(|&r| colours.get(r as usize).copied()).collect();
        set.sort_unstable();
        set.dedup();
        set
    });
    set.clone()
}

/// The rank at the other end of a channel.
pub(super) fn other_end(program: &Program, id: ChannelId, class: u32, rank: u32) -> Option<u32> {
    let channel = program.channels.get(id.0 as usize)?;
    let ranks = program.classes.get(class as usize)?.ranks;
    let other = match class == channel.from {
        true => channel.receiver(rank, ranks),
        false => channel.sender(rank, ranks),
    };
    (other < program.ranks).then_some(other)
}

#[cfg(test)]
impl Fold {
    /// Ranks that only their numbers are known of.
    pub(super) fn with_counts(counts: &[u32]) -> Self {
        let ranks: Vec<u32> = (0..counts.len() as u32).collect();
        Self { classes: ranks.clone(), ranks, counts: counts.to_vec(), of_rank: Vec::new() }
    }
}
