"""Which file systems do not tell of every change."""

from __future__ import annotations

import os
from pathlib import Path

REMOTE = frozenset({"9p", "afs", "ceph", "cifs", "glusterfs", "lustre", "nfs", "nfs4", "smb3", "vboxsf", "virtiofs"})
"""Types of file systems whose files others may change behind the kernel's back; and every `fuse.…`."""


class Mounts:
    """Tells the type of the file system that a device number belongs to, as `/proc/self/mountinfo` has it."""

    def __init__(self, table: Path = Path("/proc/self/mountinfo"), remote: frozenset[str] = REMOTE) -> None:
        self._table = table
        self._remote = remote
        self._types: dict[int, str] = {}

    def remote_type(self, device: int) -> str | None:
        """The type of the file system, if its files may change without an event; else None."""
        if device not in self._types:
            self._types = self._read()
        kind = self._types.setdefault(device, "")
        return kind if kind in self._remote or kind.startswith("fuse.") else None

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
