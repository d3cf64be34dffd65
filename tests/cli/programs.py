"""The command line as a process of its own, which its streams, its locale and its exit code belong to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

PROGRAM = (sys.executable, "-m", "kharvest")
SECONDS = 120


@dataclass
class Run:
    code: int
    out: str
    err: str

    @property
    def json(self) -> list[dict[str, object]]:
        loaded: list[dict[str, object]] = json.loads(self.out)
        return loaded


Kharvest = Callable[..., Run]


def run_program(
    *arguments: str | bytes, environment: Mapping[str, str] | None = None, prefix: Sequence[str] = ()
) -> subprocess.CompletedProcess[bytes]:
    """The command line as a process, with more environment, behind another command."""
    command = [*prefix, *PROGRAM, *arguments]
    return subprocess.run(
        command, capture_output=True, timeout=SECONDS, check=False, env={**os.environ, **(environment or {})}
    )


def run_redirected(redirection: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """The command line with a redirection of the shell: `>&-`, `>/dev/full`, `| head -n 1`."""
    script = f'set -o pipefail; "$@" {redirection}'
    return subprocess.run(
        ["bash", "-c", script, "bash", *PROGRAM, *arguments], capture_output=True, timeout=SECONDS, check=False
    )
