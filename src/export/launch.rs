//! Starting a process per device on every node.

use super::recipe::Recipe;

/// Nodes and devices, with the addresses that a launcher gives.
pub fn variables(r: &Recipe<'_>) -> String {
    let (nodes, each) = r.nodes();
    format!(
        "NODES={nodes}\nGPUS_PER_NODE={each}\n: \"${{NODE_RANK:=${{SLURM_NODEID:-0}}}}\"\n\
         : \"${{MASTER_ADDR:=localhost}}\"\n: \"${{MASTER_PORT:=29500}}\"\n"
    )
}

/// torchrun with these variables.
pub fn torchrun(_r: &Recipe<'_>, command: &str) -> String {
    format!(
        "torchrun --nnodes \"$NODES\" --nproc-per-node \"$GPUS_PER_NODE\" \
         --node-rank \"$NODE_RANK\" \\\n    --master-addr \"$MASTER_ADDR\" \
         --master-port \"$MASTER_PORT\" \\\n    {command}\n"
    )
}
