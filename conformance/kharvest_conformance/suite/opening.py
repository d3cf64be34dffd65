"""Opening and closing, capabilities, and batches of any size."""

from __future__ import annotations

import gc
import os
import threading
import time

from kharvest.spi import Capability, Query, Store, Timeline, Unsupported
from kharvest_conformance.clauses import clause
from kharvest_conformance.place import Place
from kharvest_conformance.processes import OpeningUnsupported
from kharvest_conformance.samples import WEB, File, Sample
from kharvest_conformance.suite.base import Base
from kharvest_conformance.suite.holding import harvest, listing
from kharvest_conformance.tasks import Look

FILE = File("/etc/app.conf", Sample(100))
THREADS_END_SECONDS = 10.0
"""How long after a close its threads may take to end; those of PyMongo nap for 0.5 s before they look."""


class OpeningTests(Base):
    """Of `Opened` and of the contract as a whole."""

    @clause("Opened.capabilities", "What this opened store guarantees.")
    def test_capabilities_are_a_frozen_set_that_stays(self, place: Place, capabilities: frozenset[Capability]) -> None:
        store = place.open()
        assert isinstance(store.capabilities, frozenset)
        assert all(isinstance(one, Capability) for one in store.capabilities)
        assert store.capabilities == capabilities
        assert place.reopen().capabilities == capabilities

    @clause("Opened.close", "Closing twice is allowed")
    def test_close_can_be_called_twice(self, store: Store) -> None:
        harvest(store, [FILE], [FILE.seen()])
        store.close()
        store.close()

    @clause("Opened.close", "Release what the store holds.")
    def test_close_releases_what_the_store_held(self, place: Place) -> None:
        open_before, threads_before = 0, set[threading.Thread]()
        rounds = 8
        for number in range(-2, rounds):
            store = place.open()
            harvest(store, [FILE], [FILE.seen(number + 10)])
            chunks = store.read(FILE.content.sha256)
            next(chunks)
            close = getattr(chunks, "close", None)
            if close is not None:
                close()
            store.close()
            gc.collect()
            if number < 0:  # what the first openings load for good is no leak
                open_before, threads_before = _descriptors(), set(threading.enumerate())
        assert len(_lasting_threads(threads_before)) < rounds, "each opening leaves threads behind its close"
        assert _descriptors() - open_before < rounds, "each opening leaves descriptors open behind its close"

    @clause("store", "batched: the server calls it from worker threads, a batch at a time")
    def test_empty_batches_do_nothing(self, store: Store) -> None:
        assert store.present([]) == {}
        assert store.known([]) == {}
        assert store.newest([]) == {}
        assert store.claim([], "holder", 1, 2) == set()
        store.release([], "holder")
        store.discard([])
        store.record({}, [])
        assert listing(store) == []
        assert list(store.contents()) == []

    @clause("store", "batched: the server calls it from worker threads, a batch at a time")
    def test_large_batches_are_one_batch(self, store: Store) -> None:
        count = 3000
        references = [FILE.seen(number) for number in range(count)]
        harvest(store, [FILE], references)
        assert len(listing(store)) == count

        strangers = [File(f"/none/{number}", Sample(100)) for number in range(count)]
        assert store.known([*(one.signature for one in strangers), FILE.signature]) == {FILE.signature: FILE.content}
        timelines = [*(Timeline(WEB, one.path) for one in strangers), references[0].timeline]
        assert store.newest(timelines) == {references[0].timeline: references[-1]}
        digests = [number.to_bytes(32) for number in range(count)]
        assert store.present([*digests, FILE.content.sha256]) == {FILE.content.sha256: FILE.content}
        keys = [b"batch/%d" % number for number in range(count)]
        assert store.claim(keys, "holder", 1, 10) == set(keys)
        assert store.claim(keys, "other", 1, 10) == set()
        store.release(keys, "holder")
        assert store.claim(keys, "other", 1, 10) == set(keys)
        store.discard([*digests, FILE.content.sha256])
        assert store.present([FILE.content.sha256]) == {}

    @clause("store", "batched: the server calls it from worker threads, a batch at a time")
    def test_what_is_named_twice_in_a_batch_counts_once(self, store: Store) -> None:
        reference = FILE.seen()
        harvest(store, [FILE], [reference, reference])
        assert store.known([FILE.signature, FILE.signature]) == {FILE.signature: FILE.content}
        assert store.newest([reference.timeline, reference.timeline]) == {reference.timeline: reference}
        assert store.present([FILE.content.sha256] * 2) == {FILE.content.sha256: FILE.content}
        assert store.claim([b"twice", b"twice"], "holder", 1, 10) == {b"twice"}
        store.release([b"twice", b"twice"], "holder")
        assert store.claim([b"twice"], "other", 1, 10) == {b"twice"}
        assert store.forget(Query()) == 1
        store.discard([FILE.content.sha256] * 2)
        assert list(store.contents()) == []

    @clause("Capability", "What is declared must hold.", lacks=Capability.SHARED)
    def test_sharing_that_is_not_declared_is_refused(self, place: Place) -> None:
        store = place.open()
        harvest(store, [FILE], [FILE.seen()])
        try:
            other = place.open()
        except Unsupported:
            pass
        else:
            assert listing(other) == [], "a second handle sees what the first wrote: declare SHARED, or refuse it"
        worker = place.worker()
        try:
            worker.ready()
        except OpeningUnsupported:
            return
        worker.start(Look(Query()))
        assert worker.report() == (), "another process sees what this one wrote: declare SHARED, or raise Unsupported"


def _lasting_threads(before: set[threading.Thread]) -> list[threading.Thread]:
    """The threads that were not there `before` and that do not end."""
    deadline = time.monotonic() + THREADS_END_SECONDS
    started = [thread for thread in threading.enumerate() if thread not in before]
    for thread in started:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [thread for thread in started if thread.is_alive()]


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # names are enough
