"""How long to wait before trying again."""

from __future__ import annotations

import random


class Backoff:
    """Waits that double from `first_seconds` up to `most_seconds`, each drawn between half of that and all of it.

    The jitter keeps clients that failed together from coming back together. It never gives up.
    """

    def __init__(self, first_seconds: float = 0.2, most_seconds: float = 30.0) -> None:
        self._first = first_seconds
        self._most = most_seconds
        self._next = first_seconds

    def fail(self, pushback_seconds: float | None = None) -> float:
        """Count a failure; the seconds to wait now. Never less than the server's pushback, where there is one."""
        wait = random.uniform(0.5, 1) * self._next  # noqa: S311  # jitter, not a secret
        self._next = min(self._next * 2, self._most)
        return wait if pushback_seconds is None else pushback_seconds * random.uniform(1, 1.25)  # noqa: S311

    def succeed(self) -> None:
        """Start over from the first wait."""
        self._next = self._first


def jitter(seconds: float) -> float:
    """Somewhere between 0 and `seconds`, evenly."""
    return random.uniform(0, seconds)  # noqa: S311  # jitter, not a secret
