"""What did not run, and why, stands in the last lines of a run; in CI it fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
NEEDY = """
import subprocess
from harness.real import kinds, RealServers
from harness.real.server import CannotRun, OwnServer

class Absent(OwnServer):
    kind = "absent"
    def answers(self): return True
    def launch(self): raise CannotRun("absentd is not installed; install it")
    def place(self): raise AssertionError

kinds.KINDS["absent"] = Absent

def test_a_store_on_it(real_servers: RealServers):
    real_servers.get("absent").place()
"""


@pytest.mark.slow
@pytest.mark.parametrize(("in_ci", "status", "word"), [("", 0, "SKIPPED"), ("true", 1, "FAILED")])
def test_a_server_that_cannot_run_is_told_and_fails_in_ci(tmp_path: Path, in_ci: str, status: int, word: str) -> None:
    (tmp_path / "test_needy.py").write_text(NEEDY)
    (tmp_path / "conftest.py").write_text("from harness.real.fixtures import real_servers")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        os.devnull,
        "--rootdir",
        str(tmp_path),
        "-ra",
        "-p",
        "no:cacheprovider",
    ]
    run = subprocess.run(
        [*command, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "CI": in_ci, "PYTHONPATH": str(TESTS)},
        timeout=60,
    )
    assert run.returncode == status, run.stdout
    (line,) = [line for line in run.stdout.splitlines()[-3:] if line.startswith(word)]
    assert "absentd is not installed; install it" in line
