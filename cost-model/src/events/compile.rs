//! From a program to the graph that the engine runs.

use super::fold::{Fold, other_end};
use super::graph::{Graph, NONE, Origin, Task, link};
use super::prices::{Durations, Whose};
use super::{EventError, Lanes, Messages, Options};
use plan::program::{Action, Channel, Class, Lane, Op, Peers, Program};
use std::collections::BTreeMap;

/// Lanes of a rank, and the place where its steps end.
const LANES: usize = Lane::ALL.len() + 1;

/// A graph with the way back to the actions.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    pub graph: Graph,
    /// Step by step, rank by rank: the task of each action, [`NONE`] where it does not run.
    pub tasks: Vec<Vec<Vec<u32>>>,
    /// Step by step, rank by rank: the task that ends the step.
    pub ends: Vec<Vec<u32>>,
}

/// Compiles a program.
pub(super) fn compile(
    program: &Program,
    fold: &Fold,
    durations: &Durations<'_>,
    options: &Options,
) -> Result<Compiled, EventError> {
    let mut builder = Builder::new(program, fold, durations, options);
    for step in options.steps.clone() {
        for instance in 0..fold.len() {
            builder.actions(step, instance)?;
        }
        for instance in 0..fold.len() {
            builder.order(step, instance)?;
        }
    }
    builder.finish()
}

struct Builder<'a> {
    program: &'a Program,
    fold: &'a Fold,
    durations: &'a Durations<'a>,
    options: &'a Options,
    graph: Graph,
    edges: Vec<(u32, u32)>,
    /// Place of each lane of each simulated rank.
    places: Vec<[u32; LANES]>,
    /// The last task of each place.
    last: Vec<u32>,
    /// Per simulated rank, when its host is free.
    host: Vec<f64>,
    /// Per simulated rank and token: the task that signalled it last.
    tokens: Vec<Vec<u32>>,
    /// Members of tasks that are met on several ranks, by what they are.
    collectives: BTreeMap<(u32, u32, u64), u32>,
    /// Sets of simulated ranks that form a group, by communicator and rank.
    groups: BTreeMap<(u32, u32), u32>,
    sets: BTreeMap<(u32, Vec<u32>), u32>,
    /// Where all ranks meet, by step and how many times before: where they do.
    meetings: BTreeMap<(u32, usize), u32>,
    /// Messages of each channel and, within it, each sender.
    messages: Vec<Queue>,
    /// Tasks with several places, with the others.
    joined: Vec<(u32, u32)>,
    tasks: Vec<Vec<Vec<u32>>>,
    ends: Vec<Vec<u32>>,
}

/// Messages between two ranks: those that one end has listed, and how many each end has.
#[derive(Clone, Default)]
struct Queue {
    tasks: Vec<u32>,
    sent: usize,
    received: usize,
}

impl<'a> Builder<'a> {
    fn new(
        program: &'a Program,
        fold: &'a Fold,
        durations: &'a Durations<'a>,
        options: &'a Options,
    ) -> Self {
        let contentions = match options.contends {
            true => durations.contentions(),
            false => vec![0.0; durations.contentions().len()],
        };
        let mut graph = Graph { contentions, ..Graph::default() };
        let mut places = Vec::new();
        for (instance, &class) in (0u32..).zip(&fold.classes) {
            graph.first_place.push(graph.instance_of.len() as u32);
            let class = &program.classes[class as usize];
            places.push(place_lanes(class, instance, options.lanes, &mut graph));
        }
        graph.first_place.push(graph.instance_of.len() as u32);
        let steps = options.steps.clone().count();
        let listed: usize = fold
            .classes
            .iter()
            .map(|&class| program.classes[class as usize].actions.len() + 1)
            .sum();
        graph.tasks.reserve(steps * listed + 1);
        graph.origins.reserve(steps * listed);
        Self {
            program,
            fold,
            durations,
            options,
            last: vec![NONE; graph.instance_of.len()],
            graph,
            edges: Vec::with_capacity(2 * steps * listed),
            places,
            host: vec![0.0; fold.len()],
            tokens: vec![Vec::new(); fold.len()],
            collectives: BTreeMap::new(),
            groups: BTreeMap::new(),
            sets: BTreeMap::new(),
            meetings: BTreeMap::new(),
            messages: vec![Queue::default(); program.channels.len() * fold.len()],
            joined: Vec::new(),
            tasks: Vec::new(),
            ends: Vec::new(),
        }
    }

    fn class(&self, instance: usize) -> &'a Class {
        &self.program.classes[self.fold.classes[instance] as usize]
    }

    /// Makes the tasks of a rank's step.
    fn actions(&mut self, step: u64, instance: usize) -> Result<(), EventError> {
        let class = self.class(instance);
        let mut tasks = vec![NONE; class.actions.len()];
        // The host launches first what the step before has left.
        let (durations, all) = (self.durations, || (0u32..).zip(&class.actions));
        let left = all().filter(|(_, action)| durations.is_next(action));
        for (index, action) in left.chain(all().filter(|(_, a)| !durations.is_next(a))) {
            if action.cadence.includes(step) {
                let origin = Origin { instance: instance as u32, action: index, step: step as u32 };
                tasks[index as usize] = self.action(action, origin)?;
            }
        }
        if instance == 0 {
            self.tasks.push(Vec::new());
            self.ends.push(Vec::new());
        }
        if let Some(all) = self.tasks.last_mut() {
            all.push(tasks);
        }
        Ok(())
    }

    fn action(&mut self, action: &Action, origin: Origin) -> Result<u32, EventError> {
        let instance = origin.instance as usize;
        let class = self.fold.classes[instance];
        let whose = Whose { class, rank: self.fold.ranks[instance], step: origin.step };
        let begin = self.host[instance];
        let end = begin + self.durations.launch(action);
        self.host[instance] = end;
        let place = self.places[instance][action.lane as usize];
        let task = Task {
            work: self.durations.work(whose, origin.action, action)?,
            launch: if end > begin { begin } else { 0.0 },
            launched: if end > begin { end } else { 0.0 },
            place,
            more: (0, 0),
            next: 0,
            before: 0,
            contention: self.durations.contention(action),
            links: self.links(action),
            more_links: 0,
            is_compute: action.lane == Lane::Compute,
        };
        match action.peers {
            Peers::Nobody => Ok(self.push(task, origin)),
            Peers::Group { communicator, sequence, .. } => {
                let set = self.group(communicator.0, instance);
                let key = (set, sequence, u64::from(origin.step));
                Ok(self.meet(key, task, origin))
            }
            Peers::Channel { channel, .. } if is_message(action.op) => {
                self.message(channel.0, action, task, origin)
            }
            // Waiting for a message is no message.
            Peers::Channel { .. } => Ok(self.push(task, origin)),
        }
    }

    fn push(&mut self, task: Task, origin: Origin) -> u32 {
        self.graph.tasks.push(task);
        self.graph.origins.push(origin);
        self.graph.origins.len() as u32 - 1
    }

    /// The members of a collective, as simulated ranks.
    fn group(&mut self, communicator: u32, instance: usize) -> u32 {
        if let Some(&set) = self.groups.get(&(communicator, instance as u32)) {
            return set;
        }
        let rank = self.fold.ranks[instance];
        let members = self
            .program
            .communicators
            .get(communicator as usize)
            .map_or_else(|| vec![rank], |c| c.members(rank));
        let mut all: Vec<u32> =
            members.iter().filter_map(|&r| self.fold.instance(self.program, r)).collect();
        all.sort_unstable();
        all.dedup();
        let fresh = self.sets.len() as u32;
        let set = *self.sets.entry((communicator, all)).or_insert(fresh);
        self.groups.insert((communicator, instance as u32), set);
        set
    }

    /// A task that several ranks list.
    fn meet(&mut self, key: (u32, u32, u64), task: Task, origin: Origin) -> u32 {
        match self.collectives.get(&key).copied() {
            Some(met) => {
                self.join(met, task);
                met
            }
            None => {
                let made = self.push(task, origin);
                self.collectives.insert(key, made);
                made
            }
        }
    }

    /// Adds another rank to a task.
    fn join(&mut self, met: u32, task: Task) {
        self.joined.push((met, task.place));
        let all = &mut self.graph.tasks[met as usize];
        all.work = all.work.max(task.work);
        all.launch = all.launch.max(task.launch);
        all.launched = all.launched.max(task.launched);
        all.more_links |= task.links;
        all.contention = all.contention.max(task.contention);
    }

    fn message(
        &mut self,
        channel: u32,
        action: &Action,
        mut task: Task,
        origin: Origin,
    ) -> Result<u32, EventError> {
        let instance = origin.instance as usize;
        let (program, class) = (self.program, self.fold.classes[instance]);
        let rank = self.fold.ranks[instance];
        let id = plan::program::ChannelId(channel);
        let is_send = matches!(action.op, Op::Send(_));
        let sender = match is_send {
            true => Some(origin.instance),
            false => other_end(program, id, class, rank)
                .and_then(|other| self.fold.instance(program, other)),
        };
        let sender = sender.ok_or(EventError::NoPeer { rank, action: origin.action })?;
        let place = channel as usize * self.fold.len() + sender as usize;
        let Some(queue) = self.messages.get_mut(place) else {
            return Err(EventError::NoPeer { rank, action: origin.action });
        };
        let n = if is_send { &mut queue.sent } else { &mut queue.received };
        let index = *n;
        *n += 1;
        let met = queue.tasks.get(index).copied();
        let buffered = self.options.messages == Messages::Buffered;
        if let (Some(met), false) = (met, buffered) {
            self.join(met, task);
            return Ok(met);
        }
        if buffered && !is_send {
            // The message is on its way whether or not anybody waits for it.
            (task.work, task.links) = (0.0, 0);
        }
        let made = self.push(task, origin);
        match met {
            Some(met) if is_send => self.edges.push((made, met)),
            Some(met) => self.edges.push((met, made)),
            None => self.messages[place].tasks.push(made),
        }
        Ok(made)
    }

    /// Links that an action uses on its own rank.
    fn links(&self, action: &Action) -> u8 {
        if !self.options.shares_links {
            return 0;
        }
        let far = match action.peers {
            Peers::Nobody => return 0,
            Peers::Group { communicator, .. } => {
                self.program.communicators.get(communicator.0 as usize).is_some_and(|c| c.nodes > 1)
            }
            Peers::Channel { channel, .. } => {
                self.program.channels.get(channel.0 as usize).is_some_and(crosses)
            }
        };
        let (out, inn) = match far {
            true => (link::INTER_OUT, link::INTER_IN),
            false => (link::INTRA_OUT, link::INTRA_IN),
        };
        match action.op {
            Op::Send(_) => out,
            Op::Receive(_) => inn,
            _ => out | inn,
        }
    }

    /// Puts the tasks of a rank's step in order: after what its lane did before, and after what it
    /// waits for.
    fn order(&mut self, step: u64, instance: usize) -> Result<(), EventError> {
        let class = self.class(instance);
        let at = self.tasks.len() - 1;
        let tasks = std::mem::take(&mut self.tasks[at][instance]);
        self.signals(class, instance, &tasks);
        let last_backward = last_backward(class, &tasks);
        let mut next = self.next(class, instance, &tasks);
        let mut met = 0;
        for (index, (action, &task)) in (0u32..).zip(class.actions.iter().zip(&tasks)) {
            if task == NONE || self.durations.is_next(action) {
                continue;
            }
            if action.lane == Lane::Compute && !next.is_empty() {
                let read = action.reads.iter().filter_map(|a| next.remove(&a.buffer.0));
                self.edges.extend(read.map(|gather| (gather, task)));
            }
            let hold = self.durations.hold(self.fold.classes[instance], index);
            if hold > 0.0 {
                let origin = Origin { instance: instance as u32, action: index, step: step as u32 };
                self.hold(hold, task, origin);
            }
            let place = self.places[instance][action.lane as usize] as usize;
            if action.op == Op::Optimizer && self.options.lanes == Lanes::OneThread {
                self.meet_all(step as u32, met, place);
                met += 1;
            }
            if self.last[place] != NONE {
                self.edges.push((self.last[place], task));
            }
            self.last[place] = task;
            if self.durations.is_alone(action) {
                self.stop(instance, task);
            }
            if last_backward != NONE && self.durations.delays(action) {
                self.edges.push((last_backward, task));
            }
            for token in &action.waits {
                let signaller = self.tokens[instance].get(token.0 as usize).copied();
                if let Some(signaller) = signaller.filter(|&t| t != NONE && t != task) {
                    self.edges.push((signaller, task));
                }
            }
        }
        self.tasks[at][instance] = tasks;
        self.end_step(step, instance);
        Ok(())
    }

    /// Puts what the step before has left for this one before everything else; returns what it
    /// makes, by buffer. In a long run every step finds such, so the first one does too.
    fn next(&mut self, class: &Class, instance: usize, tasks: &[u32]) -> BTreeMap<u32, u32> {
        let mut made = BTreeMap::new();
        for (action, &task) in class.actions.iter().zip(tasks) {
            if task == NONE || !self.durations.is_next(action) {
                continue;
            }
            let place = self.places[instance][action.lane as usize] as usize;
            if self.last[place] != NONE {
                self.edges.push((self.last[place], task));
            }
            self.last[place] = task;
            made.extend(action.writes.iter().map(|access| (access.buffer.0, task)));
        }
        made
    }

    /// Stops computation of a rank while a task runs.
    fn stop(&mut self, instance: usize, task: u32) {
        let place = self.places[instance][Lane::Compute as usize];
        if let Some(last) = self.last.get_mut(place as usize) {
            let before = std::mem::replace(last, task);
            if before != NONE && before != task {
                self.edges.push((before, task));
            }
        }
    }

    /// Stops computation of a rank for a while before a task.
    fn hold(&mut self, seconds: f64, task: u32, origin: Origin) {
        let place = self.places[origin.instance as usize][Lane::Compute as usize];
        if place == NONE {
            return;
        }
        let held = self.push(Task { work: seconds, ..end_task(place) }, origin);
        let before = std::mem::replace(&mut self.last[place as usize], held);
        if before != NONE {
            self.edges.push((before, held));
        }
        self.edges.push((held, task));
    }

    /// What the place did before ends before a meeting of all ranks, and what it does next begins
    /// after it.
    fn meet_all(&mut self, step: u32, n: usize, place: usize) {
        let meeting = match self.meetings.get(&(step, n)) {
            Some(&meeting) => meeting,
            None => {
                let origin = Origin { instance: 0, action: NONE, step };
                let made = self.push(end_task(self.places[0][LANES - 1]), origin);
                self.meetings.insert((step, n), made);
                made
            }
        };
        if self.last[place] != NONE {
            self.edges.push((self.last[place], meeting));
        }
        self.last[place] = meeting;
    }

    fn signals(&mut self, class: &Class, instance: usize, tasks: &[u32]) {
        let tokens = &mut self.tokens[instance];
        for (action, &task) in class.actions.iter().zip(tasks).filter(|(_, t)| **t != NONE) {
            if let Some(token) = action.signals {
                let at = token.0 as usize;
                if tokens.len() <= at {
                    tokens.resize(at + 1, NONE);
                }
                tokens[at] = task;
            }
        }
    }

    /// A step ends when all lanes but that of the outer loop have run dry, and the next one begins
    /// only then.
    fn end_step(&mut self, step: u64, instance: usize) {
        let place = self.places[instance][LANES - 1];
        let origin = Origin { instance: instance as u32, action: NONE, step: step as u32 };
        let after = self.durations.after(step as u32, self.fold.ranks[instance]);
        let end = self.push(Task { work: after, ..end_task(place) }, origin);
        for lane in Lane::ALL.into_iter().filter(|&lane| lane != Lane::Outer) {
            let place = self.places[instance][lane as usize];
            if place != NONE {
                let last = &mut self.last[place as usize];
                if *last != NONE && *last != end {
                    self.edges.push((*last, end));
                }
                *last = end;
            }
        }
        if let Some(ends) = self.ends.last_mut() {
            ends.push(end);
        }
    }

    fn finish(mut self) -> Result<Compiled, EventError> {
        let unmatched = self.messages.iter().find(|queue| queue.sent != queue.received);
        if let Some(queue) = unmatched {
            let first = queue.tasks.get(queue.sent.min(queue.received));
            let origin = first.map(|&t| self.graph.origins[t as usize]);
            let instance = origin.map_or(0, |o| o.instance as usize);
            return Err(EventError::NoPeer {
                rank: self.fold.ranks[instance],
                action: origin.map_or(0, |o| o.action),
            });
        }
        self.joined.sort_unstable();
        for &(task, place) in &self.joined {
            let at = self.graph.more.len() as u32;
            self.graph.more.push(place);
            let more = &mut self.graph.tasks[task as usize].more;
            *more = if more.0 == more.1 { (at, at + 1) } else { (more.0, at + 1) };
        }
        self.graph.tasks.push(end_task(0));
        self.graph.connect(&self.edges);
        Ok(Compiled { graph: self.graph, tasks: self.tasks, ends: self.ends })
    }
}

/// The task of the last backward pass of a step.
fn last_backward(class: &Class, tasks: &[u32]) -> u32 {
    let is_backward = |op| matches!(op, Op::Backward | Op::BackwardInput | Op::BackwardWeight);
    let mut all = class.actions.iter().zip(tasks).rev();
    all.find(|(a, t)| is_backward(a.op) && **t != NONE).map_or(NONE, |(_, t)| *t)
}

fn is_message(op: Op) -> bool {
    matches!(op, Op::Send(_) | Op::Receive(_))
}

fn crosses(channel: &Channel) -> bool {
    channel.crosses_nodes
}

fn end_task(place: u32) -> Task {
    Task {
        work: 0.0,
        launch: 0.0,
        launched: 0.0,
        place,
        more: (0, 0),
        next: 0,
        before: 0,
        contention: 0,
        links: 0,
        more_links: 0,
        is_compute: false,
    }
}

/// Gives every lane that a class uses a place: its own, or one for all.
fn place_lanes(class: &Class, instance: u32, lanes: Lanes, graph: &mut Graph) -> [u32; LANES] {
    if lanes == Lanes::OneThread {
        let place = graph.instance_of.len() as u32;
        graph.instance_of.extend([instance, instance]);
        let mut places = [place; LANES];
        places[LANES - 1] = place + 1;
        return places;
    }
    let mut is_used = [false; LANES];
    is_used[LANES - 1] = true;
    for action in &class.actions {
        is_used[action.lane as usize] = true;
    }
    is_used.map(|is_used| match is_used {
        true => {
            graph.instance_of.push(instance);
            graph.instance_of.len() as u32 - 1
        }
        false => NONE,
    })
}
