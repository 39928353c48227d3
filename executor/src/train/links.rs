//! A rank's communicators: one per entry of the program's tables, made before anything runs.

use super::job::Job;
use crate::comm::Group;
use crate::comm::{Communicator, Ledger, Tag, Transport};
use plan::program::{ChannelId, CommunicatorId, Program, Purpose};
use std::sync::Arc;

/// A rank's communicators.
pub struct Links {
    groups: Vec<Arc<dyn Communicator>>,
    channels: Vec<Option<Arc<dyn Communicator>>>,
    world: Arc<dyn Communicator>,
    purposes: Vec<Purpose>,
}

/// The members of every communicator, channel and of the world, with their tags, for one rank.
/// Nothing for channels that do not concern it.
fn tables(program: &Program, rank: u32) -> Vec<(Tag, Option<Vec<u32>>)> {
    let groups = program.communicators.iter().map(|c| Some(c.members(rank)));
    let class_ranks = program.classes.first().map_or(1, |class| class.ranks);
    let class = program.class_of(rank).map(|(class, _)| class as u32);
    let channels = program.channels.iter().map(|channel| {
        let is_from = Some(channel.from) == class;
        let is_to = Some(channel.to) == class;
        match (is_from, is_to) {
            (true, _) => Some(vec![rank, channel.receiver(rank, class_ranks)]),
            (_, true) => Some(vec![channel.sender(rank, class_ranks), rank]),
            _ => None,
        }
    });
    let world = std::iter::once(Some((0..program.ranks).collect()));
    (0..).map(Tag).zip(groups.chain(channels).chain(world)).collect()
}

impl Links {
    /// The queues that the rank's transport needs.
    #[must_use]
    pub fn queues(program: &Program, rank: u32) -> Vec<(u32, Tag)> {
        let queues = |(tag, members): (Tag, Option<Vec<u32>>)| {
            members.map_or_else(Vec::new, |members| Group::queues(rank, &members, tag))
        };
        tables(program, rank).into_iter().flat_map(queues).collect()
    }

    /// All communicators of the rank of a transport, slowed down to the network of the job. `None`
    /// where a table does not hold the rank.
    #[must_use]
    pub fn new(job: &Job, transport: &Arc<dyn Transport>) -> Option<Self> {
        let program = &job.program;
        let last = Tag((program.communicators.len() + program.channels.len()) as u32);
        // What all ranks agree on once per step is no part of the program, and has no price.
        let wrap = |group: Group, tag: Tag| match &job.network {
            Some(network) if tag != last => network.slow(group),
            _ => Arc::new(group) as Arc<dyn Communicator>,
        };
        Self::made(job, transport, &wrap)
    }

    /// All communicators, each made from its group and number by `wrap`.
    #[must_use]
    pub fn made(
        job: &Job,
        transport: &Arc<dyn Transport>,
        wrap: &dyn Fn(Group, Tag) -> Arc<dyn Communicator>,
    ) -> Option<Self> {
        let program = &job.program;
        let mut all = Vec::new();
        for (tag, members) in tables(program, transport.rank()) {
            all.push(match members {
                None => None,
                Some(members) => Some(wrap(Group::new(transport.clone(), members, tag)?, tag)),
            });
        }
        let world = all.pop().flatten()?;
        let channels = all.split_off(program.communicators.len());
        let groups: Option<Vec<_>> = all.into_iter().collect();
        let purposes = program.communicators.iter().map(|c| c.purpose).collect();
        Some(Self { groups: groups?, channels, world, purposes })
    }

    /// A communicator of the table.
    #[must_use]
    pub fn group(&self, id: CommunicatorId) -> Option<&Arc<dyn Communicator>> {
        self.groups.get(id.0 as usize)
    }

    /// The communicator with a purpose; none where its groups would be single ranks.
    #[must_use]
    pub fn with(&self, purpose: Purpose) -> Option<&Arc<dyn Communicator>> {
        let at = self.purposes.iter().position(|&p| p == purpose)?;
        self.groups.get(at)
    }

    /// A channel of the table: member 0 sends, member 1 receives.
    #[must_use]
    pub fn channel(&self, id: ChannelId) -> Option<&Arc<dyn Communicator>> {
        self.channels.get(id.0 as usize)?.as_ref()
    }

    /// What this rank sent on each communicator of the table.
    #[must_use]
    pub fn ledgers(&self) -> Vec<(Purpose, Ledger)> {
        let ledgers = self.groups.iter().map(|group| group.ledger());
        self.purposes.iter().copied().zip(ledgers).collect()
    }

    /// All ranks.
    #[must_use]
    pub fn world(&self) -> &Arc<dyn Communicator> {
        &self.world
    }
}
