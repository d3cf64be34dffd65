"""Room on the disk of a store: promised to uploads before they begin, left to references, reserved for removing."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from kharvest.spi._errors import StoreFull

_LOG_BYTES = 64 * 2**20
"""How large a write-ahead log may grow before its pages are moved into the file: a page changed ten times until then is
moved once."""
_LOG_SHARE = 20
"""But no larger than this part of a small disk."""


def most_log_bytes(folder: Path) -> int:
    """How large a write-ahead log may grow on the disk of `folder`."""
    disk = os.statvfs(folder)
    return min(_LOG_BYTES, disk.f_blocks * disk.f_frsize // _LOG_SHARE)


def free_bytes(folder: Path) -> int:
    """What this user may still write on the disk of `folder`."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


class Reserve:
    """A file of `size` allocated bytes that means nothing: the room to remove something from a disk that is full.

    Nobody else can take this room, whatever writes to the disk. It is given up while something is removed, or while a
    store is opened, and held again afterwards. Thread-safe; several processes may use the same file.

    `logs` gives back the room of each of the store's logs, which what is removed may need in another one.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size
        self._lock = threading.Lock()  # guards what follows, and the file against this process
        self._removers = 0
        self.logs: list[Callable[[], None]] = []

    def hold(self) -> None:
        """Take the room, or as much of it as there is."""
        with self._lock:
            if not self._removers and self.missing():
                with suppress(OSError):  # whoever took the room meanwhile has it; the next call tries again
                    self._allocate()

    def _allocate(self) -> None:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            held = os.fstat(descriptor).st_size
            wanted = min(self._size, held + free_bytes(self._path.parent))
            if wanted > held:
                os.posix_fallocate(descriptor, held, wanted - held)
        finally:
            os.close(descriptor)

    def missing(self) -> int:
        """How many bytes of the reserve are not held."""
        try:
            return max(0, self._size - self._path.stat().st_size)
        except OSError:
            return self._size

    @contextmanager
    def given_up(self) -> Iterator[None]:
        """Others may use the room meanwhile: what is removed makes up for it."""
        with self._lock:
            self._removers += 1
            with suppress(OSError):  # then there is no more room than there was
                self._path.unlink(missing_ok=True)
        try:
            for give_back in tuple(self.logs):
                give_back()
            yield
        finally:
            with self._lock:
                self._removers -= 1
            self.hold()


class Promises:
    """How many bytes the uploads of this process that are under way have still to write. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.total = 0

    @contextmanager
    def promise(self, size: int, check: Callable[[int], None]) -> Iterator[Allotment]:
        """Room for an upload of `size` bytes until the block ends; `check` raises if so many in all do not fit."""
        allotment = Allotment(self, check)
        with self._lock:  # of two that do not fit together, one is promised its room
            check(self.total + size)
            self.total += size
            allotment.left = size
        try:
            yield allotment
        finally:
            allotment.wrote(allotment.left)

    def fulfil(self, size: int) -> None:
        """So many of the promised bytes are promised no more."""
        with self._lock:
            self.total -= size


class Allotment:
    """The room of one upload."""

    def __init__(self, promises: Promises, check: Callable[[int], None]) -> None:
        self._promises = promises
        self._check = check
        self.left = 0

    def check(self) -> None:
        """See that what is promised still fits: other programs write to the disk too.

        Raises:
            StoreFull: it does not.
        """
        self._check(self._promises.total)

    def wrote(self, size: int) -> None:
        """So many bytes are on the disk now."""
        done = min(size, self.left)
        self.left -= done
        self._promises.fulfil(done)


def unlimited(size: int) -> AbstractContextManager[Allotment]:
    """The room of an upload into a database that keeps watch over its own disk."""
    return Promises().promise(size, lambda _total: None)


def require_room(path: Path, needed: int, kept: int) -> None:
    """See that the disk of `path` has room for `needed` bytes beside those that are kept for references.

    Raises:
        StoreFull: it has not.
    """
    left = free_bytes(path.parent)
    if left - kept < needed:
        raise StoreFull(
            f"{left} bytes are left on the disk of {path}, of which {kept} are kept for references; this takes {needed}"
        )
