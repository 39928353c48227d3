//! The event loop: what ends next, what may start then, and how fast everything runs.
//!
//! Every running task has a rate. Alone it is 1. Computation beside a collective with contention γ
//! and that collective both run at `1/(1 + γ)`, so that `C` and `X` seconds together take
//! `max(C, X) + γ·min(C, X)`: the law of [`crate::overlap::together`]. Transfers that use the same
//! link of a rank in the same direction share it: `n` of them run at `1/n` each. A task of several
//! ranks is as slow as it is on the slowest of them.
//!
//! Rates change only when something starts or ends, and only on ranks where that matters; between
//! two events all is linear, so the times are exact up to rounding, and where no rate ever differs
//! from 1 an end is exactly its start plus its work.

use super::graph::{Graph, NONE, Task, link};
use super::queue::Queue;

/// When everything happened.
#[derive(Clone, Debug)]
pub(super) struct Run {
    tasks: Vec<Record>,
    /// Tasks that ran.
    pub done: usize,
}

/// When a task happened. Together in memory, because the loop needs all of it at once.
#[derive(Clone, Copy, Debug)]
struct Record {
    start: f64,
    end: f64,
    /// The predecessor that ended last, [`NONE`] where there is none.
    blocker: u32,
    /// Predecessors that have not ended.
    before: u32,
}

impl Run {
    /// Start of a task; infinite where it never started.
    pub fn start(&self, task: u32) -> f64 {
        self.tasks[task as usize].start
    }

    /// End of a task; infinite where it never ended.
    pub fn end(&self, task: u32) -> f64 {
        self.tasks[task as usize].end
    }

    /// The predecessor that ended last, [`NONE`] where there is none.
    pub fn blocker(&self, task: u32) -> u32 {
        self.tasks[task as usize].blocker
    }

    /// Ends of all tasks.
    pub fn ends(&self) -> impl Iterator<Item = f64> {
        self.tasks.iter().map(|t| t.end)
    }
}

/// What runs at a place.
#[derive(Clone, Copy)]
struct Slot {
    /// The task, [`NONE`] where the place is free.
    task: u32,
    /// Whether it has started; otherwise it waits for the host.
    is_running: bool,
    /// Work left at `since`.
    left: f64,
    since: f64,
    rate: f64,
}

const FREE: Slot = Slot { task: NONE, is_running: false, left: 0.0, since: 0.0, rate: 1.0 };

/// What runs on a rank.
#[derive(Clone, Copy, Default)]
struct Load {
    /// Computation.
    compute: u16,
    /// Collectives that contend with it.
    contenders: u16,
    /// Transfers per link and direction.
    links: [u16; link::KINDS],
    /// Whether rates have to be looked at again.
    is_touched: bool,
}

struct Engine<'a> {
    graph: &'a Graph,
    /// Factor on the work of computation, per simulated rank.
    slowdown: &'a [f64],
    now: f64,
    slots: Vec<Slot>,
    loads: Vec<Load>,
    queue: Queue,
    ready: Vec<u32>,
    fresh: Vec<u32>,
    touched: Vec<u32>,
    run: Run,
}

/// Runs all tasks of a graph. Tasks that wait for each other in a circle never start.
pub(super) fn run(graph: &Graph, slowdown: &[f64]) -> Run {
    let n = graph.len();
    let fresh = |task: &Task| Record {
        start: f64::INFINITY,
        end: f64::INFINITY,
        blocker: NONE,
        before: task.before,
    };
    let run = Run { tasks: graph.tasks[..n].iter().map(fresh).collect(), done: 0 };
    let mut engine = Engine {
        graph,
        slowdown,
        now: 0.0,
        slots: vec![FREE; graph.instance_of.len()],
        loads: vec![Load::default(); slowdown.len()],
        queue: Queue::new(graph.instance_of.len()),
        ready: (0..n as u32).filter(|&t| graph.tasks[t as usize].before == 0).collect(),
        fresh: Vec::new(),
        touched: Vec::new(),
        run,
    };
    engine.settle();
    while let Some((time, _)) = engine.queue.first() {
        engine.now = time;
        engine.take_due();
        engine.settle();
    }
    engine.run
}

impl Engine<'_> {
    /// Ends or starts whatever is due now.
    fn take_due(&mut self) {
        while let Some((time, place)) = self.queue.first() {
            if time > self.now {
                return;
            }
            self.queue.pop();
            let slot = self.slots[place as usize];
            if slot.is_running {
                self.vacate(slot.task);
                self.finish(slot.task);
            } else {
                self.begin(slot.task);
            }
        }
    }

    /// Starts what is ready until nothing is, then sets rates and ends.
    fn settle(&mut self) {
        while let Some(task) = self.ready.pop() {
            let launch = self.graph.tasks[task as usize].launch;
            if launch > self.now {
                let place = self.graph.tasks[task as usize].place;
                self.slots[place as usize] = Slot { task, ..FREE };
                self.queue.set(place, launch);
            } else {
                self.begin(task);
            }
        }
        while let Some(instance) = self.touched.pop() {
            self.rerate(instance);
        }
        while let Some(task) = self.fresh.pop() {
            let t = &self.graph.tasks[task as usize];
            let rate = self.rate(t);
            let slot = &mut self.slots[t.place as usize];
            slot.rate = rate;
            self.queue.set(t.place, due(slot, t));
        }
    }

    fn begin(&mut self, task: u32) {
        self.run.tasks[task as usize].start = self.now;
        let t = &self.graph.tasks[task as usize];
        if t.work == 0.0 && t.launched <= self.now {
            self.slots[t.place as usize] = FREE;
            return self.finish(task);
        }
        self.occupy(task, t);
        self.fresh.push(task);
    }

    fn finish(&mut self, task: u32) {
        self.run.tasks[task as usize].end = self.now;
        self.run.done += 1;
        for &next in self.graph.after(task) {
            let record = &mut self.run.tasks[next as usize];
            record.before -= 1;
            if record.before == 0 {
                record.blocker = task;
                self.ready.push(next);
            }
        }
    }

    fn occupy(&mut self, task: u32, t: &Task) {
        let instance = self.graph.instance_of[t.place as usize] as usize;
        let left = if t.is_compute { t.work * self.slowdown[instance] } else { t.work };
        let slot = Slot { task, is_running: true, left, since: self.now, rate: 1.0 };
        self.slots[t.place as usize] = slot;
        if t.is_compute {
            self.loads[instance].compute += 1;
            if self.loads[instance].contenders > 0 {
                self.touch(instance);
            }
            return;
        }
        let graph = self.graph;
        for (place, links) in graph.places(t) {
            self.slots[place as usize].task = task;
            self.load(graph.instance_of[place as usize] as usize, t, links, true);
        }
    }

    fn vacate(&mut self, task: u32) {
        let graph = self.graph;
        let t = &graph.tasks[task as usize];
        if t.is_compute {
            self.slots[t.place as usize] = FREE;
            let instance = graph.instance_of[t.place as usize] as usize;
            self.loads[instance].compute -= 1;
            if self.loads[instance].contenders > 0 {
                self.touch(instance);
            }
            return;
        }
        for (place, links) in graph.places(t) {
            self.slots[place as usize] = FREE;
            self.load(graph.instance_of[place as usize] as usize, t, links, false);
        }
    }

    /// Counts a transfer in or out, and notes where that changes rates.
    fn load(&mut self, instance: usize, t: &Task, links: u8, comes: bool) {
        let load = &mut self.loads[instance];
        let mut changes = false;
        if self.graph.contentions[t.contention as usize] > 0.0 {
            load.contenders = if comes { load.contenders + 1 } else { load.contenders - 1 };
            changes = load.compute > 0;
        }
        for (kind, users) in load.links.iter_mut().enumerate() {
            if links & (1 << kind) != 0 {
                *users = if comes { *users + 1 } else { *users - 1 };
                changes |= *users >= if comes { 2 } else { 1 };
            }
        }
        if changes {
            self.touch(instance);
        }
    }

    fn touch(&mut self, instance: usize) {
        if !self.loads[instance].is_touched {
            self.loads[instance].is_touched = true;
            self.touched.push(instance as u32);
        }
    }

    /// Looks at the rate of everything that runs on a rank again.
    fn rerate(&mut self, instance: u32) {
        self.loads[instance as usize].is_touched = false;
        let first = &self.graph.first_place;
        for place in first[instance as usize]..first[instance as usize + 1] {
            let task = self.slots[place as usize].task;
            if task == NONE {
                continue;
            }
            let t = &self.graph.tasks[task as usize];
            if !self.slots[t.place as usize].is_running {
                continue;
            }
            let rate = self.rate(t);
            let slot = &mut self.slots[t.place as usize];
            if rate != slot.rate {
                slot.left = (slot.left - (self.now - slot.since) * slot.rate).max(0.0);
                (slot.since, slot.rate) = (self.now, rate);
                let time = due(slot, t);
                self.queue.set(t.place, time);
            }
        }
    }

    fn rate(&self, t: &Task) -> f64 {
        if t.is_compute {
            let instance = self.graph.instance_of[t.place as usize];
            return match self.loads[instance as usize].contenders {
                0 => 1.0,
                _ => 1.0 / (1.0 + self.contention(instance)),
            };
        }
        let here = |(place, links): (u32, u8)| {
            let load = &self.loads[self.graph.instance_of[place as usize] as usize];
            let gamma = self.graph.contentions[t.contention as usize];
            let beside = if load.compute > 0 { 1.0 + gamma } else { 1.0 };
            let users = load.links.iter().enumerate().filter(|(kind, _)| links & (1 << kind) != 0);
            let sharing = users.map(|(_, n)| *n).max().unwrap_or(1).max(1);
            1.0 / (beside * f64::from(sharing))
        };
        self.graph.places(t).map(here).fold(1.0, f64::min)
    }

    /// The strongest contention among the collectives that run on a rank.
    fn contention(&self, instance: u32) -> f64 {
        let first = &self.graph.first_place;
        let places = first[instance as usize]..first[instance as usize + 1];
        let tasks = places.map(|place| self.slots[place as usize].task).filter(|&t| t != NONE);
        let each = tasks.map(|task| &self.graph.tasks[task as usize]).filter(|t| !t.is_compute);
        let running = each.filter(|t| self.slots[t.place as usize].is_running);
        running.map(|t| self.graph.contentions[t.contention as usize]).fold(0.0, f64::max)
    }
}

/// When a running task ends if nothing changes: not before the host has launched all of it.
fn due(slot: &Slot, task: &Task) -> f64 {
    (slot.since + slot.left / slot.rate).max(task.launched)
}
