"""Handles that are closed, and what goes on beside them."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import TypeVar

import pytest

from kharvest.spi import Capability, Pod, Store, UnknownContent, Unsupported
from kharvest_conformance._clauses import clause, thorough
from kharvest_conformance._patience import PATIENCE
from kharvest_conformance._place import Place
from kharvest_conformance._samples import FailingChunks, File, Sample, SourceFailed, WatchedChunks
from kharvest_conformance._using import Use
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._holding import at_once, harvest, has_data, listing

Item = TypeVar("Item")

FILES = tuple(File(f"/etc/{number}", Sample(300_000, number)) for number in range(3))
FILE = FILES[0]
BATCH = 20
ACKNOWLEDGED = 3
APPENDING = 3
OTHERS_STAY = "Other handles on the same data stay open."


class ClosingTests(Base):
    """Of `Opened.close`."""

    @clause("Opened.close", "Closing twice is allowed")
    def test_close_can_be_called_twice(self, store: Store) -> None:
        harvest(store, [FILE], [FILE.seen()])
        store.close()
        nothing: object = store.close()  # type: ignore[func-returns-value]
        assert nothing is None

    @clause("Opened.close", "Closing twice is allowed")
    def test_close_can_be_called_by_several_threads_at_once(self, place: Place) -> None:
        store = place.open()
        harvest(store, [FILE], [FILE.seen()])
        at_once(*[store.close] * 4)
        Use("after close").run(place.reopen())

    @thorough
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
            if number == -1:  # what the first openings load for good is no leak
                gc.collect()
                open_before, threads_before = _descriptors(), set(threading.enumerate())
        gc.collect()
        assert len(_lasting_threads(threads_before)) < rounds, "each opening leaves threads behind its close"
        assert _descriptors() - open_before < rounds, "each opening leaves descriptors open behind its close"

    @thorough
    @clause("Opened.close", "Iterators that are left half drawn do not keep it from returning, nor from releasing")
    def test_close_releases_what_half_drawn_iterators_and_failed_calls_hold(self, place: Place) -> None:
        open_before, drawn = 0, list[object]()
        rounds = 8
        for number in range(-2, rounds):
            store = place.open()
            harvest(store, FILES, [FILE.seen(number + 10)])
            chunks, contents = store.read(FILE.content.sha256), store.contents()
            assert next(chunks)
            assert next(contents) in {file.content for file in FILES}
            drawn += [chunks, contents, store.read(FILES[1].content.sha256), store.contents()]  # two are never drawn
            unknown = File("/unknown", Sample(70_000, 9))
            with contextlib.suppress(SourceFailed):
                store.put(unknown.content, FailingChunks(unknown.sample, 1))
            with pytest.raises(UnknownContent):
                list(store.read(unknown.content.sha256))
            with pytest.raises(UnknownContent):
                store.record({unknown.signature: unknown.content}, [unknown.seen()])
            at_once(store.close)
            if number < 0:
                open_before = _descriptors()
        assert _descriptors() - open_before < rounds, (
            "each close leaves descriptors open, for iterators or failed calls"
        )

    @clause("Opened.close", "one that is drawn afterwards goes on or raises, and never ends early")
    def test_an_iterator_that_is_drawn_after_close_never_ends_early(self, place: Place) -> None:
        store = place.open()
        harvest(store, FILES, [file.seen() for file in FILES])
        reads = [store.read(file.content.sha256) for file in FILES]
        listings = [store.contents(), store.contents()]
        chunks, listed = next(reads[0]), next(listings[0])
        at_once(store.close)
        for file, read, drawn in zip(FILES, reads, ([chunks], [], []), strict=True):
            data = _drained(drawn, read)
            is_whole = data is None or b"".join(data) == file.sample.data()
            assert is_whole, "a reader ends early, without an error"
        for listing_, given in zip(listings, ([listed], []), strict=True):
            contents = _drained(given, listing_)
            assert contents is None or set(contents) == {file.content for file in FILES}, "a listing ends early"

    @thorough
    @clause("Opened.close", "Release what the store holds.")
    def test_what_is_closed_can_be_opened_by_another_process(self, place: Place) -> None:
        store = place.open()
        harvest(store, FILES, [file.seen() for file in FILES])
        chunks, contents = store.read(FILE.content.sha256), store.contents()
        next(chunks)
        next(contents)
        at_once(store.close)
        for name in ("first", "second"):  # one after the other, each in a process that has others' locks to reckon with
            worker = place.worker()
            worker.ready()
            worker.start(Use(name))
            worker.report()
            worker.end()
        Use("the first process").run(place.reopen())

    @clause("Opened.close", OTHERS_STAY)
    def test_opening_and_closing_another_handle_leaves_the_first_as_it_is(self, place: Place) -> None:
        store = place.open()
        harvest(store, FILES, [file.seen() for file in FILES])
        store.claim([b"key"], "holder", 0, 100)
        before = listing(store)

        def open_and_close(chunk: int = 1) -> None:
            for name in ("one", "two") if chunk == 1 else ():
                with contextlib.suppress(Unsupported):
                    other = place.open()
                    Use(name).run(other)
                    other.close()

        open_and_close()
        chunks, contents = store.read(FILE.content.sha256), store.contents()
        data, listed = [next(chunks)], [next(contents)]
        file = File("/put", Sample(100_000, 7))
        store.put(file.content, WatchedChunks(file.sample.chunks(30_000), open_and_close))
        data += chunks
        listed += contents
        assert b"".join(data) == FILE.sample.data(), "a read that was under way"
        assert {one.sha256 for one in listed} >= {one.content.sha256 for one in FILES}, "a listing that was under way"
        assert has_data(store, file), "a put that was under way"
        assert listing(store) == before
        assert store.claim([b"key"], "another", 99, 200) == set(), "a lease"
        Use("first").run(store)

    @clause("Opened.close", OTHERS_STAY, needs=Capability.SHARED)
    def test_handles_are_closed_in_any_order(self, place: Place) -> None:
        for order, times in (((0, 1, 2), 1), ((2, 0, 1), 3)):
            handles = [place.open() for _handle in order]
            for number, handle in enumerate(handles):
                Use(f"warm {number}").run(handle)
            left = dict(enumerate(handles))
            for number in order:
                closed = left.pop(number)
                for _time in range(times):  # what is closed already takes nothing from the others
                    closed.close()
                for other, handle in left.items():
                    Use(f"{other} after {number}").run(handle)
            since, beside = place.open(), place.open()
            for handle in handles:
                handle.close()  # closed long ago, when others were open
            since.close()
            since.close()
            Use("opened since").run(beside)
            beside.close()

    @clause("Opened.close", "what was acknowledged stays, and what was not is there whole or not at all")
    def test_close_under_way_loses_nothing_that_was_acknowledged(
        self, place: Place, capabilities: frozenset[Capability]
    ) -> None:
        store = place.open()
        harvest(store, [FILE], [FILE.seen()])
        appending = [_Appending(store, Pod("closing", f"pod-{number}")) for number in range(APPENDING)]
        for one in appending:
            one.thread.start()
        for one in appending:
            assert one.enough.wait(PATIENCE.seconds), f"{ACKNOWLEDGED} batches were not appended"
        try:
            at_once(store.close)
        finally:
            for one in appending:
                one.closed.set()
        for one in appending:
            one.thread.join(PATIENCE.seconds)
            assert not one.thread.is_alive(), "a call that was under way when the store was closed never ends"
        store = place.reopen()
        if Capability.DURABLE in capabilities:
            counts = Counter(one.pod for one in listing(store))
            for one in appending:
                assert counts[one.pod] >= BATCH * one.acknowledged, "what was acknowledged is lost"
                assert counts[one.pod] % BATCH == 0, "a batch is there in part"
        Use("after close").run(store)


def _drained(drawn: list[Item], rest: Iterator[Item]) -> list[Item] | None:
    """What was drawn with all that is left; None if drawing raises."""
    try:
        return [*drawn, *rest]
    except Exception:  # noqa: BLE001  # of a store that is closed, it may be any
        return None


class _Appending:
    """Appends batches in a thread of its own, until the store is closed."""

    def __init__(self, store: Store, pod: Pod) -> None:
        self.pod = pod
        self.acknowledged = 0
        self.enough, self.closed = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._append, args=(store,), daemon=True)

    def _append(self, store: Store) -> None:
        with contextlib.suppress(Exception):  # calls that are under way at a close may fail with any error
            while not self.closed.is_set():
                store.append({}, [FILE.seen(1, self.pod)] * BATCH)
                self.acknowledged += 1
                if self.acknowledged == ACKNOWLEDGED:
                    self.enough.set()


def _lasting_threads(before: set[threading.Thread]) -> list[threading.Thread]:
    """The threads that were not there `before` and that do not end: not at once, as some nap before they look."""
    deadline = time.monotonic() + PATIENCE.seconds
    started = [thread for thread in threading.enumerate() if thread not in before]
    for thread in started:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [thread for thread in started if thread.is_alive()]


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # names are enough
