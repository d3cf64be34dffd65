"""Ranks in order, from an index, from several, or from all of several at once.

A *position* is a rank as a query meets it: the rank itself, or for a query that goes backward its complement, so that
positions always ascend.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from kharvest.records._engine import View

_COMPLEMENT = bytes(255 - byte for byte in range(256))
_SMALLEST_BLOCK, _LARGEST_BLOCK = 2, 1024


@dataclass(frozen=True, slots=True)
class Span:
    """The ranks that a query may meet, from `low`, inclusive, to `high`, exclusive; and in which direction."""

    low: bytes
    high: bytes
    is_backward: bool

    def position(self, rank: bytes) -> bytes:
        """Where a rank is met; also the other way round."""
        return rank.translate(_COMPLEMENT) if self.is_backward else rank


class Stream(Protocol):
    """Positions, ascending."""

    def seek(self, at: bytes) -> bytes | None:
        """The first position at `at` or behind it. `at` never goes back."""


class Index:
    """The positions in the rows whose keys begin with a prefix and end with a rank."""

    def __init__(self, view: View, prefix: bytes, span: Span, block: int) -> None:
        self._view = view
        self._prefix = prefix
        self._span = span
        self._block = block
        self._read: Sequence[bytes] = ()
        self._next = b""
        self._at = 0
        self._is_at_end = span.low >= span.high

    def seek(self, at: bytes) -> bytes | None:
        """See `Stream.seek`."""
        while True:
            self._at = bisect_left(self._read, at, self._at)
            if self._at < len(self._read):
                return self._read[self._at]
            if self._is_at_end:
                return None
            self._fill(at)

    def _fill(self, at: bytes) -> None:
        span, prefix = self._span, self._prefix
        low, high = span.low, span.high
        if span.is_backward:
            high = min(high, at.translate(_COMPLEMENT) + b"\0") if at else high
        else:
            low = max(low, at)
        rows = self._view.scan(prefix + low, prefix + high, reverse=span.is_backward, limit=self._block)
        self._is_at_end = len(rows) < self._block
        cut = len(prefix)
        self._read = [span.position(key[cut:]) for key, _value in rows]
        self._at = 0
        # Who takes one after the other gets more at a time, who leaps gets less.
        self._block = (
            min(2 * self._block, _LARGEST_BLOCK) if at <= self._next else max(self._block // 2, _SMALLEST_BLOCK)
        )
        self._next = self._read[-1] + b"\0" if self._read else at


class Union:
    """The positions that at least one of several streams has."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        self._unread = streams
        self._heap: list[tuple[bytes, int, Stream]] = []

    def seek(self, at: bytes) -> bytes | None:
        """See `Stream.seek`."""
        if self._unread:
            firsts = ((one.seek(at), number, one) for number, one in enumerate(self._unread))
            self._heap = [(position, number, one) for position, number, one in firsts if position is not None]
            heapq.heapify(self._heap)
            self._unread = ()
        while self._heap and self._heap[0][0] < at:
            _passed, number, stream = self._heap[0]
            position = stream.seek(at)
            if position is None:
                heapq.heappop(self._heap)
            else:
                heapq.heapreplace(self._heap, (position, number, stream))
        return self._heap[0][0] if self._heap else None


@dataclass(frozen=True, slots=True)
class Common:
    """The positions that all of several streams have."""

    streams: Sequence[Stream]

    def seek(self, at: bytes) -> bytes | None:
        """See `Stream.seek`."""
        agreed = 0
        while agreed < len(self.streams):
            for stream in self.streams:
                position = stream.seek(at)
                if position is None:
                    return None
                agreed = agreed + 1 if position == at else 1
                at = position
                if agreed >= len(self.streams):
                    break
        return at


@dataclass(frozen=True, slots=True)
class Listed:
    """Positions that are known, ascending."""

    listed: Sequence[bytes]

    def seek(self, at: bytes) -> bytes | None:
        """See `Stream.seek`."""
        first = bisect_left(self.listed, at)
        return self.listed[first] if first < len(self.listed) else None


@dataclass(slots=True)
class Meeting:
    """The positions that all of several streams have, found in a limited number of steps.

    After the walk, `at` is where it ended: all before was looked at. `is_at_end` says that there is nothing behind.
    """

    streams: Sequence[Stream]
    at: bytes
    steps: int
    is_at_end: bool = False

    def positions(self) -> Iterator[bytes]:
        """The positions from `at` on."""
        agreed = 0
        while self.steps > 0:
            for stream in self.streams:
                self.steps -= 1
                position = stream.seek(self.at)
                if position is None:
                    self.is_at_end = True
                    return
                agreed = agreed + 1 if position == self.at else 1
                self.at = position
                if agreed >= len(self.streams):
                    self.at, agreed = position + b"\0", 0
                    yield position
                    break
