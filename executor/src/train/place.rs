//! Where a rank is in the mesh.

use plan::mesh::Degrees;

/// A rank's coordinates: tensor innermost, then context, pipeline outermost, as programs number
/// ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The rank.
    pub rank: u32,
    /// Pipeline rank.
    pub pipeline: u32,
    /// Replica.
    pub data: u32,
    /// Place in the context-parallel group.
    pub context: u32,
    /// Place in the tensor-parallel group.
    pub tensor: u32,
}

impl Place {
    /// The place of a rank.
    #[must_use]
    pub fn new(rank: u32, degrees: &Degrees) -> Self {
        let (dp, tp, cp) = (degrees.dp.max(1), degrees.tp.max(1), degrees.cp.max(1));
        let (tensor, context) = (rank % tp, rank / tp % cp);
        let (data, pipeline) = (rank / (tp * cp) % dp, rank / (tp * cp * dp));
        Self { rank, pipeline, data, context, tensor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// dp 3, tp 2, pp 2: rank 9 = 1·6 + 1·2 + 1.
    #[test]
    fn tensor_is_innermost() {
        let degrees = Degrees { dp: 3, tp: 2, pp: 2, cp: 1, ep: 1 };
        let place = Place::new(9, &degrees);
        assert_eq!(place, Place { rank: 9, pipeline: 1, data: 1, context: 0, tensor: 1 });
        // cp 2: rank 9 = 0·12 + 2·4 + 0·2 + 1.
        let place = Place::new(9, &Degrees { cp: 2, ..degrees });
        assert_eq!(place, Place { rank: 9, pipeline: 0, data: 2, context: 0, tensor: 1 });
    }
}
