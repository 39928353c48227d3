//! What can be wrong with a graph, a mesh or a request.

use plan::units::Bytes;

/// Why there is no layout.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LayoutError {
    /// Two things have the same name.
    #[error("{what} {name:?} is declared twice; give each its own name")]
    Duplicate {
        /// What kind of thing.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A size of zero.
    #[error("{what} {name:?} has size 0; sizes start at 1")]
    Empty {
        /// What kind of thing.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A name that nothing has.
    #[error("{user} names the {what} {name:?}, which does not exist; there are: {known}")]
    Unknown {
        /// Who uses the name.
        user: String,
        /// What kind of thing is missing.
        what: &'static str,
        /// The name.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// A dimension twice in one tensor.
    #[error("tensor {tensor:?} has the dimension {dim:?} twice; rename one of them")]
    RepeatedDim {
        /// The tensor.
        tensor: String,
        /// The dimension.
        dim: String,
    },
    /// A product of no or too many operands.
    #[error("the product {op:?} has {count} operands; write one or two")]
    Operands {
        /// The result of the product.
        op: String,
        /// How many it has.
        count: usize,
    },
    /// A dimension of a product's result that no operand has.
    #[error(
        "the result {op:?} has the dimension {dim:?}, which neither operand has; \
         broadcast an operand first"
    )]
    NewDim {
        /// The result of the product.
        op: String,
        /// The dimension.
        dim: String,
    },
    /// A tensor or product beyond what can be counted exactly.
    #[error("{name:?} has more than 2^53 elements or bytes; check the sizes of its dimensions")]
    TooBig {
        /// The tensor or product.
        name: String,
    },
    /// Ranks that do not fill their nodes evenly.
    #[error(
        "{ranks} ranks at {ranks_per_node} per node do not fill whole nodes; \
         use a multiple of {ranks_per_node}, or at most {ranks_per_node}"
    )]
    Nodes {
        /// Ranks of the mesh.
        ranks: u32,
        /// Ranks on each node.
        ranks_per_node: u32,
    },
    /// More variables than the solver handles in reasonable time.
    #[error(
        "the layout program has {variables} variables, the limit is {limit}; \
         use fewer mesh axes, or mark dimensions unsplittable"
    )]
    TooLarge {
        /// Variables of the program.
        variables: u64,
        /// The limit.
        limit: u64,
    },
    /// Every layout needs more memory than there is.
    #[error(
        "no layout fits {budget}: the least any needs on {mesh} is {least}, with {}",
        if layout.is_empty() { "nothing split" } else { layout }
    )]
    OverBudget {
        /// Memory that must suffice.
        budget: Bytes,
        /// Memory of the layout that needs least.
        least: Bytes,
        /// That layout.
        layout: String,
        /// Its mesh.
        mesh: String,
    },
    /// A price that is no time.
    #[error("the price of {work} is {seconds} s; a price must be finite and not negative")]
    Price {
        /// What was priced.
        work: String,
        /// The price.
        seconds: f64,
    },
    /// A weight that is no weight.
    #[error("the weight of {what} is {value}; a weight must be finite and not negative")]
    Weight {
        /// What it weighs.
        what: &'static str,
        /// The weight.
        value: f64,
    },
    /// The solver gave up.
    #[error("the solver failed on the layout program for {mesh}: {reason}")]
    Solver {
        /// The mesh.
        mesh: String,
        /// What it said.
        reason: String,
    },
}
