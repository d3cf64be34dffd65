"""The kernel's events for watched directories, through watchdog.

This is watchdog's own layer over inotify (`InotifyFD`, of watchdog 7.1), not its `Observer`: an `Observer` starts a
thread for each directory, holds back renames for half a second, and keeps it to itself when the kernel dropped events.
"""

# Paths are strings here: they are looked at by the thousand, and announced exactly as they are.
# ruff: noqa: PTH116
from __future__ import annotations

import logging
import os
from collections.abc import Callable

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchCallback,
    WatchDescriptor,
)

from kharvest.client._watch.changes import Change, Changes
from kharvest.client._watch.links import Entry

logger = logging.getLogger(__name__)

_BYTES = InotifyConstants.IN_MODIFY | InotifyConstants.IN_CLOSE_WRITE
_NAME = InotifyConstants.IN_ATTRIB | InotifyConstants.IN_DELETE
_BOTH = InotifyConstants.IN_CREATE | InotifyConstants.IN_MOVED_TO | InotifyConstants.IN_MOVED_FROM
_SELF = InotifyConstants.IN_DELETE_SELF | InotifyConstants.IN_MOVE_SELF
# What reading a file does is not among these: our own reading must not wake us.
_MASK = Mask(_BYTES | _NAME | _BOTH | _SELF | InotifyConstants.IN_ONLYDIR)
_GUARD_MASK = Mask(_SELF | InotifyConstants.IN_ONLYDIR)


class Inotify:
    """Watches of directories; what happens in them, and concerns a path, is added to `changes`.

    The harvesting thread owns it. `concerns` is called on watchdog's thread, so events for unwatched neighbours never
    wake the harvesting thread.

    Raises:
        OSError: no inotify instance is left.
    """

    def __init__(self, changes: Changes, concerns: Callable[[Entry], bool]) -> None:
        self._changes = changes
        self._concerns = concerns
        self._watches: dict[str, _Watch] = {}
        self._kernel = InotifyFD()
        self._kernel.name = "kharvest-inotify"
        self._kernel.start()

    def watch(self, directory: str) -> bool:
        """Watch a real directory, if it is not watched yet. Returns whether the watch is new.

        Raises:
            OSError: it cannot be watched: it went away, may not be read, or no watch is left.
        """
        return self._add(directory, _MASK)

    def guard(self, directory: str) -> None:
        """Note when this real directory is renamed, and nothing of what happens in it.

        That costs nothing however busy it is. What is watched is guarded too.

        Raises:
            OSError: as above.
        """
        self._add(directory, _GUARD_MASK)

    def _add(self, directory: str, mask: Mask) -> bool:
        status = os.stat(directory)
        identity = status.st_dev, status.st_ino
        watch = self._watches.get(directory)
        if watch is not None and watch.identity == identity and not watch.is_lost and watch.mask & mask == mask:
            return False
        if watch is not None:
            self.unwatch(directory)
        if not os.access(directory, os.R_OK):  # watchdog ignores that error
            raise PermissionError(f"user {os.geteuid()} may not read it")
        watch = _Watch(directory, mask, identity, self._changes, self._concerns)
        watch.descriptor = self._kernel.add_callback(os.fsencode(directory), mask, watch, CallbackId(id(watch)))
        self._watches[directory] = watch
        return True

    def device(self, directory: str) -> int:
        """The device that a watched directory is on."""
        return self._watches[directory].identity[0]

    def unwatch(self, directory: str) -> None:
        """Watch the directory no longer."""
        watch = self._watches.pop(directory, None)
        if watch is not None and watch.descriptor is not None and not watch.is_gone:
            self._kernel.remove_callbacks([(watch.descriptor, CallbackId(id(watch)))])

    def keep_only(self, directories: set[str]) -> None:
        """Watch no other directories than these."""
        for directory in self._watches.keys() - directories:
            self.unwatch(directory)

    def close(self) -> None:
        """Give the instance back; waits for its thread."""
        self._kernel.stop()
        self._kernel.join()


class _Watch(WatchCallback):
    """One watched directory; called on watchdog's thread."""

    def __init__(
        self, directory: str, mask: Mask, identity: tuple[int, int], changes: Changes, concerns: Callable[[Entry], bool]
    ) -> None:
        self.mask = mask
        self.identity = identity
        self.descriptor: WatchDescriptor | None = None
        self.is_lost = False  # it is not at this path any more
        self.is_gone = False  # and the kernel has forgotten the watch
        self._directory = directory
        self._changes = changes
        self._concerns = concerns

    def on_event(self, event: InotifyEvent) -> None:
        mask = event.mask
        if mask & _SELF:
            self.is_lost = True
        entry = Entry(self._directory, os.fsdecode(event.name))
        if mask & InotifyConstants.IN_MOVE_SELF:
            self._changes.add(entry, Change.ALL)
        elif self._concerns(entry):
            change = Change.BOTH if mask & (_BOTH | _SELF) else Change.BYTES if mask & _BYTES else Change.NAME
            self._changes.add(entry, change)

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:  # noqa: ARG002  # watchdog's signature
        self.is_lost = self.is_gone = True
        self._changes.add(Entry(self._directory, ""), Change.BOTH)

    def on_queue_overflow(self) -> None:
        self._changes.overflow()
