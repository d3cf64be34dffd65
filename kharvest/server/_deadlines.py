"""Things that are due at some time: one heap, and one timer of the event loop."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
_FEW = 64
"""Entries of the heap that may be out of date, besides as many as there are keys."""


class Deadlines(Generic[Key]):
    """The time of the loop at which each key is due. Used on one event loop.

    Args:
        act: is given the keys that are due. They have no deadline any more.
    """

    def __init__(self, act: Callable[[list[Key]], None]) -> None:
        self._act = act
        self._at: dict[Key, float] = {}
        self._heap: list[tuple[float, int, Key]] = []  # also has entries that `_at` no longer agrees with
        self._number = 0  # keys need not be comparable
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._at)

    def set(self, key: Key, at: float) -> None:
        """The key is due at this time, and at no other."""
        self._at[key] = at
        self._number += 1
        if len(self._heap) > 2 * len(self._at) + _FEW:
            self._heap = [(when, number, one) for number, (one, when) in enumerate(self._at.items())]
            heapq.heapify(self._heap)
        else:
            heapq.heappush(self._heap, (at, self._number, key))
        self._wind()

    def drop(self, key: Key) -> None:
        """The key has no deadline any more; it need not have one."""
        if self._at.pop(key, None) is not None and not self._at:
            self._heap.clear()
            self._wind()

    def _wind(self) -> None:
        """Set the timer to the first deadline. One that is earlier stays: it is wound again then."""
        at = self._heap[0][0] if self._heap else None
        if self._timer is not None:
            if at is not None and self._timer.when() <= at:
                return
            self._timer.cancel()
            self._timer = None
        if at is not None:
            self._timer = asyncio.get_running_loop().call_at(at, self._ring)

    def _ring(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        due = []
        while self._heap and self._heap[0][0] <= now:
            at, _number, key = heapq.heappop(self._heap)
            if self._at.get(key) == at:
                del self._at[key]
                due.append(key)
        self._wind()
        if due:
            self._act(due)
