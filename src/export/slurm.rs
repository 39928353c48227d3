//! Slurm: a script for `sbatch` that runs the plan itself.

use super::form::shell;
use super::recipe::Recipe;
use std::fmt::Write as _;

/// A rank per device, started by `srun`, which `execute` recognises.
pub fn write(r: &Recipe<'_>, plan_file: &str) -> String {
    let (nodes, each) = r.nodes();
    let gpus = r.decision.world_size;
    let mut text = String::from("#!/bin/bash\n");
    let _ = writeln!(
        text,
        "# Plan {} of meshwright: {} on {gpus} GPUs of {}.",
        r.id, r.spec.name, r.cluster
    );
    let name = format!("{}-{gpus}", r.spec.name);
    let _ = writeln!(text, "#SBATCH --job-name={}", shell(&name));
    let _ = writeln!(text, "#SBATCH --nodes={nodes}\n#SBATCH --ntasks-per-node={each}");
    let _ = writeln!(text, "#SBATCH --gpus-per-node={each}\n#SBATCH --exclusive");
    text.push_str("#SBATCH --output=%x-%j.out\n\nset -euo pipefail\n\n");
    text.push_str("# The first node is where ranks meet.\n");
    text.push_str(
        "MASTER_ADDR=$(scontrol show hostnames \"$SLURM_JOB_NODELIST\" | head -n 1)\n\
         export MASTER_ADDR\nexport MASTER_PORT=${MASTER_PORT:-29500}\n\n",
    );
    let _ = writeln!(text, "srun meshwright execute {} \"$@\"", shell(plan_file));
    text
}
