"""What is to be watched: rules over paths, and which files they find now.

In a glob `*` and `?` match within a segment of the path, hidden names too, `[…]` one character of a set, and a segment
`**` any number of segments. Names that begin with two dots are never found: they are Kubernetes' own, behind the links
of a mounted ConfigMap or Secret.
"""

# Paths are strings here: they are looked at by the thousand, and announced exactly as they are.
# ruff: noqa: PTH100, PTH118
from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from kharvest.client.errors import ConfigurationError

_MAGIC = re.compile(r"[*?[]")
_DEEP = "**"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Files to watch: one path, or all that a glob finds below a directory. Made by `path_rule` and its like.

    Attributes:
        root: the path; or the directory below which `segments` are to be matched.
        segments: the glob's segments below the root; none for a path.
        exclude: globs of what is left out: without a slash they match any name below the root, else the whole path.
        max_bytes: larger files are left out.
        settle_seconds: overrides the client's.
    """

    root: str
    segments: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    max_bytes: int | None = None
    settle_seconds: float | None = None

    def __post_init__(self) -> None:
        for pattern in self.exclude:
            if "/" in pattern and not pattern.startswith(("/", "**/")):
                remedy = "begin it with / or **/, or leave out the slash to match names"
                raise ConfigurationError("exclude", f"{pattern!r} is a relative path", remedy)
        if self.max_bytes is not None and self.max_bytes < 0:
            raise ConfigurationError("max_bytes", f"{self.max_bytes} is out of range", "give 0 or more")
        if self.settle_seconds is not None and self.settle_seconds < 0:
            raise ConfigurationError("settle_seconds", f"{self.settle_seconds} is out of range", "give 0 or more")

    def __str__(self) -> str:
        return "/".join((self.root.rstrip("/"), *self.segments))

    @property
    def is_path(self) -> bool:
        """Whether it is about one path, which may come to be later."""
        return not self.segments

    def excludes(self, path: str) -> bool:
        """Whether a file or directory below the root is left out."""
        if not self.exclude:
            return False
        name = path.rpartition("/")[2]
        parts = path.split("/")[1:]
        return any(
            matches(pattern.strip("/").split("/"), parts) if "/" in pattern else fnmatch.fnmatchcase(name, pattern)
            for pattern in self.exclude
        )


def path_rule(path: str, *, max_bytes: int | None = None, settle_seconds: float | None = None) -> Rule:
    """Watch one file, whether it is there yet or not."""
    return Rule(root=absolute(path), max_bytes=max_bytes, settle_seconds=settle_seconds)


def directory_rule(
    path: str,
    *,
    exclude: tuple[str, ...] = (),
    max_bytes: int | None = None,
    settle_seconds: float | None = None,
) -> Rule:
    """Watch all files below a directory, at any depth."""
    return Rule(
        root=absolute(path),
        segments=(_DEEP, "*"),
        exclude=exclude,
        max_bytes=max_bytes,
        settle_seconds=settle_seconds,
    )


def glob_rule(
    glob: str,
    *,
    exclude: tuple[str, ...] = (),
    max_bytes: int | None = None,
    settle_seconds: float | None = None,
) -> Rule:
    """Watch all files that a glob finds.

    Raises:
        ConfigurationError: it is not from the root, or has nothing that a glob interprets.
    """
    if not glob.startswith("/"):
        raise ConfigurationError("glob", f"{glob!r} is relative", "give it from the root")
    if "\0" in glob:
        raise ConfigurationError("glob", f"{glob!r} holds a NUL", "remove it")
    segments = [segment for segment in glob.split("/") if segment not in {"", "."}]
    if ".." in segments:
        raise ConfigurationError("glob", f"{glob!r} goes up", "give it without `..`")
    literal = next((index for index, segment in enumerate(segments) if _MAGIC.search(segment)), len(segments))
    if literal == len(segments):
        raise ConfigurationError("glob", f"{glob!r} has no *, ? or [", "give it as a path")
    tail = segments[literal:]
    if tail[-1] == _DEEP:
        tail.append("*")
    return Rule(
        root="/" + "/".join(segments[:literal]),
        segments=tuple(tail),
        exclude=exclude,
        max_bytes=max_bytes,
        settle_seconds=settle_seconds,
    )


def absolute(path: str) -> str:
    """The path from the root, without `.` and `..`, its links kept.

    Raises:
        ConfigurationError: it is empty, holds a NUL, or goes up through a symbolic link.
    """
    if not path:
        raise ConfigurationError("path", "it is empty", "give the path of a file")
    if "\0" in path:
        raise ConfigurationError("path", f"{path!r} holds a NUL", "remove it")
    full = os.path.abspath(path)
    if ".." in path.split("/") and os.path.realpath(full) != os.path.realpath(path):
        raise ConfigurationError("path", f"{path!r} goes up through a symbolic link", "give the path without `..`")
    return full


def matches(segments: Sequence[str], parts: Sequence[str]) -> bool:
    """Whether a glob's segments match a path's parts."""
    if not segments:
        return not parts
    if segments[0] == _DEEP:
        return matches(segments[1:], parts) or (bool(parts) and matches(segments, parts[1:]))
    return bool(parts) and fnmatch.fnmatchcase(parts[0], segments[0]) and matches(segments[1:], parts[1:])


@dataclass(slots=True)
class Found:
    """What a rule finds now: paths of files, the real directories that decide, and those that cannot be listed."""

    files: list[str] = field(default_factory=list)
    directories: set[str] = field(default_factory=set)
    unlisted: dict[str, str] = field(default_factory=dict)


def find(rule: Rule) -> Found:
    """Search below the rule's root. Links to files are found; links to directories are followed by `**` never."""
    found = Found()
    pending = [(rule.root, os.path.realpath(rule.root), frozenset({0}))]
    while pending:
        path, real, positions = pending.pop()
        try:
            entries = list(os.scandir(path))
        except (FileNotFoundError, NotADirectoryError):
            continue  # it went away, or is not there yet
        except OSError as error:
            found.unlisted[path] = error.strerror or str(error)
            entries = []
        found.directories.add(real)
        for entry in entries:
            if entry.name.startswith(".."):
                continue
            below = os.path.join(path, entry.name)
            ends, here, deep = _advance(rule.segments, positions, entry.name)
            if not (ends or here or deep) or rule.excludes(below):
                continue
            if ends and entry.is_file():
                found.files.append(below)
            elif (here or deep) and entry.is_dir():
                is_link = entry.is_symlink()
                onward = here if is_link else here | deep
                if onward:
                    pending.append(
                        (below, os.path.realpath(below) if is_link else os.path.join(real, entry.name), onward)
                    )
    return found


def _advance(
    segments: tuple[str, ...], positions: frozenset[int], name: str
) -> tuple[bool, frozenset[int], frozenset[int]]:
    """Match a name: whether the glob ends with it, and where it goes on below, by its name and by `**`."""
    here: set[int] = set()
    deep: set[int] = set()
    open_positions = set(positions)
    for position in positions:
        following = position
        while segments[following] == _DEEP:
            deep.add(following)
            following += 1
            open_positions.add(following)
    for position in open_positions:
        if segments[position] != _DEEP and fnmatch.fnmatchcase(name, segments[position]):
            here.add(position + 1)
    return len(segments) in here, frozenset(here - {len(segments)}), frozenset(deep)
