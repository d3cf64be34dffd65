"""Which files a rule finds now."""

# Paths are strings here: they are looked at by the thousand, and announced exactly as they are.
# ruff: noqa: PTH113, PTH118
from __future__ import annotations

import logging
import os
import stat
from collections.abc import Collection
from dataclasses import dataclass, field

from kharvest.client._config.rules import Rule
from kharvest.client._errors import Unreadable
from kharvest.client._watch.changes import WatchEvent
from kharvest.client._watch.content import unreadable
from kharvest.client._watch.files import Subject, not_unicode
from kharvest.client._watch.links import Tracer
from kharvest.client._watch.location import Location, locate

logger = logging.getLogger(__name__)

_MAX_PATH_BYTES = 4095
"""The longest path of a system call (`PATH_MAX` in `linux/limits.h`, with its NUL)."""


@dataclass(slots=True)
class Found:
    """What a rule finds now.

    Attributes:
        files: paths of files that can be announced.
        directories: the real directories that decide.
        problems: by their paths, entries that cannot be looked at, and why.
    """

    files: set[str] = field(default_factory=set)
    directories: set[str] = field(default_factory=set)
    problems: dict[str, Unreadable] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class GlobSearch(Subject, WatchEvent):
    """A rule with a glob, and what it has found below its directory. As an event: it is time to search again.

    `earliest` is when it may be searched again (monotonic).
    """

    found: Found = field(default_factory=Found)
    earliest: float = 0.0

    @property
    def whole_directories(self) -> Collection[str]:
        """The real directories of which every entry concerns it."""
        return self.found.directories

    def run(self) -> tuple[set[str], set[str]]:
        """Search; returns the paths that came, and those that went. A new problem is logged once."""
        found, before = find(self.rule), self.found
        for path, problem in found.problems.items():
            if path not in before.problems or before.problems[path].reason != problem.reason:
                logger.warning("%s", problem)
        self.found = found
        return found.files - before.files, before.files - found.files


class RuleSet:
    """The rules of a configuration: the paths that they name, and searches for their globs.

    Attributes:
        rules: all of them; where several find a file, the first one counts.
        paths: the paths that are named, with their rules.
        searches: one for each glob.
    """

    def __init__(self, rules: tuple[Rule, ...] = ()) -> None:
        self.rules = rules
        self.paths: dict[str, Rule] = {}
        self.searches: list[GlobSearch] = []
        for rule in rules:
            if rule.is_path:
                self.paths.setdefault(rule.root, rule)
            else:
                self.searches.append(GlobSearch(rule.root, rule))

    def has(self, path: str, but: GlobSearch | None = None) -> bool:
        """Whether a path is named, or was found by a search, `but` that one."""
        return path in self.paths or any(path in one.found.files for one in self.searches if one is not but)

    def problems(self) -> dict[str, Unreadable]:
        """What searches could not look at, and why, by path."""
        return {path: problem for search in self.searches for path, problem in search.found.problems.items()}


def find_files(rule: Rule) -> list[str]:
    """The paths of the files that a rule finds now; of a rule for one path, that path if a file is there."""
    if rule.is_path:
        return [rule.root] if os.path.isfile(rule.root) else []
    return sorted(find(rule).files)


def find(rule: Rule) -> Found:
    """Search below the rule's root.

    Links that lead out of it are not followed. Those to files are; those to directories by name, but never by `**`.
    """
    found = Found()
    glob = rule.glob
    tracer = Tracer(rule.system_root)
    pending = [(rule.root, tracer.real(rule.root), glob.START)]
    while pending:
        path, real, positions = pending.pop()
        found.directories.add(real)
        try:
            entries = _list(locate(rule, path))
        except OSError as error:
            # One that is found, and is gone when it is listed, was temporary.
            if path == rule.root or not isinstance(error, FileNotFoundError):
                found.problems[path] = _unlisted(locate(rule, path), error)
            if isinstance(error, (FileNotFoundError, NotADirectoryError)):
                found.directories.discard(real)
            continue
        for name, kind in entries:
            if name.startswith(".."):
                continue
            below = os.path.join(path, name)
            by_name, by_deep = glob.step(positions, name)
            is_link = kind == stat.S_IFLNK
            onward = by_name if is_link else by_name | by_deep
            ends, goes_on = glob.ends(by_name), glob.goes_on(onward)
            if not (ends or goes_on) or rule.excludes(below):
                continue
            if len(below) > _MAX_PATH_BYTES // 4 and len(os.fsencode(below)) > _MAX_PATH_BYTES:
                problem = f"its path is longer than {_MAX_PATH_BYTES} bytes"
                found.problems[below] = Unreadable(below, "PATH_TOO_LONG", problem, "move it, or exclude it")
                continue
            target = _target_kind(locate(rule, below), found) if is_link else kind
            if ends and target == stat.S_IFREG:
                unannounceable = not_unicode(below)
                if unannounceable is None:
                    found.files.add(below)
                else:
                    found.problems[below] = unannounceable
            elif goes_on and target == stat.S_IFDIR:
                pending.append((below, tracer.real(below) if is_link else os.path.join(real, name), onward))
    return found


def _list(directory: Location) -> list[tuple[str, int]]:
    """The names of a directory's entries and their kinds, as in `st_mode`; 0 for those that hold no files."""
    descriptor = directory.open(os.O_RDONLY | os.O_DIRECTORY)
    try:
        with os.scandir(descriptor) as entries:
            return [(entry.name, _kind(entry)) for entry in entries]
    finally:
        os.close(descriptor)


def _kind(entry: os.DirEntry[str]) -> int:
    try:
        if entry.is_file(follow_symlinks=False):
            return stat.S_IFREG
        if entry.is_dir(follow_symlinks=False):
            return stat.S_IFDIR
        return stat.S_IFLNK if entry.is_symlink() else 0
    except OSError:
        return stat.S_IFLNK  # has to be looked at: that shows what is wrong with it


def _target_kind(link: Location, found: Found) -> int:
    """The kind of what a link leads to; 0 if that is nothing, or nothing that may be looked at."""
    try:
        return stat.S_IFMT(link.status().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except OSError as error:
        found.problems[link.path] = unreadable(link, error)
        return 0


def _unlisted(directory: Location, error: OSError) -> Unreadable:
    if isinstance(error, FileNotFoundError):
        return Unreadable(directory.path, "NO_SUCH_FILE", "no such directory", "make it, or correct the path")
    if isinstance(error, NotADirectoryError):
        return Unreadable(directory.path, "NOT_A_DIRECTORY", "it is not a directory", "name it as a path")
    return unreadable(directory, error)
