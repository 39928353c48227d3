//! Memory over a step: which versions of which buffers are alive when.
//!
//! A version lives from the start of the action that writes it to the end of the last action that
//! reads it; one that is overwritten in place ends where its successor begins. What outlives the
//! step is there all the time. Sizes are the largest ones: what memory is set aside for.

use super::Simulation;
use super::graph::NONE;
use plan::program::{Buffer, Home};
use plan::units::{Bytes, Seconds};

/// Memory of a rank over a step.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryCurve {
    /// What lives from each point in time on; times rise.
    pub points: Vec<(Seconds, Bytes)>,
    /// The most that lives at once.
    pub peak: Bytes,
    /// When that is first so.
    pub at: Seconds,
    /// What the buffers take in the arena: the peak and the gaps between buffers.
    pub arena: Bytes,
}

/// Versions of one buffer within a step.
struct Life<'a> {
    buffer: &'a Buffer,
    /// Version, first and last moment.
    versions: Vec<(i32, f64, f64)>,
}

/// The memory of a simulated rank's device over the first simulated step.
#[must_use]
pub fn memory(simulation: &Simulation<'_>, instance: usize) -> MemoryCurve {
    let fold = &simulation.prepared.fold;
    let class = &simulation.prepared.program.classes[fold.classes[instance] as usize];
    let end = simulation.steps().first().map_or(0.0, |s| s.get());
    let mut changes: Vec<(f64, f64)> = Vec::new();
    for life in lives(simulation, instance) {
        let size = life.buffer.size.max.get();
        if life.buffer.is_carried {
            changes.push((0.0, life.buffer.footprint().get()));
            changes.push((end, -life.buffer.footprint().get()));
            continue;
        }
        for (from, to) in merged(&life) {
            changes.push((from, size));
            changes.push((to, -size));
        }
    }
    changes.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    curve(&changes, class.arena)
}

fn curve(changes: &[(f64, f64)], arena: Bytes) -> MemoryCurve {
    let mut points: Vec<(Seconds, Bytes)> = Vec::new();
    let mut live = 0.0;
    for &(time, change) in changes {
        live += change;
        let point = (Seconds::new(time), Bytes::new(live));
        match points.last_mut() {
            Some(last) if last.0 == point.0 => *last = point,
            _ => points.push(point),
        }
    }
    let zero = (Seconds::ZERO, Bytes::ZERO);
    let (at, peak) = points.iter().fold(zero, |best, p| if p.1 > best.1 { *p } else { best });
    MemoryCurve { points, peak, at, arena }
}

/// Intervals in which a buffer is alive, without overlap: versions that follow each other in
/// place are one.
fn merged(life: &Life<'_>) -> Vec<(f64, f64)> {
    let mut all: Vec<(f64, f64)> = life.versions.iter().map(|v| (v.1, v.2)).collect();
    if life.buffer.versions > 1 {
        return all;
    }
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut merged: Vec<(f64, f64)> = Vec::new();
    for (from, to) in all {
        match merged.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    merged
}

fn lives<'a>(simulation: &'a Simulation<'_>, instance: usize) -> Vec<Life<'a>> {
    let fold = &simulation.prepared.fold;
    let class = &simulation.prepared.program.classes[fold.classes[instance] as usize];
    let mut lives: Vec<Life<'a>> =
        class.buffers.iter().map(|buffer| Life { buffer, versions: Vec::new() }).collect();
    let Some(tasks) = simulation.prepared.compiled.tasks.first() else { return lives };
    for (action, &task) in class.actions.iter().zip(&tasks[instance]) {
        if task == NONE {
            continue;
        }
        let start = simulation.run.start(task);
        let end = simulation.run.end(task);
        for access in action.writes.iter().chain(&action.reads) {
            if let Some(life) = lives.get_mut(access.buffer.0 as usize) {
                touch(&mut life.versions, access.version, start, end);
            }
        }
    }
    lives.retain(|life| life.buffer.home == Home::Device);
    lives
}

/// Extends the life of a version, which is most often one of the last met.
fn touch(versions: &mut Vec<(i32, f64, f64)>, version: i32, start: f64, end: f64) {
    match versions.iter_mut().rev().find(|v| v.0 == version) {
        Some(life) => (life.1, life.2) = (life.1.min(start), life.2.max(end)),
        None => versions.push((version, start, end)),
    }
}
