r"""Globs over paths, matched in bounded time.

- `?` matches one character, `*` any number of them, within a segment of the path.
- `[a-z_]` matches one character of a set, `[!a-z_]` or `[^a-z_]` one not in it; a `]` that comes first is in it.
- `**` as a segment matches any number of segments; as the last segment at least one.
- A backslash makes the next character literal.

Case matters, and a leading dot is nothing special. A path is read once, and nothing is tried twice: how far the pattern
may have been matched is a set of positions, kept as the bits of one integer (Baeza-Yates and Gonnet, "A New Approach to
Text Searching", 1992). So the time is at most that of every wildcard of the pattern at every segment of the path.
"""

from __future__ import annotations

import re

MAX_BYTES = 4096
"""Of a pattern, in UTF-8: as long as a path may be."""
MAX_WILDCARDS = 100
"""Of a pattern: how many `*`, `?`, `[…]` and `**` it may hold."""

DEEP = "**"
_TOKEN = re.compile(r"\\(.) | \[([!^]?)(\]?(?:\\.|[^]\\])*)\] | (.)", re.DOTALL | re.VERBOSE)
_RANGE = re.compile(r"(\\.|[^\\])(?:-(\\.|[^\\]))?", re.DOTALL)


class InvalidGlob(ValueError):
    """A pattern cannot be used.

    Attributes:
        problem: what is wrong with it.
        remedy: what to do.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.problem = problem
        self.remedy = remedy


class Glob:
    """A pattern over whole paths.

    A search below a directory matches one segment at a time: it starts with the positions `START`, and `step` tells
    which positions the next segment leads to, until nothing below `goes_on`.

    Attributes:
        literal_prefix: what every path that matches begins with.
        is_literal: whether the pattern has no wildcards, and matches one path only.

    Raises:
        InvalidGlob: it is too long, or not well-formed.
    """

    START = 1

    def __init__(self, pattern: str) -> None:
        size = len(pattern.encode("utf-8", "surrogatepass"))
        if size > MAX_BYTES:
            raise InvalidGlob(f"it has {size} bytes", f"{MAX_BYTES} are allowed")
        texts = pattern.split("/")
        if texts[-1] == DEEP:
            texts.append("*")
        self._literals: dict[str, int] = {}
        self._wild: list[tuple[int, _Segment]] = []
        self._deep = 0
        prefix: list[str] = []
        wildcards = 0
        position = self.START
        for text in texts:
            segment = None if text == DEEP else _Segment(text)
            if not wildcards:
                prefix.append(segment.literal_prefix if segment else "")
            if segment is None:
                self._deep |= position
                wildcards += 1
                continue
            if segment.wildcards:
                self._wild.append((position, segment))
                wildcards += segment.wildcards
            else:
                self._literals[segment.literal_prefix] = self._literals.get(segment.literal_prefix, 0) | position
            position <<= 1
        if wildcards > MAX_WILDCARDS:
            raise InvalidGlob(f"it has {wildcards} wildcards", f"{MAX_WILDCARDS} are allowed")
        self._end = position
        self.literal_prefix = "/".join(prefix)
        self.is_literal = not wildcards

    def matches(self, path: str) -> bool:
        """Whether the whole path matches."""
        positions = self.START
        for name in path.split("/"):
            by_name, by_deep = self.step(positions, name)
            positions = by_name | by_deep
            if not positions:
                return False
        return self.ends(positions)

    def step(self, positions: int, name: str) -> tuple[int, int]:
        """The positions that the next segment of a path leads to: by its name, and because a `**` matches any."""
        by_name = positions & self._literals.get(name, 0)
        for position, segment in self._wild:
            if positions & position and segment.matches(name):
                by_name |= position
        return by_name << 1, positions & self._deep

    def goes_on(self, positions: int) -> bool:
        """Whether a path below may match."""
        return bool(positions & ~self._end)

    def ends(self, positions: int) -> bool:
        """Whether the path as far as it was matched is a match."""
        return bool(positions & self._end)


class _Segment:
    """A segment of a pattern: pieces of fixed length, with asterisks between them."""

    def __init__(self, text: str) -> None:
        self.literal_prefix = ""
        self.wildcards = 0
        pieces: list[list[str]] = [[]]
        for token in _TOKEN.finditer(text):
            escaped, negation, members, plain = token.groups()
            if plain == "*":
                pieces.append([])
            elif plain == "?":
                pieces[-1].append(".")
            elif members is not None:
                pieces[-1].append(_set(negation, members))
            elif plain == "[":
                raise InvalidGlob(f"a [ has no ] in {text[:99]!r}", r"write \[ for a bracket")
            elif plain == "\\":
                raise InvalidGlob(f"{text[-99:]!r} ends in a backslash", r"write \\ for a backslash")
            else:
                literal = escaped or plain
                pieces[-1].append(re.escape(literal))
                if not self.wildcards:
                    self.literal_prefix += literal
                continue
            self.wildcards += 1
        if self.wildcards > MAX_WILDCARDS:
            raise InvalidGlob(f"it has {self.wildcards} wildcards", f"{MAX_WILDCARDS} are allowed")
        first, *others = pieces
        self._is_fixed = not others
        self._first = _Piece(first)
        self._last = _Piece(others.pop() if others else [])
        self._inner = [_Piece(piece) for piece in others if piece]

    def matches(self, name: str) -> bool:
        """Whether the whole name matches. Each piece is taken where it comes first: nothing is lost by that."""
        if self._is_fixed:
            return self._first.pattern.fullmatch(name) is not None
        start = self._first.length
        end = len(name) - self._last.length
        if start > end or not self._first.pattern.match(name) or not self._last.pattern.match(name, end):
            return False
        for piece in self._inner:
            found = piece.pattern.search(name, start, end)
            if found is None:
                return False
            start = found.end()
        return True


class _Piece:
    """Characters and sets of them. Its regular expression has no quantifier, so there is nothing to backtrack into."""

    def __init__(self, characters: list[str]) -> None:
        self.length = len(characters)
        self.pattern = re.compile("".join(characters), re.DOTALL)


def _set(negation: str, members: str) -> str:
    """The regular expression of a set."""
    if not members:
        raise InvalidGlob(f"[{negation}] is an empty set", r"write \[ for a bracket")
    ranges = []
    for low, high in _RANGE.findall(members):
        first, last = low[-1], high[-1:] or low[-1]
        if first > last:
            raise InvalidGlob(f"the range {first}-{last} is empty", f"write {last}-{first}")
        ranges.append(f"{re.escape(first)}-{re.escape(last)}")
    return f"[{'^' if negation else ''}{''.join(ranges)}]"
