//! The next thing to happen: a binary heap of places that can change its mind.

/// Not in the heap.
const ABSENT: u32 = u32::MAX;

/// Places with the time of their next event; ties go to the lower place.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    heap: Vec<Entry>,
    /// Where each place stands in the heap.
    at: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Entry {
    time: f64,
    place: u32,
}

impl Entry {
    fn is_before(&self, other: &Self) -> bool {
        self.time < other.time || (self.time == other.time && self.place < other.place)
    }
}

impl Queue {
    /// An empty queue for `places` places.
    pub fn new(places: usize) -> Self {
        Self { heap: Vec::with_capacity(places), at: vec![ABSENT; places] }
    }

    /// The next event.
    pub fn first(&self) -> Option<(f64, u32)> {
        self.heap.first().map(|e| (e.time, e.place))
    }

    /// Sets the time of a place, whether or not it has one.
    pub fn set(&mut self, place: u32, time: f64) {
        let entry = Entry { time, place };
        match self.at[place as usize] {
            ABSENT => {
                self.heap.push(entry);
                self.up(self.heap.len() - 1, entry);
            }
            at if entry.is_before(&self.heap[at as usize]) => self.up(at as usize, entry),
            at => self.down(at as usize, entry),
        }
    }

    /// Takes the first event out.
    pub fn pop(&mut self) {
        let Some(last) = self.heap.pop() else { return };
        match self.heap.first() {
            None => self.at[last.place as usize] = ABSENT,
            Some(first) => {
                self.at[first.place as usize] = ABSENT;
                self.down(0, last);
            }
        }
    }

    fn up(&mut self, mut at: usize, entry: Entry) {
        while at > 0 {
            let parent = (at - 1) / 2;
            if !entry.is_before(&self.heap[parent]) {
                break;
            }
            self.put(at, self.heap[parent]);
            at = parent;
        }
        self.put(at, entry);
    }

    fn down(&mut self, mut at: usize, entry: Entry) {
        loop {
            let mut child = 2 * at + 1;
            if child >= self.heap.len() {
                break;
            }
            if child + 1 < self.heap.len() && self.heap[child + 1].is_before(&self.heap[child]) {
                child += 1;
            }
            if !self.heap[child].is_before(&entry) {
                break;
            }
            self.put(at, self.heap[child]);
            at = child;
        }
        self.put(at, entry);
    }

    fn put(&mut self, at: usize, entry: Entry) {
        self.heap[at] = entry;
        self.at[entry.place as usize] = at as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn events_come_out_in_order(sets in prop::collection::vec((0u32..9, 0u8..20), 1..60)) {
            let mut queue = Queue::new(9);
            let mut expected = [None; 9];
            for &(place, time) in &sets {
                queue.set(place, f64::from(time));
                expected[place as usize] = Some(time);
            }
            let mut sorted: Vec<(u8, u32)> =
                (0u32..).zip(expected).filter_map(|(p, t)| Some((t?, p))).collect();
            sorted.sort_unstable();
            let mut out = Vec::new();
            while let Some((time, place)) = queue.first() {
                out.push((time as u8, place));
                queue.pop();
            }
            prop_assert_eq!(out, sorted);
        }
    }
}
