//! What `n` identical layers can do: the Pareto frontier over forward time, backward time and
//! activations of all ways to spread them over columns.
//!
//! Identical layers are interchangeable, so a way is a vector of integer counts. With columns
//! `1..J`, let `E_j(n)` be the frontier of `n` layers over the first `j` columns. Either column
//! `j` is used once more or not at all:
//!
//! ```text
//! E_j(n) = minimal elements of  E_{j−1}(n) ∪ ( E_j(n−1) + column j )
//! ```
//!
//! Sums of minimal elements are all that is needed because adding a column keeps dominance. The
//! transient is a maximum, not a sum; it is handled one level up by admitting only the columns up
//! to a threshold, which is why columns are sorted by it here and frontiers are asked for with a
//! number of `allowed` columns.

use super::Column;
use std::collections::BTreeMap;

/// A way to run some layers. Seconds and bytes per micro-batch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    pub forward: f64,
    pub backward: f64,
    pub activation: f64,
    /// Layers per column, in the order of [`Columns::kept`].
    pub counts: Vec<u32>,
}

impl Point {
    fn values(&self) -> [f64; 3] {
        [self.forward, self.backward, self.activation]
    }
}

/// The columns of a segment under one setting that are worth having, by transient.
pub(crate) struct Columns {
    /// The columns.
    pub kept: Vec<Column>,
    /// Their places in the segment.
    pub index: Vec<usize>,
}

impl Columns {
    /// Drops columns that another one beats, or equals, in everything.
    pub fn new(all: &[Column]) -> Self {
        let beats = |a: &Column, b: &Column| {
            a.forward <= b.forward
                && a.backward <= b.backward
                && a.activation <= b.activation
                && a.transient <= b.transient
        };
        let is_kept = |j: usize| {
            let rival = |i: usize| beats(&all[i], &all[j]) && (i < j || !beats(&all[j], &all[i]));
            !(0..all.len()).any(|i| i != j && rival(i))
        };
        let mut index: Vec<usize> = (0..all.len()).filter(|j| is_kept(*j)).collect();
        index.sort_by(|a, b| all[*a].transient.total_cmp(&all[*b].transient));
        Self { kept: index.iter().map(|j| all[*j].clone()).collect(), index }
    }

    /// How many columns have a transient of at most `threshold` bytes.
    pub fn allowed(&self, threshold: f64) -> usize {
        self.kept.partition_point(|c| c.transient.get() <= threshold)
    }

    fn point(&self, counts: Vec<u32>) -> Point {
        let sum = |value: fn(&Column) -> f64| {
            self.kept.iter().zip(&counts).map(|(c, n)| value(c) * f64::from(*n)).sum()
        };
        Point {
            forward: sum(|c| c.forward.get()),
            backward: sum(|c| c.backward.get()),
            activation: sum(|c| c.activation.get()),
            counts,
        }
    }
}

/// All frontiers of one segment under one setting, grown as far as they are asked for.
pub(crate) struct Frontiers {
    pub columns: Columns,
    by_allowed: BTreeMap<usize, Grown>,
}

/// Frontiers for 0, 1, 2, … layers, and the last row of the recursion to grow from.
struct Grown {
    full: Vec<Vec<Point>>,
    /// `E_j` of as many layers as `full` reaches, per `j`.
    row: Vec<Vec<Point>>,
}

impl Frontiers {
    pub fn new(all: &[Column]) -> Self {
        Self { columns: Columns::new(all), by_allowed: BTreeMap::new() }
    }

    /// Makes [`Frontiers::of`] available for `layers`.
    pub fn grow(&mut self, allowed: usize, layers: usize) {
        let columns = &self.columns;
        let grown = self.by_allowed.entry(allowed).or_insert_with(|| {
            let none = columns.point(vec![0; columns.kept.len()]);
            Grown { full: vec![vec![none.clone()]], row: vec![vec![none]; allowed] }
        });
        while grown.full.len() <= layers {
            let mut fewer: Vec<Point> = Vec::new();
            for (j, same) in grown.row.iter_mut().enumerate() {
                fewer.extend(same.iter().map(|point| {
                    let mut counts = point.counts.clone();
                    counts[j] += 1;
                    columns.point(counts)
                }));
                *same = minimal(fewer);
                fewer = same.clone();
            }
            grown.full.push(fewer);
        }
    }

    /// The frontier of `layers` layers over the first `allowed` columns, by forward, then backward
    /// time; empty before [`Frontiers::grow`].
    pub fn of(&self, allowed: usize, layers: usize) -> &[Point] {
        let grown = self.by_allowed.get(&allowed).and_then(|grown| grown.full.get(layers));
        grown.map_or(&[], Vec::as_slice)
    }
}

/// The points that no other point beats or equals, sorted.
fn minimal(mut points: Vec<Point>) -> Vec<Point> {
    points.sort_by(|a, b| {
        let order = lexicographic(&a.values(), &b.values());
        order.then_with(|| a.counts.cmp(&b.counts))
    });
    let mut stairs = Stairs::default();
    points.retain(|p| stairs.admit(p.backward, p.activation));
    points
}

/// Lexicographic total order of two value vectors.
pub(crate) fn lexicographic(a: &[f64], b: &[f64]) -> std::cmp::Ordering {
    let differ = a.iter().zip(b).map(|(x, y)| x.total_cmp(y)).find(|o| o.is_ne());
    differ.unwrap_or(std::cmp::Ordering::Equal)
}

/// A descending staircase in two dimensions; for points that come sorted by a third.
#[derive(Default)]
pub(crate) struct Stairs(Vec<(f64, f64)>);

impl Stairs {
    /// Whether no admitted point is at most `(x, y)` in both; if so, admits it.
    pub fn admit(&mut self, x: f64, y: f64) -> bool {
        let after = self.0.partition_point(|step| step.0 <= x);
        if after > 0 && self.0[after - 1].1 <= y {
            return false;
        }
        let from = self.0.partition_point(|step| step.0 < x);
        let covered = self.0[from..].iter().take_while(|step| step.1 >= y).count();
        self.0.splice(from..from + covered, [(x, y)]);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plan::units::{Bytes, Seconds};
    use proptest::prelude::*;

    fn column(f: f64, b: f64, a: f64, r: f64) -> Column {
        Column {
            forward: Seconds::new(f),
            backward: Seconds::new(b),
            weight: Seconds::ZERO,
            halves: Bytes::ZERO,
            activation: Bytes::new(a),
            transient: Bytes::new(r),
        }
    }

    #[test]
    fn beaten_columns_go_and_twins_leave_one() {
        let all = [
            column(1.0, 2.0, 5.0, 1.0),
            column(1.0, 2.0, 5.0, 1.0),
            column(1.0, 3.0, 5.0, 1.0),
            column(1.0, 3.0, 2.0, 0.0),
        ];
        assert_eq!(Columns::new(&all).index, [3, 0]);
    }

    #[test]
    fn two_columns_give_every_mixture() {
        // Keeping: B = 2, 10 bytes. Recomputing: B = 3, 1 byte. Three layers: 4 mixtures.
        let mut f = Frontiers::new(&[column(1.0, 2.0, 10.0, 0.0), column(1.0, 3.0, 1.0, 0.0)]);
        f.grow(2, 3);
        let found: Vec<_> = f.of(2, 3).iter().map(|p| (p.backward, p.activation)).collect();
        assert_eq!(found, [(6.0, 30.0), (7.0, 21.0), (8.0, 12.0), (9.0, 3.0)]);
    }

    /// All ways to spread `n` layers over `j` columns.
    fn spread(n: u32, j: usize) -> Vec<Vec<u32>> {
        if j == 1 {
            return vec![vec![n]];
        }
        let ways = (0..=n).flat_map(|first| {
            spread(n - first, j - 1).into_iter().map(move |rest| {
                let mut way = vec![first];
                way.extend(rest);
                way
            })
        });
        ways.collect()
    }

    proptest! {
        #[test]
        fn the_frontier_is_that_of_all_ways(
            raw in prop::collection::vec((1u32..6, 1u32..6, 1u32..6), 1..5), layers in 1u32..7
        ) {
            let small = |(f, b, a): &(u32, u32, u32)| {
                column(f64::from(*f), f64::from(*b), f64::from(*a), 0.0)
            };
            let all: Vec<Column> = raw.iter().map(small).collect();
            let mut frontiers = Frontiers::new(&all);
            let allowed = frontiers.columns.kept.len();
            frontiers.grow(allowed, layers as usize);
            let found = frontiers.of(allowed, layers as usize);
            let every: Vec<[f64; 3]> = spread(layers, all.len()).into_iter().map(|way| {
                let sum = |value: fn(&Column) -> f64| {
                    all.iter().zip(&way).map(|(c, n)| value(c) * f64::from(*n)).sum()
                };
                [sum(|c| c.forward.get()), sum(|c| c.backward.get()), sum(|c| c.activation.get())]
            }).collect();
            let beaten = |v: &[f64; 3], w: &[f64; 3]| (0..3).all(|i| w[i] <= v[i]);
            for v in &every {
                prop_assert!(found.iter().any(|p| beaten(v, &p.values())));
            }
            for (i, p) in found.iter().enumerate() {
                prop_assert!(every.contains(&p.values()));
                let rivals = found.iter().enumerate().filter(|(j, _)| *j != i);
                prop_assert!(rivals.into_iter().all(|(_, q)| !beaten(&p.values(), &q.values())));
            }
        }
    }
}
