"""Runs the suite on stores of the zoo as its users do: in a pytest of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

FAULTS_CAUGHT = pytest.StashKey[tuple[int, int]]()
"""How many broken stores were caught, of how many: for the summary of the run."""

_CI = {"CI", "BUILD_NUMBER"}
"""Where pytest sees one of these it shows every difference whole, and the zoo has stores that lose megabytes."""

Reports = dict[str, dict[str, Any]]
"""What the suite reported, by store."""

_FILE = """
import pytest
from kharvest_conformance.suite import Suite
from kharvest_zoo.harness import ZooHarness

def suite_of(kind):
    class Zoo(Suite):
        @pytest.fixture
        def harness(self, tmp_path):
            return ZooHarness(kind, str(tmp_path))
    Zoo.__name__ = Zoo.__qualname__ = f"Test{kind}"
    return Zoo

for kind in KINDS:
    globals()[f"Test{kind}"] = suite_of(kind)
"""


def run_zoo(folder: Path, tests: dict[str, Iterable[str]], *options: str, env: dict[str, str] | None = None) -> Reports:
    """What the suite reports of stores of the zoo, by name; of each, the tests that are named, or all if none is."""
    file, report = folder / "test_zoo_stores.py", folder / "report.json"
    file.write_text(_FILE.replace("KINDS", repr(list(tests))))
    nodes = [f"{file}::Test{kind}::{test}" for kind, names in tests.items() for test in names] or [str(file)]
    command = [sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", "-p", "no:cacheprovider", *options]
    run = subprocess.run(
        [*command, f"--rootdir={folder}", f"--kharvest-json={report}", *nodes],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
        env={name: value for name, value in (env or os.environ).items() if name not in _CI},
    )
    assert report.exists(), run.stdout + run.stderr
    return {store["store"]: store for store in json.loads(report.read_text())["stores"]}
