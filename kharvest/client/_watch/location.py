"""A path, and where the links on its way may lead: resolved and opened in one step."""

# Paths are strings here: they are looked at by the thousand, and announced exactly as they are.
# ruff: noqa: PTH116
from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from kharvest.client._config.rules import Rule
from kharvest.client._watch.links import MAX_LINKS

O_PATH = getattr(os, "O_PATH", os.O_RDONLY)
"""To look at a file without opening it. Without such a flag links below watched directories are not followed."""
_DIRECTORY = O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_BASE = "/"
"""Among the names of a walk: here the watched directory is reached. No name holds a slash."""

Identity = tuple[int, int]


class LeadsOut(OSError):
    """A link leads out of the directory that it has to stay in."""

    def __init__(self, directory: str) -> None:
        super().__init__(errno.EXDEV, f"a link leads out of {directory}")


@dataclass(frozen=True, slots=True)
class Location:
    """A path, absolute, and where the links on its way may lead.

    Attributes:
        path: the path, its links kept.
        root: the directory that stands for `/`: an absolute link starts there, and `..` does not go above it.
        base: the watched directory below which the path was found: no link below it leads out of it. None for a path
            that the user named.
        confine: what the user named, `base` or else `path`, is confined too: a link on its way leads only further down
            from the directory that it stands in.
    """

    path: str
    root: str = "/"
    base: str | None = None
    confine: bool = False

    def status(self) -> os.stat_result:
        """Its status, links followed.

        Raises:
            LeadsOut: a link leads where it may not.
            OSError: as of stat(2).
        """
        if self._is_plain:
            return os.stat(self.path)
        descriptor = self.open(O_PATH)
        try:
            return os.fstat(descriptor)
        finally:
            os.close(descriptor)

    def open(self, flags: int) -> int:
        """Open it; returns the descriptor. No link on its way can be exchanged between a check and the opening.

        Raises:
            LeadsOut: a link leads where it may not.
            OSError: as of open(2).
        """
        flags |= os.O_CLOEXEC
        if self._is_plain:
            return os.open(self.path, flags)
        if self.base is not None and self.base != self.path:
            return self._open_found(self.base, flags)
        with _opened(self.root, _DIRECTORY) as root:
            names = _relative(self.path, self.root).split("/")
            descriptor = _open_without_links(root, names, flags)
            return self._walk(root, names, flags) if descriptor is None else descriptor

    @property
    def _is_plain(self) -> bool:
        """Whether every link may lead anywhere."""
        return self.root == "/" and self.base in (None, self.path) and not self.confine

    def _open_found(self, base: str, flags: int) -> int:
        top = Location(base, self.root, confine=self.confine).open(_DIRECTORY)
        try:
            below = _relative(self.path, base).split("/")
            descriptor = _open_without_links(top, below, flags)
        finally:
            os.close(top)
        if descriptor is not None:
            return descriptor
        with _opened(self.root, _DIRECTORY) as root:
            return self._walk(root, (*_relative(base, self.root).split("/"), _BASE, *below), flags)

    def _walk(self, root: int, names: Sequence[str], flags: int) -> int:
        """Follow the names from the root one by one, and open what is at the end of them."""
        walk = _Walk(root, names, self)
        try:
            walk.follow()
            return walk.open(flags)
        finally:
            walk.close()


def locate(rule: Rule, path: str) -> Location:
    """The location of a path that the rule names or finds."""
    return Location(path, rule.system_root, None if rule.is_path else rule.root, rule.confine)


class _Walk:
    """Where a resolution has come to: a directory, known by descriptor, and the identities of those above it."""

    def __init__(self, root: int, names: Sequence[str], location: Location) -> None:
        self._root = root
        self._location = location
        self._pending = [name for name in reversed(names) if name not in ("", ".")]
        self._directory = os.dup(root)
        self._above = [_identity(os.fstat(root))]
        self._base: Identity | None = None
        self._is_named = True
        self._floor = 0
        self._last = "."
        self._end: Identity | None = None

    def close(self) -> None:
        os.close(self._directory)

    def follow(self) -> None:
        """Go to the end of the names, through every link."""
        links = 0
        while self._pending:
            name = self._pending.pop()
            if name == _BASE:
                self._base, self._is_named = self._above[-1], False
            elif name == "..":
                self._ascend()
            else:
                target = self._enter(name)
                if target is not None:
                    links += 1
                    if links > MAX_LINKS:
                        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                    self._turn(target)
        if self._base is not None and self._base not in self._above:
            raise LeadsOut(repr(self._location.base))

    def open(self, flags: int) -> int:
        """Open what was found at the end, and nothing that has taken its place since."""
        descriptor = os.open(self._last, flags | os.O_NOFOLLOW, dir_fd=self._directory)
        if self._end is not None and _identity(os.fstat(descriptor)) != self._end:
            os.close(descriptor)
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return descriptor

    def _ascend(self) -> None:
        if self._is_named and self._location.confine and len(self._above) - 1 <= self._floor:
            raise LeadsOut("the directory that it stands in")
        if len(self._above) == 1:
            return
        self._above.pop()
        self._go(os.open("..", _DIRECTORY, dir_fd=self._directory))
        if _identity(os.fstat(self._directory)) != self._above[-1]:  # it was moved meanwhile
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    def _enter(self, name: str) -> str | None:
        """Enter a directory, or stop at a file. Returns the target if it is a link."""
        entry = os.open(name, O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._directory)
        try:
            status = os.fstat(entry)
            if stat.S_ISLNK(status.st_mode):
                return os.readlink("", dir_fd=entry)
            if not stat.S_ISDIR(status.st_mode):
                if self._pending:
                    raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
                self._last, self._end = name, _identity(status)
                return None
            self._above.append(_identity(status))
            self._directory, entry = entry, self._directory
        finally:
            os.close(entry)
        return None

    def _turn(self, target: str) -> None:
        """Go on where a link leads."""
        if self._is_named and self._location.confine:
            self._floor = max(self._floor, len(self._above) - 1)
            if target.startswith("/"):
                raise LeadsOut("the directory that it stands in")
        if target.startswith("/"):
            self._go(os.dup(self._root))
            del self._above[1:]
        self._pending.extend(name for name in reversed(target.split("/")) if name not in ("", "."))

    def _go(self, directory: int) -> None:
        os.close(self._directory)
        self._directory = directory


@contextmanager
def _opened(directory: str, flags: int) -> Iterator[int]:
    descriptor = os.open(directory, flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _relative(path: str, directory: str) -> str:
    """The path from a directory above it."""
    return path[len(directory.rstrip("/")) :].lstrip("/") or "."


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino


def _open_without_links(directory: int, names: Sequence[str], flags: int) -> int | None:
    """Open what is at these names below a directory; None if that is not so simple, because of a link for instance.

    This is what most files need, and what openat2(2) with RESOLVE_NO_SYMLINKS does, which Python does not offer.
    """
    here = directory
    try:
        for name in names[:-1]:
            below = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
            if here != directory:
                os.close(here)
            here = below
        descriptor = os.open(names[-1], flags | os.O_NOFOLLOW, dir_fd=here)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):  # a link; the second also for what is no directory at all
            return None
        raise
    finally:
        if here != directory:
            os.close(here)
    if flags & O_PATH and stat.S_ISLNK(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    return descriptor
