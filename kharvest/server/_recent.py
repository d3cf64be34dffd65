"""A memory that is bounded in bytes, whatever the sizes of what is remembered."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """Remembers the last things that were told it, as long as their sizes add up to `limit` bytes. For one thread."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._entries: OrderedDict[Key, tuple[Value, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Key) -> bool:
        return key in self._entries

    def get(self, key: Key) -> Value | None:
        """What is remembered for the key; None if nothing is."""
        entry = self._entries.get(key)
        return None if entry is None else entry[0]

    def remember(self, key: Key, value: Value, size: int) -> None:
        """Remember it as the last one, and forget the first ones for which there is no room any more."""
        self.forget(key)
        self._entries[key] = value, size
        self._used += size
        while self._used > self._limit:
            _key, (_value, freed) = self._entries.popitem(last=False)
            self._used -= freed

    def forget(self, key: Key) -> None:
        """Forget what is remembered for the key, if anything is."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._used -= entry[1]
