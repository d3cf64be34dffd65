"""One place that a store has its data in, for one test or one random example."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Self

from kharvest.spi import Capability, Store
from kharvest_conformance.harness import Harness
from kharvest_conformance.processes import Worker
from kharvest_conformance.transcript import RecordedStore, Transcript


class Place:
    """A new, empty place; a context manager that ends its processes, closes its handles and destroys it."""

    def __init__(self, harness: Harness) -> None:
        self._harness = harness
        self.address = harness.create()
        self.transcript = Transcript(harness.opening(self.address))
        self._handles: list[RecordedStore] = []
        self._workers: list[Worker] = []
        self._opened = 0

    def open(self) -> Store:
        """One more handle on the data here."""
        self._opened += 1
        name = "store" if self._opened == 1 else f"store{self._opened}"
        if self._opened > 1:
            self.transcript.add(lambda: self._harness.opening(self.address).replace("store = ", f"{name} = "))
        handle = RecordedStore(self._harness.open(self.address), name, self.transcript)
        self._handles.append(handle)
        return handle

    def open_unrecorded(self) -> Store:
        """One more handle, whose calls are not written down and which the caller closes."""
        return self._harness.open(self.address)

    def close_all(self) -> None:
        """Close all handles that the test has not closed."""
        with contextlib.ExitStack() as stack:
            for handle in self._handles:
                if not handle.closed:
                    stack.callback(handle.close)
            self._handles.clear()

    def reopen(self) -> Store:
        """Close all handles and open anew."""
        self.close_all()
        return self.open()

    def end_leases(self) -> None:
        """End all leases that were taken here, unless the place is destroyed with them."""
        if self._harness.reuses_place and self.transcript.leases:
            with contextlib.closing(self.open_unrecorded()) as store:
                for holder, keys in self.transcript.leases.items():
                    store.release(keys, holder)

    def worker(self) -> Worker:
        """Another process, with the data here open."""
        worker = Worker(self._harness, self.address, self.transcript.leases)
        self._workers.append(worker)
        return worker

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(self._harness.destroy, self.address)
            stack.callback(self.end_leases)
            stack.callback(self.close_all)
            for worker in self._workers:
                stack.callback(worker.kill)


class Places:
    """Makes places for one test. `transcript` is that of the newest."""

    def __init__(self, harness: Harness, capabilities: frozenset[Capability]) -> None:
        self.harness = harness
        self.capabilities = capabilities
        self.transcript: Transcript | None = None

    def fresh(self) -> Place:
        """A new, empty place."""
        place = Place(self.harness)
        self.transcript = place.transcript
        return place
