"""What can be asked."""

from __future__ import annotations

import json
import os
import tempfile
from os import PathLike
from pathlib import Path

from meshwright._command import Option, arguments, run
from meshwright._results import Accuracy, Plan, Report


def plan(
    *,
    model: str | PathLike[str],
    gpus: int,
    cluster: str | PathLike[str] | None = None,
    **options: Option,
) -> Report:
    """The best plan, with its proof.

    Args:
        model: a name (``meshwright scenarios``), a model file, or a Hugging Face ``config.json``.
        gpus: how many.
        cluster: a name or a file; else the model's own.
        options: flags of ``meshwright plan`` by name, ``tp=2``, ``objective="dollars"``.

    Raises:
        Refused: nothing fits, a name is unknown, pins contradict each other.
    """
    named: dict[str, Option] = {"model": model, "gpus": gpus, "cluster": cluster, **options}
    return Report(json.loads(run(["plan", "--json", *arguments(named)])))


def predict(
    *,
    model: str | PathLike[str],
    gpus: int,
    cluster: str | PathLike[str] | None = None,
    tp: int = 1,
    pp: int = 1,
    cp: int = 1,
    ep: int = 1,
    **options: Option,
) -> Report:
    """The layout with these degrees, priced; what else is not given is chosen well.

    Args:
        model: as for :func:`plan`.
        gpus: how many; what the degrees leave is data parallel.
        cluster: as for :func:`plan`.
        tp: tensor-parallel degree.
        pp: pipeline-parallel degree.
        cp: context-parallel degree.
        ep: expert-parallel degree.
        options: further flags: ``micro_batch=2``, ``zero=1``, ``recompute="full"``.

    Raises:
        Refused: the layout does not fit, or the degrees do not divide.
    """
    degrees: dict[str, Option] = {"tp": tp, "pp": pp, "cp": cp, "ep": ep}
    return plan(model=model, gpus=gpus, cluster=cluster, **{**degrees, **options})


def accuracy(*, runs: str | PathLike[str] | None = None) -> Accuracy:
    """Predictions held against published measurements.

    Args:
        runs: a table of one's own runs instead of those that ship.

    Raises:
        Refused: the table cannot be read.
    """
    return Accuracy(json.loads(run(["accuracy", "--json", *arguments({"runs": runs})])))


def export(plan: Plan | Report, to: str) -> str:
    """The plan as another trainer's configuration: ``to="torchtitan"``.

    Raises:
        Refused: the trainer cannot hold the plan.
    """
    inner = plan.plan if isinstance(plan, Report) else plan
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plan.json"
        inner.save(path)
        return run(["export", os.fspath(path), "--to", to])
