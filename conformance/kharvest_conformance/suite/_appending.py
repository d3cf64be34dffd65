"""`append`: what comes last is the newest, whatever the time it comes with."""

from __future__ import annotations

import threading

import pytest

from kharvest.spi import (
    MAX_TIME_NS,
    Capability,
    Conflict,
    InvalidValue,
    Metadata,
    Pod,
    Query,
    Reference,
    Signature,
    Store,
    UnknownContent,
)
from kharvest_conformance._clauses import clause, thorough
from kharvest_conformance._place import Place
from kharvest_conformance._samples import (
    COLLIDING,
    OTHER,
    WEB,
    File,
    Sample,
    content_of,
    contents_by_signature,
    removed,
)
from kharvest_conformance._tasks import Append
from kharvest_conformance._walks import walk
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._holding import at_once, harvest, listing, put

TODAY = 1_764_000_000_123_456_789
"""Nanoseconds since the epoch, such as a server passes: no float has them all."""
OLD = File("/etc/app.conf", Sample(100))
NEW = File("/etc/app.conf", Sample(100, 1))
THIRD = File("/etc/third.conf", Sample(100, 2))
FILES = contents_by_signature((OLD, NEW, THIRD))
BATCHES_AT_ONCE = 15


def _append(store: Store, *references: Reference) -> list[int]:
    """The times at which references to the files above were appended."""
    return [one.observed_at_ns for one in store.append(dict(FILES), references)]


def _latest(store: Store) -> list[Reference]:
    return walk(store, Query(latest=True))


class AppendingTests(Base):
    """Of `ReferenceStore.append`."""

    @clause("ReferenceStore.append", "Record references as the newest of their timelines")
    @pytest.mark.parametrize("at", [TODAY - 3_600 * 10**9, TODAY - 1, TODAY, TODAY + 1])
    def test_what_is_appended_is_the_newest(self, store: Store, at: int) -> None:
        put(store, THIRD)
        harvest(store, [OLD, NEW], [OLD.seen(TODAY - 5), OLD.seen(TODAY), OLD.seen(TODAY + 9, OTHER)])
        (appended,) = store.append({NEW.signature: NEW.content}, [NEW.seen(at)])
        assert appended.observed_at_ns == TODAY + 1
        assert store.newest([OLD.seen().timeline]) == {OLD.seen().timeline: appended}
        assert _latest(store) == [appended, OLD.seen(TODAY + 9, OTHER)]
        (gone,) = store.append({}, [removed(OLD.path, at)])
        assert gone.observed_at_ns == TODAY + 2
        assert walk(store, Query(pod=WEB.name, latest=True)) == [gone]
        assert walk(store, Query(pod=WEB.name, until_ns=gone.observed_at_ns, latest=True)) == [appended]
        (again,) = store.append({}, [OLD.seen(at)])
        assert again.observed_at_ns == TODAY + 3
        assert store.newest([OLD.seen().timeline]) == {OLD.seen().timeline: again}
        assert [one.signature for one in walk(store, Query(pod=WEB.name))] == [
            *[OLD.signature] * 2,
            NEW.signature,
            removed(OLD.path).signature,
            OLD.signature,
        ]

    @clause("ReferenceStore.append", "keeps it; any other gets the time of the newest plus one.")
    def test_a_later_time_is_kept_and_any_other_is_the_newest_s_plus_one(self, store: Store) -> None:
        put(store, OLD, NEW, THIRD)
        assert _append(store, OLD.seen(0)) == [0]
        assert _append(store, NEW.seen(0)) == [1]
        assert _append(store, OLD.seen(2)) == [2]
        assert _append(store, NEW.seen(1)) == [3]
        assert _append(store, OLD.seen(2**53 + 1)) == [2**53 + 1]
        assert _append(store, NEW.seen(2**53)) == [2**53 + 2]
        assert _append(store, OLD.seen(TODAY)) == [TODAY]
        assert _append(store, NEW.seen(TODAY)) == [TODAY + 1]
        assert _append(store, OLD.seen(TODAY + 2)) == [TODAY + 2]
        assert _append(store, NEW.seen(TODAY + 1)) == [TODAY + 3]
        assert len(listing(store)) == 10

    @clause("ReferenceStore.append", "each after those before it in `references`")
    def test_of_one_batch_each_comes_after_those_before_it(self, store: Store) -> None:
        harvest(store, [OLD], [OLD.seen(TODAY)])
        put(store, NEW, THIRD)
        batch = [
            NEW.seen(TODAY - 7),
            THIRD.seen(TODAY + 4),
            removed(OLD.path, TODAY + 5),
            OLD.seen(TODAY),
            THIRD.seen(TODAY + 3),
            NEW.seen(TODAY + 5),
        ]
        assert _append(store, *batch) == [TODAY + 1, TODAY + 4, TODAY + 5, TODAY + 6, TODAY + 5, TODAY + 7]
        history = walk(store, Query(path=OLD.path))
        assert [one.signature for one in history] == [
            OLD.signature,
            NEW.signature,
            removed(OLD.path).signature,
            OLD.signature,
            NEW.signature,
        ]
        assert store.newest([OLD.seen().timeline]) == {OLD.seen().timeline: history[-1]}

    @clause("ReferenceStore.append", "Returns them as they were recorded, in order.")
    def test_append_returns_what_was_recorded(self, store: Store) -> None:
        put(store, OLD, NEW, THIRD)
        assert store.append({}, []) == []
        pods = [(Pod("many", f"pod-{number}"), 100 * number) for number in range(40, 0, -1)]
        tag = Metadata({"app": "web"})
        batch = [file.seen(start + at, pod, tag) for at in (5, 5, 3) for pod, start in pods for file in (OLD, THIRD)]
        recorded = store.append(dict(FILES), batch)
        assert [(one.signature, one.pod, one.metadata) for one in recorded] == [
            (one.signature, one.pod, one.metadata) for one in batch
        ]
        times = [start + at for at in (5, 6, 7) for _pod, start in pods for _file in (OLD, THIRD)]
        assert [one.observed_at_ns for one in recorded] == times
        assert set(listing(store)) == set(recorded)
        assert len(listing(store)) == len(recorded)
        assert set(_latest(store)) == set(recorded[-80:])

    @clause("ReferenceStore.append", "A reference whose time is later than that of its timeline's newest")
    def test_append_goes_by_the_timeline_alone(self, store: Store) -> None:
        elsewhere = File("/etc/App.conf", OLD.sample)
        others = [
            OLD.seen(50, OTHER),
            OLD.seen(50, Pod("other", WEB.name)),
            THIRD.seen(50),
            elsewhere.seen(50),
            elsewhere.seen(50, OTHER),
        ]
        harvest(store, [OLD, NEW, THIRD, elsewhere], others)
        assert _append(store, NEW.seen(7)) == [7]
        assert _append(store, OLD.seen(3, OTHER)) == [51]
        assert _append(store, removed(OLD.path, 7)) == [8]
        assert _append(store, OLD.seen(8, metadata=Metadata({"app": "web"}))) == [9]

    @clause("ReferenceStore.append", "Not idempotent: the same reference again is one more.")
    def test_what_is_appended_again_is_one_more(self, store: Store) -> None:
        put(store, OLD, NEW, THIRD)
        assert _append(store, OLD.seen(5), OLD.seen(5)) == [5, 6]
        assert _append(store, OLD.seen(5)) == [7]
        assert _append(store, OLD.seen(7)) == [8]
        assert listing(store) == [OLD.seen(at) for at in (5, 6, 7, 8)]

    @clause("ReferenceStore.append", "One atomic batch; `files` is as for `record`.")
    def test_an_append_that_is_refused_records_nothing(self, store: Store) -> None:
        first, second = map(content_of, COLLIDING)
        signature = Signature("/bin/tool", first.md5)
        for content, data in zip((first, second), COLLIDING, strict=True):
            store.put(content, [data])
        put(store, OLD)
        seen = Reference(signature, WEB, Metadata(), 1)
        assert store.append({signature: first}, [seen]) == [seen]
        known = {OLD.signature: OLD.content}
        with pytest.raises(UnknownContent) as absent:
            store.append(known | {NEW.signature: NEW.content}, [OLD.seen(2), NEW.seen(2)])
        assert absent.value.sha256s == {NEW.content.sha256}
        with pytest.raises(UnknownContent) as unknown:
            store.append(known, [OLD.seen(2), THIRD.seen(2), seen])
        assert unknown.value.signatures == {THIRD.signature}
        with pytest.raises(Conflict) as conflict:
            store.append(known | {signature: second}, [OLD.seen(2), seen])
        assert (conflict.value.signature, conflict.value.stored, conflict.value.offered) == (signature, first, second)
        assert listing(store) == [seen]
        assert store.known([signature, *FILES]) == {signature: first}

    @clause("ReferenceStore.append", "InvalidValue: a timeline's newest is at MAX_TIME_NS, and no time comes after it")
    def test_nothing_is_appended_behind_the_end_of_time(self, store: Store) -> None:
        harvest(store, [OLD, NEW, THIRD], [OLD.seen(MAX_TIME_NS - 1)])
        assert _append(store, NEW.seen(1)) == [MAX_TIME_NS]
        before = listing(store)
        with pytest.raises(InvalidValue):
            store.append(dict(FILES), [THIRD.seen(5), OLD.seen(1)])
        with pytest.raises(InvalidValue):
            store.append(dict(FILES), [THIRD.seen(MAX_TIME_NS), THIRD.seen(5)])
        assert listing(store) == before
        assert store.known([THIRD.signature]) == {}
        assert _append(store, THIRD.seen(MAX_TIME_NS)) == [MAX_TIME_NS]

    @clause("ReferenceStore.append", "A reference whose time is later than that of its timeline's newest")
    def test_what_was_forgotten_is_no_longer_the_newest_for_append(self, store: Store) -> None:
        harvest(store, [OLD, NEW, THIRD], [OLD.seen(10), OLD.seen(20), OLD.seen(30)])
        assert store.forget(Query(since_ns=15)) == 2
        assert _append(store, NEW.seen(5)) == [11]
        assert store.forget(Query()) == 2
        assert _append(store, NEW.seen(5)) == [5]

    @clause("ReferenceStore.append", "no two references get one time")
    def test_of_several_threads_that_append_at_once_each_comes_after_the_others(self, store: Store) -> None:
        put(store, OLD, NEW, THIRD)

        def append(number: int) -> list[int]:
            file = (OLD, NEW)[number % 2]
            return [at for _batch in range(BATCHES_AT_ONCE) for at in _append(store, file.seen(number), THIRD.seen(1))]

        times = at_once(*(lambda number=number: append(number) for number in range(4)))
        _assert_in_turn([one[::2] for one in times])
        _assert_in_turn([one[1::2] for one in times])
        assert len(listing(store)) == 4 * BATCHES_AT_ONCE * 2

    @thorough
    @clause("ReferenceStore.append", "no two references get one time", needs=Capability.SHARED)
    def test_of_several_processes_that_append_at_once_each_comes_after_the_others(self, place: Place) -> None:
        store = place.open()
        put(store, OLD)
        workers = [place.worker() for _process in range(2)]
        for worker in workers:
            worker.ready()
        for number, worker in enumerate(workers):
            worker.start(Append(OLD, [OLD.seen(number)] * BATCHES_AT_ONCE))
        times: list[list[int]] = [[]]
        done = threading.Event()

        def append_meanwhile() -> None:
            while not done.is_set():
                times[0].append(store.append({}, [removed(OLD.path)])[0].observed_at_ns)

        def wait_for_others() -> None:
            try:
                for worker in workers:
                    answer = worker.report()
                    assert isinstance(answer, list)
                    times.append(answer)
            finally:
                done.set()

        at_once(append_meanwhile, wait_for_others)
        _assert_in_turn(times)
        assert [one.observed_at_ns for one in listing(store)] == sorted(at for one in times for at in one)

    @clause(
        "ReferenceStore.append",
        "what is appended last is the newest, whatever the clocks of those who append.",
        needs=Capability.SHARED,
    )
    def test_what_a_second_handle_appends_is_the_newest_for_both(self, place: Place) -> None:
        one, other = place.open(), place.open()
        put(one, OLD, NEW, THIRD)
        assert _append(one, OLD.seen(TODAY)) == [TODAY]
        assert _append(other, NEW.seen(TODAY - 5 * 10**9)) == [TODAY + 1]
        assert _append(one, OLD.seen(TODAY + 1)) == [TODAY + 2]
        assert _append(other, NEW.seen(TODAY + 9)) == [TODAY + 9]
        assert _append(one, OLD.seen(TODAY + 3)) == [TODAY + 10]
        for store in (one, other):
            assert _latest(store) == [OLD.seen(TODAY + 10)]

    @clause(
        "ReferenceStore.append",
        "what is appended last is the newest, whatever the clocks of those who append.",
        needs=Capability.DURABLE,
    )
    def test_what_is_appended_after_reopening_is_the_newest(self, place: Place) -> None:
        store = place.open()
        put(store, OLD, NEW, THIRD)
        assert _append(store, OLD.seen(TODAY), NEW.seen(TODAY)) == [TODAY, TODAY + 1]
        store = place.reopen()
        assert _append(store, OLD.seen(TODAY - 3_600 * 10**9)) == [TODAY + 2]
        assert _latest(store) == [OLD.seen(TODAY + 2)]


def _assert_in_turn(times: list[list[int]]) -> None:
    """Each got ascending times, and no two the same."""
    for one in times:
        assert one == sorted(one)
    every = [at for one in times for at in one]
    assert len(set(every)) == len(every), "two references of one timeline got one time"
