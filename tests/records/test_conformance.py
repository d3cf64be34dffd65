"""The record layer keeps the contract of stores: the suite runs on it, over an engine in memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from harness.conforming import PATIENCE_SECONDS

SUITE = Path(__file__).parent / "suite_in_memory.py"


@pytest.mark.slow
@pytest.mark.timeout(PATIENCE_SECONDS + 60)
def test_the_record_layer_conforms() -> None:
    # In a process of its own: the suite does not run under pytest-xdist.
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", "-p", "no:cacheprovider", SUITE],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
        cwd=SUITE.parent,
    )
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-5000:]
    assert "CONFORMS" in run.stdout
