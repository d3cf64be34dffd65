"""How full a disk may get by contents: the last of it is kept for references, and for removing what did not fit."""

from __future__ import annotations

import os
from pathlib import Path

from kharvest.spi import StoreFull

_KEPT_BYTES = 64 * 2**20
"""As much as the write-ahead log of the references may take."""
_KEPT_SHARE = 10
"""But no more than a tenth of a small disk."""


def require_room(path: Path, wanted: int, log_bytes: int, free_bytes: int) -> None:
    """See that `wanted` bytes more fit into the SQLite file at `path`, and leave room for references.

    They go into the write-ahead log first and from there into the file, so they take their room twice for a while, and
    so does what the log holds already (`log_bytes`). `free_bytes` of the file can be used again.

    Raises:
        StoreFull: they do not.
    """
    disk = os.statvfs(path.parent)
    left = disk.f_bavail * disk.f_frsize
    kept = min(_KEPT_BYTES, disk.f_blocks * disk.f_frsize // _KEPT_SHARE)
    if left - kept < wanted + max(0, log_bytes + wanted - free_bytes):
        raise StoreFull(f"{left} bytes are left on the disk of {path}, of which {kept} are kept for references")
