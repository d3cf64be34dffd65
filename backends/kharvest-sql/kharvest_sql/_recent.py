"""A bounded memory of what was used lately."""

from __future__ import annotations

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """A mapping that forgets what was not used for long, to stay within about `bytes_allowed`.

    Two dictionaries: what is used moves into the young one; when that is full, it becomes the old one, and the old one
    is dropped. So a look-up costs no bookkeeping, and threads need no lock: each step is one dictionary operation, and
    the worst that a race does is to forget early.
    """

    __slots__ = ("_allowed", "_average", "_old", "_weight", "_young")

    def __init__(self, bytes_allowed: int) -> None:
        self._allowed = bytes_allowed // 2
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}
        self._weight = 0
        self._average = 0

    def get(self, key: K) -> V | None:
        """The value of `key`, if it is still known."""
        value = self._young.get(key)
        if value is None:
            value = self._old.pop(key, None)
            if value is not None:
                self._young[key] = value
                self._weight += self._average
        return value

    def put(self, key: K, value: V, weight: int) -> None:
        """Remember a value, and that the pair takes about `weight` bytes."""
        if self._weight + weight > self._allowed:
            self._average = self._weight // max(1, len(self._young))
            self._old, self._young, self._weight = self._young, {}, 0
        self._young[key] = value
        self._weight += weight
