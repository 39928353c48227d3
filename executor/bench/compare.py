#!/usr/bin/env python3
"""Steps of training side by side: this executor and PyTorch, in one run.

    cargo build --release -p executor --bench training
    python3 -m venv venv && venv/bin/pip install torch numpy
    venv/bin/python executor/bench/compare.py [MODEL...] [--pairs N] [--threads N] [--compile]

Both sides start from the same weights and read the same text. They take turns in the order ABBA,
so that what else the machine does meets both, and the ratio is the median over pairs of
neighbours. On a machine with other work, `--threads 1` and the columns of processor time are the
better witnesses: threads that wait for each other by spinning count as busy. Skips, saying so,
where PyTorch is not installed.
"""

import argparse
import importlib.util
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODELS = ["mlstm", "lstm", "projected", "gpt2"]
# Losses of both sides differ by the order of sums alone.
TOLERANCE = 2e-3


class Side:
    """A process that takes steps when it is asked to."""

    def __init__(self, command):
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT)
        self.losses = []
        if self.process.stdout.readline().strip() != "ready":
            sys.exit(f"{command[0]} did not start")

    def steps(self, count):
        """Mean seconds on the clock and of processor time of so many steps."""
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        wall, busy = 0.0, 0.0
        for _ in range(count):
            numbers = self.process.stdout.readline().split()
            if len(numbers) != 3:
                sys.exit("one side ended before its time")
            wall, busy = wall + float(numbers[0]), busy + float(numbers[1])
            self.losses.append(float(numbers[2]))
        return wall / count, busy / count

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def benchmark():
    """The newest build of executor/benches/training.rs."""
    found = [p for p in (ROOT / "target/release/deps").glob("training-*") if not p.suffix]
    if not found:
        sys.exit("first: cargo build --release -p executor --bench training")
    return str(max(found, key=lambda path: path.stat().st_mtime))


def compare(model, options):
    with tempfile.TemporaryDirectory() as folder:
        weights = str(Path(folder) / "weights.safetensors")
        words = [model, weights, str(options.threads)]
        ours = Side([benchmark()] + words)
        extra = ["--compile"] if options.compile else []
        script = str(Path(__file__).with_name("pytorch.py"))
        theirs = Side([sys.executable, script] + words + extra)
    warm = 1 if model == "gpt2" else 2
    each = 1 if model == "gpt2" else 2
    ours.steps(warm), theirs.steps(warm)
    ours_times, theirs_times = [], []
    for pair in range(options.pairs):
        turns = [(ours, ours_times), (theirs, theirs_times)]
        for side, times in turns if pair % 2 == 0 else reversed(turns):
            times.append(side.steps(each))
    ours.end(), theirs.end()
    return ours, theirs, ours_times, theirs_times


def row(model, ours, theirs, ours_times, theirs_times):
    cells = [model]
    for kind in (0, 1):
        a, b = [t[kind] for t in ours_times], [t[kind] for t in theirs_times]
        ratios = sorted(x / y for x, y in zip(a, b))
        cells += [f"{statistics.median(a):.3f}", f"{statistics.median(b):.3f}"]
        cells.append(f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")
    apart = max(abs(x - y) for x, y in zip(ours.losses, theirs.losses))
    losses = f"{ours.losses[0]:.4f} → {ours.losses[-1]:.4f}, apart by {apart:.0e}"
    return cells + [losses], apart


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=MODELS, help=", ".join(MODELS))
    parser.add_argument("--pairs", type=int, default=8, help="turns of each side")
    parser.add_argument("--threads", type=int, default=2, help="threads of each side")
    parser.add_argument("--compile", action="store_true", help="torch.compile on their side")
    options = parser.parse_args()
    if importlib.util.find_spec("torch") is None:
        print(f"skipped: {sys.executable} has no torch; pip install torch numpy")
        return
    from importlib.metadata import version
    print(f"torch {version('torch')}, Python {platform.python_version()}, "
          f"{platform.machine()}, {options.threads} threads each")
    heads = ["model", "ours s", "theirs s", "ratio", "ours CPU s", "theirs CPU s", "CPU ratio"]
    print("| " + " | ".join(heads + ["loss"]) + " |")
    print("|" + "---|" * (len(heads) + 1))
    bad = []
    for model in options.models:
        cells, apart = row(model, *compare(model, options))
        print("| " + " | ".join(cells) + " |", flush=True)
        if not apart <= TOLERANCE:
            bad.append(model)
    if bad:
        sys.exit(f"losses differ by more than {TOLERANCE}: {', '.join(bad)}")


if __name__ == "__main__":
    main()
