//! Room for elements that is used again.
//!
//! Large allocations come from the system and go back to it, and every page of a fresh one has to
//! be cleared when it is first touched: a tenth of a step of training. So what is given up stays
//! here, as long as what is in use and what is spare together are no more than was once in use.
//! Steps are alike, so that all of them after the first find what they need.

use crate::float::Float;
use std::ops::{Deref, DerefMut};
use std::sync::{MutexGuard, PoisonError};

/// From this many bytes on room is kept; smaller allocations stay in the process anyway.
const WORTH_KEEPING: usize = 64 << 10;

/// Spare room of one kind of number, for all threads: what one rank sends another gives up.
#[derive(Debug)]
pub struct Spare<T> {
    /// Oldest first.
    vectors: Vec<Vec<T>>,
    /// Elements that are spare, that are in use, and the most that were in use at once.
    spare: usize,
    used: usize,
    most: usize,
}

impl<T> Spare<T> {
    /// None yet.
    pub(crate) const fn new() -> Self {
        Self { vectors: Vec::new(), spare: 0, used: 0, most: 0 }
    }

    /// The tightest room for so many elements that is not half as large again.
    fn take(&mut self, elements: usize) -> Option<Vec<T>> {
        let fits = |v: &Vec<T>| (elements..=elements + elements / 2).contains(&v.capacity());
        let all = self.vectors.iter().enumerate().rev();
        let found = all.filter(|(_, v)| fits(v)).min_by_key(|(_, v)| v.capacity())?.0;
        let taken = self.vectors.remove(found);
        self.spare -= taken.capacity();
        Some(taken)
    }

    /// Notes that room is in use. Returns what is too much now.
    fn note(&mut self, elements: usize) -> Vec<Vec<T>> {
        self.used += elements;
        self.most = self.most.max(self.used);
        let mut count = 0;
        while self.used + self.spare > self.most && count < self.vectors.len() {
            self.spare -= self.vectors[count].capacity();
            count += 1;
        }
        self.vectors.drain(..count).collect()
    }

    /// Takes room back, unless it is too much.
    fn put(&mut self, vector: Vec<T>) -> Option<Vec<T>> {
        self.used = self.used.saturating_sub(vector.capacity());
        if self.used + self.spare + vector.capacity() > self.most {
            return Some(vector);
        }
        self.spare += vector.capacity();
        self.vectors.push(vector);
        None
    }
}

fn spare<T: Float>() -> MutexGuard<'static, Spare<T>> {
    T::spare().lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_kept<T: Float>(vector: &Vec<T>) -> bool {
    vector.capacity() * T::BYTES >= WORTH_KEEPING
}

/// A vector of fixed length, whose room is used again.
#[derive(Debug, Default, PartialEq)]
pub struct Room<T: Float>(Vec<T>);

impl<T: Float> Room<T> {
    /// Zeros.
    pub fn zeros(elements: usize) -> Self {
        match Self::again(elements) {
            Some(mut room) => {
                super::clear(&mut room);
                room
            }
            None => Self::from(vec![T::ZERO; elements]),
        }
    }

    /// Whatever was there before: for what is overwritten whole.
    pub fn stale(elements: usize) -> Self {
        let mut room = Self::again(elements);
        if cfg!(debug_assertions) {
            // Whoever reads it gets what no result can hide.
            room.iter_mut().for_each(|room| room.fill(T::of(f64::NAN)));
        }
        room.unwrap_or_else(|| Self::from(vec![T::ZERO; elements]))
    }

    fn again(elements: usize) -> Option<Self> {
        if elements * T::BYTES < WORTH_KEEPING {
            return None;
        }
        let mut spare = spare::<T>();
        let mut vector = spare.take(elements)?;
        let too_much = spare.note(vector.capacity());
        drop(spare);
        drop(too_much);
        vector.resize(elements, T::ZERO);
        Some(Self(vector))
    }

    /// Gives up the elements.
    pub fn into_vec(mut self) -> Vec<T> {
        let vector = std::mem::take(&mut self.0);
        if is_kept(&vector) {
            let mut spare = spare::<T>();
            spare.used = spare.used.saturating_sub(vector.capacity());
        }
        vector
    }
}

impl<T: Float> From<Vec<T>> for Room<T> {
    fn from(vector: Vec<T>) -> Self {
        if is_kept(&vector) {
            let too_much = spare::<T>().note(vector.capacity());
            drop(too_much);
        }
        Self(vector)
    }
}

impl<T: Float> Drop for Room<T> {
    fn drop(&mut self) {
        if is_kept(&self.0) {
            let too_much = spare::<T>().put(std::mem::take(&mut self.0));
            drop(too_much);
        }
    }
}

impl<T: Float> Clone for Room<T> {
    fn clone(&self) -> Self {
        let mut room = Self::stale(self.len());
        room.copy_from_slice(self);
        room
    }
}

impl<T: Float> Deref for Room<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Float> DerefMut for Room<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(elements: usize) -> Vec<f32> {
        Vec::with_capacity(elements)
    }

    /// 100 + 60 in use is the most; 60 given up are spare; for 50 they will do, for 39 they are too
    /// large; 101 fresh ones beside 100 in use are a new most, and leave nothing to be spare.
    #[test]
    fn no_more_is_held_than_was_in_use() {
        let mut spare = Spare::new();
        assert!(spare.note(100).is_empty() && spare.note(60).is_empty());
        assert_eq!(spare.put(vector(60)), None);
        assert!(spare.take(39).is_none());
        let taken = spare.take(50).expect("room");
        assert!(spare.note(taken.capacity()).is_empty());
        assert_eq!((spare.used, spare.spare, spare.most), (160, 0, 160));
        assert_eq!(spare.put(taken), None);
        assert_eq!(spare.note(101).len(), 1);
        assert_eq!((spare.used, spare.spare, spare.most), (201, 0, 201));
        // A vector that nobody had noted is more than was ever in use.
        assert_eq!(spare.put(vector(100)), None);
        assert_eq!(spare.put(vector(300)).map(|v| v.capacity()), Some(300));
    }

    #[test]
    fn zeros_are_zeros_whatever_was_there() {
        for elements in [10, 40_000, 50_000, 40_000] {
            let mut room = Room::<f32>::zeros(elements);
            assert!(room.len() == elements && room.iter().all(|&v| v == 0.0));
            room.fill(7.0);
            assert!(room.clone() == room);
            assert_eq!(room.into_vec().len(), elements);
            Room::from(vec![7.0f32; elements]).fill(5.0);
        }
    }
}
