"""The server's clocks: announcements have one order, and leases go by the store's clock."""

from __future__ import annotations

import logging
import threading

import pytest
from harness.stores import reference

from kharvest.server import _clock as clock
from kharvest.server._clock import Clock, ClockWarning, StoreClock
from kharvest.spi import StoreUnavailable

SECOND = 10**9
STORE = 1_764_000_000 * SECOND
"""What time it is by the store's clock when the test's steady clock is at 0."""


class World:
    """A steady clock, and a store that is so far from it and takes so long to answer."""

    def __init__(self) -> None:
        self.steady_ns = 0
        self.offset_ns = STORE
        self.there_ns = self.back_ns = 0
        self.is_away = False
        self.asked = 0
        self.asking = threading.Event()
        self.may_answer = threading.Event()
        self.may_answer.set()

    def steady(self) -> int:
        return self.steady_ns

    def ask(self) -> int:
        self.asked += 1
        if self.is_away:
            raise StoreUnavailable("the test says so")
        self.steady_ns += self.there_ns
        self.asking.set()
        assert self.may_answer.wait(30)
        answer = self.steady_ns + self.offset_ns
        self.steady_ns += self.back_ns
        return answer

    def now_ns(self) -> int:
        """What time it is by the store's clock, for whoever could see it."""
        return self.steady_ns + self.offset_ns


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def store_clock(world: World) -> StoreClock:
    return StoreClock(world.ask, refresh_seconds=10, steady=world.steady)


def test_a_clock_that_is_set_back_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    wall = iter([100, 100, 40, 101, 103])
    monkeypatch.setattr(clock, "wall_ns", lambda: next(wall))
    machine = Clock()
    assert [machine.now_ns() for _time in range(5)] == [100, 101, 102, 103, 104]


def test_the_store_is_asked_once_in_each_interval(world: World, store_clock: StoreClock) -> None:
    for passed_ns in (0, 3 * SECOND, 6 * SECOND, SECOND - 1):
        world.steady_ns += passed_ns
        assert store_clock.now_ns() == world.now_ns()
    assert world.asked == 1
    world.steady_ns += 1
    assert store_clock.now_ns() == world.now_ns()
    assert world.asked == 2


def test_half_of_the_way_to_the_store_and_back_is_taken_off(world: World, store_clock: StoreClock) -> None:
    world.there_ns = world.back_ns = SECOND // 5
    assert store_clock.now_ns() == world.now_ns()


def test_a_slow_answer_changes_nothing(world: World, store_clock: StoreClock) -> None:
    """How long it took to get there, and how long back, nobody knows."""
    world.there_ns = world.back_ns = SECOND // 100
    store_clock.now_ns()
    for there, back in ((0, 8), (8, 0), (2, 5)):
        world.there_ns, world.back_ns = there * SECOND, back * SECOND
        world.steady_ns += 10 * SECOND
        assert store_clock.now_ns() == world.now_ns()


def test_when_the_store_s_clock_is_set_it_is_followed(world: World, store_clock: StoreClock) -> None:
    store_clock.now_ns()
    for step in (3600, -7200, 1):
        world.offset_ns += step * SECOND
        world.steady_ns += 10 * SECOND
        assert store_clock.now_ns() == world.now_ns()


def test_while_the_store_is_away_its_clock_goes_on(world: World, store_clock: StoreClock) -> None:
    store_clock.now_ns()
    world.is_away = True
    for _interval in range(3):
        world.steady_ns += 10 * SECOND
        assert store_clock.now_ns() == world.now_ns()
    assert world.asked == 4
    store_clock.now_ns()
    assert world.asked == 4, "a store that is away is not asked with every call"
    world.is_away = False
    world.offset_ns += SECOND
    world.steady_ns += 10 * SECOND
    assert store_clock.now_ns() == world.now_ns()


def test_a_store_that_was_never_reached_has_no_clock(world: World, store_clock: StoreClock) -> None:
    world.is_away = True
    with pytest.raises(StoreUnavailable):
        store_clock.now_ns()
    world.is_away = False
    assert store_clock.now_ns() == world.now_ns()


def test_setting_this_machine_s_clock_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "wall_ns", lambda: 0)
    store_clock = StoreClock(lambda: STORE, refresh_seconds=3600)
    before = store_clock.now_ns()
    monkeypatch.setattr(clock, "wall_ns", lambda: 10**15)
    assert 0 <= store_clock.now_ns() - before < 60 * SECOND


def test_while_one_thread_asks_the_others_do_not_wait(world: World, store_clock: StoreClock) -> None:
    store_clock.now_ns()
    world.steady_ns += 10 * SECOND
    world.asking.clear()
    world.may_answer.clear()
    one = threading.Thread(target=store_clock.now_ns)
    one.start()
    assert world.asking.wait(30)
    assert store_clock.now_ns() == world.now_ns()
    world.may_answer.set()
    one.join(30)
    assert not one.is_alive()


def test_the_warning_comes_once_a_minute_with_the_largest_difference(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    warning = ClockWarning(lambda: now)

    def behind(*seconds: float) -> list[str]:
        caplog.clear()
        given = [reference(0) for _one in seconds]
        warning.compare(given, [reference(int(one * SECOND)) for one in seconds])
        return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]

    assert behind(0.0, 0.5, 1.0) == []
    (first,) = behind(2.0, 7.0, 3.0)
    assert "7.0 s behind" in first
    now = 59.0
    assert behind(9.0) == behind(8.0) == []
    now = 60.0
    (second,) = behind(2.0)
    assert "9.0 s behind" in second
    now = 500.0
    assert behind(0.0) == []
