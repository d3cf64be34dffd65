"""What the core makes of a store's answers and of its callers' chunks: the contract, and nothing that hides a fault."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

import pytest
from harness.stores import content_of

from kharvest.registry import BackendFailed
from kharvest.registry._guarded import GuardedStore
from kharvest.registry._secrets import Secrets
from kharvest.spi import MAX_CHUNK_BYTES, Content
from kharvest_memory._store import MemoryStore


class Loose(MemoryStore):
    """Answers in other types than the contract's; keeps the lengths of the chunks that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.lengths: list[int] = []

    def put(self, content: Content, chunks: Iterable[bytes]) -> Any:
        drawn = list(chunks)
        self.lengths = [len(chunk) for chunk in drawn]
        super().put(content, drawn)
        return "put"

    def read(self, sha256: bytes, offset: int = 0) -> Any:
        return list(super().read(sha256, offset))

    def contents(self, after: bytes = b"") -> Any:
        return list(super().contents(after))

    def discard(self, sha256s: Collection[bytes]) -> Any:
        super().discard(sha256s)
        return len(sha256s)


class GivesNone(MemoryStore):
    """Gives None in the place of a chunk."""

    def read(self, sha256: bytes, offset: int = 0) -> Iterator[Any]:
        yield None
        yield from super().read(sha256, offset)


def guarded(store: MemoryStore) -> GuardedStore:
    return GuardedStore(store, "memory:", Secrets(), lambda *_call: None)


@pytest.mark.parametrize("size", [0, 1, MAX_CHUNK_BYTES, MAX_CHUNK_BYTES + 1, 3 * MAX_CHUNK_BYTES])
def test_a_store_is_given_chunks_within_the_limits_whatever_the_caller_cut(size: int) -> None:
    inner, data = Loose(), bytes(size)
    guarded(inner).put(content_of(data), [b"", data, b""])
    assert sum(inner.lengths) == size
    assert all(0 < length <= MAX_CHUNK_BYTES for length in inner.lengths)


def test_answers_of_other_types_are_not_hidden() -> None:
    store = guarded(Loose())
    put: Any = store.put
    discard: Any = store.discard
    content = content_of(b"data")
    assert put(content, [b"data"]) == "put"
    with pytest.raises(BackendFailed):
        store.read(content.sha256)
    with pytest.raises(BackendFailed):
        list(store.contents())
    assert discard([content.sha256]) == 1


def test_what_is_no_chunk_is_given_as_it_is() -> None:
    store = guarded(GivesNone())
    content = content_of(b"data")
    store.put(content, [b"data"])
    assert list(store.read(content.sha256)) == [None, b"data"]
