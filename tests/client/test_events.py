"""The queue of the harvesting thread: what was posted comes first, and nothing keeps it waiting for long."""

from __future__ import annotations

import threading
import time

from kharvest.client._events import Event, EventQueue


def taken(events: EventQueue) -> list[Event]:
    """What there is to take after waiting once."""
    return list(events.due())


def test_what_was_posted_comes_before_what_is_due() -> None:
    events = EventQueue()
    due, later, first, second = Event(), Event(), Event(), Event()
    events.timers.put(due, time.monotonic() - 1)
    events.timers.put(later, time.monotonic() + 600)
    events.post(first)
    events.post(second)
    assert taken(events) == [first, second, due]
    assert events.timers.next is not None


def test_what_is_posted_while_much_is_due_waits_for_a_part_of_it_only() -> None:
    events = EventQueue()
    many = [Event() for _ in range(5000)]
    for event in many:
        events.timers.put(event, 0.0)
    assert len(taken(events)) < len(many)
    question = Event()
    events.post(question)
    assert taken(events)[0] is question
    rest = [event for _ in range(10) if len(events.timers) for event in taken(events)]
    assert rest[-1] is many[-1]


def test_waiting_ends_when_something_is_posted() -> None:
    events = EventQueue()
    event = Event()
    events.timers.put(Event(), time.monotonic() + 600)
    thread = threading.Thread(target=events.post, args=(event,))
    thread.start()
    assert taken(events) == [event]
    thread.join()
