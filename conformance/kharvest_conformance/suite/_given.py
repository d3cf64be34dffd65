"""Batches in each collection that a caller may give: the server passes sets, views and lists."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TypeVar

from kharvest_conformance._dressing import OwnList

Item = TypeVar("Item")


class BareCollection(Collection[Item]):
    """Has what every collection has, and nothing else: no order to rely on, no index, no set operations."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._items = tuple(items)

    def __repr__(self) -> str:
        return repr(list(self._items))

    def __iter__(self) -> Iterator[Item]:
        yield from self._items

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, item: object) -> bool:
        return item in self._items


def collections_of(items: Sequence[Item]) -> dict[str, Collection[Item]]:
    """The same items in each kind of collection, by its name."""
    by_item = dict.fromkeys(items, 0)
    return {
        "a list": OwnList(items),
        "a tuple": tuple(items),
        "a set": set(items),
        "a frozenset": frozenset(items),
        "the keys of a dictionary": by_item.keys(),
        "the values of a dictionary": dict(enumerate(items)).values(),
        "a collection of no known kind": BareCollection(items),
    }
