//! A plan in the words that trainers share.

use plan::document::{Decision, Plan, StageDecision};
use plan::dtype::Dtype;
use plan::lower::Recompute;
use plan::machine::NodeGroup;
use plan::model::{Family, ModelSpec, Transformer};
use plan::work::OptimizerRule;

/// What a trainer is told: the decision, the model and the shape of a node.
pub struct Recipe<'a> {
    /// Identity of the plan.
    pub id: &'a str,
    /// What was decided.
    pub decision: &'a Decision,
    /// The model.
    pub spec: &'a ModelSpec,
    /// Name of the cluster.
    pub cluster: &'a str,
    /// Name of the device.
    pub device: &'a str,
    /// Devices of one node.
    pub per_node: u32,
    /// Whether selective recomputation repeats every other product, not the attention core.
    pub alternates: bool,
}

/// What is repeated in the backward pass, over all layers of the model's stacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeated {
    /// Nothing.
    Nothing,
    /// The attention core of every layer, or every other product.
    Selective,
    /// Every layer.
    Full,
    /// In every virtual stage as many layers, whole; nothing of the others.
    Some {
        /// Layers of a virtual stage.
        layers: u32,
    },
    /// Something else: levels that differ between layers or stages.
    Mixed {
        /// The most that a virtual stage repeats whole.
        most: u32,
    },
}

/// Bytes per parameter, and per gradient element on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Formats {
    /// Weights.
    pub weight: u64,
    /// Gradients.
    pub gradient: u64,
    /// Optimizer state, master weights included.
    pub optimizer: u64,
    /// Gradients on the wire.
    pub wire: u64,
}

impl Formats {
    /// In words.
    pub fn words(self) -> String {
        let Self { weight, gradient, optimizer, wire } = self;
        format!(
            "{weight} + {gradient} + {optimizer} bytes per parameter (weights, gradients, \
             optimizer), {wire} on the wire"
        )
    }
}

impl<'a> Recipe<'a> {
    /// The recipe of a plan.
    pub fn new(
        plan: &'a Plan,
        spec: &'a ModelSpec,
        nodes: &'a NodeGroup,
        alternates: bool,
    ) -> Self {
        Self {
            id: &plan.id,
            decision: &plan.decision,
            spec,
            cluster: &plan.inputs.cluster.name,
            device: &nodes.device.name,
            per_node: nodes.devices_per_node,
            alternates,
        }
    }

    /// A decision of a test, on nodes of eight H100.
    #[cfg(test)]
    pub fn drawn(decision: &'a Decision, spec: &'a ModelSpec, alternates: bool) -> Self {
        let (id, cluster, device) = ("drawn", "hgx-h100", "h100-sxm-80gb");
        Self { id, decision, spec, cluster, device, per_node: 8, alternates }
    }

    /// The model, where it is a transformer.
    pub fn transformer(&self) -> Option<&'a Transformer> {
        match &self.spec.family {
            Family::Transformer(shape) => Some(shape),
            _ => None,
        }
    }

    /// Nodes, and devices of each that are used: as many as divide the ranks.
    pub fn nodes(&self) -> (u32, u32) {
        let world = self.decision.world_size.max(1);
        let each =
            (1..=self.per_node.min(world)).rev().find(|n| world.is_multiple_of(*n)).unwrap_or(1);
        (world / each, each)
    }

    /// The most that any stage shards, and whether all shard the same.
    pub fn zero(&self) -> (u8, bool) {
        let stages = || self.decision.stages.iter().map(|s| s.zero);
        let most = stages().max().unwrap_or(0);
        (most, stages().all(|zero| zero == most))
    }

    /// Layers of every virtual stage in model order, embedding and output not counted.
    pub fn layers(&self) -> Vec<u32> {
        self.decision.stages.iter().map(|s| blocks(s).map(|(_, n)| n).sum()).collect()
    }

    /// Whether all virtual stages have as many layers.
    pub fn is_even(&self) -> bool {
        let layers = self.layers();
        layers.iter().all(|n| n == &layers[0])
    }

    /// What is repeated.
    pub fn repeated(&self) -> Repeated {
        let stages = &self.decision.stages;
        let all = |level| stages.iter().flat_map(blocks).all(|(l, n)| n == 0 || l == level);
        let full =
            |s| blocks(s).filter(|(l, _)| *l == Recompute::Full).map(|(_, n)| n).sum::<u32>();
        if all(Recompute::None) {
            return Repeated::Nothing;
        }
        if all(Recompute::Selective) {
            return Repeated::Selective;
        }
        if all(Recompute::Full) {
            return Repeated::Full;
        }
        let most = stages.iter().map(full).max().unwrap_or(0);
        let is_equal = stages.iter().all(|s| full(s) == most);
        let has_selective =
            stages.iter().flat_map(blocks).any(|(l, n)| n > 0 && l == Recompute::Selective);
        match is_equal && !has_selective {
            true => Repeated::Some { layers: most },
            false => Repeated::Mixed { most },
        }
    }

    /// Bytes per parameter.
    pub fn formats(&self) -> Formats {
        let p = &self.decision.precision;
        Formats {
            weight: p.weight_bytes,
            gradient: p.gradient_bytes,
            optimizer: p.optimizer_bytes,
            wire: p.wire_bytes,
        }
    }

    /// Format of activations and products.
    pub fn compute(&self) -> Dtype {
        self.decision.precision.compute
    }

    /// Update rule.
    pub fn optimizer(&self) -> OptimizerRule {
        self.decision.precision.optimizer
    }
}

/// Level and number of the layers of a stage that are neither embedding nor output.
fn blocks(stage: &StageDecision) -> impl Iterator<Item = (Recompute, u32)> + '_ {
    let ends = ["embedding", "head"];
    let inner = stage.recompute.iter().filter(move |c| !ends.contains(&c.kind.as_str()));
    inner.map(|c| (c.level, c.layers))
}
