//! The critical path: from the last end back to the beginning, always to what ended last.

use super::Simulation;
use super::graph::NONE;
use plan::units::Seconds;

/// Why an action could not start earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// The step began.
    Start,
    /// Its lane was busy.
    Lane,
    /// It waited for another lane of its rank.
    Token,
    /// It waited for another rank.
    Peer,
    /// The host had not launched it.
    Host,
}

/// An action on the critical path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PathAction {
    /// A simulated rank that runs it, by its number among them.
    pub instance: u32,
    /// Place in the list of its class; `None` where a step ends.
    pub action: Option<u32>,
    /// When it could have started, but for the host.
    pub free: Seconds,
    /// Start.
    pub start: Seconds,
    /// End.
    pub end: Seconds,
    /// What it waited for.
    pub link: Link,
}

impl Simulation<'_> {
    /// A longest chain of actions, first to last, each starting when the one before has ended (or
    /// when the host gets there): their times and the waits for the host add up to the makespan.
    /// Checked by `the_critical_path_adds_up`.
    #[must_use]
    pub fn critical_path(&self) -> Vec<PathAction> {
        let mut ends = (0u32..).zip(self.run.ends());
        let last = ends.find(|(_, end)| *end == self.makespan);
        let mut path = Vec::new();
        let mut task = last.map_or(NONE, |(task, _)| task);
        while task != NONE {
            path.push(self.path_action(task));
            task = self.run.blocker(task);
        }
        path.reverse();
        path
    }

    pub(super) fn path_action(&self, task: u32) -> PathAction {
        let graph = &self.prepared.compiled.graph;
        let origin = graph.origins[task as usize];
        let blocker = self.run.blocker(task);
        let free = if blocker == NONE { 0.0 } else { self.run.end(blocker) };
        let start = self.run.start(task);
        let link = match blocker {
            _ if start > free => Link::Host,
            NONE => Link::Start,
            _ => self.link(task, blocker),
        };
        PathAction {
            instance: origin.instance,
            action: (origin.action != NONE).then_some(origin.action),
            free: Seconds::new(free),
            start: Seconds::new(start),
            end: Seconds::new(self.run.end(task)),
            link,
        }
    }

    fn link(&self, task: u32, blocker: u32) -> Link {
        let graph = &self.prepared.compiled.graph;
        let (mine, other) = (graph.tasks[task as usize], graph.tasks[blocker as usize]);
        let shares = |of: fn(u32, &[u32]) -> u32| {
            let places = graph.places(&mine);
            places.into_iter().any(|(a, _)| {
                graph
                    .places(&other)
                    .any(|(b, _)| of(a, &graph.instance_of) == of(b, &graph.instance_of))
            })
        };
        if shares(|place, _| place) {
            Link::Lane
        } else if shares(|place, instances| instances[place as usize]) {
            Link::Token
        } else {
            Link::Peer
        }
    }
}
