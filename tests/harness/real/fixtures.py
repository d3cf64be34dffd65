"""Fixtures that give tests real servers: started when the first test asks for one, stopped after the last.

A folder of tests imports `real_servers` in its conftest.py. Where a server cannot run, the tests that ask for it are
skipped and say why; with `CI=true` they fail.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from harness.real.kinds import KINDS
from harness.real.server import CannotRun, RealServer


class RealServers:
    """The servers of one run of pytest, by kind; a context manager that closes them."""

    def __init__(self) -> None:
        self._running: dict[str, RealServer] = {}
        self._impossible: dict[str, str] = {}
        self._closing = ExitStack()

    def get(self, kind: str) -> RealServer:
        """The server of this kind, running. Skips, or fails in CI, where it cannot run."""
        if kind not in self._running and kind not in self._impossible:
            try:
                self._start(kind)
            except CannotRun as reason:
                self._impossible[kind] = str(reason)
        if kind in self._impossible:
            is_ours = not kind.endswith("-given")
            if is_ours and os.environ.get("CI") == "true":
                pytest.fail(f"no {kind}: {self._impossible[kind]}")
            pytest.skip(f"no {kind}: {self._impossible[kind]}")
        return self._running[kind]

    def _start(self, kind: str) -> None:
        server = KINDS[kind]()
        self._closing.callback(server.close)
        server.start()
        self._running[kind] = server

    def close(self) -> None:
        self._closing.close()


@pytest.fixture(scope="session")
def real_servers() -> Iterator[RealServers]:
    """Every kind of real server, each started when it is first asked for."""
    servers = RealServers()
    yield servers
    servers.close()
