"""Where to look for changes: which directories are watched, and what an entry of one concerns."""

from __future__ import annotations

import errno
import logging
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from kharvest.client.inbox import Inbox
from kharvest.client.mounts import Mounts
from kharvest.client.places import Place, Tracer

if TYPE_CHECKING:
    from kharvest.client.inotify import Inotify

logger = logging.getLogger(__name__)

_SHORTAGES = {
    errno.EMFILE: "no inotify instance is left: raise fs.inotify.max_user_instances",
    errno.ENOSPC: "no inotify watch is left: raise fs.inotify.max_user_watches",
}


class Subject(Protocol):
    """Something at a path that is looked out for."""

    @property
    def path(self) -> str:
        """The path, absolute, its links kept."""

    @property
    def directories(self) -> Collection[str] | None:
        """The real directories of which every entry concerns it; None if only its own path does."""


S = TypeVar("S", bound=Subject)


class Lookout(Generic[S]):
    """Knows the places that decide about every subject, and has their directories watched.

    The harvesting thread owns it. What cannot be watched is polled: somebody has to ask for `polled` now and then.
    """

    def __init__(self, inbox: Inbox, mounts: Mounts | None = None) -> None:
        self._inbox = inbox
        self._mounts = Mounts() if mounts is None else mounts
        self._inotify: Inotify | None = None
        self._shortage = OSError()
        self._index: dict[str, dict[str, tuple[S, ...]]] = {}  # directory, name ("" for every name): subjects
        self._places: dict[S, tuple[Place, ...]] = {}
        self._polled: dict[str, str] = {}  # directory: why

    def place(self, subjects: Iterable[S]) -> set[S]:
        """Find out where these subjects' paths lead now, and watch there.

        Returns:
            The subjects in directories that were not watched until now: what happened there, nobody has told us.
        """
        self._start()
        unseen: set[S] = set()
        pending: Collection[S] = tuple(subjects)
        while pending:
            tracer = Tracer()
            for subject in pending:
                self._put(subject, _places(tracer, subject))
            directories = {place.directory for subject in pending for place in self._places[subject]}
            fresh = [directory for directory in directories if self._watch(directory)]
            pending = {subject for directory in fresh for subject in self.at(Place(directory, ""))}
            unseen |= pending
        return unseen

    def at(self, place: Place) -> Collection[S]:
        """The subjects that an entry of a directory concerns; with an empty name, all that the directory does."""
        names = self._index.get(place.directory, {})
        if place.name:
            return (*names.get(place.name, ()), *names.get("", ()))
        return {subject for subjects in names.values() for subject in subjects}

    def below(self, directory: str) -> Collection[S]:
        """The subjects that anything in a directory, or below it, concerns."""
        inside = f"{directory}/"
        directories = [one for one in self._index if one == directory or one.startswith(inside)]
        return {subject for one in directories for subject in self.at(Place(one, ""))}

    def concerns(self, place: Place) -> bool:
        """Whether an entry of a directory concerns any subject. May be asked on any thread."""
        names = self._index.get(place.directory)
        return names is not None and (not place.name or place.name in names or "" in names)

    def drop(self, subject: S) -> None:
        """Forget the subject."""
        for place in self._places.pop(subject, ()):
            names = self._index[place.directory]
            names[place.name] = tuple(other for other in names[place.name] if other is not subject)
            if not names[place.name]:
                del names[place.name]
            if not names:
                del self._index[place.directory]

    def tidy(self) -> None:
        """Watch no longer where no subject leads, and guard the directories above those where one does."""
        if self._inotify is not None:
            above = {ancestor for directory in self._index for ancestor in _above(directory)}
            self._inotify.keep_only(above | self._index.keys())
            for directory in above - self._index.keys():
                self._guard(directory)
        for directory in self._polled.keys() - self._index.keys():
            del self._polled[directory]

    @property
    def is_polling(self) -> bool:
        """Whether there are directories that cannot be watched."""
        return bool(self._polled)

    def polled(self) -> set[S]:
        """The subjects that lead through directories that cannot be watched."""
        return {subject for directory in self._polled for subject in self.at(Place(directory, ""))}

    def close(self) -> None:
        """Watch nothing any more."""
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None

    def _start(self) -> None:
        if self._inotify is None:
            from kharvest.client.inotify import Inotify  # noqa: PLC0415  # 2 MB that `--once` has no use for

            try:
                self._inotify = Inotify(self._inbox, self.concerns)
            except OSError as error:
                self._shortage = error

    def _put(self, subject: S, places: tuple[Place, ...]) -> None:
        if self._places.get(subject) == places:
            return
        self.drop(subject)
        self._places[subject] = places
        for place in places:
            names = self._index.setdefault(place.directory, {})
            names[place.name] = (*names.get(place.name, ()), subject)

    def _guard(self, directory: str) -> None:
        try:
            if self._inotify is not None:
                self._inotify.guard(directory)
        except OSError as error:  # then the rescan finds out
            logger.debug("%r cannot be guarded: %s", directory, error)

    def _watch(self, directory: str) -> bool:
        """Watch a directory; whether that is new. Where it cannot be, it is polled."""
        try:
            if self._inotify is None:
                raise self._shortage
            is_new = self._inotify.watch(directory)
        except OSError as error:
            reason = _SHORTAGES.get(error.errno or 0) or error.strerror or str(error)
            if self._polled.get(directory) != reason:
                # One that has just gone away is no news, but may have done so before anybody watched.
                level = logging.DEBUG if isinstance(error, FileNotFoundError) else logging.WARNING
                logger.log(level, "%r cannot be watched (%s); it is polled", directory, reason)
                self._polled[directory] = reason
            return False
        if is_new:
            for above in _above(directory):
                if above not in self._index:
                    self._guard(above)
        remote = self._mounts.remote_type(self._inotify.device(directory))
        if remote is not None:  # events come of what is changed here, but not of what others change
            if directory not in self._polled:
                logger.info("%r is on %s, which others may change without an event; it is polled", directory, remote)
            self._polled[directory] = remote
        elif self._polled.pop(directory, None) is not None:
            logger.info("%r can be watched again", directory)
        return is_new


def _above(directory: str) -> Iterator[str]:
    """The directories above a real one, without the root, which nobody renames."""
    while (directory := directory.rpartition("/")[0]) != "":
        yield directory


def _places(tracer: Tracer, subject: Subject) -> tuple[Place, ...]:
    if subject.directories is None:
        places = tracer.trace(subject.path)
    else:
        every_name = (Place(directory, "") for directory in subject.directories)
        places = (*tracer.trace_directory(subject.path), *every_name)
    return tuple(dict.fromkeys(places))
