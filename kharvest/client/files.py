"""What a path holds: opened without ever blocking, and read through one descriptor."""

# Paths are strings here: they are looked at by the thousand, and announced exactly as they are.
# ruff: noqa: PTH116
from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from kharvest.client.errors import Changed, Gone, Unreadable

READ_BYTES = 256 * 1024
"""How much is read at a time: enough that the disk and not Python sets the speed, little enough for a sidecar."""

_KINDS = (
    (stat.S_ISDIR, "a directory", "name the files in it, or watch it as a directory"),
    (stat.S_ISFIFO, "a FIFO", "name a regular file"),
    (stat.S_ISSOCK, "a socket", "name a regular file"),
    (stat.S_ISCHR, "a device", "name a regular file"),
    (stat.S_ISBLK, "a device", "name a regular file"),
)


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the file system tells of a file without reading it. Times in nanoseconds since the epoch.

    As long as it stays the same the bytes stay the same, unless they were written within one tick of the file
    system's clock.
    """

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """The stamp in a stat result."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@dataclass(frozen=True, slots=True)
class Version:
    """What is announced of a path: the digests (raw) and size in bytes of its content, or its removal."""

    md5: bytes
    sha256: bytes
    size: int

    @property
    def is_removal(self) -> bool:
        """Whether this says that the file went away."""
        return not self.sha256


REMOVAL = Version(bytes(16), b"", 0)


@dataclass(frozen=True, slots=True)
class Reading:
    """A version, and the stamp of the file while it was read."""

    stamp: Stamp
    version: Version


def look(path: str) -> Stamp:
    """The stamp of the regular file that `path` names, links followed.

    Raises:
        Gone: there is nothing.
        Unreadable: there is something else, or it cannot be reached.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    _require_regular(path, status)
    return Stamp.of(status)


@contextmanager
def opened(path: str) -> Iterator[int]:
    """Open the regular file that `path` names; yields its descriptor.

    Never waits for the other end of a FIFO, and opens no device.

    Raises:
        Gone: there is nothing.
        Unreadable: there is something else, or it may not be read.
    """
    descriptor = open_regular(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def open_regular(path: str) -> int:
    """The same as `opened`, for a descriptor that the caller closes."""
    look(path)  # opening a device can have effects of its own
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        _require_regular(path, os.fstat(descriptor))
    except Unreadable:
        os.close(descriptor)
        raise
    return descriptor


def read_version(path: str, stopped: Callable[[], bool]) -> Reading:
    """Read the file through one descriptor, in constant memory, and tell which version it is.

    Raises:
        Changed: it changed meanwhile, the path names another file now, or `stopped` became true.
        Gone: there is nothing.
        Unreadable: there is something else, or it cannot be read.
    """
    with opened(path) as descriptor:
        stamp = Stamp.of(os.fstat(descriptor))
        md5 = hashlib.md5(usedforsecurity=False)  # half of a signature's identity; SHA-256 is what is trusted
        sha256 = hashlib.sha256()
        buffer = memoryview(bytearray(max(1, min(READ_BYTES, stamp.size + 1))))
        size = 0
        try:
            while count := os.readv(descriptor, [buffer]):
                md5.update(buffer[:count])
                sha256.update(buffer[:count])
                size += count
                if size > stamp.size or stopped():
                    raise Changed
            if size != stamp.size or Stamp.of(os.fstat(descriptor)) != stamp or look(path) != stamp:
                raise Changed
        except Gone:
            raise Changed from None
        except OSError as error:
            raise _unreadable(path, error) from error
    return Reading(stamp, Version(md5.digest(), sha256.digest(), size))


def read_whole(path: str, stamp: Stamp) -> bytes | None:
    """All bytes of a small file; None if it is not, or not any more, the one that had this stamp."""
    try:
        with opened(path) as descriptor:
            if Stamp.of(os.fstat(descriptor)) != stamp:
                return None
            content = os.read(descriptor, stamp.size + 1)
            while len(content) < stamp.size and (more := os.read(descriptor, stamp.size + 1 - len(content))):
                content += more
            has_changed = len(content) != stamp.size or Stamp.of(os.fstat(descriptor)) != stamp
    except (Unreadable, OSError):
        return None
    return None if has_changed else content


def _require_regular(path: str, status: os.stat_result) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    for is_kind, kind, remedy in _KINDS:
        if is_kind(status.st_mode):
            raise Unreadable(path, "NOT_A_FILE", f"it is {kind}", remedy)
    raise Unreadable(path, "NOT_A_FILE", "it is not a regular file", "name a regular file")


def _unreadable(path: str, error: OSError) -> Unreadable:
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return Gone(path)
    problem = error.strerror or str(error)
    if isinstance(error, PermissionError):
        return Unreadable(path, "PERMISSION_DENIED", problem, f"let user {os.geteuid()} read it")
    return Unreadable(path, "IO_ERROR", problem, "see to its file system")
