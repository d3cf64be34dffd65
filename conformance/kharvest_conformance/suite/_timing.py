"""`now_ns`: one clock for all who share a store."""

from __future__ import annotations

import itertools
import time

from kharvest.spi import Capability, Store
from kharvest_conformance._clauses import clause, thorough
from kharvest_conformance._patience import PATIENCE
from kharvest_conformance._place import Place
from kharvest_conformance._tasks import Now
from kharvest_conformance.suite._base import Base

SECOND_NS = 10**9
PLAUSIBLE_NS = range(1_577_836_800 * SECOND_NS, 4_102_444_800 * SECOND_NS)
"""From 2020 to 2100: a clock may be wrong, but hardly by more."""


class TimingTests(Base):
    """Of `ReferenceStore.now_ns`."""

    @clause("ReferenceStore.now_ns", "nanoseconds since the epoch")
    def test_now_is_a_whole_number_of_nanoseconds_since_the_epoch(self, store: Store) -> None:
        now = store.now_ns()
        assert type(now) is int
        assert now in PLAUSIBLE_NS

    @clause("ReferenceStore.now_ns", "It is precise to a second")
    def test_the_clock_goes_on_as_time_does(self, store: Store) -> None:
        began = time.monotonic_ns()
        first = last = store.now_ns()
        answered = time.monotonic_ns()
        while last <= first:
            assert time.monotonic_ns() - began < PATIENCE.seconds * SECOND_NS, "the clock stands still"
            assert last > first - SECOND_NS, "the clock goes backwards"
            asked = time.monotonic_ns()
            last = store.now_ns()
            assert last - first >= asked - answered - SECOND_NS, "the clock is not precise to a second"
        assert last - first <= time.monotonic_ns() - began + SECOND_NS, "the clock goes too fast"

    @clause("ReferenceStore.now_ns", "The clock of the server that holds the store, or of this machine")
    def test_the_clock_is_the_same_after_reopening(self, place: Place) -> None:
        began = time.monotonic_ns()
        first = place.open().now_ns()
        answered = time.monotonic_ns()
        for _opening in range(3):
            asked = time.monotonic_ns()
            last = place.reopen().now_ns()
            assert last - first >= asked - answered - SECOND_NS, "the clock goes backwards"
            assert last - first <= time.monotonic_ns() - began + SECOND_NS, "the clock has jumped"

    @thorough
    @clause("ReferenceStore.now_ns", "The clock that all who share the store go by", needs=Capability.SHARED)
    def test_all_who_share_a_store_have_one_clock(self, place: Place) -> None:
        one, other = place.open(), place.open()
        worker = place.worker()
        worker.ready()
        readings = [one.now_ns(), other.now_ns()]
        worker.start(Now())
        answer = worker.report()
        assert isinstance(answer, int)
        readings += [answer, one.now_ns(), other.now_ns()]
        for before, after in itertools.pairwise(readings):
            assert after >= before - SECOND_NS, "their clocks differ"
