"""How long to wait before trying again."""

from __future__ import annotations

import random

FIRST_SECONDS = 0.2
MOST_SECONDS = 30.0


class Backoff:
    """Waits that double with every failure in a row; see `retry_seconds`. It never gives up."""

    def __init__(self, first_seconds: float = FIRST_SECONDS, most_seconds: float = MOST_SECONDS) -> None:
        self._first = first_seconds
        self._most = most_seconds
        self._failures = 0

    def fail(self, pushback_seconds: float | None = None) -> float:
        """Count a failure; returns the seconds to wait now."""
        self._failures += 1
        return retry_seconds(self._failures, self._first, self._most, pushback_seconds)

    def succeed(self) -> None:
        """Start over from the first wait."""
        self._failures = 0


def retry_seconds(
    failures: int,
    first_seconds: float = FIRST_SECONDS,
    most_seconds: float = MOST_SECONDS,
    pushback_seconds: float | None = None,
) -> float:
    """The seconds to wait after this many failures in a row, with jitter.

    The jitter keeps clients that failed together from coming back together. The wait is never less than the server's
    pushback, where there is one.
    """
    if pushback_seconds is not None:
        return pushback_seconds + jitter(pushback_seconds / 4)
    return jittered(doubled(failures, first_seconds, most_seconds))


def doubled(failures: int, first_seconds: float, most_seconds: float) -> float:
    """`first_seconds`, doubled with every failure in a row after the first, up to `most_seconds`."""
    return float(min(first_seconds * 2.0 ** min(failures - 1, 30), most_seconds))


def jittered(seconds: float) -> float:
    """A random time between half of `seconds` and all of it."""
    return seconds / 2 + jitter(seconds / 2)


def jitter(seconds: float) -> float:
    """A random time between 0 and `seconds`."""
    return random.uniform(0, seconds)  # noqa: S311  # not a secret
