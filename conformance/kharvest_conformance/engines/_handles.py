"""Opening, closing, and several handles and processes."""

from __future__ import annotations

import os
import threading
from contextlib import suppress

import pytest

from kharvest.records import Engine
from kharvest.spi import Capability, Unsupported
from kharvest_conformance._patience import PATIENCE
from kharvest_conformance.engines._base import Base, add, beside, commit, get, in_process, require, scan, started
from kharvest_conformance.engines._harness import EngineHarness, Place

CLOSED_UNDER_WAY = 20
"""How often an engine is closed while threads use it, after ever more commits."""
READ_MEANWHILE = 200
"""How many rows its readers scan."""
LOST = 77
"""The exit code of a process that does not find what it committed."""


def _commit_and_die(harness: EngineHarness, address: str) -> None:
    commit(harness.open(address), {b"killed": b"1"})
    os._exit(9)


def _add(harness: EngineHarness, address: str, times: int) -> None:
    engine = harness.open(address)
    add(engine, b"count", times)
    engine.close()


def _close_under_way(harness: EngineHarness, address: str) -> None:
    for round_number in range(CLOSED_UNDER_WAY):
        engine = harness.open(address)
        commit(engine, {b"row-%d" % number: b"x" * 100 for number in range(READ_MEANWHILE)})
        acknowledged: list[bytes] = []
        done = threading.Semaphore(0)
        writers = [threading.Thread(target=_write, args=(at, engine, acknowledged, done)) for at in range(2)]
        threads = [*writers, *(threading.Thread(target=_read, args=(engine,)) for _reader in range(3))]
        for thread in threads:
            thread.daemon = True
            thread.start()
        for _commit in range(round_number):
            done.acquire(timeout=PATIENCE.seconds)
        engine.close()
        for thread in threads:
            thread.join(PATIENCE.seconds)
        engine = harness.open(address)
        lost = set(acknowledged) - get(engine, *acknowledged).keys()
        commit(engine, {}, deletes=acknowledged)
        engine.close()
        if lost:
            os._exit(LOST)


def _write(thread: int, engine: Engine, acknowledged: list[bytes], done: threading.Semaphore) -> None:
    with suppress(Exception):  # the engine is closed meanwhile
        for number in range(50):
            key = b"%d-%d" % (thread, number)
            if engine.commit({}, {key: b"x" * 100}, ()):
                acknowledged.append(key)
                done.release()


def _read(engine: Engine) -> None:
    with suppress(Exception):
        for _time in range(200):
            scan(engine)


class HandleTests(Base):
    """What an engine declares holds over its handles."""

    def test_capabilities_are_a_frozen_set_that_stays(self, place: Place) -> None:
        engine = place.first
        before = engine.capabilities
        assert isinstance(before, frozenset), "capabilities is a property that gives a frozenset, and no method"
        assert all(isinstance(one, Capability) for one in before)
        commit(engine, {b"a": b"1"})
        assert engine.capabilities == before
        if Capability.SHARED in before:
            assert place.open().capabilities == before

    def test_close_can_be_called_twice(self, place: Place) -> None:
        engine = place.open()
        commit(engine, {b"a": b"1"})
        engine.close()
        engine.close()

    def test_closing_while_calls_are_under_way_loses_no_commit_and_ends_no_process(self, place: Place) -> None:
        require(place, Capability.DURABLE)
        with Place(place.harness) as fresh:
            code = in_process(_close_under_way, fresh.harness, fresh.address)
            assert code != LOST, "what was committed before the engine was closed is gone"
            assert code == 0, f"the process ended with code {code}"

    def test_the_clock_is_a_number_of_nanoseconds(self, place: Place) -> None:
        engine = place.open()
        first, second = engine.now_ns(), engine.now_ns()
        assert isinstance(first, int)
        assert first > 10**18, "nanoseconds since the epoch, not seconds"
        assert second >= first

    def test_rows_are_there_after_reopening(self, place: Place) -> None:
        require(place, Capability.DURABLE)
        with Place(place.harness) as fresh:
            engine = fresh.open()
            commit(engine, {b"a": b"1", b"b": b"2", b"empty": b""})
            commit(engine, {b"a": b"new"}, deletes=[b"b"])
            engine.close()
            assert scan(fresh.open()) == [(b"a", b"new"), (b"empty", b"")]

    def test_what_a_killed_process_committed_is_there(self, place: Place) -> None:
        require(place, Capability.DURABLE)
        with Place(place.harness) as fresh:
            assert in_process(_commit_and_die, fresh.harness, fresh.address) == 9
            assert scan(fresh.open()) == [(b"killed", b"1")]

    def test_handles_see_each_other_s_commits_at_once(self, place: Place) -> None:
        require(place, Capability.SHARED)
        one, other = place.open(), place.open()
        for number in range(20):
            before, value = b"%d" % (number - 1) if number else None, b"%d" % number
            assert get(other, b"a") == ({} if before is None else {b"a": before})
            commit(one, {b"a": value}, expected={b"a": before})
            assert get(other, b"a") == {b"a": value}
            assert other.commit({b"a": before}, {b"a": b"stale"}, ()) is False, (
                "a handle compares with a row of its own"
            )
            one, other = other, one

    def test_a_view_does_not_show_what_another_handle_commits_meanwhile(self, place: Place) -> None:
        require(place, Capability.SHARED)
        one, other = place.open(), place.open()
        commit(one, {b"a": b"1"})
        with one.view() as view:
            assert view.get([b"a"]) == {b"a": b"1"}
            with started(lambda: commit(other, {b"a": b"2", b"b": b"2"})) as finish:
                assert view.get([b"a"]) == {b"a": b"1"}
                assert view.get([b"b"]) == {}
        finish()
        assert scan(one) == [(b"a", b"2"), (b"b", b"2")]

    def test_closing_a_handle_leaves_the_others_open(self, place: Place) -> None:
        require(place, Capability.SHARED)
        one, other = place.open(), place.open()
        commit(one, {b"a": b"1"})
        one.close()
        assert get(other, b"a") == {b"a": b"1"}
        commit(other, {b"b": b"2"})
        assert scan(place.open()) == [(b"a", b"1"), (b"b", b"2")]

    def test_no_change_is_lost_between_processes(self, place: Place) -> None:
        require(place, Capability.SHARED)
        engine = place.open()
        with (
            beside(lambda: _succeed(place, 25)),
            beside(lambda: _succeed(place, 25)),
        ):
            add(engine, b"count", 50)
        assert int.from_bytes(get(engine, b"count")[b"count"]) == 100

    def test_sharing_that_is_not_declared_is_refused_or_none(self, place: Place) -> None:
        if Capability.SHARED in place.capabilities:
            pytest.skip("the engine declares SHARED")
        commit(place.first, {b"a": b"1"})
        try:
            other = place.open()
        except Unsupported:
            return
        assert scan(other) == [], "an engine that is not SHARED is refused a second handle, or has rows of its own"


def _succeed(place: Place, times: int) -> None:
    assert in_process(_add, place.harness, place.address, times) == 0
