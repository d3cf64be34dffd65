"""Which directory entries decide what a path names."""

# Paths are strings here: they are looked at by the thousand, and announced exactly as they are.
# ruff: noqa: PTH115, PTH118, PTH119, PTH120
from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass

_MAX_LINKS = 40
"""Linux follows as many (`MAXSYMLINKS` in `linux/namei.h`)."""


@dataclass(frozen=True, slots=True)
class Place:
    """An entry of a directory: `directory` is real (no link in it), `name` may or may not exist in it."""

    directory: str
    name: str


class Tracer:
    """Follows paths to their places, and remembers directories on the way: use one for one pass over many paths."""

    def __init__(self) -> None:
        self._directories: dict[str, tuple[str | None, tuple[Place, ...]]] = {}

    def trace(self, path: str) -> tuple[Place, ...]:
        """The places that decide what the absolute `path` names: every link on the way, and its last entry.

        Where the path leads nowhere, the last place is the entry that is missing: in the nearest directory that
        exists. A change of what the path names changes one of these entries, unless a directory on the way that is
        no link is renamed: see `Inotify.guard`.
        """
        parent, name = os.path.split(path)
        directory, places = self._directory(parent or "/")
        if directory is None or not name:
            return places
        return places + self._entry(directory, name, is_last=True)[1]

    def trace_directory(self, path: str) -> tuple[Place, ...]:
        """The same for a directory that is watched itself: so its own entry is left out, while it is there."""
        return self._directory(path.rstrip("/") or "/")[1]

    def _directory(self, path: str) -> tuple[str | None, tuple[Place, ...]]:
        """The real directory that `path` names (None if there is none), and the places on the way."""
        if path in self._directories:
            return self._directories[path]
        parent, name = os.path.split(path)
        if not name:
            found: tuple[str | None, tuple[Place, ...]] = ("/", ())
        else:
            above, places = self._directory(parent)
            if above is None:
                found = None, places
            else:
                real, more = self._entry(above, name, is_last=False)
                found = real, places + more
        self._directories[path] = found
        return found

    def _entry(self, directory: str, name: str, *, is_last: bool) -> tuple[str | None, tuple[Place, ...]]:
        """Follow one entry of a real directory: the real directory it names (None if none), and its places."""
        places: list[Place] = []
        pending = [name]
        for _ in range(_MAX_LINKS * 256):  # entries of a chain of links; a cycle ends here
            entry = pending.pop()
            if entry in ("", "."):
                pass
            elif entry == "..":
                directory = os.path.dirname(directory)
            else:
                place = Place(directory, entry)
                real = os.path.join(directory, entry)
                mode = _mode(real)
                if mode is None or not (stat.S_ISLNK(mode) or stat.S_ISDIR(mode)):
                    return None, (*places, place)
                if stat.S_ISLNK(mode):
                    places.append(place)
                    if len(places) > _MAX_LINKS:
                        return None, tuple(places)
                    target = _target(real)
                    if target.startswith("/"):
                        directory = "/"
                    pending.extend(reversed(target.split("/")))
                else:
                    directory = real
            if not pending:
                # A directory where a file is expected is watched in its parent: it may be replaced by a file.
                end = (Place(os.path.dirname(directory), os.path.basename(directory)),) if is_last else ()
                return directory, (*places, *end)
        return None, tuple(places)


def _mode(path: str) -> int | None:
    try:
        return os.lstat(path).st_mode
    except OSError:
        return None  # missing or out of reach: either way the place to watch is this entry


def _target(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EINVAL):  # replaced since it was looked at
            return ""
        raise
