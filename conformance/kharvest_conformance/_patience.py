"""How long the suite waits for what only a blocked store never does: one setting for all of it."""

from __future__ import annotations

import math
import threading
from collections import Counter
from dataclasses import dataclass, field

from kharvest.spi import InvalidValue

DEFAULT_PATIENCE_SECONDS = 60.0
"""Longer than any call of a correct store takes, however slow the machine and the way to the store."""


@dataclass(slots=True)
class Patience:
    """Seconds to wait for one call, one report of another process, or one end. The plug-in sets it.

    Attributes:
        seconds: the time.
        returned: how many calls to a store have returned in each thread, by its identity.
    """

    seconds: float = DEFAULT_PATIENCE_SECONDS
    returned: Counter[int] = field(default_factory=Counter)

    def wait_for(self, thread: threading.Thread) -> None:
        """Wait until a thread ends, however many calls it makes, as long as each returns.

        Raises:
            AssertionError: none of its calls has returned for `seconds`.
        """
        returned = -1
        while thread.is_alive():
            before, returned = returned, self.returned[thread.ident or 0]
            assert returned != before, f"a call beside others does not return within {self.seconds:.0f} s"  # noqa: S101
            thread.join(self.seconds)


PATIENCE = Patience()


def check_patience(seconds: float) -> float:
    """The given seconds.

    Raises:
        InvalidValue: nobody can wait so long.
    """
    if not 0 < seconds < math.inf:
        raise InvalidValue("patience", f"{seconds} s is no time to wait", "give a number of seconds above 0")
    return seconds
