"""A watched path, and what is reported of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

from kharvest.client._config.rules import Rule
from kharvest.client._errors import Unreadable
from kharvest.client._events import Event
from kharvest.client._watch.changes import WatchEvent
from kharvest.client._watch.content import Reading, Stamp
from kharvest.client._watch.location import Location, locate


@dataclass(slots=True, eq=False)
class Subject:
    """Something at a path that is watched.

    Attributes:
        path: the path, absolute, its links kept.
        rule: the rule that names or finds it.
    """

    path: str
    rule: Rule

    @property
    def whole_directories(self) -> Collection[str] | None:
        """The real directories of which every entry concerns it; None if only its own path does."""
        return None


@dataclass(slots=True, eq=False)
class WatchedFile(Subject, WatchEvent):
    """One watched path, as the file system has it. As an event: it is time to look at it.

    The watching room owns it, and nothing outside changes it.

    Attributes:
        settling_since: when it began to settle (monotonic); None at rest.
        is_reading: whether a thread reads it now.
        is_suspect: whether its bytes may have changed though its stamp has not.
        growing_since: since when it grows faster than it is sent (monotonic); None if it does not.
        is_restless: whether `reading` was made while the file did not rest.
        is_uploading: whether its content is being sent: what has only grown is not read again until that ends.
        seen: its stamp at the last look, for file systems whose clock is not ours.
        reading: what was last read of it; None before the first time, and when nothing is there.
        problem: why it cannot be read now.
        is_dropped: whether it is not watched any more.
    """

    settling_since: float | None = None
    is_reading: bool = False
    is_suspect: bool = False
    growing_since: float | None = None
    is_restless: bool = False
    is_uploading: bool = False
    seen: Stamp | None = None
    reading: Reading | None = None
    problem: Unreadable | None = None
    is_dropped: bool = False

    @property
    def location(self) -> Location:
        """Where it is read."""
        return locate(self.rule, self.path)

    @property
    def stamp(self) -> Stamp | None:
        """The stamp of what was last read."""
        return None if self.reading is None else self.reading.stamp

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing is left to read until it changes; of a file that does not rest, its beginning is read."""
        return not self.is_reading and (self.settling_since is None or self.is_restless)


@dataclass(slots=True, eq=False)
class ConfigurationFile(Subject):
    """A file that the client itself is configured by."""


class ConfigurationDue(Event, Enum):
    """It is time to read the configuration: a file of it may have changed, and has rested since."""

    RELOAD = 1


@dataclass(frozen=True, slots=True)
class Observed:
    """What a path holds now.

    Attributes:
        path: the path.
        reading: what was read; None if no file is there.
        is_watched: whether the path is still watched. A path that a glob has found is not, when nothing is there.
    """

    path: str
    reading: Reading | None
    is_watched: bool = True


@dataclass(frozen=True, slots=True)
class Unwatched:
    """The configuration does not name the path any more: that says nothing of the file."""

    path: str


@dataclass(frozen=True, slots=True)
class Recalled:
    """The server has a version of this path, which a rule covers."""

    path: str


Report = Observed | Unwatched | Recalled


def not_unicode(path: str) -> Unreadable | None:
    """The problem of a path that is not Unicode: bytes that are not UTF-8 come as lone surrogates (PEP 383)."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return Unreadable(path, "NOT_UTF8", "its name is not UTF-8, and cannot be announced", "rename it")
    return None
