#!/usr/bin/env python3
"""Reads exported configurations with the trainers' own parsers, without a GPU.

    check.py TARGET FILE WORLD_SIZE

Prints what the trainer understood, as JSON: degrees, batch, and what else the parser derives.
Exits with 3 where the trainer's package is not installed.
"""

import importlib.util
import json
import os
import sys
import types
from unittest import mock


def megatron_flags(path):
    """The words of ARGS and DATA, as bash expands them."""
    import subprocess

    script = open(path).read().split("torchrun")[0]
    script += '\nprintf "%s\\0" "${ARGS[@]}" "${DATA[@]}"\n'
    words = subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout
    return [w for w in words.decode().split("\0") if w]


def megatron(path, world):
    """The layout of stages by Megatron's core. Its argument parser is in no package: names of flags
    are not checked here, only that the numbers go together."""
    from megatron.core.transformer.pipeline_parallel_layer_layout import (
        PipelineParallelLayerLayout as Layout,
    )

    flags = {}
    key = None
    for word in megatron_flags(path):
        if word.startswith("--"):
            key = word[2:]
            flags[key] = True
        else:
            flags[key] = word
    n = lambda name: int(flags.get(name, 1))
    model = n("tensor-model-parallel-size") * n("pipeline-model-parallel-size")
    dp = world // (model * n("context-parallel-size"))
    layout = flags.get("pipeline-model-parallel-layout")
    if layout:
        stages = Layout.parse_str_to_list(layout)
        pp = n("pipeline-model-parallel-size")
        Layout(layout, pp).validate_layer_layout(n("num-layers"), None)
        assert len(stages) % pp == 0
    assert n("global-batch-size") % (n("micro-batch-size") * dp) == 0
    return {
        "dp": dp,
        "tp": n("tensor-model-parallel-size"),
        "pp": n("pipeline-model-parallel-size"),
        "cp": n("context-parallel-size"),
        "ep": n("expert-model-parallel-size"),
        "global": n("global-batch-size"),
        "micro": n("micro-batch-size"),
    }


def megatron_bridge(path, world):
    """The recipe runs, and the library validates its configuration."""
    stub(["transformer_engine", "megatron.energon"])
    spec = importlib.util.spec_from_file_location("recipe", path)
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    cfg = recipe.pretrain_config()
    os.environ["WORLD_SIZE"] = str(world)
    cfg.mixed_precision.finalize()
    cfg.mixed_precision.setup(cfg.model, cfg.optimizer, cfg.ddp)
    cfg.validate()
    return {
        "dp": cfg.data_parallel_size,
        "tp": cfg.model.tensor_model_parallel_size,
        "pp": cfg.model.pipeline_model_parallel_size,
        "cp": cfg.model.context_parallel_size,
        "ep": cfg.model.expert_model_parallel_size,
        "global": cfg.train.global_batch_size,
        "micro": cfg.train.micro_batch_size,
    }


def stub(packages):
    """Kernels and data loaders are not needed to read a configuration."""

    class Anything(type):
        def __getattr__(cls, name):
            if name.startswith("__"):
                raise AttributeError(name)
            return Anything(name, (), {})

        def __getitem__(cls, parameters):
            return cls

        def __call__(cls, *args, **kwargs):
            try:
                return super().__call__(*args, **kwargs)
            except TypeError:
                return mock.MagicMock()

    class Stub(types.ModuleType):
        def __getattr__(self, name):
            if name.startswith("__"):
                raise AttributeError(name)
            return Anything(name, (), {})

    class Finder:
        def find_spec(self, name, path=None, target=None):
            if any(name == p or name.startswith(p + ".") for p in packages):
                return importlib.util.spec_from_loader(name, self, is_package=True)
            return None

        def create_module(self, spec):
            module = Stub(spec.name)
            module.__version__ = "2.8.0"
            module.__path__ = []
            return module

        def exec_module(self, module):
            pass

    sys.meta_path.insert(0, Finder())


def torchtitan(path, world):
    from torchtitan.config import ConfigManager
    from torchtitan.distributed import ParallelDims

    job = ConfigManager().parse_args([f"--job.config_file={path}"])
    p = job.parallelism
    dims = ParallelDims(
        dp_shard=p.data_parallel_shard_degree,
        dp_replicate=p.data_parallel_replicate_degree,
        cp=p.context_parallel_degree,
        tp=p.tensor_parallel_degree,
        pp=p.pipeline_parallel_degree,
        ep=p.expert_parallel_degree,
        etp=p.expert_tensor_parallel_degree,
        world_size=world,
    )
    micro = job.training.local_batch_size
    if dims.pp > 1:
        from torch.distributed.pipelining.schedules import get_schedule_class

        get_schedule_class(p.pipeline_parallel_schedule)
        micro = p.pipeline_parallel_microbatch_size
        names = [name for part in p.module_fqns_per_model_part for name in part]
        assert len(set(names)) == len(names)
    return {
        "dp": dims.dp_shard * dims.dp_replicate,
        "tp": dims.tp,
        "pp": dims.pp,
        "cp": dims.cp,
        "ep": dims.ep,
        "global": job.training.global_batch_size,
        "micro": micro,
    }


def deepspeed(path, world):
    from deepspeed.runtime.config import DeepSpeedConfig

    config = json.load(open(path))
    # The degrees of the script: DeepSpeed derives replicas from its own mesh.
    tp = config.get("tensor_parallel", {}).get("autotp_size", 1)
    pp = config.get("pipeline", {}).get("stages", 1)

    class Mesh:
        def get_data_parallel_world_size(self):
            return world // (tp * pp)

        def get_sequence_parallel_world_size(self):
            return 1

    with mock.patch("deepspeed.runtime.config.dist.get_rank", return_value=0):
        read = DeepSpeedConfig(config, mpu=Mesh())
    return {
        "dp": world // (tp * pp),
        "tp": tp,
        "pp": pp,
        "global": read.train_batch_size,
        "micro": read.train_micro_batch_size_per_gpu,
        "zero": read.zero_optimization_stage,
    }


def accelerate(path, world):
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.commands.launch import launch_command_parser

    config = load_config_from_file(path)
    args = launch_command_parser().parse_args(["--config_file", path, "script.py"])
    assert args.training_script == "script.py"
    assert config.num_processes == world
    mesh = config.parallelism_config or {}
    size = lambda name: int(mesh.get(f"parallelism_config_{name}_size", 1))
    tp, cp = size("tp"), size("cp")
    if mesh:
        from accelerate.parallelism_config import ParallelismConfig

        own = ParallelismConfig(
            dp_replicate_size=size("dp_replicate"),
            dp_shard_size=size("dp_shard"),
            tp_size=tp,
            cp_size=cp,
        )
        assert own.total_size == world, (own.total_size, world)
    return {"dp": world // (tp * cp), "tp": tp, "cp": cp}


def nanotron(path, world):
    # The release imports itself in a circle through its logging.
    logging = types.ModuleType("nanotron.logging")
    logging.get_logger = lambda name: mock.MagicMock()
    logging.log_rank = lambda *args, **kwargs: None
    logging.__getattr__ = lambda name: mock.MagicMock(name=name)
    sys.modules["nanotron.logging"] = logging
    from nanotron.config import get_config_from_file

    config = get_config_from_file(path)
    p = config.parallelism
    assert p.dp * p.tp * p.pp == world
    return {
        "dp": p.dp,
        "tp": p.tp,
        "pp": p.pp,
        "micro": config.tokens.micro_batch_size,
        "global": config.global_batch_size,
        "zero": config.optimizer.zero_stage,
    }


def maxtext(path, world):
    """Its own validation, on as many pretended devices."""
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={world}"
    os.environ["JAX_PLATFORMS"] = "cpu"
    import omegaconf
    from maxtext.configs import pyconfig

    own = omegaconf.OmegaConf.load(path)
    names = ["data", "fsdp", "tensor", "pipeline", "context", "expert"]
    between = {name: own.get(f"dcn_{name}_parallelism", 1) for name in names}
    slices = 1
    for n in between.values():
        slices *= n
    here = ["hardware=cpu", "skip_jax_distributed_system=true", f"num_slices={slices}"]
    here += ["run_name=check", "base_output_directory=/tmp", "enable_checkpointing=false"]
    config = pyconfig.initialize(["train", path, *here])
    size = {n: own.get(f"ici_{n}_parallelism", 1) * between[n] for n in names}
    return {
        "dp": size["data"] * size["fsdp"] * size["expert"],
        "tp": size["tensor"],
        "pp": size["pipeline"],
        "cp": size["context"],
        "ep": size["expert"],
        "global": config.global_batch_size_to_train_on,
    }


def schedule(path, world):
    """PyTorch reads the table into actions."""
    import csv

    from torch.distributed.pipelining.schedules import _Action

    with open(path, newline="") as file:
        rows = [[_Action.from_str(cell) for cell in row if cell] for row in csv.reader(file)]
    return {"pp": len(rows)}


def main():
    target, path, world = sys.argv[1], sys.argv[2], int(sys.argv[3])
    read = globals()[target.replace("-", "_")]
    try:
        understood = read(path, world)
    except ModuleNotFoundError as missing:
        print(f"{target}: not checked, {missing.name} is not installed")
        sys.exit(3)
    print(json.dumps(understood))


if __name__ == "__main__":
    main()
