"""Changing rows by what was read before, again and again until nobody else was faster."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from kharvest.records._engine import Engine, View
from kharvest.spi import StoreUnavailable

T = TypeVar("T")

PATIENCE_SECONDS = 60.0
_SHORTEST_WAIT_SECONDS = 0.0005
_LONGEST_WAIT_SECONDS = 0.1


@dataclass(slots=True)
class Change(Generic[T]):
    """What is to be committed, and what is answered when it was. `is_step`: there is more to do afterwards."""

    answer: T
    expected: dict[bytes, bytes | None] = field(default_factory=dict)
    puts: dict[bytes, bytes] = field(default_factory=dict)
    deletes: set[bytes] = field(default_factory=set)
    is_step: bool = False


class Commits:
    """The commits of one store.

    Calls that failed once take turns: within a process, one at a time tries again. So threads that change the same rows
    do not keep each other from succeeding.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._turn = threading.Lock()

    def make(self, plan: Callable[[View], Change[T]]) -> T:
        """Commit what `plan` makes of a view; anew, if what it expects is not so any more.

        Raises:
            StoreUnavailable: others changed the same rows at every try for a minute, in which this call waited for its
                turn, too.
        """
        done, answer = self._try(plan)
        if done:
            return answer
        end = time.monotonic() + PATIENCE_SECONDS
        if self._turn.acquire(timeout=PATIENCE_SECONDS):
            try:
                wait = _SHORTEST_WAIT_SECONDS
                while time.monotonic() < end:
                    done, answer = self._try(plan)
                    if done:
                        return answer
                    time.sleep(random.uniform(0, wait))  # noqa: S311  no secret
                    wait = min(2 * wait, _LONGEST_WAIT_SECONDS)
            finally:
                self._turn.release()
        raise StoreUnavailable("others changed the same rows at every try for a minute", "try again")

    def _try(self, plan: Callable[[View], Change[T]]) -> tuple[bool, T]:
        while True:
            with self._engine.view() as view:
                change = plan(view)
            if not change.puts and not change.deletes:
                return True, change.answer
            if not self._engine.commit(change.expected, change.puts, change.deletes):
                return False, change.answer
            if not change.is_step:
                return True, change.answer
