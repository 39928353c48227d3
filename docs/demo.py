#!/usr/bin/env python3
"""Records the explorer as an animated picture: docs/demo.py target/release/meshwright

Every scene is what `meshwright explore --keys` prints; the picture shows one after the other.
"""

import html
import subprocess
import sys
from pathlib import Path

QUESTION = ["-m", "llama2-70b", "-g", "64", "-c", "hgx-h100"]
COLUMNS, ROWS = 96, 26
SECONDS = 3
# What is typed, and what it shows.
SCENES = [
    ("1", "the plan, and why"),
    ("2", "what else there is: step against memory"),
    ("2 j j w", "why not this one"),
    ("3", "the step in simulated time"),
    ("4", "memory of every stage"),
    ("5", "who talks to whom, how much"),
    ("6", "what if: every knob, solved at once"),
]


def screen(binary, keys):
    """The lines of a screen."""
    size = ["--size", f"{COLUMNS}x{ROWS}"]
    command = [binary, "explore", *QUESTION, "--keys", keys, *size]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def main():
    binary = sys.argv[1]
    width, line = COLUMNS * 8 + 32, 17
    height, total = (ROWS + 2) * line + 24, SECONDS * len(SCENES)
    share = 100 / len(SCENES)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        "<title>meshwright explore: seven screens of a plan for 64 GPUs</title><style>",
        "text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#d7dae0;"
        "white-space:pre}.k{fill:#7fb4ff}",
        f".s{{opacity:0;animation:show {total}s step-end infinite}}",
        f"@keyframes show{{0%{{opacity:1}}{share:.3f}%{{opacity:0}}}}",
        # Where nothing may move, the first scene stays.
        "@media (prefers-reduced-motion:reduce){.s{animation:none}.s:first-of-type{opacity:1}}",
        f'</style><rect width="{width}" height="{height}" rx="8" fill="#15181d"/>',
    ]
    for place, (keys, words) in enumerate(SCENES):
        parts.append(f'<g class="s" style="animation-delay:{place * SECONDS}s">')
        parts.append(f'<text class="k" x="16" y="24">keys {keys}: {html.escape(words)}</text>')
        for row, text in enumerate(screen(binary, keys)):
            y = 24 + (row + 2) * line
            parts.append(f'<text x="16" y="{y}" xml:space="preserve">{html.escape(text)}</text>')
        parts.append("</g>")
    parts.append("</svg>\n")
    Path(__file__).with_name("demo.svg").write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
