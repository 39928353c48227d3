#!/usr/bin/env python3
"""llm-analysis and meshwright on the same published runs.

    compare.py MESHWRIGHT [GROUP…]

Needs `pip install llm-analysis==0.2.2`. Every row of the shipped tables that both can express is
predicted by both; the table on stdout is that of docs/peers.md. llm-analysis takes one number for
efficiency: 50 % of the peak, what its own examples assume.
"""

import contextlib
import csv
import io
import logging
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from llm_analysis.analysis import ActivationRecomputation, DSZeRO, LLMAnalysis
from llm_analysis.config import ModelConfig, ParallelismConfig, get_gpu_config_by_name

ROOT = Path(__file__).parents[2]
GROUPS = ["megatron-papers", "vtrain-multi", "llm-foundry", "bloom-a100", "internevo"]
DEVICES = {
    "A100-80GB-SXM": "a100-sxm-80gb",
    "A100-40GB-SXM": "a100-sxm-40gb",
    "H100-80GB-SXM": "h100-sxm-80gb",
    "V100-32GB": "v100-sxm-32gb",
}
EFFICIENCY = 0.5
REPEATED = {"full": ActivationRecomputation.FULL, "none": ActivationRecomputation.NONE}


def whole(row, key, otherwise=None):
    """A whole number, where the row states one."""
    return int(float(row[key])) if row[key] else otherwise


def analysed(row):
    """Seconds per step by llm-analysis; None where it cannot express the row."""
    stated = ["layers", "hidden", "heads", "vocab", "seq", "gpus", "micro_batch", "global_batch"]
    if any(not row[key] for key in stated) or row["gpu"] not in DEVICES or row["experts"]:
        return None
    tp, pp = whole(row, "tp", 1), whole(row, "pp", 1)
    dp = whole(row, "gpus") // (tp * pp)
    heads = whole(row, "heads")
    model = ModelConfig(
        name=row["id"],
        num_layers=whole(row, "layers"),
        n_head=heads,
        hidden_dim=whole(row, "hidden"),
        vocab_size=whole(row, "vocab"),
        max_seq_len=whole(row, "seq"),
        num_key_value_heads=whole(row, "kv_heads", heads),
        ffn_embed_dim=whole(row, "ffn", 4 * whole(row, "hidden")),
    )
    analysis = LLMAnalysis(
        model,
        get_gpu_config_by_name(DEVICES[row["gpu"]]),
        parallelism_config=ParallelismConfig(tp_size=tp, pp_size=pp, dp_size=dp, sp_size=tp),
        flops_efficiency=EFFICIENCY,
        hbm_memory_efficiency=1.0,
    )
    answer = analysis.training(
        batch_size_per_gpu=whole(row, "micro_batch"),
        global_batch_size=whole(row, "global_batch"),
        seq_len=whole(row, "seq"),
        activation_recomputation=REPEATED.get(row["recompute"], ActivationRecomputation.SELECTIVE),
        ds_zero=DSZeRO(whole(row, "zero_stage", 0)),
    )
    return answer["latency_per_iter"]


def ours(binary):
    """Our prediction and the measurement of every scored row."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "rows.csv"
        started = time.perf_counter()
        command = [binary, "accuracy", "--rows", str(table)]
        subprocess.run(command, check=True, capture_output=True)
        seconds = time.perf_counter() - started
        with open(table, newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["measured_s"] and row["predicted_s"]]
    pairs = {row["id"]: (float(row["predicted_s"]), float(row["measured_s"])) for row in rows}
    return pairs, seconds / len(rows)


def errors(pairs):
    """Mean of absolute relative errors, and bias, as percentages."""
    relative = [100 * (predicted / measured - 1) for predicted, measured in pairs]
    return sum(map(abs, relative)) / len(relative), sum(relative) / len(relative)


def main():
    logging.disable(logging.CRITICAL)
    predicted, each = ours(sys.argv[1])
    groups = sys.argv[2:] or GROUPS
    with open(ROOT / "scenarios/published/published_runs.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    print("| runs | rows | llm-analysis | | meshwright | |")
    print("|---|---|---|---|---|---|")
    print("| | | mean error | bias | mean error | bias |")
    spent, asked = 0.0, 0
    for group in groups:
        theirs, own = [], []
        for row in (r for r in rows if r["group"] == group and r["id"] in predicted):
            prediction, measured = predicted[row["id"]]
            started = time.perf_counter()
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    answer = analysed(row)
            except (AssertionError, StopIteration, ZeroDivisionError, ValueError):
                continue
            spent, asked = spent + time.perf_counter() - started, asked + 1
            if answer:
                theirs.append((answer, measured))
                own.append((prediction, measured))
        if theirs:
            (a, b), (c, d) = errors(theirs), errors(own)
            signed = [f"{x:+.1f} %".replace("-", "−") for x in (b, d)]
            print(f"| {group} | {len(own)} | {a:.1f} % | {signed[0]} | {c:.1f} % | {signed[1]} |")
    print(f"\nllm-analysis: {1000 * spent / asked:.2f} ms per row; ", end="")
    print(f"meshwright: {1000 * each:.2f} ms per row, files and statistics included")


if __name__ == "__main__":
    main()
