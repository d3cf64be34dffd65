"""What a client costs that has nothing to do: it is there thousands of times over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness import Pod, ServerProcess
from harness.servers import resident_bytes

from client.watched import PATIENCE_SECONDS, until

IDLE_SECONDS = 60.0
MB = 10**6


@contextmanager
def sidecar(server: str, directory: Path, files: int) -> Iterator[int]:
    """The process id of a client, as the image and the manifests start it, that has announced so many files."""
    directory.mkdir()
    for number in range(files):
        (directory / f"file-{number}").write_text(f"{number}\n" * 20)
    command = [sys.executable, "-m", "kharvest", "client", "--server", server, "--pod", f"web-{files}"]
    command += ["--health", "127.0.0.1:0", "--directory", str(directory)]
    environment = {**os.environ, "MALLOC_ARENA_MAX": "1"}
    with (
        subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment) as process,
        Pod(server, "reader") as reader,
    ):
        try:
            # The harness asks for pages of 10,000.
            until(lambda: recorded(reader, f"web-{files}") == files, f"{files} files", 4 * PATIENCE_SECONDS)
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE_SECONDS)


def recorded(reader: Pod, pod: str) -> int:
    return len(reader.references(pod=pod, latest=True))


def cpu_seconds(pid: int) -> float:
    """Processor time that the process has used (`utime` and `stime` of proc(5))."""
    values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.slow
def test_an_idle_client_of_100_files_takes_less_than_45_mb_and_a_five_hundredth_of_a_core(tmp_path: Path) -> None:
    with ServerProcess("memory:") as server, sidecar(server.address, tmp_path / "watched", 100) as pid:
        # Start-up is over when all is announced, but for what the last answer set off.
        time.sleep(3)
        before = cpu_seconds(pid)
        time.sleep(IDLE_SECONDS)  # the subject of the test: a minute, in which there is a rescan
        assert (cpu_seconds(pid) - before) / IDLE_SECONDS < 0.002
        assert resident_bytes(pid) < 45 * MB


@pytest.mark.slow
def test_an_idle_client_of_10_000_files_takes_less_than_80_mb(tmp_path: Path) -> None:
    with ServerProcess("memory:") as server, sidecar(server.address, tmp_path / "watched", 10_000) as pid:
        assert resident_bytes(pid) < 80 * MB
