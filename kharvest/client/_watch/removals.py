"""Which of the files that the server has of this pod are gone."""

# Paths are strings here: they are looked at by the thousand, and announced exactly as they are.
# ruff: noqa: PTH116, PTH120
from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Iterator, Sequence

from kharvest.client._config.rules import Rule
from kharvest.client._events import EventQueue
from kharvest.client._watch.changes import WatchEvent

_MAX_UNDECIDED = 10_000
"""Paths that may be gone or not, because a directory on the way cannot be listed. More are not remembered."""
_UNDECIDED_SECONDS = 60.0
"""How often these are looked at."""


class RemovalSearch(WatchEvent):
    """Decides of paths that the server has, and a rule covers, whether a file is there.

    The harvesting thread owns it. As an event: it is time to look at the undecided ones again.

    A file is gone if the rule's directory (of a path, the directory that it is in) can be listed, and the path leads to
    no entry from there. A directory that does not exist, is not mounted yet or may not be read says nothing about its
    files: `undecided` has them, to be decided later.
    """

    def __init__(self, events: EventQueue) -> None:
        self._timers = events.timers
        self.undecided: set[str] = set()

    def decide(self, paths: Iterable[str], rules: Sequence[Rule]) -> Iterator[tuple[str, Rule, bool]]:
        """Yield the paths that a rule covers, with that rule, and whether the file is gone."""
        for path in paths:
            self.undecided.discard(path)
            rule = next((rule for rule in rules if rule.covers(path)), None)
            if rule is None:
                continue  # that it is not watched any more is no removal
            is_there = _is_there(path, rule)
            if is_there is not None:
                yield path, rule, not is_there
            elif len(self.undecided) < _MAX_UNDECIDED:
                self.undecided.add(path)
        if self.undecided and self._timers.time_of(self) is None:
            self._timers.put(self, time.monotonic() + _UNDECIDED_SECONDS)


def _is_there(path: str, rule: Rule) -> bool | None:
    """Whether there is a file at a path that the rule covers; None if that cannot be known."""
    top = os.path.dirname(path) if rule.is_path else rule.root
    entry = top.rstrip("/")
    try:
        os.scandir(top).close()
        for name in path[len(entry) + 1 :].split("/"):
            entry = f"{entry}/{name}"
            try:
                os.lstat(entry)
            except (FileNotFoundError, NotADirectoryError):
                return False
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:  # or a link on the way leads to something that is not there: not mounted yet, perhaps
        return None
