//! From a simulation to the timeline that every view shows.

use super::graph::NONE;
use super::memory::memory;
use super::path::Link;
use super::{Breakdown, MemoryCurve, Simulation};
use plan::timeline::{
    ExposedTime, MemoryPoint, Origin, PathSpan, RankMemory, RankTime, RankTimeline, Span,
    TIMELINE_SCHEMA, Timeline, Wait, cause,
};

impl Simulation<'_> {
    /// Everything that happened, under the id of the plan.
    #[must_use]
    pub fn timeline(&self, plan: &str) -> Timeline {
        let fold = &self.prepared.fold;
        Timeline {
            schema: TIMELINE_SCHEMA.into(),
            plan: plan.into(),
            origin: Origin::Simulated,
            seconds: self.makespan,
            step_seconds: self.steps().iter().map(|s| s.get()).collect(),
            ranks: (0..fold.len()).map(|instance| self.rank(instance)).collect(),
            critical_path: self.path(),
        }
    }

    fn rank(&self, instance: usize) -> RankTimeline {
        let fold = &self.prepared.fold;
        RankTimeline {
            rank: fold.ranks[instance],
            stands_for: fold.counts[instance],
            class: fold.classes[instance],
            spans: self.spans(instance),
            time: time(&self.breakdown(instance)),
            memory: curve(&memory(self, instance)),
        }
    }

    fn spans(&self, instance: usize) -> Vec<Span> {
        let steps = self.prepared.steps.clone().zip(&self.prepared.compiled.tasks);
        let mut spans = Vec::new();
        for (step, tasks) in steps {
            let mine = (0u32..).zip(&tasks[instance]).filter(|(_, task)| **task != NONE);
            spans.extend(mine.map(|(action, &task)| Span {
                action,
                step: step as u32,
                start_seconds: self.run.start(task),
                end_seconds: self.run.end(task),
                waited_for: wait(self.path_action(task).link),
            }));
        }
        spans
    }

    fn path(&self) -> Vec<PathSpan> {
        let ranks = &self.prepared.fold.ranks;
        let path = self.critical_path().into_iter();
        path.filter_map(|p| {
            Some(PathSpan {
                rank: ranks[p.instance as usize],
                action: p.action?,
                start_seconds: p.start.get(),
                end_seconds: p.end.get(),
                waited_for: wait(p.link),
            })
        })
        .collect()
    }
}

fn wait(link: Link) -> Wait {
    match link {
        Link::Start => Wait::Start,
        Link::Lane => Wait::Lane,
        Link::Token => Wait::Token,
        Link::Peer => Wait::Peer,
        Link::Host => Wait::Host,
    }
}

fn time(breakdown: &Breakdown) -> RankTime {
    let exposed = breakdown.exposed.iter();
    RankTime {
        compute_seconds: breakdown.compute.get(),
        recompute_seconds: breakdown.recompute.get(),
        update_seconds: breakdown.update.get(),
        contention_seconds: breakdown.contention.get(),
        straggling_seconds: breakdown.straggling.get(),
        launch_seconds: breakdown.launch.get(),
        exposed: exposed
            .map(|e| ExposedTime { cause: cause(e.cause), seconds: e.time.get() })
            .collect(),
        bubble_seconds: breakdown.bubble.get(),
    }
}

fn curve(memory: &MemoryCurve) -> RankMemory {
    let points = memory.points.iter();
    RankMemory {
        arena_bytes: memory.arena.get(),
        peak_bytes: memory.peak.get(),
        peak_at_seconds: memory.at.get(),
        points: points
            .map(|(time, live)| MemoryPoint { seconds: time.get(), bytes: live.get() })
            .collect(),
    }
}
