//! The mesh of ranks and how its axes lie on nodes.

use crate::work::Group;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An axis of the mesh, innermost first: neighbours along an earlier axis are closer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Axis {
    /// Tensor parallel.
    Tensor,
    /// Context parallel.
    Context,
    /// Expert parallel: a part of the data-parallel ranks.
    Expert,
    /// Data parallel (beyond the expert-parallel part).
    Data,
}

impl Axis {
    /// All axes, innermost first. Pipeline stages lie outside of all of them.
    pub const ALL: [Self; 4] = [Self::Tensor, Self::Context, Self::Expert, Self::Data];
}

/// Degrees of parallelism.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Degrees {
    /// Data-parallel degree (replicas), expert-parallel ranks included.
    pub dp: u32,
    /// Tensor-parallel degree.
    pub tp: u32,
    /// Pipeline-parallel degree (stages).
    pub pp: u32,
    /// Context-parallel degree.
    pub cp: u32,
    /// Expert-parallel degree; divides `dp`.
    pub ep: u32,
}

impl Degrees {
    /// Ranks in total.
    #[must_use]
    pub fn world_size(&self) -> u32 {
        self.dp * self.tp * self.pp * self.cp
    }

    /// Size of one axis.
    #[must_use]
    pub fn size(&self, axis: Axis) -> u32 {
        match axis {
            Axis::Tensor => self.tp,
            Axis::Context => self.cp,
            Axis::Expert => self.ep,
            Axis::Data => self.dp / self.ep,
        }
    }
}

/// Degrees laid out over nodes of `per_node` devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mesh {
    /// Degrees.
    pub degrees: Degrees,
    /// Devices per node.
    pub per_node: u32,
}

impl Mesh {
    /// Distance in ranks between neighbours along `axis`.
    #[must_use]
    pub fn stride(&self, axis: Axis) -> u32 {
        Axis::ALL.iter().take_while(|&&a| a != axis).map(|&a| self.degrees.size(a)).product()
    }

    /// The communicating group along one axis.
    #[must_use]
    pub fn group(&self, axis: Axis) -> Group {
        self.span(self.stride(axis), self.degrees.size(axis))
    }

    /// The group over which gradients of ordinary parameters are summed: data, expert and context
    /// ranks together.
    #[must_use]
    pub fn replica_group(&self) -> Group {
        let d = &self.degrees;
        self.span(d.tp, d.dp * d.cp)
    }

    /// The group over which gradients of expert parameters are summed.
    #[must_use]
    pub fn expert_replica_group(&self) -> Group {
        let d = &self.degrees;
        self.span(d.tp * d.cp * d.ep, d.dp / d.ep)
    }

    /// Whether some boundary between pipeline stages lies between nodes.
    #[must_use]
    pub fn stages_cross_nodes(&self) -> bool {
        self.degrees.pp > 1 && self.degrees.world_size() > self.per_node
    }

    /// `size` ranks that lie `stride` apart.
    fn span(&self, stride: u32, size: u32) -> Group {
        let on_node = (self.per_node / stride).clamp(1, size.max(1));
        Group { size, nodes: size.div_ceil(on_node) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mesh(dp: u32, tp: u32, pp: u32) -> Mesh {
        Mesh { degrees: Degrees { dp, tp, pp, cp: 1, ep: 1 }, per_node: 8 }
    }

    #[test]
    fn tensor_parallel_stays_in_the_node() {
        let m = mesh(24, 8, 1);
        assert_eq!(m.group(Axis::Tensor), Group { size: 8, nodes: 1 });
        assert_eq!(m.group(Axis::Data), Group { size: 24, nodes: 24 });
    }

    #[test]
    fn data_parallel_fills_nodes() {
        assert_eq!(mesh(192, 1, 1).group(Axis::Data), Group { size: 192, nodes: 24 });
        assert_eq!(mesh(96, 2, 1).group(Axis::Data), Group { size: 96, nodes: 24 });
        assert_eq!(mesh(4, 2, 1).group(Axis::Data), Group { size: 4, nodes: 1 });
    }

    #[test]
    fn stages_cross_nodes_only_beyond_one_node() {
        assert!(mesh(1, 8, 4).stages_cross_nodes());
        assert!(!mesh(1, 2, 4).stages_cross_nodes());
    }
}
