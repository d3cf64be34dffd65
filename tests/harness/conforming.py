"""The conformance suite on a store of ours, as a backend's author would run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

# A run takes one or two minutes; this ends one that hangs, and not one on a machine that does other things too.
PATIENCE_SECONDS = 1200


def conformance(store: str, *arguments: str) -> None:
    """Run the suite; every test that the store's capabilities ask for must have run and passed."""
    assert _run(store, *arguments)["verdict"] == "conforms"


def fast_conformance(store: str, *arguments: str) -> None:
    """Run what a fast run has of the suite; all of it must have passed."""
    (report,) = _run(store, "--fast", *arguments)["stores"]
    assert report["verdict"] == "incomplete"
    assert report["passed"]


def _run(store: str, *arguments: str) -> dict[str, Any]:
    options = ["--json", "--seed", "1", "--jobs", "1"]  # other workers of pytest keep the processors busy
    command = [sys.executable, "-m", "kharvest", "conformance", "env:STORE", *arguments, *options]
    environment = {**os.environ, "STORE": store}
    run = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False, env=environment
    )
    assert run.returncode in (0, 3), run.stdout[-5000:] + run.stderr[-5000:]
    report: dict[str, Any] = json.loads(run.stdout)
    return report
