"""Waiting for what a server is seen to have done, by its own counters."""

from __future__ import annotations

import time

from harness.servers import ServerThread

PATIENCE_SECONDS = 20.0


def wait_until_held(server: ServerThread, announcements: int) -> None:
    """Until so many announcements are held."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while server.metric("kharvest_held_announcements") < announcements:
        assert time.monotonic() < deadline, "the announcement is not held"
        time.sleep(0.005)
