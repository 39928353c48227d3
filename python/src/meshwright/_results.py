"""What the command answers, as types."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Value:
    """A predicted number with its interval, its unit and the grade of what it rests on."""

    value: float
    low: float
    high: float
    unit: str
    source: str

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Value:
        """From the report."""
        names = ("value", "low", "high", "unit", "source")
        return cls(*(data[name] for name in names))

    def __str__(self) -> str:
        return f"{self.value:.4g} {self.unit} ({self.low:.4g} to {self.high:.4g})"

    def __float__(self) -> float:
        return self.value


@dataclass(frozen=True)
class Part:
    """One term of the step time."""

    name: str
    label: str
    time: Value


class Plan:
    """A plan: what was decided, and why nothing better exists under the model."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        #: The plan file as JSON has it.
        self.data = data

    @property
    def id(self) -> str:
        """Hash of inputs and decisions."""
        return str(self.data["id"])

    @property
    def degrees(self) -> dict[str, int]:
        """Ranks per axis: dp, tp, pp, cp, ep."""
        return dict(self.data["decision"]["degrees"])

    @property
    def is_proven(self) -> bool:
        """Whether no better plan exists in the stated space under the cost model."""
        return bool(self.data["certificate"]["status"] == "optimal")

    def save(self, path: str | PathLike[str]) -> None:
        """Writes the plan file."""
        Path(path).write_text(json.dumps(self.data, indent=2) + "\n", encoding="utf-8")


class Report:
    """A plan with everything that is predicted for it."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        #: The report as JSON has it: ``meshwright help schemas report``.
        self.data = data

    def _value(self, name: str) -> Value:
        return Value.read(self.data[name])

    @property
    def plan(self) -> Plan:
        """The plan."""
        return Plan(self.data["plan"])

    @property
    def step(self) -> Value:
        """Time of one step, seconds."""
        return self._value("step")

    @property
    def tokens_per_second(self) -> Value:
        """Tokens per second over all GPUs."""
        return self._value("tokens_per_second")

    @property
    def mfu(self) -> Value:
        """Model FLOPs over what the devices could do at their dense peak."""
        return self._value("mfu")

    @property
    def memory_bytes(self) -> float:
        """The most memory that a device needs."""
        return float(self.data["plan"]["prediction"]["memory"]["value"])

    @property
    def parts(self) -> list[Part]:
        """The terms of the step; they add up to it."""
        return [Part(p["id"], p["label"], Value.read(p["time"])) for p in self.data["time"]]

    @property
    def label(self) -> str:
        """The degrees in a line."""
        names = ("dp", "tp", "pp", "cp", "ep")
        degrees = self.plan.degrees
        return " · ".join(f"{n.upper()} {degrees[n]}" for n in names if degrees[n] > 1) or "1 GPU"

    def save(self, path: str | PathLike[str]) -> None:
        """Writes the plan file, for ``meshwright execute`` and everything else."""
        self.plan.save(path)

    def __repr__(self) -> str:
        return f"<Report {self.plan.id}: {self.label}, step {self.step}>"


@dataclass(frozen=True)
class Group:
    """Predictions for one group of published runs."""

    name: str
    rows: int
    mean_error: float
    bias: float


class Accuracy:
    """Predictions held against published measurements."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        #: As JSON has it: ``meshwright help schemas accuracy``.
        self.data = data

    @property
    def groups(self) -> list[Group]:
        """Groups of runs, with the mean of absolute relative errors of step times."""
        return [
            Group(g["name"], g["scored"], g["errors"]["mean"], g["errors"]["bias"])
            for g in self.data["groups"]
            if g["scored"] > 0
        ]
