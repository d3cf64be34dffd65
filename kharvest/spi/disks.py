"""What the operating system says of files and disks, told in the errors of kharvest."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from kharvest.spi._errors import StoreDenied, StoreError, StoreFull, StoreReplaced, StoreUnavailable

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM})
_PROBE_BYTES = 64 * 1024
_GROWTH_BYTES = 8 * 2**20
"""By how much one transaction lets a file grow."""


def told_as(error: OSError, path: Path, what: str = "") -> StoreError:
    """An error of the operating system about `path`, or about `what` in it."""
    reason = f"{path}: {what + ': ' if what else ''}{error.strerror}"
    if error.errno in _FULL:
        return StoreFull(reason)
    if error.errno == errno.EFBIG:
        return StoreFull(reason, "raise the limit on the size of a file, of this process and of the file system")
    if error.errno in _FORBIDDEN:
        return StoreDenied(reason, "give this user the right to read and write it, and its directory")
    if error.errno == errno.EROFS:
        return StoreDenied(reason, "see the system's log for why the file system is read-only; mount it writable")
    return StoreUnavailable(reason, "see the system's log for what is wrong with the disk")


def fault(path: Path) -> OSError | None:
    """What the operating system says to a write beside the file at `path`; None if that works.

    SQLite says no more than that a write failed, or that what it read is no database, which is also what a dying disk
    makes of one. A write of our own, synced, finds out which it is.
    """
    try:
        sizes = [one.stat().st_size for one in (path, Path(f"{path}-wal")) if one.exists()]
        with tempfile.TemporaryFile(dir=path.parent, buffering=0) as probe:
            # This takes no room, and fails where a file may not be so large.
            os.ftruncate(probe.fileno(), max(sizes, default=0) + _GROWTH_BYTES)
            os.pwrite(probe.fileno(), bytes(_PROBE_BYTES), 0)
            os.fsync(probe.fileno())
    except FileNotFoundError:
        return None
    except OSError as error:
        return error
    return None


class OpenFiles:
    """The files that this process has open: whether their paths still lead to them."""

    def __init__(self) -> None:
        self._identities: dict[Path, tuple[int, int]] = {}

    def watch(self, *paths: Path) -> None:
        """Check these from now on. They must be open until the last check: then no other file can be taken for them."""
        self._identities |= {path: _identity(path) for path in paths}

    def check(self) -> None:
        """See that each path leads to the file that is open.

        Raises:
            StoreReplaced: one does not.
            StoreUnavailable: it cannot be told.
        """
        for path, identity in self._identities.items():
            try:
                found = _identity(path)
            except (FileNotFoundError, NotADirectoryError):
                raise StoreReplaced(str(path), "was removed or moved") from None
            except OSError as error:
                raise told_as(error, path) from error
            if found != identity:
                raise StoreReplaced(str(path), "was replaced by another file")


def _identity(path: Path) -> tuple[int, int]:
    status = os.stat(path)  # noqa: PTH116  with every call: `Path.stat` takes twice as long
    return status.st_dev, status.st_ino
