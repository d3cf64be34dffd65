"""Exit codes: stable, and the same for every command."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """What a command's exit code means."""

    OK = 0
    FAILURE = 1
    """It failed, or, for a check, there is a difference."""
    USAGE = 2
    """Invalid arguments."""
    PARTIAL = 3
    """Some of it was done."""
    NOT_FOUND = 4
    REFUSED = 5
    """Authentication or authorisation refused it."""
    UNAVAILABLE = 6
    """The server, or its store, is away."""
    INTERRUPTED = 130
