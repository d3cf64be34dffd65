"""How full a disk may get by contents: the last of it is kept for references, and for removing what did not fit."""

from __future__ import annotations

import os
from pathlib import Path

from kharvest.spi import StoreFull

_LOG_BYTES = 64 * 2**20
"""How large a write-ahead log may grow before its pages are moved into the file: a page changed ten times until then is
moved once."""
_LOG_SHARE = 20
"""But no larger than this part of a small disk."""


def most_log_bytes(folder: Path) -> int:
    """How large a write-ahead log may grow on the disk of `folder`."""
    disk = os.statvfs(folder)
    return min(_LOG_BYTES, disk.f_blocks * disk.f_frsize // _LOG_SHARE)


def require_room(path: Path, wanted: int, log_bytes: int, free_bytes: int) -> None:
    """See that `wanted` bytes more fit into the SQLite file at `path`, and leave room for references.

    They go into the write-ahead log first and from there into the file, so they take their room twice for a while, and
    so does what the log holds already (`log_bytes`). `free_bytes` of the file can be used again. References are left
    what a full log of theirs takes, and as much for what is moved out of it.

    Raises:
        StoreFull: they do not.
    """
    disk = os.statvfs(path.parent)
    left = disk.f_bavail * disk.f_frsize
    kept = 2 * most_log_bytes(path.parent)
    if left - kept < wanted + max(0, log_bytes + wanted - free_bytes):
        raise StoreFull(f"{left} bytes are left on the disk of {path}, of which {kept} are kept for references")
