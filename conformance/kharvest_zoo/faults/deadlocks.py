"""Faults in how writers that come at once lock what they write."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock

from kharvest.spi import Content, Reference, Signature, StoreUnavailable, Timeline
from kharvest_zoo.fault import caught_by
from kharvest_zoo.plain import PlainStore

ORDERS = "test_writers_of_the_same_in_opposite_orders_all_succeed"


@caught_by(ORDERS)
class LocksInTheOrderGiven(PlainStore):
    """Locks timeline after timeline in the order of a batch, and is told of a deadlock."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.owners: dict[Timeline, Lock] = {}

    @contextmanager
    def locked(self, references: Sequence[Reference]) -> Iterator[None]:
        """Hold the locks of all timelines of a batch."""
        held: list[Lock] = []
        try:
            for timeline in dict.fromkeys(one.timeline for one in references):
                with self.lock:
                    lock = self.owners.setdefault(timeline, Lock())
                if not lock.acquire(timeout=0.2):
                    raise StoreUnavailable("deadlock detected")
                held.append(lock)
                time.sleep(0.0001)
            yield
        finally:
            for lock in held:
                lock.release()

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        with self.locked(references):
            super().record(files, references)


@caught_by(ORDERS)
class LocksInTheOrderAppended(LocksInTheOrderGiven):
    """The same where it appends: what is recorded is not locked."""

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        PlainStore.record(self, files, references)

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        with self.locked(references):
            return super().append(files, references)
