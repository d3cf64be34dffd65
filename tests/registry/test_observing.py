"""An observer is told of every call on a store once: how long the store took, and what went wrong."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from harness.stores import content_of

from kharvest.registry import BackendFailed
from kharvest.registry._guarded import GuardedStore
from kharvest.registry._secrets import Secrets
from kharvest.spi import Content, KharvestError, UnknownContent
from kharvest_memory._store import MemoryStore

DATA = b"0123456789"


class Chunked(MemoryStore):
    """Reads in chunks of one byte, each of which takes its time, and may fail behind one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.fails_behind: int | None = None
        self.put(content_of(DATA), [DATA])

    def read(self, sha256: bytes, offset: int = 0) -> Iterator[bytes]:
        for number, byte in enumerate(b"".join(super().read(sha256, offset))):
            if number == self.fails_behind:
                raise RuntimeError("the disk is gone")
            burn(0.001)
            yield bytes([byte])


def burn(seconds: float) -> None:
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        pass


@pytest.fixture
def told() -> list[tuple[str, float, KharvestError | None]]:
    return []


@pytest.fixture
def inner() -> Chunked:
    return Chunked()


@pytest.fixture
def store(inner: Chunked, told: list[tuple[str, float, KharvestError | None]]) -> GuardedStore:
    return GuardedStore(inner, "memory:", Secrets(), lambda *call: told.append(call))


Told = list[tuple[str, float, KharvestError | None]]


def test_a_read_is_one_call_however_many_chunks_it_has(store: GuardedStore, told: Told) -> None:
    chunks = store.read(content_of(DATA).sha256)
    assert told == []
    assert b"".join(chunks) == DATA
    ((operation, _, error),) = told
    assert (operation, error) == ("read", None)


def test_the_time_of_a_read_is_the_store_s_and_not_the_reader_s(store: GuardedStore, told: Told) -> None:
    started = time.perf_counter()
    for _chunk in store.read(content_of(DATA).sha256):
        burn(0.1)
    elapsed = time.perf_counter() - started
    ((_, seconds, _),) = told
    assert 0.01 <= seconds <= elapsed - 1


@pytest.mark.parametrize("drawn", [0, 1, 5])
def test_a_reader_that_stops_early_is_one_call_without_an_error(store: GuardedStore, told: Told, drawn: int) -> None:
    chunks = store.read(content_of(DATA).sha256)
    with closing(chunks):  # type: ignore[type-var]
        for _ in range(drawn):
            next(chunks)
    assert [(operation, error) for operation, _, error in told] == [("read", None)]


@pytest.mark.parametrize("behind", [0, 3])
def test_a_read_that_fails_is_one_call_with_its_error(
    store: GuardedStore, inner: Chunked, told: Told, behind: int
) -> None:
    inner.fails_behind = behind
    with pytest.raises(BackendFailed) as failure:
        list(store.read(content_of(DATA).sha256))
    assert [(operation, error) for operation, _, error in told] == [("read", failure.value)]


def test_a_content_that_is_not_there_is_told_by_the_call_itself(store: GuardedStore, told: Told) -> None:
    with pytest.raises(UnknownContent) as failure:
        store.read(bytes(32))
    assert [(operation, error) for operation, _, error in told] == [("read", failure.value)]


@pytest.mark.parametrize("drawn", [1, 2])
def test_a_walk_over_the_contents_is_one_call(store: GuardedStore, told: Told, drawn: int) -> None:
    store.put(content_of(b"other"), [b"other"])
    told.clear()
    contents: Iterator[Content] = store.contents()
    with closing(contents):  # type: ignore[type-var]
        for _ in range(drawn):
            next(contents)
    assert [(operation, error) for operation, _, error in told] == [("contents", None)]
