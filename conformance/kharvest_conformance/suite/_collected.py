"""The same items in every collection that a caller may have them in."""

from __future__ import annotations

from collections import ChainMap, OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Generic, TypeVar, overload

from kharvest.spi import Content, Reference, Signature

Item = TypeVar("Item")
Key = TypeVar("Key")
Value = TypeVar("Value")


class Counted(Generic[Item]):
    """A collection that can be counted, drawn as often as one likes, and asked whether it has something: no more."""

    def __init__(self, items: Collection[Item]) -> None:
        self._items = tuple(items)

    def __repr__(self) -> str:
        return repr(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        yield from self._items

    def __contains__(self, item: object) -> bool:
        return item in self._items


class Numbered(Sequence[Item]):
    """A sequence that is no list and no tuple."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._items = tuple(items)

    def __repr__(self) -> str:
        return repr(self._items)

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> Item: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Item]: ...

    def __getitem__(self, index: int | slice) -> Item | Sequence[Item]:
        return self._items[index]


class Mapped(Mapping[Key, Value]):
    """A mapping that is no dictionary."""

    def __init__(self, pairs: Mapping[Key, Value]) -> None:
        self._pairs = dict(pairs)

    def __repr__(self) -> str:
        return repr(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._pairs)

    def __getitem__(self, key: Key) -> Value:
        return self._pairs[key]


def collections_of(items: Sequence[Item]) -> dict[str, Collection[Item]]:
    """The same items in every collection that a caller may have them in, by the collection's name."""
    return {
        "a list": list(items),
        "a tuple": tuple(items),
        "a set": set(items),
        "a frozen set": frozenset(items),
        "a dictionary": dict.fromkeys(items),
        "the keys of a dictionary": dict.fromkeys(items).keys(),
        "the values of a dictionary": dict(enumerate(items)).values(),
        "a collection of its own": Counted(items),
        "a list that names everything twice": [*items, *items],
        "a list that names each twice in a row": [item for item in items for _time in range(2)],
        "a collection that names everything twice": Counted([*items, *items]),
    }


MAPPINGS: Mapping[str, Callable[[Mapping[Signature, Content]], Mapping[Signature, Content]]] = MappingProxyType(
    {
        "a dictionary": dict,
        "an ordered dictionary": OrderedDict,
        "a view that cannot be changed": lambda files: MappingProxyType(dict(files)),
        "a chain of two": lambda files: ChainMap(dict(list(files.items())[:1]), dict(list(files.items())[1:])),
        "a mapping of its own": Mapped,
    }
)
SEQUENCES: Mapping[str, Callable[[Sequence[Reference]], Sequence[Reference]]] = MappingProxyType(
    {
        "a list": list,
        "a tuple": tuple,
        "a sequence of its own": Numbered,
    }
)
