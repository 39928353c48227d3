//! Partial injective maps from a set of dimensions to mesh axes.

use super::graph::Placement;

/// One way to split a set of dimensions: `(dimension, axis)` for those that are split.
pub(super) type Assignment = Vec<(usize, usize)>;

/// All assignments of `dims` to `axes` axes, no two dimensions to one axis: first the empty one.
///
/// `Σ_j C(|dims|, j) · axes!/(axes − j)!` of them.
pub(super) fn all(dims: &[usize], axes: usize) -> Vec<Assignment> {
    let mut done = vec![Assignment::new()];
    for &dim in dims {
        for i in 0..done.len() {
            for axis in 0..axes {
                if done[i].iter().all(|&(_, taken)| taken != axis) {
                    let mut longer = done[i].clone();
                    longer.push((dim, axis));
                    done.push(longer);
                }
            }
        }
    }
    done
}

/// How many [`all`] returns, without making them.
pub(super) fn count(dims: usize, axes: usize) -> u64 {
    let mut term = 1u64;
    let mut sum = 1u64;
    for j in 0..dims.min(axes) as u64 {
        // C(d, j+1)·a!/(a−j−1)! from the term before: exact, as the binomial divides evenly.
        let falling = (dims as u64 - j).saturating_mul(axes as u64 - j);
        term = term.saturating_mul(falling) / (j + 1);
        sum = sum.saturating_add(term);
    }
    sum
}

/// The assignment as a placement of all `dims` dimensions of the graph.
pub(super) fn placement(assignment: &Assignment, dims: usize) -> Placement {
    let mut placement = vec![None; dims];
    for &(dim, axis) in assignment {
        placement[dim] = Some(axis);
    }
    placement
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// tensorflow/mesh@37553191 layout_optimizer_test.py, `testGenerateAssignments`: one empty,
    /// six with one entry, six with two.
    #[test]
    fn three_dimensions_on_two_axes_give_thirteen() {
        let found = all(&[1, 2, 3], 2);
        assert_eq!(found.len(), 13);
        assert!(found.contains(&vec![]));
        assert!(found.contains(&vec![(3, 1)]));
        assert!(found.contains(&vec![(1, 1), (2, 0)]));
        assert!(!found.contains(&vec![(1, 1), (3, 1)]));
    }

    proptest! {
        #[test]
        fn as_many_as_counted_and_all_different(dims in 0usize..6, axes in 0usize..4) {
            let set: Vec<usize> = (0..dims).collect();
            let mut found = all(&set, axes);
            prop_assert_eq!(found.len() as u64, count(dims, axes));
            found.sort();
            found.dedup();
            prop_assert_eq!(found.len() as u64, count(dims, axes));
        }
    }
}
