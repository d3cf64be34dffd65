"""One place that a store has its data in, for one test or one random example."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from kharvest.spi import Capability, Store
from kharvest_conformance._emptying import empty
from kharvest_conformance._openings import opening_of
from kharvest_conformance._processes import Processes, Worker
from kharvest_conformance._program import program
from kharvest_conformance._replay import without_needless_reads
from kharvest_conformance._transcript import Entry, Opening, RecordedStore, Remark, Transcript
from kharvest_conformance.harness import Harness

_MOST_SHORTENED = 3000
"""A longer transcript is shown as it is: to try each of its reads takes minutes."""


@dataclass(frozen=True, slots=True)
class Opener:
    """What another process needs to open the store at one place."""

    harness: Harness
    address: str

    def open(self) -> Store:
        """A handle, which the caller closes."""
        return self.harness.open(self.address)


class Place:
    """A new, empty place; a context manager that ends its processes, closes its handles and destroys it.

    Attributes:
        has_failed: whether the test has: what it has opened may then be of no use any more.
    """

    def __init__(self, harness: Harness, processes: Processes) -> None:
        self._harness = harness
        self._processes = processes
        self.address = harness.create()
        self.transcript = Transcript()
        self.has_failed = False
        self._handles: list[RecordedStore] = []
        self._workers: list[Worker] = []
        self._opened = 0

    def open(self) -> Store:
        """One more handle on the data here."""
        self._opened += 1
        name = "store" if self._opened == 1 else f"store{self._opened}"
        self.transcript.entries.append(Opening(name))
        handle = RecordedStore(self._harness.open(self.address), name, self.transcript)
        self._handles.append(handle)
        return handle

    def open_unrecorded(self) -> Store:
        """One more handle, whose calls are not written down and which the caller closes."""
        return self._harness.open(self.address)

    def opener(self) -> Opener:
        """What opens the store here in a process that a task starts."""
        return Opener(self._harness, self.address)

    def close_all(self) -> None:
        """Close all handles that the test has not closed."""
        with contextlib.ExitStack() as stack:
            for handle in self._handles:
                if not handle.closed:
                    stack.callback(handle.close)
            self._handles.clear()

    def _close_unrecorded(self) -> None:
        with contextlib.ExitStack() as stack:
            for handle in self._handles:
                if not handle.closed:
                    stack.callback(handle.close_unrecorded)
            self._handles.clear()

    def reopen(self) -> Store:
        """Close all handles and open anew."""
        self.close_all()
        return self.open()

    def size(self) -> int | None:
        """How many bytes the data here take on a disk, with all handles closed; None where that cannot be told."""
        self.close_all()
        return self._harness.size(self.address)

    def end_leases(self) -> None:
        """End all leases that were taken here, unless the place is destroyed with them."""
        if self._harness.reuses_place and self.transcript.leases:
            with contextlib.closing(self.open_unrecorded()) as store:
                for holder, keys in self.transcript.leases.items():
                    store.release(keys, holder)

    def worker(self) -> Worker:
        """Another process, with the data here open."""
        self.transcript.entries.append(Remark("another process opens the same place, and works there"))
        worker = Worker(self._harness, self.address, self.transcript.leases, self._processes)
        self._workers.append(worker)
        return worker

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(self._destroy, has_failed=self.has_failed or error is not None)
            for worker in self._workers:
                stack.callback(worker.end)

    def _destroy(self, *, has_failed: bool) -> None:
        """Close all handles, and destroy the place.

        Opening a store takes long where data last, so one that is open empties it. Others mostly end with handles.
        """
        handle = next(
            (one for one in self._handles if not one.closed and Capability.DURABLE in one.unrecorded.capabilities), None
        )
        is_emptied = False
        with contextlib.ExitStack() as stack:
            stack.callback(self._close_unrecorded)
            if not has_failed and self._harness.reuses_place and handle is not None:
                is_emptied = empty(handle.unrecorded, self.transcript.leases)
        if not is_emptied:
            self.end_leases()
            self._harness.destroy(self.address)


class Places:
    """Makes places for one test. `place` is the newest."""

    def __init__(self, harness: Harness, capabilities: frozenset[Capability], processes: Processes) -> None:
        self.harness = harness
        self._processes = processes
        self._main_thread = threading.get_ident()
        self.capabilities = capabilities
        self.place: Place | None = None
        self._shortened: Sequence[Entry] | None = None

    def snippet(self) -> str:
        """A program that does what was done in the newest place."""
        if self.place is None:
            return ""
        entries = self._shortened or self.place.transcript.entries
        try:
            opening, reopening = opening_of(self.harness, self.place.address)
            return program(opening, reopening, entries, self._main_thread)
        except Exception as error:  # noqa: BLE001  # a broken store may have answered with what has no code
            return f"# What was done on the store cannot be written as a program: {error!r}"

    def shorten(self) -> None:
        """Find out by trying which reads in the newest place, which is destroyed, the failure does not need."""
        if self.place is not None and 0 < len(self.place.transcript.entries) <= _MOST_SHORTENED:
            self._shortened = without_needless_reads(self.place.transcript.entries, self._opened_afresh)

    @contextlib.contextmanager
    def _opened_afresh(self) -> Iterator[Callable[[], Store]]:
        with Place(self.harness, self._processes) as place:
            yield place.open

    def fresh(self) -> Place:
        """A new, empty place."""
        self.place = Place(self.harness, self._processes)
        self._shortened = None
        return self.place
