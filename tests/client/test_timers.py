"""Timers of what is to be done later."""

from __future__ import annotations

import sys

from kharvest.client._events import Timers


def popped(timers: Timers[str], now: float) -> list[str]:
    out = []
    while (thing := timers.pop(now)) is not None:
        out.append(thing)
    return out


def test_things_come_when_they_are_due_in_the_order_of_their_times() -> None:
    timers: Timers[str] = Timers()
    for thing, time in (("b", 2.0), ("a", 1.0), ("c", 3.0)):
        timers.put(thing, time)
    assert timers.next == 1.0
    assert popped(timers, 2.0) == ["a", "b"]
    assert (len(timers), timers.next) == (1, 3.0)


def test_a_thing_has_one_time_and_may_be_discarded() -> None:
    timers: Timers[str] = Timers()
    timers.put("a", 1.0)
    timers.put("a", 5.0)
    timers.put("b", 2.0)
    timers.discard("b")
    timers.discard("never there")
    assert timers.time_of("a") == 5.0
    assert timers.time_of("b") is None
    assert popped(timers, 4.0) == []
    assert popped(timers, 5.0) == ["a"]
    assert timers.next is None


def test_it_takes_room_for_what_is_in_it_only() -> None:
    timers: Timers[str] = Timers()
    for number in range(10_000):
        timers.put("again and again", float(number))
        timers.put(f"gone {number}", float(number))
        timers.discard(f"gone {number}")
    assert len(timers) == 1
    assert sys.getsizeof(vars(timers)["_heap"]) < 2000
