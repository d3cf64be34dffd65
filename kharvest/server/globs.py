"""Globs over paths: the longest literal prefix goes to the store, the rest is matched here."""

from __future__ import annotations

import re

from wcmatch import glob

_FLAGS = glob.GLOBSTAR | glob.DOTGLOB | glob.CASE | glob.FORCEUNIX
_SPECIAL = re.compile(r"[*?\[\\]")


class Glob:
    """A pattern. `?`, `*` and `[...]` match within one segment of a path, `**` as a segment matches any number of them.

    A backslash makes the next character literal.
    """

    def __init__(self, pattern: str) -> None:
        self._matcher = glob.compile(pattern, flags=_FLAGS)
        special = _SPECIAL.search(pattern)
        self.literal_prefix = pattern[: special.start()] if special else pattern

    def matches(self, path: str) -> bool:
        """Whether the whole path matches."""
        return self._matcher.match(path)
