"""Files of any size pass through in constant memory."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.scripted import LIMITS, Context, ScriptedServer, ask_for_all
from kharvest.wire import v2_pb2 as v2

GIB = 1 << 30


@pytest.mark.slow
def test_two_gib_pass_through_with_less_than_150_mb_of_memory(tmp_path: Path) -> None:
    core = tmp_path / "core"
    with core.open("wb") as sparse:
        sparse.truncate(2 * GIB)
        sparse.seek(GIB)
        sparse.write(b"somewhere in the middle")
    received = hashlib.sha256()
    announced = []

    def upload(requests: Iterator[v2.UploadRequest], context: Context) -> v2.UploadReply:  # noqa: ARG001
        announced.append(next(requests).header.file)
        for request in requests:
            received.update(request.chunk)
        return v2.UploadReply()

    limits = v2.Limits()
    limits.CopyFrom(LIMITS)
    limits.max_chunk_bytes = 1 << 20
    # Of a process that has ended only its parent is told how much memory it took.
    program = (
        "import os, sys\n"
        "child = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, '-m', 'kharvest', *sys.argv[1:]])\n"
        "_, status, usage = os.wait4(child, 0)\n"
        "print(usage.ru_maxrss)\n"
        "sys.exit(os.waitstatus_to_exitcode(status))"
    )
    with ScriptedServer(ask_for_all, upload, limits) as server:
        command = [sys.executable, "-c", program, "client", "--server", server.address, "--once", str(core)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert announced[0].sha256 == received.digest()
    assert int(done.stdout.splitlines()[-1]) * 1024 < 150_000_000
