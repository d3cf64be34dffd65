"""Which directory entries decide what a path names."""

# Paths are strings here: they are looked at by the thousand, and announced exactly as they are.
# ruff: noqa: PTH115, PTH118, PTH119, PTH120
from __future__ import annotations

import os
import stat
from dataclasses import dataclass

MAX_LINKS = 40
"""Linux follows as many (`MAXSYMLINKS` in `linux/namei.h`)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a directory: `directory` is real (no link in it), `name` may or may not exist in it."""

    directory: str
    name: str


class Tracer:
    """Follows paths to their entries, and remembers directories on the way: use one for one pass over many paths.

    `root` stands for `/`, as in `Location`. Where a path leads is looked up to be watched: it is no promise that it may
    be read.
    """

    def __init__(self, root: str = "/") -> None:
        self._root = "/"
        self._directories: dict[str, tuple[str | None, tuple[Entry, ...]]] = {"/": ("/", ())}
        self._root = self._directory(root)[0] or "/"

    def trace(self, path: str) -> tuple[Entry, ...]:
        """The entries that decide what the absolute `path` names: every link on the way, and its last entry.

        Where the path leads nowhere, the last entry is the entry that is missing: in the nearest directory that
        exists. A change of what the path names changes one of these entries, unless a directory on the way that is
        no link is renamed: see `Inotify.guard`.
        """
        parent, name = os.path.split(path)
        directory, entries = self._directory(parent or "/")
        if directory is None or not name:
            return entries
        return entries + self._entry(directory, name, is_last=True)[1]

    def trace_directory(self, path: str) -> tuple[Entry, ...]:
        """The same for a directory that is watched itself: so its own entry is left out, while it is there."""
        return self._directory(path.rstrip("/") or "/")[1]

    def real(self, path: str) -> str:
        """The real directory that `path` names; the path itself if there is none."""
        return self._directory(path.rstrip("/") or "/")[0] or path

    def _directory(self, path: str) -> tuple[str | None, tuple[Entry, ...]]:
        """The real directory that `path` names (None if there is none), and the entries on the way."""
        names: list[str] = []
        while (found := self._directories.get(path)) is None:
            path, name = os.path.split(path)
            names.append(name)
        for name in reversed(names):
            path = os.path.join(path, name)
            real, entries = found
            if real is not None:
                real, more = self._entry(real, name, is_last=False)
                entries += more
            found = self._directories[path] = real, entries
        return found

    def _entry(self, directory: str, name: str, *, is_last: bool) -> tuple[str | None, tuple[Entry, ...]]:
        """Follow one entry of a real directory: the real directory it names (None if none), and its entries."""
        entries: list[Entry] = []
        pending = [name]
        for _ in range(MAX_LINKS * 256):  # entries of a chain of links; a cycle ends here
            part = pending.pop()
            if part in ("", "."):
                pass
            elif part == "..":
                directory = directory if directory == self._root else os.path.dirname(directory)
            else:
                entry = Entry(directory, part)
                real = os.path.join(directory, part)
                mode = _mode(real)
                if mode is None or not (stat.S_ISLNK(mode) or stat.S_ISDIR(mode)):
                    return None, (*entries, entry)
                if stat.S_ISLNK(mode):
                    entries.append(entry)
                    if len(entries) > MAX_LINKS:
                        return None, tuple(entries)
                    target = _target(real)
                    if target is None:
                        return None, tuple(entries)
                    if target.startswith("/"):
                        directory = self._root
                    pending.extend(reversed(target.split("/")))
                else:
                    directory = real
            if not pending:
                # A directory where a file is expected is watched in its parent: it may be replaced by a file.
                end = (Entry(os.path.dirname(directory), os.path.basename(directory)),) if is_last else ()
                return directory, (*entries, *end)
        return None, tuple(entries)


def _mode(path: str) -> int | None:
    try:
        return os.lstat(path).st_mode
    except OSError:
        return None  # missing or out of reach: either way the entry to watch is this entry


def _target(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None  # replaced since it was looked at, or out of reach
