"""Processes that are killed at any moment, and what goes on without them."""

from __future__ import annotations

import pytest

from kharvest.spi import Capability, Query, Store
from kharvest_conformance._clauses import clause, thorough
from kharvest_conformance._forking import (
    KILLED,
    LAST_CALLS,
    LAST_END_NS,
    LAST_FILES,
    LAST_HOLDER,
    LAST_KEYS,
    STALLED,
    STALLED_FILE,
    STALLED_KEYS,
    InFork,
    Stall,
    WriteAndDie,
)
from kharvest_conformance._place import Place
from kharvest_conformance._processes import Worker, WorkerEnded
from kharvest_conformance._samples import File, Sample
from kharvest_conformance._tasks import Churn, PutUntilKilled, Task
from kharvest_conformance._using import Use
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._holding import has_data, listing, put

STALLS = tuple(
    Stall(method, after)
    for method in ("record", "append", "claim", "release")
    for after in (STALLED // 2, STALLED + STALLED // 2)  # drawn for the first time, and for the second
)
LATE_NS = 10**12
SHARES = (0.35, 0.5, 0.65)
"""Where in its time a write is killed."""


@thorough
class KillingTests(Base):
    """Of processes that end without closing."""

    @clause("ContentStore.put", "What a process that died has left may stay until the next opening")
    def test_a_place_is_usable_after_a_process_was_killed_in_a_put(self, place: Place) -> None:
        file = File("/", Sample(400_000, 3))
        worker = place.worker()
        worker.ready()
        worker.start(PutUntilKilled(file.sample, 50_000))
        assert worker.report() == "half of it is put"
        worker.kill()
        Use("the next").run(place.open())
        store = place.reopen()
        assert store.present([file.content.sha256]) == {}
        put(store, file)
        assert has_data(store, file)

    @clause("store", "Every call takes effect whole or not at all")
    def test_a_place_is_usable_after_a_process_was_killed_in_a_batch(self, place: Place) -> None:
        worker = place.worker()
        worker.ready()
        worker.start(Churn())
        for _report in range(20):
            assert worker.report() == "at it"
        worker.kill()
        for name in ("the next", "the one after"):
            store = place.reopen()
            counts = Churn.counts(store)
            assert set(counts.values()) <= {Churn.size}, f"a batch is there in part: {counts}"
            Use(name).run(store)

    @clause("Capability", "One that is killed at any moment stops none of the others.", needs=Capability.SHARED)
    def test_a_process_that_is_killed_at_any_moment_stops_no_other(self, place: Place) -> None:
        store, worker = place.open(), place.worker()
        worker.ready()
        # It reports before each write: so it is killed in each kind of them, once in its middle, and in some where they
        # have just begun, with others beside them.
        kills = [
            InFork(place.opener(), Churn(), None, kill_at, Churn.kinds, SHARES[kill_at % len(SHARES)])
            for kill_at in range(1, Churn.kinds + 1)
        ]
        kills += [InFork(place.opener(), Churn(), Use("beside"), kill_at) for kill_at in range(1, Churn.kinds + 1, 2)]
        for kill in kills:
            worker.start(kill)
            assert worker.report() == KILLED
            Use("the one that was open").run(store)
            counts = Churn.counts(store)
            assert set(counts.values()) <= {Churn.size}, f"a batch is there in part: {counts}"
            store.forget(Query(path_prefix="/churn", limit=10_000))
        Use("a new one").run(place.open())

    @clause("Capability", "One that is killed at any moment stops none of the others.", needs=Capability.SHARED)
    def test_a_process_that_is_killed_while_it_draws_a_batch_stops_no_other(self, place: Place) -> None:
        store, worker = place.open(), place.worker()
        worker.ready()
        put(store, STALLED_FILE)
        for stall in STALLS:
            worker.start(InFork(place.opener(), stall))
            ended = worker.report()
            Use(f"{stall.method} {stall.after}").run(store)
            held = store.claim(STALLED_KEYS, "another", 9, LATE_NS)
            if stall.method in ("record", "append"):
                count = len([one for one in listing(store) if one.pod == stall.pod])
                assert count in ((0, STALLED) if ended == KILLED else (STALLED,)), f"{stall.method}: a part is there"
            elif ended != KILLED:
                assert held == (set() if stall.method == "claim" else set(STALLED_KEYS))
            store.claim(STALLED_KEYS, "another", LATE_NS, LATE_NS + 1)
            store.release(STALLED_KEYS, "another")

    @clause("Capability", "What a call has written when it returns survives a killed process", needs=Capability.DURABLE)
    def test_each_write_survives_that_its_process_is_killed_at_once(
        self, place: Place, capabilities: frozenset[Capability]
    ) -> None:
        supervisor: Worker | None = None
        if Capability.SHARED in capabilities:
            supervisor = place.worker()
            supervisor.ready()
        for write in LAST_CALLS:
            _run_to_its_death(place, supervisor, WriteAndDie(write))
            _check_last(place.reopen(), write)
            place.close_all()


def _run_to_its_death(place: Place, supervisor: Worker | None, task: Task) -> None:
    if supervisor is not None:
        supervisor.start(InFork(place.opener(), task))
        assert supervisor.report() == KILLED
        return
    worker = place.worker()
    worker.ready()
    worker.start(task)
    with pytest.raises(WorkerEnded):
        worker.report()
    worker.kill()


def _check_last(store: Store, write: str) -> None:
    """What must be there after a write, and those before it."""
    done = list(LAST_CALLS)[: list(LAST_CALLS).index(write) + 1]
    stored = LAST_FILES[:2] if "discard" in done else LAST_FILES
    for file in stored:
        assert has_data(store, file), f"{file.path} after {write}"
    assert set(store.contents()) == {file.content for file in stored}, f"after {write}"
    expected = [file.seen(5) for file in LAST_FILES] if "record" in done else []
    if "append" in done:
        expected.append(LAST_FILES[0].seen(6))
    if "forget" in done:
        expected.remove(LAST_FILES[2].seen(5))
    assert set(listing(store)) == set(expected), f"after {write}"
    named = {one.signature: file.content for one in expected for file in LAST_FILES if file.signature == one.signature}
    assert store.known([file.signature for file in LAST_FILES]) == named, f"after {write}"
    held = set(LAST_KEYS) if "claim" in done else set()
    end_ns = 2 * LAST_END_NS if "extending claim" in done else LAST_END_NS
    if "release" in done:
        held -= set(LAST_KEYS[:1])
    taken = store.claim(LAST_KEYS, "another", end_ns - 1, end_ns)
    assert taken == set(LAST_KEYS) - held, f"leases of {LAST_HOLDER} after {write}"
    store.release(LAST_KEYS, "another")
