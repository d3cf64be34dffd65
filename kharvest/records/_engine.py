"""The contract of an engine: an ordered map of keys to values that the record layer keeps its rows in.

Keys and values are bytes. Keys have 1 to MAX_KEY_BYTES bytes, and are ordered byte by byte; a value has 0 to
MAX_VALUE_BYTES bytes. An engine takes every key and every value within these limits, and one commit of as many rows
as the largest batch of the store contract makes: up to MAX_COMMIT_ROWS rows with MAX_COMMIT_BYTES bytes together.
A database that has a smaller limit cannot be an engine. A batch is atomic, and the record layer does not spread it
over several commits.

An engine is thread-safe. It raises nothing but `kharvest.spi` errors for what happens at run time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeAlias

from kharvest.spi import Capability

MAX_KEY_BYTES = 320
"""The longest key that the record layer makes. Every database of note takes this much: LMDB, with 511, the least."""
MAX_VALUE_BYTES = 64 * 1024
"""The longest value that the record layer makes."""
MAX_COMMIT_ROWS = 1_000_000
"""The most rows that one commit of the record layer expects, puts and deletes together."""
MAX_COMMIT_BYTES = 64 * 1024 * 1024
"""The most bytes in the keys and values of one commit."""

Row: TypeAlias = tuple[bytes, bytes]
"""A key and its value."""


class View(Protocol):
    """The rows as of one moment."""

    def get(self, keys: Collection[bytes]) -> dict[bytes, bytes]:
        """The values of those keys that are there. `keys` may be empty, and may name a key twice."""

    def scan(self, start: bytes, end: bytes, *, reverse: bool = False, limit: int) -> Sequence[Row]:
        """The first rows whose keys are `start` or greater and less than `end`, at most `limit`, in the order of keys.

        With `reverse`, the last such rows, the greatest key first. Fewer than `limit` rows mean that there are no more.
        `start` and `end` have up to MAX_KEY_BYTES + 1 bytes and need not be there; no key lies between two that are
        equal or the wrong way round. `limit` is 1 or more.
        """


class Engine(Protocol):
    """An ordered map of bytes that is changed by atomic, conditional commits."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this engine guarantees, as for a store: always the same."""

    def view(self) -> AbstractContextManager[View]:
        """The rows as of one moment, for the time of a `with` block.

        A view shows every commit that returned True before the block began, and each commit whole or not at all.
        What is committed while it is open does not show. The record layer opens a view within one call of its own, and
        does not open another one or commit meanwhile on the same thread: views and commits of other threads may wait
        until it is closed. So an engine without snapshots keeps commits waiting while a view is open.
        """

    def commit(
        self, expected: Mapping[bytes, bytes | None], puts: Mapping[bytes, bytes], deletes: Collection[bytes]
    ) -> bool:
        """Put and delete rows, provided that the keys of `expected` have the values given there; None is no row.

        Returns whether it did. All or nothing, at one moment: no other commit takes effect between the comparison
        and the changes. False, and nothing changed, if a value is not as expected. A put replaces the value that a key
        has. A key that is deleted need not be there. No key is both put and deleted. Any of the three may be empty.

        With DURABLE, what was committed survives a killed process when this returns. When it raises, the changes
        are there whole or not at all.

        Raises:
            StoreFull: no room. Nothing was changed.
        """

    def now_ns(self) -> int:
        """The clock that all who share the rows go by, as for `ReferenceStore.now_ns`."""

    def close(self) -> None:
        """Release what the engine holds. Closing twice is allowed; no other call begins after it.

        Views that are open and commits that are under way on other threads may fail, with any error. What was committed
        stays, and the process goes on. When this returns, the same place can be opened again: iterators, snapshots and
        locks of the database are released too.
        """
