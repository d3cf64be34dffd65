"""A file is looked at again whenever something happened after it was last read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kharvest.client import ClientConfig
from kharvest.client._config.rules import path_rule
from kharvest.client._errors import Changed
from kharvest.client._events import Event, EventQueue
from kharvest.client._watch.content import Reading
from kharvest.client._watch.files import WatchedFile
from kharvest.client._watch.settling import ReadEnded, Settler

CONFIG = ClientConfig(server="-", pod="-", settle_seconds=0.0, settle_max_seconds=0.0)


@pytest.fixture
def events() -> EventQueue:
    return EventQueue()


@pytest.fixture
def settler(events: EventQueue) -> Iterator[Settler]:
    settler = Settler(events, CONFIG)
    yield settler
    settler.close()


def following(events: EventQueue) -> Event:
    """The next event, however it comes."""
    while True:
        for event in events.due():
            return event


def run(settler: Settler, events: EventQueue, until: Callable[[], bool]) -> None:
    """Handle what comes, until the condition holds."""
    while not until():
        event = following(events)
        if isinstance(event, ReadEnded):
            settler.finish(event)
        elif isinstance(event, WatchedFile):
            settler.look(event)


@pytest.mark.timeout(30)
def test_a_removal_right_after_the_reading_is_not_overlooked(
    tmp_path: Path, events: EventQueue, settler: Settler
) -> None:
    path = tmp_path / "file"
    path.write_text("content")
    file = WatchedFile(str(path), path_rule(path))
    settler.touch(file, at_once=True)
    assert following(events) is file
    settler.look(file)
    assert file.is_reading
    ended = following(events)  # it was read
    assert isinstance(ended, ReadEnded)
    path.unlink()
    settler.touch(file)  # and only now is the event seen, before what was read
    assert settler.finish(ended)
    assert file.reading is not None
    run(settler, events, lambda: file.reading is None)


@pytest.mark.timeout(30)
def test_a_file_that_changes_while_it_is_read_again_is_read_once_more_though_its_event_came_first(
    tmp_path: Path, events: EventQueue, settler: Settler
) -> None:
    path = tmp_path / "file"
    path.write_text("first")
    file = WatchedFile(str(path), path_rule(path))
    settler.touch(file, at_once=True)
    run(settler, events, lambda: file.is_at_rest and file.reading is not None)
    first = file.reading
    assert first is not None
    assert settler.rehash(file)
    path.write_text("second")
    settler.touch(file, written=True)  # its time comes while the file is being read: nothing is looked at then
    settler.look(file)
    events.timers.discard(file)
    ended = following(events)
    assert isinstance(ended, ReadEnded)
    settler.finish(replace(ended, outcome=Changed()))
    run(settler, events, lambda: isinstance(file.reading, Reading) and file.reading.version != first.version)
