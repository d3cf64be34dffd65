"""An engine in this process's memory, for tests: rows in short sorted lists of keys, and a dictionary."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from kharvest.records._engine import Row
from kharvest.spi import Capability

_MOST_KEYS = 1024
"""A list with more keys is split into two: inserting moves what is behind."""


class MemoryEngine:
    """An engine in memory. Thread-safe: `_lock` guards the rows. It is held while a view is open."""

    capabilities: frozenset[Capability] = frozenset()

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows = _Rows()

    @contextmanager
    def view(self) -> Iterator[_Rows]:
        """See `Engine.view`."""
        with self._lock:
            yield self._rows

    def commit(
        self, expected: Mapping[bytes, bytes | None], puts: Mapping[bytes, bytes], deletes: Collection[bytes]
    ) -> bool:
        """See `Engine.commit`."""
        with self._lock:
            values = self._rows.values
            if any(values.get(key) != value for key, value in expected.items()):
                return False
            for key in deletes:
                self._rows.delete(key)
            for key, value in puts.items():
                self._rows.put(key, value)
        return True

    def now_ns(self) -> int:
        """See `Engine.now_ns`."""
        return time.time_ns()

    def close(self) -> None:
        """Nothing to release but memory."""


class _Rows:
    """The rows. Not thread-safe: the engine's lock guards them."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self._lists: list[list[bytes]] = [[]]  # each is in order, and before the next; only the first may be empty
        self._firsts: list[bytes] = [b""]  # no later than the first key of each list, and behind the list before it

    def get(self, keys: Collection[bytes]) -> dict[bytes, bytes]:
        return {key: self.values[key] for key in keys if key in self.values}

    def scan(self, start: bytes, end: bytes, *, reverse: bool = False, limit: int) -> Sequence[Row]:
        keys: list[bytes] = []
        if start < end:
            at = bisect_right(self._firsts, end if reverse else start) - 1
            while 0 <= at < len(self._lists) and len(keys) < limit:
                some = self._lists[at]
                first, behind = bisect_left(some, start), bisect_left(some, end)
                left = limit - len(keys)
                keys += (
                    some[max(first, behind - left) : behind][::-1]
                    if reverse
                    else some[first : min(behind, first + left)]
                )
                if first > 0 if reverse else behind < len(some):
                    break
                at += -1 if reverse else 1
        return [(key, self.values[key]) for key in keys]

    def put(self, key: bytes, value: bytes) -> None:
        if key not in self.values:
            at = bisect_right(self._firsts, key) - 1
            some = self._lists[at]
            insort(some, key)
            if len(some) > _MOST_KEYS:
                # Most keys come in order: what stays behind is full, and what is new has room.
                half = len(some) - 1 if some[-1] == key else len(some) // 2
                self._lists.insert(at + 1, some[half:])
                self._firsts.insert(at + 1, some[half])
                del some[half:]
        self.values[key] = value

    def delete(self, key: bytes) -> None:
        if self.values.pop(key, None) is None:
            return
        at = bisect_right(self._firsts, key) - 1
        some = self._lists[at]
        del some[bisect_left(some, key)]
        if not some and at > 0:
            del self._lists[at]
            del self._firsts[at]
