"""What a path holds: opened without ever blocking, and read through one descriptor."""

# Paths are strings here: they are looked at by the thousand, and announced exactly as they are.
# ruff: noqa: PTH116
from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from kharvest.client._errors import Changed, Gone, Unreadable
from kharvest.client._watch.location import LeadsOut, Location

READ_BYTES = 256 * 1024
"""How much is read at a time: enough that the disk and not Python sets the speed, little enough for a sidecar."""
_LEAST_READ_BYTES = 4096
"""Where the size says less: the kernel fills in files of `/proc` and `/sys` a page at a time."""

_KINDS = (
    (stat.S_ISDIR, "a directory", "name the files in it, or watch it as a directory"),
    (stat.S_ISFIFO, "a FIFO", "name a regular file"),
    (stat.S_ISSOCK, "a socket", "name a regular file"),
    (stat.S_ISCHR, "a device", "name a regular file"),
    (stat.S_ISBLK, "a device", "name a regular file"),
)


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the file system says of a file without reading it. Times in nanoseconds since the epoch.

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
    """What is announced of a path: the digests (raw) and the size in bytes of its content, or its removal."""

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
    """A version, where it was read, and the stamp of the file when its reading began.

    `is_beginning`: the file has grown since, and the version is what it held before.
    """

    location: Location
    stamp: Stamp
    version: Version
    is_beginning: bool = False


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """How much is read of a file, in bytes; None for no limit.

    Attributes:
        content: of the content: where its size is not known before, as in `/proc`, reading ends here.
        holes: of what a sparse file does not occupy on the disk.
    """

    content: int | None = None
    holes: int | None = None


def look(location: Location, known: Stamp | None = None) -> Stamp:
    """The stamp of the regular file at a location, links followed.

    That no link leads out is proven for links themselves; for the directories on the way, only when it is opened.
    A file that has the `known` stamp is the one that had it before: how it is reached is not proven again.

    Raises:
        Gone: there is nothing.
        Unreadable: there is something else, or it cannot be reached.
    """
    try:
        status = _seen_from_here(location, known) or location.status()
    except OSError as error:
        raise unreadable(location, error) from error
    _require_regular(location.path, status)
    return Stamp.of(status)


@contextmanager
def opened(location: Location) -> Iterator[int]:
    """Open the regular file at a location; yields its descriptor.

    Never waits for the other end of a FIFO, and opens no device.

    Raises:
        Gone: there is nothing.
        Unreadable: there is something else, or it may not be read.
    """
    descriptor = open_regular(location)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def open_regular(location: Location) -> int:
    """The same as `opened`, for a descriptor that the caller closes."""
    look(location)  # opening a device can have effects of its own
    try:
        descriptor = location.open(os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        raise unreadable(location, error) from error
    try:
        _require_regular(location.path, os.fstat(descriptor))
    except Unreadable:
        os.close(descriptor)
        raise
    return descriptor


def read_version(
    location: Location, stopped: Callable[[], bool], limits: ReadLimits = ReadLimits(), *, is_growing: bool = False
) -> Reading:
    """Read the file through one descriptor, in constant memory; returns its version.

    It is read to its end, wherever its size says that this is: the size of a file in `/proc` is 0. One that
    `is_growing` is read as far as it goes when the reading begins; what is read must be the same when the reading ends.

    Raises:
        Changed: it changed meanwhile, the path names another file now, or `stopped` became true.
        Gone: there is nothing.
        Unreadable: there is something else, it cannot be read, or it is over a limit.
    """
    with opened(location) as descriptor:
        try:
            status = os.fstat(descriptor)
            stamp = Stamp.of(status)
            _require_few_holes(location.path, descriptor, status, limits.holes)
            version = _read(location.path, descriptor, stamp, stopped, limits.content, is_growing=is_growing)
            after = Stamp.of(os.fstat(descriptor))
            if after != stamp:
                has_grown = is_growing and version.size == stamp.size <= after.size
                if not has_grown or not _still_begins_with(descriptor, version, stopped):
                    raise Changed
            now = look(location, after)
            if (now.device, now.inode) != (stamp.device, stamp.inode) or (now != stamp and not is_growing):
                raise Changed
        except Gone:
            raise Changed from None
        except OSError as error:
            raise unreadable(location, error) from error
    return Reading(location, stamp, version, is_beginning=now != stamp)


def read_whole(location: Location, version: Version) -> bytes | None:
    """Return all bytes of a small version; None if the file does not hold it, or not any more."""
    try:
        with opened(location) as descriptor:
            content = b""
            while len(content) < version.size and (more := os.read(descriptor, version.size - len(content))):
                content += more
    except (Unreadable, OSError):
        return None
    return content if hashlib.sha256(content).digest() == version.sha256 else None


def unreadable(location: Location, error: OSError) -> Unreadable:
    """What a system call's error about a location means."""
    path = location.path
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return Gone(path)
    problem = error.strerror or str(error)
    if isinstance(error, LeadsOut):
        allowed = "set confine to false and name it as a path" if location.confine else "name it as a path"
        return Unreadable(path, "LEADS_OUT", problem, f"{allowed} to have it harvested")
    if isinstance(error, PermissionError):
        return Unreadable(path, "PERMISSION_DENIED", problem, f"let user {os.geteuid()} read it")
    return Unreadable(path, "IO_ERROR", problem, "check its file system")


def _seen_from_here(location: Location, known: Stamp | None) -> os.stat_result | None:
    """The status of a file that is not a link, or is `known`, without opening it; None if that is not possible."""
    try:
        if location.root == "/":
            status = os.lstat(location.path)
            if stat.S_ISREG(status.st_mode):
                return status
        if known is not None:
            status = os.stat(location.path)
            if Stamp.of(status) == known:
                return status
    except OSError:
        pass  # below a root it may lead elsewhere
    return None


def _read(
    path: str,
    descriptor: int,
    stamp: Stamp,
    stopped: Callable[[], bool],
    limit: int | None,
    *,
    is_growing: bool,
) -> Version:
    md5 = hashlib.md5(usedforsecurity=False)  # half of a signature's identity; SHA-256 is what is trusted
    sha256 = hashlib.sha256()
    buffer = memoryview(bytearray(max(_LEAST_READ_BYTES, min(READ_BYTES, stamp.size + 1))))
    most = stamp.size if is_growing and stamp.size else None
    size = 0
    while size != most:
        count = os.readv(descriptor, [buffer if most is None else buffer[: most - size]])
        if not count:
            break
        md5.update(buffer[:count])
        sha256.update(buffer[:count])
        size += count
        if stopped() or (size > stamp.size and Stamp.of(os.fstat(descriptor)) != stamp):
            raise Changed
        if limit is not None and size > limit:
            remedy = "leave it out, or raise max_bytes or the server's limit"
            raise Unreadable(path, "CONTENT_TOO_LARGE", f"more than {limit} bytes, though its size is less", remedy)
    return Version(md5.digest(), sha256.digest(), size)


def _still_begins_with(descriptor: int, version: Version, stopped: Callable[[], bool]) -> bool:
    """Whether the file begins with the version's bytes at this moment, when all of them have been read before.

    Then all of them were there at one moment, between the two readings.
    """
    sha256 = hashlib.sha256()
    buffer = memoryview(bytearray(READ_BYTES))
    os.lseek(descriptor, 0, os.SEEK_SET)
    left = version.size
    while left and not stopped() and (count := os.readv(descriptor, [buffer[:left]])):
        sha256.update(buffer[:count])
        left -= count
    return not left and sha256.digest() == version.sha256


def _require_few_holes(path: str, descriptor: int, status: os.stat_result, limit: int | None) -> None:
    """Refuse a file that occupies so little of its size that reading, sending and storing it is waste."""
    if limit is None or status.st_size - status.st_blocks * 512 <= limit:  # st_blocks is in units of 512, always
        return
    holes = _count_holes(descriptor, status.st_size, limit)  # what is compressed occupies little, too
    if holes > limit:
        problem = f"{status.st_size} bytes, of which more than max_hole_bytes ({limit}) are holes"
        raise Unreadable(path, "SPARSE", problem, "raise max_hole_bytes to have it harvested")


def _count_holes(descriptor: int, size: int, limit: int) -> int:
    """The bytes in holes; counting ends above the limit."""
    holes = position = 0
    try:
        while position < size and holes <= limit:
            hole = os.lseek(descriptor, position, os.SEEK_HOLE)
            try:
                position = os.lseek(descriptor, hole, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:  # no data behind it
                    raise
                position = size
            holes += position - hole
    finally:
        os.lseek(descriptor, 0, os.SEEK_SET)
    return holes


def _require_regular(path: str, status: os.stat_result) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    for is_kind, kind, remedy in _KINDS:
        if is_kind(status.st_mode):
            raise Unreadable(path, "NOT_A_FILE", f"it is {kind}", remedy)
    raise Unreadable(path, "NOT_A_FILE", "it is not a regular file", "name a regular file")
