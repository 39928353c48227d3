"""Finding and running the command."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

#: What flags take: booleans are flags without a value.
Option = str | int | float | bool | os.PathLike[str] | None


class Refused(Exception):
    """The command did not answer.

    ``code`` is its exit code (``meshwright help exit-codes``), ``message`` the first line,
    ``hints`` what would work, ``text`` all that it said.
    """

    def __init__(self, code: int, text: str) -> None:
        lines = text.strip().splitlines()
        self.code = code
        self.text = text.strip()
        self.message = lines[0].removeprefix("error: ") if lines else f"exit code {code}"
        self.hints = [line.removeprefix("hint: ") for line in lines if line.startswith("hint: ")]
        super().__init__(self.text or self.message)


def binary() -> str:
    """The command: ``MESHWRIGHT_BINARY``, that of the wheel, or that on the path."""
    named = os.environ.get("MESHWRIGHT_BINARY")
    if named:
        return named
    own = Path(sysconfig.get_path("scripts")) / "meshwright"
    if own.exists():
        return str(own)
    found = shutil.which("meshwright")
    if found is None:
        raise FileNotFoundError(
            "the command meshwright is neither beside this Python nor on the path; "
            "MESHWRIGHT_BINARY can name it"
        )
    return found


def arguments(options: Mapping[str, Option]) -> list[str]:
    """``max_memory=0.9`` as ``--max-memory 0.9``."""
    words: list[str] = []
    for name, value in options.items():
        flag = "--" + name.rstrip("_").replace("_", "-")
        if value is None or value is False:
            continue
        words.append(flag)
        if value is not True:
            words.append(os.fspath(value) if isinstance(value, os.PathLike) else str(value))
    return words


def run(words: Sequence[str], stdin: str | None = None) -> str:
    """What the command prints.

    Raises:
        Refused: where it ends with another exit code than 0.
        FileNotFoundError: where there is no command.
    """
    done = subprocess.run(
        [binary(), *words],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode != 0:
        raise Refused(done.returncode, done.stderr)
    return done.stdout


def version() -> str:
    """The version of the command."""
    return run(["--version"]).split()[-1]
