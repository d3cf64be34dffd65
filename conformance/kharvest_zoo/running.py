"""Runs the suite on stores of the zoo as its users do: in a pytest of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 1200
"""This ends a run that hangs, and not one on a machine that does other things too."""

BLOCKED_SECONDS = 10
"""How long the suite waits for a broken store: some are broken in that they block."""

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

_ONLY = """
ONLY = WANTED

def pytest_pycollect_makeitem(collector, name):
    only = ONLY.get(collector.name)
    return [] if only and name.startswith("test_") and name not in only else None
"""
"""Collects no tests but the wanted ones: hundreds of stores with all tests of the suite take minutes to collect."""


def run_zoo(
    folder: Path, tests: Mapping[str, Iterable[str]], *options: str, env: dict[str, str] | None = None
) -> Reports:
    """What the suite reports of stores of the zoo, by name; of each, the tests that are named, or all if none is."""
    file, report = folder / "test_zoo_stores.py", folder / "report.json"
    file.write_text(_FILE.replace("KINDS", repr(list(tests))))
    only = {f"Test{kind}": list(names) for kind, names in tests.items()}
    file.with_name("conftest.py").write_text(_ONLY.replace("WANTED", repr(only)))
    nodes = [f"{file}::Test{kind}::{test}" for kind, names in tests.items() for test in names] or [str(file)]
    # Without tracebacks: pytest parses code to show one. Where generators of a store fail meanwhile, as they are
    # collected, Python 3.11 raises "AST constructor recursion depth mismatch", and the run ends.
    quiet = ["-q", "--tb=no", "-c", "/dev/null", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *quiet, *options, f"--rootdir={folder}", f"--kharvest-json={report}", *nodes],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
        env={name: value for name, value in (env or os.environ).items() if name not in _CI},
    )
    assert report.exists(), run.stdout + run.stderr
    return {store["store"]: store for store in json.loads(report.read_text())["stores"]}


def run_zoo_at_once(folder: Path, tests: Mapping[str, Iterable[str]], parts: int, *options: str) -> Reports:
    """The same, in several runs of pytest at once: for many stores, some of which only make the suite wait."""

    def run(part: int) -> Reports:
        own = folder / str(part)
        own.mkdir()
        return run_zoo(own, {kind: tests[kind] for kind in list(tests)[part::parts]}, *options)

    with ThreadPoolExecutor(parts) as threads:
        reports = list(threads.map(run, range(parts)))
    return {kind: report for one in reports for kind, report in one.items()}


def complaints(folder: Path, kind: str, *, fast: bool = False) -> list[str]:
    """What the whole suite has against a store of the zoo, at a small depth; or a fast run of it."""
    option, verdict = ("--kharvest-fast", "incomplete") if fast else ("--kharvest-examples=5", "conforms")
    report = run_zoo(folder, {kind: []}, option)[kind]
    against = [f"{one['test']}: {one['detail']}" for one in report["failed"]] + report["problems"]
    return against if report["verdict"] == verdict else [*against, report["verdict"]]
