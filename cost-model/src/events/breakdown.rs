//! Where the time of a rank goes: computation, communication that nothing hides, waiting.
//!
//! Whenever the compute lane of a rank is idle, something keeps its next action from starting. The
//! chain of what ended last before what ended last says what it was: while a transfer of this rank
//! was under way, that time is exposed communication of the transfer's cause; while something ran
//! on another rank, it is bubble; while only the host was busy, it is launching.

use super::Simulation;
use super::graph::NONE;
use super::prices::{ChargePrice, Durations};
use plan::mesh::Axis;
use plan::program::{Action, Cause, Lane, Op};
use plan::units::Seconds;
use std::collections::BTreeMap;

/// Communication of one cause that nothing hides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exposed {
    /// The decision that asks for it.
    pub cause: Cause,
    /// Its time.
    pub time: Seconds,
}

/// Where the time of a rank goes; the parts add up to the makespan.
#[derive(Clone, Debug, PartialEq)]
pub struct Breakdown {
    /// Passes over layers, recomputation not included.
    pub compute: Seconds,
    /// Passes for activations that were not kept.
    pub recompute: Seconds,
    /// Updates of weights, and whatever else is computed beside passes.
    pub update: Seconds,
    /// Longer computation because collectives run beside it.
    pub contention: Seconds,
    /// Longer computation because the rank is slow.
    pub straggling: Seconds,
    /// Waiting for the host to launch.
    pub launch: Seconds,
    /// Communication that nothing hides, by cause.
    pub exposed: Vec<Exposed>,
    /// Waiting for other ranks.
    pub bubble: Seconds,
}

impl Breakdown {
    /// Sum of the parts.
    #[must_use]
    pub fn total(&self) -> Seconds {
        let busy = self.compute + self.recompute + self.update + self.contention + self.straggling;
        busy + self.launch + self.exposed_total() + self.bubble
    }

    /// All communication that nothing hides.
    #[must_use]
    pub fn exposed_total(&self) -> Seconds {
        self.exposed.iter().map(|e| e.time).sum()
    }
}

/// Sums while a rank is walked.
#[derive(Default)]
struct Sums {
    compute: f64,
    recompute: f64,
    update: f64,
    contention: f64,
    straggling: f64,
    launch: f64,
    exposed: BTreeMap<Cause, f64>,
    bubble: f64,
}

impl Simulation<'_> {
    /// Where the time of a simulated rank goes. Checked by `breakdowns_add_up`.
    #[must_use]
    pub fn breakdown(&self, instance: usize) -> Breakdown {
        let mut sums = Sums::default();
        let mut now = 0.0;
        let mut last = NONE;
        for (task, action) in self.tasks_of(instance) {
            let end = self.run.end(task);
            if last == NONE || end > self.run.end(last) {
                last = task;
            }
            if action.lane != Lane::Compute {
                continue;
            }
            self.gap(instance, task, now, &mut sums);
            self.busy(instance, task, action, &mut sums);
            now = end;
        }
        if last != NONE {
            let end = self.run.end(last);
            self.segment(instance, last, now, &mut sums);
            self.gap(instance, last, now, &mut sums);
            sums.bubble += self.makespan - end.max(now);
        } else {
            sums.bubble += self.makespan;
        }
        sums.into_breakdown()
    }

    /// Tasks of a rank in the order in which they are listed, step after step.
    fn tasks_of(&self, instance: usize) -> impl Iterator<Item = (u32, &Action)> {
        let class = self.prepared.fold.classes[instance] as usize;
        let actions = &self.prepared.program.classes[class].actions;
        let steps = self.prepared.compiled.tasks.iter();
        let all = steps.flat_map(move |step| step[instance].iter().copied().zip(actions));
        all.filter(|(task, _)| *task != NONE)
    }

    fn busy(&self, instance: usize, task: u32, action: &Action, sums: &mut Sums) {
        let took = self.run.end(task) - self.run.start(task);
        let t = &self.prepared.compiled.graph.tasks[task as usize];
        let slow = t.work * (self.slowdown[instance] - 1.0);
        let rest = took - t.work - slow;
        sums.straggling += slow;
        if self.run.end(task) == t.launched {
            sums.launch += rest;
        } else {
            sums.contention += rest;
        }
        let price = match self.prepared.durations {
            Durations::Prices(prices) => prices.of(action),
            Durations::Measured(_) | Durations::Recorded(_) => None,
        };
        sums.work(action, t.work, price);
    }

    /// What a rank did between `from` and the start of a task.
    fn gap(&self, instance: usize, task: u32, from: f64, sums: &mut Sums) {
        let mut task = task;
        loop {
            let start = self.run.start(task);
            if start <= from {
                return;
            }
            let blocker = self.run.blocker(task);
            let free = if blocker == NONE { 0.0 } else { self.run.end(blocker) };
            // It was free to start before, so the host kept it.
            sums.launch += start - free.max(from).min(start);
            if blocker == NONE || free <= from {
                return;
            }
            self.segment(instance, blocker, from, sums);
            task = blocker;
        }
    }

    /// Attributes the time of a task after `from`, as seen by a rank whose compute lane is idle.
    fn segment(&self, instance: usize, task: u32, from: f64, sums: &mut Sums) {
        let (start, end) = (self.run.start(task), self.run.end(task));
        let time = end - start.max(from);
        if time <= 0.0 {
            return;
        }
        let graph = &self.prepared.compiled.graph;
        let t = &graph.tasks[task as usize];
        let is_mine =
            graph.places(t).any(|(p, _)| graph.instance_of[p as usize] as usize == instance);
        match self.action(task).filter(|_| is_mine && !t.is_compute) {
            Some(action) => *sums.exposed.entry(action.cause).or_default() += time,
            None => sums.bubble += time,
        }
    }
}

impl Sums {
    fn work(&mut self, action: &Action, work: f64, price: Option<&ChargePrice>) {
        let inside = |part: fn(&ChargePrice) -> Seconds| price.map_or(0.0, |p| part(p).get());
        let axes = [
            (Axis::Tensor, inside(|p| p.parts.tensor.value)),
            (Axis::Context, inside(|p| p.parts.context.value)),
            (Axis::Expert, inside(|p| p.parts.expert.value)),
        ];
        let waits = inside(|p| p.parts.launch.value);
        let mut rest = work - waits;
        self.launch += waits;
        for (axis, time) in axes.into_iter().filter(|(_, time)| *time > 0.0) {
            *self.exposed.entry(Cause::Layout(axis)).or_default() += time;
            rest -= time;
        }
        let kind = match action.op {
            Op::Recompute => &mut self.recompute,
            Op::Forward | Op::Backward | Op::BackwardInput | Op::BackwardWeight => {
                &mut self.compute
            }
            _ => &mut self.update,
        };
        *kind += rest;
    }

    fn into_breakdown(self) -> Breakdown {
        let exposed = self.exposed.into_iter();
        Breakdown {
            compute: Seconds::new(self.compute),
            recompute: Seconds::new(self.recompute),
            update: Seconds::new(self.update),
            contention: Seconds::new(self.contention),
            straggling: Seconds::new(self.straggling),
            launch: Seconds::new(self.launch),
            exposed: exposed
                .map(|(cause, time)| Exposed { cause, time: Seconds::new(time) })
                .collect(),
            bubble: Seconds::new(self.bubble),
        }
    }
}
