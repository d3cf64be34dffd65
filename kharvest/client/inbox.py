"""Where other threads leave word for the harvesting thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Flag

from kharvest.client.places import Place

_MAX_TOUCHED = 65_536
"""More entries than this are not remembered one by one: everything is looked at instead. It bounds a burst."""

_SWARM_SECONDS = 0.02


class Touch(Flag):
    """What may have changed at a place."""

    NAME = 1
    """Which file the entry names: it was created, removed, renamed, or got other permissions."""
    BYTES = 2
    """The bytes of the file that it names."""
    BOTH = 3
    PATH = 4
    """Where the directory itself is: it was renamed, and all that is below it lies elsewhere now."""
    ALL = 7


@dataclass(slots=True)
class Mail:
    """What has come in: work to do, in order; entries of directories that may have changed; whether to look at all."""

    work: deque[Callable[[], None]] = field(default_factory=deque)
    touched: dict[Place, Touch] = field(default_factory=dict)
    look_at_all: bool = False

    def __bool__(self) -> bool:
        return bool(self.work or self.touched or self.look_at_all)


class Inbox:
    """Thread-safe; any thread posts, the harvesting thread takes."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._mail = Mail()

    def post(self, work: Callable[[], None]) -> None:
        """Have the harvesting thread call `work`."""
        with self._condition:
            self._mail.work.append(work)
            self._condition.notify()

    def touch(self, place: Place, touch: Touch) -> None:
        """Tell that something may have changed at a place."""
        with self._condition:
            touched = self._mail.touched
            if len(touched) >= _MAX_TOUCHED:
                touched.clear()
                self._mail.look_at_all = True
            if not self._mail.look_at_all:
                touched[place] = touched.get(place, touch) | touch
            self._condition.notify()

    def look_at_all(self) -> None:
        """Tell that anything may have changed."""
        with self._condition:
            self._mail.look_at_all = True
            self._mail.touched.clear()
            self._condition.notify()

    def take(self, timeout: float | None) -> Mail:
        """Everything that has come in, after waiting at most `timeout` seconds for something."""
        with self._condition:
            self._condition.wait_for(lambda: bool(self._mail), timeout)
            if self._mail.touched and not self._mail.work:
                # Changes come in swarms, and nobody waits for the first of them.
                self._condition.wait_for(lambda: bool(self._mail.work), _SWARM_SECONDS)
            mail, self._mail = self._mail, Mail()
            return mail
