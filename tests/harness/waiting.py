"""Waiting for what a server is seen to have done, by its own counters."""

from __future__ import annotations

import time
from collections.abc import Callable

from harness.servers import ServerThread

PATIENCE_SECONDS = 60.0


def wait_until(holds: Callable[[], object]) -> None:
    """Until this holds, which nothing tells of."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it does not come to hold"
        time.sleep(0.005)


def wait_until_held(server: ServerThread, announcements: int) -> None:
    """Until so many announcements are held."""
    wait_until(lambda: server.metric("kharvest_held_announcements") >= announcements)
