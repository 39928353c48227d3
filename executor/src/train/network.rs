//! The network of a cluster that is not here: groups take as long as they would there.

use crate::comm::{Communicator, Delay, Group, LinkPrice};
use std::sync::Arc;

/// What messages cost inside a node and between nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Network {
    /// Ranks per node.
    pub per_node: u32,
    /// Inside a node.
    pub inside: LinkPrice,
    /// Between nodes.
    pub between: LinkPrice,
}

impl Network {
    /// The link that a group of these ranks waits for.
    #[must_use]
    pub fn link(&self, members: &[u32]) -> LinkPrice {
        let node = |rank: &u32| rank / self.per_node.max(1);
        let is_inside = members.windows(2).all(|pair| node(&pair[0]) == node(&pair[1]));
        if is_inside { self.inside } else { self.between }
    }

    /// Slows a group down to what it would take.
    #[must_use]
    pub fn slow(&self, group: Group) -> Arc<dyn Communicator> {
        let price = self.link(group.members());
        Arc::new(Delay::new(Arc::new(group), price))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plan::units::{BytesPerSecond, Seconds};

    #[test]
    fn a_group_is_as_slow_as_its_slowest_link() {
        let link = |gigabytes: f64| LinkPrice {
            latency: Seconds::new(1e-6),
            bandwidth: BytesPerSecond::new(gigabytes * 1e9),
        };
        let network = Network { per_node: 2, inside: link(100.0), between: link(10.0) };
        assert_eq!(network.link(&[2, 3]), network.inside);
        assert_eq!(network.link(&[1, 2]), network.between);
        assert_eq!(network.link(&[0, 1, 2]), network.between);
    }
}
