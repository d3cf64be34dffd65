"""How long a sequence that failed is made shorter."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

_SHORTENING_SECONDS = 10.0


class Interest:
    """Which sequences are worth doing: all, until one has failed and there was time to make it shorter.

    Then only those that are known to fail are: on a slow store Hypothesis would go on for minutes.
    """

    def __init__(self) -> None:
        self._failed: set[tuple[bytes, ...]] = set()
        self._ends = math.inf

    @contextmanager
    def of(self, steps: tuple[bytes, ...]) -> Iterator[bool]:
        """Whether to do these steps, which is done within."""
        try:
            yield time.monotonic() < self._ends or steps in self._failed
        except BaseException:
            if not self._failed:
                self._ends = time.monotonic() + _SHORTENING_SECONDS
            self._failed.add(steps)
            raise
