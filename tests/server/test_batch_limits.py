"""A store is never given more in one call than the contract says, however many announce, and whatever they announce."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness.stores import all_references, content_of

from kharvest.server._announcement import Announced, Announcement, FileStatus
from kharvest.server._clock import StoreClock
from kharvest.server._config import ServerConfig
from kharvest.server._elections import Elections
from kharvest.server._record_queue import RecordQueue
from kharvest.server._recording import Recorder
from kharvest.spi import (
    MAX_BATCH,
    MAX_BATCH_BYTES,
    MAX_PATH_BYTES,
    NO_METADATA,
    Content,
    Metadata,
    Pod,
    Query,
    Reference,
    Signature,
    Timeline,
)
from kharvest_memory._store import MemoryStore

BODY = b"the same everywhere"
CONTENT = content_of(BODY)


class Weighing(MemoryStore):
    """A store that notes how much it is given in one call; the first group waits until all the others have come."""

    def __init__(self) -> None:
        super().__init__()
        self.items = 0
        self.bytes = 0
        self.batches = 0

    def weigh(self, *collections: Collection[object]) -> None:
        seen: set[int] = set()
        self.items = max(self.items, *map(len, collections))
        self.bytes = max(self.bytes, sum(_bytes_of(one, seen) for some in collections for one in some))

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        self.weigh(signatures)
        return super().known(signatures)

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        self.weigh(timelines)
        return super().newest(timelines)

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        self.batches += 1
        self.weigh(list(files.items()), references)
        return super().append(files, references)

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        self.weigh(list(files.items()), references)
        super().record(files, references)

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        self.weigh(keys)
        return super().claim(keys, holder, now_ns, until_ns)

    def release(self, keys: Collection[bytes], holder: str) -> None:
        self.weigh(keys)
        super().release(keys, holder)


def _bytes_of(value: object, seen: set[int]) -> int:
    """The strings and bytes in a value; each metadata once."""
    match value:
        case str():
            return len(value.encode())
        case bytes():
            return len(value)
        case tuple():
            return sum(_bytes_of(one, seen) for one in value)
        case Metadata():
            if hash(value) in seen:
                return 0
            seen.add(hash(value))
            return sum(_bytes_of(pair, seen) for pair in value.items())
        case Pod():
            return _bytes_of((value.namespace, value.name), seen)
        case Signature():
            return _bytes_of((value.path, value.md5), seen)
        case Content():
            return _bytes_of((value.sha256, value.md5), seen)
        case Timeline():
            return _bytes_of((value.pod, value.path), seen)
        case Reference():
            return _bytes_of((value.signature, value.pod, value.metadata), seen)
        case _:
            raise AssertionError(value)


@pytest.fixture
def store() -> Weighing:
    opened = Weighing()
    opened.put(CONTENT, [BODY])
    return opened


def announcement(number: int, files: int, path_bytes: int = 40, metadata: Metadata = NO_METADATA) -> Announcement:
    """Files of a pod, with paths of a length."""
    pod = Pod("n" * 60, f"pod-{number}")
    names = (f"/{number}/{one}/" for one in range(files))
    announced = tuple(
        Announced(Signature(name + "x" * (path_bytes - len(name)), CONTENT.md5), CONTENT) for name in names
    )
    return Announcement(pod, metadata, announced, 1_764_000_000_000_000_000 + number, "peer")


async def recorded(store: Weighing, config: ServerConfig, announcements: Sequence[Announcement]) -> None:
    """Have them all announced at once, and see that all is acknowledged and there."""
    with ThreadPoolExecutor(1) as executor:
        queue = RecordQueue(Recorder(store, config.max_known_bytes).record, executor, config)
        waiting = [asyncio.ensure_future(queue.record(one)) for one in announcements]
        await asyncio.sleep(0)
        queue.start()
        outcomes = await asyncio.gather(*waiting)
        await queue.close()
    assert all(outcome is FileStatus.ACKNOWLEDGED for some in outcomes for outcome in some)
    assert len(all_references(store, Query())) == sum(len(one.files) for one in announcements)


@pytest.mark.slow
def test_a_group_has_no_more_items_than_a_store_is_given(store: Weighing) -> None:
    config = ServerConfig(store="memory:", max_commit_references=9500, max_queued_references=100_000)
    asyncio.run(recorded(store, config, [announcement(number, 900) for number in range(25)]))
    assert store.items <= MAX_BATCH
    assert store.batches == 3  # no more of them than are needed


def test_a_group_has_no_more_bytes_than_a_store_is_given(store: Weighing) -> None:
    asyncio.run(
        recorded(
            store, ServerConfig(store="memory:"), [announcement(number, 900, MAX_PATH_BYTES) for number in range(6)]
        )
    )
    assert MAX_BATCH_BYTES // 4 < store.bytes <= MAX_BATCH_BYTES


def test_metadata_counts_towards_what_a_store_is_given(store: Weighing) -> None:
    def large(number: int) -> Metadata:
        return Metadata({f"{number}-{key}": "v" * 4096 for key in range(64)})

    many = [announcement(number, 2, metadata=large(number)) for number in range(100)]
    asyncio.run(recorded(store, ServerConfig(store="memory:"), many))
    assert MAX_BATCH_BYTES // 4 < store.bytes <= MAX_BATCH_BYTES


@pytest.mark.slow
def test_an_announcement_that_is_too_large_for_a_store_is_cut(store: Weighing) -> None:
    config = ServerConfig(store="memory:", max_files=20_000, max_queued_references=100_000)
    asyncio.run(recorded(store, config, [announcement(0, MAX_BATCH + 5), announcement(1, 3000, MAX_PATH_BYTES)]))
    assert store.items <= MAX_BATCH
    assert store.bytes <= MAX_BATCH_BYTES


def test_claims_are_made_and_ended_as_many_at_a_time_as_a_store_is_given(store: Weighing) -> None:
    files = [
        Announced(Signature(f"/{number}", hashlib.md5(b"%d" % number, usedforsecurity=False).digest()), None)
        for number in range(MAX_BATCH + 10)
    ]

    async def elect() -> int:
        with ThreadPoolExecutor(1) as executor:
            elections = Elections(store, executor, StoreClock(store.now_ns, 60.0), ServerConfig(store="memory:"))
            asked = await elections.elect(Pod("shop", "web-0"), files, 10.0)
            await elections.close()
            return len(asked)

    assert asyncio.run(elect()) == len(files)
    assert store.items == MAX_BATCH
