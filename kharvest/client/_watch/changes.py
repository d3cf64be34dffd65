"""Changes in directories, on their way from the kernel to the harvesting thread."""

from __future__ import annotations

import threading
from enum import Flag

from kharvest.client._events import Event, EventQueue
from kharvest.client._watch.links import Entry

_MAX_ENTRIES = 65_536
"""More changed entries than this are not remembered one by one: everything is looked at instead. It bounds a burst."""


class Change(Flag):
    """What may have changed at an entry of a directory."""

    NAME = 1
    """Which file the entry names: it was created, removed, renamed, or got other permissions."""
    BYTES = 2
    """The bytes of the file that it names."""
    BOTH = 3
    PATH = 4
    """Where the directory itself is: it was renamed, and all that is below it has other paths now."""
    ALL = 7


class WatchEvent(Event):
    """An event that the watching room reacts to."""

    __slots__ = ()


class DirectoriesChanged(WatchEvent):
    """There are changes to take from `Changes`."""

    __slots__ = ()


class Changes:
    """The entries that may have changed since they were last taken. Thread-safe.

    Changes come in bursts: one event is posted for all that come until they are taken.
    """

    def __init__(self, events: EventQueue) -> None:
        self._events = events
        self._lock = threading.Lock()
        self._entries: dict[Entry, Change] = {}
        self._is_overflown = False
        self._is_posted = False

    def add(self, entry: Entry, change: Change) -> None:
        """Note that something may have changed at an entry."""
        with self._lock:
            if len(self._entries) >= _MAX_ENTRIES:
                self._overflow()
            if not self._is_overflown:
                self._entries[entry] = self._entries.get(entry, change) | change
            self._post()

    def overflow(self) -> None:
        """Note that anything may have changed."""
        with self._lock:
            self._overflow()
            self._post()

    def take(self) -> dict[Entry, Change] | None:
        """The changes since the last time; None if anything may have changed."""
        with self._lock:
            entries, is_overflown = self._entries, self._is_overflown
            self._entries = {}
            self._is_overflown = self._is_posted = False
        return None if is_overflown else entries

    def _overflow(self) -> None:
        self._is_overflown = True
        self._entries.clear()

    def _post(self) -> None:
        if not self._is_posted:
            self._is_posted = True
            self._events.post(DirectoriesChanged())
