"""Which directories are watched for every path, and which paths an entry of one concerns."""

from __future__ import annotations

import errno
import logging
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

from kharvest.client._watch.changes import Changes
from kharvest.client._watch.files import Subject
from kharvest.client._watch.links import Entry, Tracer
from kharvest.client._watch.mounts import Mounts

if TYPE_CHECKING:
    from kharvest.client._watch.inotify import Inotify

logger = logging.getLogger(__name__)

_SHORTAGES = {
    errno.EMFILE: "no inotify instance is left: raise fs.inotify.max_user_instances",
    errno.ENOSPC: "no inotify watch is left: raise fs.inotify.max_user_watches",
}


class Directories:
    """The entries that decide about every subject, and the watches of their directories.

    The harvesting thread owns it. What cannot be watched has to be polled: see `polled`. Once it is closed, it follows
    nothing.
    """

    def __init__(self, changes: Changes, mounts: Mounts | None = None) -> None:
        self.is_open = True
        self._changes = changes
        self._mounts = Mounts() if mounts is None else mounts
        self._inotify: Inotify | None = None
        self._shortage = OSError()
        self._index: dict[str, dict[str, tuple[Subject, ...]]] = {}  # directory, name ("" for every name): subjects
        self._entries: dict[Subject, tuple[Entry, ...]] = {}
        self._polled: dict[str, str] = {}  # directory: why

    def follow(self, subjects: Iterable[Subject]) -> set[Subject]:
        """Find out where the paths of these subjects lead now, and watch there.

        Returns:
            The subjects in directories that were not watched until now. Earlier changes there may have been missed.
        """
        if not self.is_open:
            return set()
        self._start()
        unseen: set[Subject] = set()
        pending: Collection[Subject] = tuple(subjects)
        while pending:
            tracers: dict[str, Tracer] = {}
            for subject in pending:
                tracer = tracers.get(root := subject.rule.system_root) or tracers.setdefault(root, Tracer(root))
                self._put(subject, _entries(tracer, subject))
            directories = {entry.directory for subject in pending for entry in self._entries[subject]}
            fresh = [directory for directory in directories if self._watch(directory)]
            pending = {subject for directory in fresh for subject in self.at(Entry(directory, ""))}
            unseen |= pending
        return unseen

    def at(self, entry: Entry) -> Collection[Subject]:
        """The subjects that an entry of a directory concerns; with an empty name, all that the directory does."""
        names = self._index.get(entry.directory, {})
        if entry.name:
            return (*names.get(entry.name, ()), *names.get("", ()))
        return {subject for subjects in names.values() for subject in subjects}

    def below(self, directory: str) -> Collection[Subject]:
        """The subjects that anything in a directory, or below it, concerns."""
        inside = f"{directory}/"
        directories = [one for one in self._index if one == directory or one.startswith(inside)]
        return {subject for one in directories for subject in self.at(Entry(one, ""))}

    def concerns(self, entry: Entry) -> bool:
        """Whether an entry of a directory concerns any subject. May be asked on any thread."""
        names = self._index.get(entry.directory)
        return names is not None and (not entry.name or entry.name in names or "" in names)

    def drop(self, subject: Subject) -> None:
        """Forget the subject."""
        for entry in self._entries.pop(subject, ()):
            names = self._index[entry.directory]
            names[entry.name] = tuple(other for other in names[entry.name] if other is not subject)
            if not names[entry.name]:
                del names[entry.name]
            if not names:
                del self._index[entry.directory]

    def tidy(self) -> None:
        """Watch no longer where no subject leads, and guard the directories above those where one does."""
        if self._inotify is not None:
            above: set[str] = set()
            for directory in self._index:
                for ancestor in _above(directory):
                    if ancestor in above:
                        break  # so are those above it
                    above.add(ancestor)
            self._inotify.keep_only(above | self._index.keys())
            for directory in above - self._index.keys():
                self._guard(directory)
        for directory in self._polled.keys() - self._index.keys():
            del self._polled[directory]

    @property
    def is_polling(self) -> bool:
        """Whether there are directories that cannot be watched."""
        return bool(self._polled)

    def polled(self) -> set[Subject]:
        """The subjects that lead through directories that cannot be watched."""
        return {subject for directory in self._polled for subject in self.at(Entry(directory, ""))}

    def close(self) -> None:
        """Watch nothing any more."""
        self.is_open = False
        self._entries.clear()
        self._index.clear()
        self._polled.clear()
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None

    def _start(self) -> None:
        if self._inotify is None:
            from kharvest.client._watch.inotify import Inotify  # noqa: PLC0415  # 2 MB that `--once` has no use for

            try:
                self._inotify = Inotify(self._changes, self.concerns)
            except OSError as error:
                self._shortage = error

    def _put(self, subject: Subject, entries: tuple[Entry, ...]) -> None:
        if self._entries.get(subject) == entries:
            return
        self.drop(subject)
        self._entries[subject] = entries
        for entry in entries:
            names = self._index.setdefault(entry.directory, {})
            names[entry.name] = (*names.get(entry.name, ()), subject)

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
                # One that has just gone away may have done so before it was watched: that is not worth a warning.
                level = logging.DEBUG if isinstance(error, FileNotFoundError) else logging.WARNING
                logger.log(level, "%r cannot be watched (%s); it is polled", directory, reason)
                self._polled[directory] = reason
            return False
        if is_new:
            for above in _above(directory):
                if above in self._index:
                    break  # whose watch guards those above it
                self._guard(above)
        silent = self._mounts.silent_type(self._inotify.device(directory))
        if silent is not None:  # events come of what is changed through this mount, but not of all else
            if directory not in self._polled:
                logger.info("%r is on %s, where files may change without an event; it is polled", directory, silent)
            self._polled[directory] = silent
        elif self._polled.pop(directory, None) is not None:
            logger.info("%r can be watched again", directory)
        return is_new


def _above(directory: str) -> Iterator[str]:
    """The directories above a real one, without the root, which nobody renames."""
    while (directory := directory.rpartition("/")[0]) != "":
        yield directory


def _entries(tracer: Tracer, subject: Subject) -> tuple[Entry, ...]:
    if subject.whole_directories is None:
        entries = tracer.trace(subject.path)
    else:
        every_name = (Entry(directory, "") for directory in subject.whole_directories)
        entries = (*tracer.trace_directory(subject.path), *every_name)
    return tuple(dict.fromkeys(entries))
