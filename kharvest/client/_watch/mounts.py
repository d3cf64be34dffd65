"""Which file systems deliver no event for some changes."""

from __future__ import annotations

import os
from pathlib import Path

EVENTFUL = frozenset(
    {
        *("bcachefs", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "hfsplus", "jfs", "nilfs2", "ntfs3", "ramfs"),
        *("reiserfs", "tmpfs", "ubifs", "vfat", "xfs", "zfs"),
    }
)
"""Types of file systems that only this kernel changes, through the files that are watched.

All others are polled: others write to them (NFS, CIFS, every FUSE), files change below them (overlay), or they are
made up when they are read (`/proc`).
"""


class Mounts:
    """The type of the file system that a device number belongs to, as `/proc/self/mountinfo` has it."""

    def __init__(self, table: Path = Path("/proc/self/mountinfo"), eventful: frozenset[str] = EVENTFUL) -> None:
        self._table = table
        self._eventful = eventful
        self._types: dict[int, str | None] = {}

    def silent_type(self, device: int) -> str | None:
        """The type of the file system, if its files may change without an event; else None."""
        if device not in self._types:
            self._types = {**self._read()}
        kind = self._types.setdefault(device, None)  # a subvolume of btrfs has a device that no mount has
        return None if kind in self._eventful else kind

    def _read(self) -> dict[int, str]:
        try:
            lines = self._table.read_text(errors="replace").splitlines()
        except OSError:
            return {}  # no Linux: nothing is known of its file systems
        types = {}
        for line in lines:
            before, _, after = line.partition(" - ")
            major, _, minor = before.split()[2].partition(":")
            types[os.makedev(int(major), int(minor))] = after.split()[0]
        return types
