"""What is to be watched: rules over paths.

Globs are those of `kharvest.globs`. Names that begin with two dots are never found: they are Kubernetes' own, behind
the links of a mounted ConfigMap or Secret.
"""

# Paths are strings here: they are looked at by the thousand, and announced exactly as they are.
# ruff: noqa: PTH100
from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TypedDict, Unpack

from kharvest.client._config.checks import StrPath, one_path, several_paths
from kharvest.client._errors import ConfigurationError
from kharvest.globs import DEEP, Glob, InvalidGlob


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Files to watch: one path, or all that a glob finds below a directory. Made by `path_rule` and its like.

    Attributes:
        root: the path; or the directory below which `segments` are to be matched.
        segments: the glob's segments below the root; none for a path.
        glob: the same, as a pattern.
        exclude: globs of what is left out: without a slash they match any name below the root, else the whole path.
            A directory that is left out takes all that is below it with it.
        max_bytes: larger files are left out.
        settle_seconds: overrides the client's.
        system_root, confine: `root` and `confine` of the client's configuration, which sets them.
    """

    root: str
    segments: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    max_bytes: int | None = None
    settle_seconds: float | None = None
    system_root: str = "/"
    confine: bool = False
    glob: Glob = field(init=False, repr=False, compare=False)
    _excluded: tuple[tuple[bool, Glob], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "exclude", several_paths("exclude", self.exclude))
        object.__setattr__(self, "glob", _glob("glob", "/".join(self.segments)))
        object.__setattr__(self, "_excluded", tuple(map(_exclusion, self.exclude)))
        if self.max_bytes is not None and self.max_bytes < 0:
            raise ConfigurationError("max_bytes", f"{self.max_bytes} is out of range", "give 0 or more")
        if self.settle_seconds is not None and self.settle_seconds < 0:
            raise ConfigurationError("settle_seconds", f"{self.settle_seconds} is out of range", "give 0 or more")

    def __str__(self) -> str:
        return "/".join((self.root.rstrip("/"), *self.segments)) or "/"

    @property
    def is_path(self) -> bool:
        """Whether it is about one path, which may come to be later."""
        return not self.segments

    def covers(self, path: str) -> bool:
        """Whether it finds a file at this path, if there is one, and no link on the way."""
        if self.is_path:
            return path == self.root
        above = self.root.rstrip("/")
        parts = path[len(above) + 1 :].split("/")
        if not path.startswith(f"{above}/") or any(part.startswith("..") for part in parts):
            return False
        inside = [f"{above}/{'/'.join(parts[:depth])}" for depth in range(1, len(parts) + 1)]
        return self.glob.matches("/".join(parts)) and not any(self.excludes(one) for one in inside)

    def excludes(self, path: str) -> bool:
        """Whether a file or directory below the root is left out."""
        if not self._excluded:
            return False
        name = path.rpartition("/")[2]
        return any(glob.matches(path if is_path else name) for is_path, glob in self._excluded)


class RuleDetails(TypedDict, total=False):
    """Details of a rule with a glob: attributes of `Rule`."""

    exclude: tuple[str, ...]
    max_bytes: int | None
    settle_seconds: float | None


def path_rule(path: StrPath, *, max_bytes: int | None = None, settle_seconds: float | None = None) -> Rule:
    """Watch one file, whether it is there yet or not."""
    return Rule(root=absolute(path), max_bytes=max_bytes, settle_seconds=settle_seconds)


def directory_rule(path: StrPath, **details: Unpack[RuleDetails]) -> Rule:
    """Watch all files below a directory, at any depth."""
    return Rule(root=absolute(path), segments=(DEEP, "*"), **details)


def glob_rule(glob: StrPath, **details: Unpack[RuleDetails]) -> Rule:
    """Watch all files that a glob finds.

    Raises:
        ConfigurationError: the glob is not from the root, or has nothing that a glob interprets.
    """
    glob = one_path("glob", glob)
    if not glob.startswith("/"):
        raise ConfigurationError("glob", f"{glob!r} is relative", "give it from the root")
    if "\0" in glob:
        raise ConfigurationError("glob", f"{glob!r} holds a NUL", "remove it")
    segments = [segment for segment in glob.split("/") if segment not in {"", "."}]
    if ".." in segments:
        raise ConfigurationError("glob", f"{glob!r} goes up", "give it without `..`")
    pattern = _glob("glob", "/" + "/".join(segments))
    if pattern.is_literal:
        raise ConfigurationError("glob", f"{glob!r} has no *, ? or [", "give it as a path")
    root = pattern.literal_prefix.rpartition("/")[0]
    return Rule(root=root or "/", segments=tuple(segments[root.count("/") :]), **details)


def absolute(path: StrPath) -> str:
    """The path from the root, without `.` and `..`, its links kept.

    Raises:
        ConfigurationError: it is empty, holds a NUL, or goes up through a symbolic link.
    """
    path = one_path("path", path)
    if not path:
        raise ConfigurationError("path", "it is empty", "give the path of a file")
    if "\0" in path:
        raise ConfigurationError("path", f"{path!r} holds a NUL", "remove it")
    full = "/" + os.path.abspath(path).lstrip("/")  # POSIX keeps two slashes at the beginning
    if ".." in path.split("/") and os.path.realpath(full) != os.path.realpath(path):
        raise ConfigurationError("path", f"{path!r} goes up through a symbolic link", "give the path without `..`")
    return full


def _glob(setting: str, pattern: str) -> Glob:
    try:
        return Glob(pattern)
    except InvalidGlob as error:
        raise ConfigurationError(setting, f"{pattern[:99]!r}: {error.problem}", error.remedy) from error


def _exclusion(pattern: str) -> tuple[bool, Glob]:
    """What a pattern leaves out, and whether it is about whole paths. `/tmp/**` leaves out `/tmp` itself."""
    if "/" not in pattern:
        return False, _glob("exclude", pattern)
    if not pattern.startswith(("/", f"{DEEP}/")):
        remedy = "begin it with / or **/, or leave out the slash to match names"
        raise ConfigurationError("exclude", f"{pattern!r} is a relative path", remedy)
    segments = pattern.rstrip("/").split("/")
    while len(segments) > 2 and segments[-1] == DEEP:  # noqa: PLR2004  what is left is not the root
        segments.pop()
    return True, _glob("exclude", "/".join(segments))
