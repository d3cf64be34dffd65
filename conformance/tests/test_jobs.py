"""Tests side by side say what tests one after the other say, whatever becomes of the processes that run them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kharvest_conformance._jobs import default_jobs

_PLUGIN = """
import os, signal
from contextlib import contextmanager
from pathlib import Path
from kharvest.spi import SPI_VERSION, Backend, Capability, StoreDenied, hookimpl
from kharvest_zoo.kinds import KINDS
from kharvest_zoo.plain import PlainStore

class Dies(PlainStore):
    def newest(self, timelines):
        os.kill(os.getpid(), signal.SIGKILL)

class NamesItsPlace(PlainStore):
    def newest(self, timelines):
        raise RuntimeError(f"nothing is known at {self.path}")

def open_store(url):
    kind, _, path = url.partition(":")[2].partition(",")
    if kind == "NamesItsPlace":
        store = NamesItsPlace("")
        store.path = path
        return store
    return Dies("") if kind == "Dies" else KINDS[kind](path)

@contextmanager
def beside(url, label):
    kind, _, path = url.partition(":")[2].partition(",")
    if kind == "PlainStore" and path == "denied":
        raise StoreDenied("no right to make places", "ask for it")
    other = f"{path}-{label}" if path else ""
    try:
        yield f"side:{kind},{other}"
    finally:
        if path:
            Path(other).unlink(missing_ok=True)

@hookimpl
def kharvest_backend(scheme):
    made = beside if scheme == "side" else None
    return Backend(spi_version=SPI_VERSION, capabilities=frozenset(), open=open_store, beside=made)
"""
SOME = "strings or since or latest or newest or called_twice or offset"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """One in which a distribution is installed that serves `side:KIND,FILE`, and `alone:` without places beside."""
    info = tmp_path / "site" / "side_backend-7.dist-info"
    info.mkdir(parents=True)
    (tmp_path / "site" / "side_backend.py").write_text(_PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: side-backend\nVersion: 7\n")
    entries = "".join(f"{scheme} = side_backend\n" for scheme in ("side", "alone"))
    (info / "entry_points.txt").write_text(f"[kharvest.stores]\n{entries}")
    path = os.pathsep.join(filter(None, (str(tmp_path / "site"), os.environ.get("PYTHONPATH"))))
    own = {"PYTHONPATH": path, "PYTHONHASHSEED": "0"}  # sets are shown in one order
    return {name: value for name, value in os.environ.items() if name != "CI"} | own


@pytest.fixture
def run(tmp_path: Path, environment: dict[str, str]) -> Run:
    """Pytest on the suite's tests whose names have some words, with so many jobs; it writes each report."""

    def run(url: str, jobs: int, words: str = SOME, *options: str) -> subprocess.CompletedProcess[str]:
        files = (f"--kharvest-json={tmp_path}/{jobs}.json", f"--kharvest-junit={tmp_path}/{jobs}.xml")
        return subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-c", os.devnull),
                *("--pyargs", "kharvest_conformance", "--kharvest-store", url, "--kharvest-examples=1", "-k", words),
                *(f"--kharvest-jobs={jobs}", "--kharvest-statistics", *files, *options),
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=environment,
            timeout=300,
        )

    return run


def _without_times(text: str) -> str:
    text = re.sub(r'"?seconds"?[:=] ?[\d.e-]+|time="[\d.]+"| in [\d.]+s( \([\d:]+\))?|0x[0-9a-f]+', "", text)
    return re.sub(r"-side by side-\d+|/\d\.(json|xml)", "", text)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["PlainStore", "ExcludesSince", "PadsKeys", "NamesItsPlace"])
def test_two_jobs_say_what_one_says(kind: str, run: Run, tmp_path: Path) -> None:
    words = f"{SOME} or keys" if kind == "PadsKeys" else SOME
    where = str(tmp_path / "here") if kind == "NamesItsPlace" else ""
    one, two = (run(f"side:{kind},{where}", jobs, words) for jobs in (1, 2))
    if kind == "NamesItsPlace":  # pytest shows values in part: which part depends on the length of what is in them
        assert "suite_" not in two.stdout
    else:
        assert _without_times(one.stdout) == _without_times(two.stdout)
    assert one.returncode == two.returncode == (0 if kind == "PlainStore" else 1), one.stdout
    for form in ("json", "xml"):
        first, second = ((tmp_path / f"{jobs}.{form}").read_text() for jobs in (1, 2))
        assert _without_times(first) == _without_times(second)


def test_a_process_that_dies_is_told_with_its_test_and_the_others_go_on(run: Run, tmp_path: Path) -> None:
    done = run("side:Dies,", 2, "newest or called_twice or since")
    assert done.returncode == 1, done.stdout
    (store,) = json.loads((tmp_path / "2.json").read_text())["stores"]
    lost = [one for one in store["failed"] if one["detail"] == "the process that ran the test was ended by SIGKILL"]
    assert len(lost) > 1
    assert "test_close_can_be_called_twice" in [one["test"] for one in store["passed"]]
    assert (store["store"], store["problems"], store["verdict"]) == ("side:Dies,", [], "fails")
    assert "ended by SIGKILL" in done.stdout


def test_where_no_place_can_be_made_tests_run_one_at_a_time_and_that_is_said(run: Run) -> None:
    done = run("side:PlainStore,denied", 2, "called_twice or newest")
    assert "one test at a time: store refuses access: no right to make places; ask for it" in done.stdout
    assert done.returncode == 0, done.stdout
    done = run("alone:PlainStore,", 2, "called_twice or newest")
    assert "one test at a time: alone:PlainStore, has no places beside it" in done.stdout
    assert done.returncode == 0, done.stdout


def test_a_run_that_is_to_stop_at_a_failure_does(run: Run) -> None:
    one, two = (run("side:ExcludesSince,", jobs, SOME, "--exitfirst") for jobs in (1, 2))
    assert one.returncode == two.returncode == 1, two.stdout
    assert "stopping after 1 failures" in two.stdout
    assert "1 failed" in two.stdout


def test_an_interrupt_ends_all_processes_and_leaves_no_place_behind(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    folder = tmp_path / "stores"
    folder.mkdir()
    command = [sys.executable, "-m", "kharvest", "conformance", f"sqlite:///{folder}/store.db", "--jobs", "2"]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, env=environment)
    assert running.stderr is not None
    assert running.stderr.read(1) == b"."  # tests run
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    assert len(children) == 2
    running.send_signal(signal.SIGINT)
    _output, said = running.communicate(timeout=120)
    assert running.returncode == 1
    assert b"INTERRUPTED" in said
    assert [child for child in children if Path(f"/proc/{child}").exists()] == []
    assert [path.name for path in folder.iterdir() if "suite_" in path.name] == []


def test_by_itself_it_has_a_job_for_each_processor_but_four_at_most() -> None:
    assert 1 <= default_jobs() == min(4, len(os.sched_getaffinity(0)))


def test_no_job_at_all_is_refused(run: Run) -> None:
    done = run("side:PlainStore,", 0)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--kharvest-jobs must be at least 1" in done.stderr
    args: list[Any] = [sys.executable, "-m", "kharvest", "conformance", "memory:", "--jobs", "0"]
    refused = subprocess.run(args, capture_output=True, text=True, check=False)
    assert (refused.returncode, "jobs" in refused.stderr) == (2, True)
