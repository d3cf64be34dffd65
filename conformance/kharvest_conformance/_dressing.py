"""Gives a store its arguments as the server does: in collections of one kind after the other, and chunks once only.

A test says what a store is given, mostly in lists. The store gets some of them as views of dictionaries and as sets,
which have no index and no slices, and some chunks as iterators: so each test, of one item or of thousands, also tests
that. The kinds take turns, for each method of a place, and for one, several and many items apart: the same calls, when
they are made again, are made in the same way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from kharvest_conformance._samples import Chunks

Item = TypeVar("Item")

_SEVERAL, _MANY = 2, 500
_VIEW, _SET = 0, 1
_KINDS = 3


class OwnList(list[Item]):
    """A list that a store is given as it is: for what becomes of it."""


@dataclass(frozen=True, slots=True)
class Once:
    """Chunks that can be drawn once, as those of an upload."""

    chunks: Iterable[bytes]

    def drawn(self) -> Iterator[bytes]:
        """What a store is given."""
        return iter(self.chunks)


@dataclass(slots=True)
class Dressing:
    """The turns of one place."""

    _turns: Counter[tuple[str, int]] = field(default_factory=Counter)

    def collection(self, method: str, items: Collection[Item]) -> Collection[Item]:
        """The items in a collection of the next kind.

        What is not a list was chosen by the test, and stays as it is. So does a list that names an item twice.
        """
        if type(items) is not list or len(items) != len(unique := dict.fromkeys(items)):
            return items
        kind = self._turn(method, len(items)) % _KINDS
        if kind == _VIEW:
            return unique.keys()
        return set(unique) if kind == _SET else items

    def chunks(self, chunks: Iterable[bytes]) -> Iterable[bytes] | Once:
        """Every other time, chunks that can be drawn once."""
        is_given = not isinstance(chunks, Chunks) or self._turn("put", 1) % 2
        return chunks if is_given else Once(chunks)

    def _turn(self, method: str, size: int) -> int:
        key = method, (size >= _SEVERAL) + (size >= _MANY)
        self._turns[key] += 1
        return self._turns[key] - 1
