//! What has run before what, within one rank.

use crate::program::{Action, Cadence, Lane};

const LANES: usize = Lane::ALL.len();

/// Per lane, how many of its actions have run for sure.
pub(crate) type Clock = [u32; LANES];

/// Clocks of the actions of a list, taken in order.
///
/// An action runs after the one before it on its lane and after those that it waits for, and so
/// after everything that those run after: the clock of an action is the maximum of theirs. Actions
/// that run in some steps only count for those that run in the same steps.
pub(crate) struct Clocks {
    clocks: Vec<Clock>,
    /// Lane and place on it, from 1.
    places: Vec<(usize, u32)>,
    lengths: [u32; LANES],
    /// Per cadence, of which there are few, the last action of each lane.
    last: Vec<(Cadence, [Option<u32>; LANES])>,
    /// Per lane, its actions.
    lanes: [Vec<u32>; LANES],
}

impl Clocks {
    pub fn new(actions: usize) -> Self {
        Self {
            clocks: Vec::with_capacity(actions),
            places: Vec::with_capacity(actions),
            lengths: [0; LANES],
            last: Vec::new(),
            lanes: std::array::from_fn(|_| Vec::new()),
        }
    }

    /// What an action has behind it before it waits for anything: the next one to be
    /// [pushed](Self::push).
    pub fn before(&self, action: &Action) -> Clock {
        let lane = action.lane as usize;
        let of = |cadence| {
            let mine = self.last.iter().find(|(known, _)| *known == cadence);
            mine.and_then(|(_, last)| last[lane])
        };
        let latest = of(Cadence::EACH_STEP).max(of(action.cadence));
        latest.map_or([0; LANES], |i| self.clocks[i as usize])
    }

    /// Takes the next action, with what it has behind it.
    pub fn push(&mut self, action: &Action, mut clock: Clock) {
        let (lane, id) = (action.lane as usize, self.clocks.len() as u32);
        self.lengths[lane] += 1;
        clock[lane] = self.lengths[lane];
        self.places.push((lane, self.lengths[lane]));
        self.clocks.push(clock);
        self.lanes[lane].push(id);
        match self.last.iter_mut().find(|(known, _)| *known == action.cadence) {
            Some((_, last)) => last[lane] = Some(id),
            None => {
                let mut last = [None; LANES];
                last[lane] = Some(id);
                self.last.push((action.cadence, last));
            }
        }
    }

    pub fn of(&self, action: usize) -> &Clock {
        &self.clocks[action]
    }

    /// Whether an action is behind a clock.
    pub fn is_behind(&self, action: usize, clock: &Clock) -> bool {
        let (lane, place) = self.places[action];
        clock[lane] >= place
    }

    /// Lane and place of an action.
    pub fn place(&self, action: usize) -> (usize, u32) {
        self.places[action]
    }

    /// The action at a place of a lane.
    pub fn at(&self, lane: usize, place: u32) -> Option<u32> {
        self.lanes[lane].get((place as usize).checked_sub(1)?).copied()
    }

    /// Actions of a lane so far.
    pub fn length(&self, lane: Lane) -> u32 {
        self.lengths[lane as usize]
    }
}

/// The later of two clocks, lane by lane.
pub(crate) fn later(a: &mut Clock, b: &Clock) {
    a.iter_mut().zip(b).for_each(|(a, b)| *a = (*a).max(*b));
}
