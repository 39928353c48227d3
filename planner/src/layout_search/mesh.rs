//! Meshes: how ranks are arranged along named axes.

use super::error::LayoutError;
use plan::work::Group;
use std::collections::BTreeSet;
use std::fmt;

/// One axis of a mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshAxis {
    /// Name.
    pub name: String,
    /// Ranks along it.
    pub size: u32,
}

/// Ranks arranged along named axes, the last axis innermost: its neighbours are consecutive ranks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshShape {
    axes: Vec<MeshAxis>,
    ranks_per_node: u32,
}

impl MeshShape {
    /// A mesh whose ranks all sit on one node.
    ///
    /// # Errors
    /// Two axes of one name, or an axis of size 0.
    pub fn new<N: Into<String>>(
        axes: impl IntoIterator<Item = (N, u32)>,
    ) -> Result<Self, LayoutError> {
        let axes: Vec<MeshAxis> =
            axes.into_iter().map(|(name, size)| MeshAxis { name: name.into(), size }).collect();
        let mut seen = BTreeSet::new();
        for axis in &axes {
            if axis.size == 0 {
                return Err(LayoutError::Empty { what: "mesh axis", name: axis.name.clone() });
            }
            if !seen.insert(&axis.name) {
                return Err(LayoutError::Duplicate { what: "mesh axis", name: axis.name.clone() });
            }
        }
        let ranks_per_node = axes.iter().map(|a| a.size).fold(1, u32::saturating_mul);
        Ok(Self { axes, ranks_per_node })
    }

    /// The same mesh over nodes of `ranks_per_node` consecutive ranks each.
    ///
    /// # Errors
    /// The ranks neither fit one node nor fill whole nodes.
    pub fn with_ranks_per_node(mut self, ranks_per_node: u32) -> Result<Self, LayoutError> {
        let ranks = self.ranks();
        if ranks_per_node == 0 || (ranks > ranks_per_node && !ranks.is_multiple_of(ranks_per_node))
        {
            return Err(LayoutError::Nodes { ranks, ranks_per_node });
        }
        self.ranks_per_node = ranks_per_node;
        Ok(self)
    }

    /// The axes, outermost first.
    #[must_use]
    pub fn axes(&self) -> &[MeshAxis] {
        &self.axes
    }

    /// All ranks of the mesh.
    #[must_use]
    pub fn ranks(&self) -> u32 {
        self.axes.iter().map(|a| a.size).fold(1, u32::saturating_mul)
    }

    /// The ranks that differ only in their positions along `axes` (indices).
    ///
    /// Looks at the group of rank 0. Where groups straddle nodes unevenly, the node count is
    /// rounded up to a divisor of the group's size, which prices it as slower.
    pub(super) fn group(&self, axes: &[usize]) -> Group {
        let mut ranks = vec![0u32];
        for &axis in axes {
            let stride: u32 = self.axes[axis + 1..].iter().map(|a| a.size).product();
            ranks = ranks
                .iter()
                .flat_map(|r| (0..self.axes[axis].size).map(move |i| r + i * stride))
                .collect();
        }
        let nodes: BTreeSet<u32> = ranks.iter().map(|r| r / self.ranks_per_node).collect();
        let (size, spanned) = (ranks.len() as u32, nodes.len() as u32);
        let nodes = (spanned..=size).find(|n| size % n == 0).unwrap_or(size);
        Group { size, nodes }
    }
}

impl fmt::Display for MeshShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let axes: Vec<String> =
            self.axes.iter().map(|a| format!("{}:{}", a.name, a.size)).collect();
        f.pad(&axes.join(";"))
    }
}

/// The meshes that [`super::search_meshes`] tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeshSpace {
    /// Ranks to arrange.
    pub ranks: u32,
    /// Most axes of a mesh; `None`: as many as there are prime factors.
    pub max_axes: Option<usize>,
    /// Consecutive ranks on each node.
    pub ranks_per_node: u32,
}

impl MeshSpace {
    /// All meshes of the space, with axes `mesh_0, mesh_1, …`.
    ///
    /// On one node the order of axes is immaterial and sizes never increase; across nodes every
    /// order counts, because only inner axes stay within a node.
    ///
    /// # Errors
    /// No ranks, or ranks that do not fill whole nodes.
    pub fn shapes(&self) -> Result<Vec<MeshShape>, LayoutError> {
        if self.ranks == 0 {
            return Err(LayoutError::Empty { what: "mesh", name: "all".to_owned() });
        }
        let most = self.max_axes.unwrap_or(usize::MAX).max(1);
        if self.ranks == 1 {
            return Ok(vec![self.shape(&[1])?]);
        }
        let (factors, mut sizes) = (divisors(self.ranks), Vec::new());
        let ordered = self.ranks_per_node < self.ranks;
        factorisations(self.ranks, &factors, ordered, most, &mut Vec::new(), &mut sizes);
        sizes.into_iter().map(|s| self.shape(&s)).collect()
    }

    fn shape(&self, sizes: &[u32]) -> Result<MeshShape, LayoutError> {
        let axes = sizes.iter().enumerate().map(|(i, &size)| (format!("mesh_{i}"), size));
        MeshShape::new(axes)?.with_ranks_per_node(self.ranks_per_node)
    }
}

/// Writes `rest` as products of `factors`, largest first; `ordered` keeps every order, else
/// factors never increase.
fn factorisations(
    rest: u32,
    factors: &[u32],
    ordered: bool,
    most: usize,
    prefix: &mut Vec<u32>,
    out: &mut Vec<Vec<u32>>,
) {
    if rest == 1 {
        out.push(prefix.clone());
        return;
    }
    if prefix.len() == most {
        return;
    }
    for (i, &factor) in factors.iter().enumerate().filter(|(_, f)| rest.is_multiple_of(**f)) {
        prefix.push(factor);
        let next = if ordered { factors } else { &factors[i..] };
        factorisations(rest / factor, next, ordered, most, prefix, out);
        prefix.pop();
    }
}

/// Divisors of `n` from 2 up, largest first.
fn divisors(n: u32) -> Vec<u32> {
    let small = (1..=n.isqrt()).filter(|d| n.is_multiple_of(*d));
    let both: BTreeSet<u32> = small.flat_map(|d| [d, n / d]).collect();
    both.into_iter().rev().filter(|&d| d > 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(ranks: u32, max_axes: Option<usize>) -> Vec<Vec<u32>> {
        let space = MeshSpace { ranks, max_axes, ranks_per_node: ranks };
        let shapes = space.shapes().unwrap();
        shapes.iter().map(|s| s.axes().iter().map(|a| a.size).collect()).collect()
    }

    /// The lists of `_mesh_shape_iterator` in tensorflow/mesh@37553191 auto_mtf/api_test.py.
    #[test]
    fn powers_of_two_give_the_shapes_of_mesh_tensorflow() {
        assert_eq!(sizes(1, None), [[1]]);
        assert_eq!(sizes(2, None), [[2]]);
        assert_eq!(sizes(4, None), [vec![4], vec![2, 2]]);
        assert_eq!(sizes(8, None), [vec![8], vec![4, 2], vec![2, 2, 2]]);
        let all = sizes(512, None);
        assert_eq!(all.len(), 30); // partitions of 9
        assert_eq!(all[8], [32, 8, 2]);
        assert_eq!(sizes(512, Some(1)), [[512]]);
        assert_eq!(
            sizes(512, Some(2)),
            [vec![512], vec![256, 2], vec![128, 4], vec![64, 8], vec![32, 16]]
        );
    }

    #[test]
    fn other_numbers_factor_too() {
        assert_eq!(sizes(12, None), [vec![12], vec![6, 2], vec![4, 3], vec![3, 2, 2]]);
    }

    #[test]
    fn across_nodes_the_order_counts() {
        let space = MeshSpace { ranks: 8, max_axes: Some(2), ranks_per_node: 4 };
        let names: Vec<String> = space.shapes().unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["mesh_0:8", "mesh_0:4;mesh_1:2", "mesh_0:2;mesh_1:4"]);
    }

    /// Ranks 0–7 as 2×4 on nodes of 4: the inner axis is ranks 0–3 (one node), the outer one is
    /// ranks 0 and 4 (two nodes).
    #[test]
    fn groups_know_their_nodes() {
        let mesh = MeshShape::new([("outer", 2), ("inner", 4)]).unwrap();
        let mesh = mesh.with_ranks_per_node(4).unwrap();
        assert_eq!(mesh.group(&[1]), Group { size: 4, nodes: 1 });
        assert_eq!(mesh.group(&[0]), Group { size: 2, nodes: 2 });
        assert_eq!(mesh.group(&[0, 1]), Group { size: 8, nodes: 2 });
    }

    #[test]
    fn ranks_must_fill_nodes() {
        let mesh = MeshShape::new([("m", 6)]).unwrap();
        let error = mesh.clone().with_ranks_per_node(4).unwrap_err();
        assert!(error.to_string().contains("multiple of 4"), "{error}");
        assert!(mesh.with_ranks_per_node(8).is_ok());
    }
}
