"""A bounded memory of the numbers that stand for pods, paths, signatures and metadata.

A remembered number must not outlive its row, which another process may remove. Rows are removed by `forget` only, and
numbers are never given twice; so `kharvest_store.forgets` counts those transactions that did, every transaction reads
it first, and what is remembered is for one count only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

from kharvest.spi import Content, Metadata, Pod, Signature
from kharvest_sql._database import Session

K = TypeVar("K")
V = TypeVar("V")

_BYTES_EACH = 8 * 2**20
"""What each of the memories may take: some 30,000 pods, paths or signatures."""

FileKey: TypeAlias = tuple[str, bytes]
"""A signature's path and MD5, where it is looked up for every reference: a tuple's hash is faster than a value's."""


@dataclass(frozen=True, slots=True)
class StoredSignature:
    """A signature's row. A removal has no content."""

    id: int
    path_id: int
    content: Content | None


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


def _recent() -> Recent[Any, Any]:
    return Recent(_BYTES_EACH)


@dataclass(slots=True, eq=False)
class Remembered:
    """The memory of one count of `forgets`. Threads share it: see `Recent`."""

    forgets: int
    pods: Recent[Pod, int] = field(default_factory=_recent)
    pods_by_id: Recent[int, Pod] = field(default_factory=_recent)
    paths: Recent[str, int] = field(default_factory=_recent)
    metadata: Recent[Metadata, int] = field(default_factory=_recent)
    metadata_by_id: Recent[int, Metadata] = field(default_factory=_recent)
    signatures: Recent[FileKey, StoredSignature] = field(default_factory=_recent)
    signatures_by_id: Recent[int, Signature] = field(default_factory=_recent)

    def stored(self, signatures: Iterable[Signature]) -> dict[FileKey, StoredSignature]:
        """The rows of those signatures that are remembered."""
        keys = ((one.path, one.md5) for one in signatures)
        return {key: row for key in keys if (row := self.signatures.get(key)) is not None}


class Memory:
    """Hands out what is remembered, as of what a transaction sees."""

    def __init__(self) -> None:
        self._current = Remembered(-1)

    @property
    def current(self) -> Remembered:
        """What is remembered now, of what transactions see that begin later unless something is forgotten."""
        return self._current

    def of(self, session: Session) -> Remembered:
        """What is remembered of the rows that this transaction sees."""
        forgets = session.first("SELECT forgets FROM kharvest_store")[0]
        current = self._current
        if forgets > current.forgets:
            current = self._current = Remembered(forgets)
        # A transaction that began before another's forget gets an empty memory, for itself.
        return current if forgets == current.forgets else Remembered(forgets)
