"""What is to be watched: rules over paths.

Globs are those of `kharvest.globs`. Names that begin with two dots are never found: they are Kubernetes' own, behind
the links of a mounted ConfigMap or Secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypedDict, Unpack

from kharvest.client._config import kinds
from kharvest.client._config.kinds import Kind, StrPath, absolute, one_path
from kharvest.client._errors import ConfigurationError
from kharvest.globs import DEEP, Glob, InvalidGlob

DETAILS: Mapping[str, Kind] = {
    "exclude": kinds.GLOBS,
    "max_bytes": kinds.optional(kinds.SIZE),
    "settle_seconds": kinds.optional(kinds.SECONDS),
}
"""The settings of a rule."""


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
        for name, kind in DETAILS.items():
            object.__setattr__(self, name, kind.check(name, getattr(self, name)))
        object.__setattr__(self, "glob", _glob("glob", "/".join(self.segments)))
        object.__setattr__(self, "_excluded", tuple(map(_exclusion, self.exclude)))

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
