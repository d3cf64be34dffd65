"""A refusal for one file never fails the group it was in: the others are acknowledged, and that one is told why not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace

import pytest
from harness.stores import all_references, content_of

from kharvest.server._announcement import Announced, Announcement, FileAnswer, FileStatus
from kharvest.server._config import ServerConfig
from kharvest.server._record_queue import RecordQueue
from kharvest.server._recording import Recorder
from kharvest.spi import (
    MAX_TIME_NS,
    NO_METADATA,
    Conflict,
    Content,
    InvalidValue,
    Pod,
    Query,
    Reference,
    Signature,
    UnknownContent,
)
from kharvest_memory._store import MemoryStore

ACKNOWLEDGED, MISSING = FileStatus.ACKNOWLEDGED, FileStatus.MISSING
MANY = 20


class Interrupted(MemoryStore):
    """A store on which somebody else does something between what a server looks up and what it appends; and counts."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], None] = nothing
        self.appends = 0

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        self.appends += 1
        self.meanwhile()
        return super().append(files, references)


def nothing() -> None:
    pass


@pytest.fixture
def store() -> Iterator[Interrupted]:
    opened = Interrupted()
    yield opened
    opened.close()


Record = Callable[[Sequence[Announcement]], list[list[FileAnswer]]]


@pytest.fixture
def record(store: Interrupted) -> Record:
    """Has announcements recorded that wait together, so that they are one group."""
    recorder = Recorder(store, max_known_bytes=100_000)

    async def queued(group: Sequence[Announcement], executor: Executor) -> list[list[FileAnswer]]:
        queue = RecordQueue(recorder.record, executor, ServerConfig(store="memory:"))
        waiting = [asyncio.ensure_future(queue.record(one)) for one in group]
        await asyncio.sleep(0)
        queue.start()
        answers = await asyncio.gather(*waiting)
        await queue.close()
        return answers

    def record(group: Sequence[Announcement]) -> list[list[FileAnswer]]:
        with ThreadPoolExecutor(1) as executor:
            return asyncio.run(queued(group, executor))

    return record


def file(path: str, data: bytes) -> Announced:
    content = content_of(data)
    return Announced(Signature(path, content.md5), content)


def of_pod(number: int, *files: Announced) -> Announcement:
    return Announcement(Pod("shop", f"web-{number}"), NO_METADATA, files, 100 + number, peer="")


def put(store: MemoryStore, *contents: bytes) -> None:
    for data in contents:
        store.put(content_of(data), [data])


def group_of_many() -> list[Announcement]:
    """As many pods, each with a file that all have and one of its own."""
    return [of_pod(number, file("/common", b"common"), file("/own", b"%d" % number)) for number in range(MANY)]


def test_a_content_that_is_gone_before_it_is_recorded_is_missing_and_the_others_are_not(
    store: Interrupted, record: Record
) -> None:
    put(store, b"common", *(b"%d" % number for number in range(MANY)))
    store.meanwhile = lambda: store.discard([content_of(b"7").sha256])
    outcomes = record(group_of_many())
    assert outcomes == [[ACKNOWLEDGED, MISSING if number == 7 else ACKNOWLEDGED] for number in range(MANY)]
    assert len(all_references(store, Query())) == 2 * MANY - 1
    assert store.appends == 2
    put(store, b"7")
    store.meanwhile = nothing
    assert record([of_pod(7, file("/own", b"7"))]) == [[ACKNOWLEDGED]]


def test_a_signature_that_is_forgotten_again_and_again_is_missing_and_the_others_are_not(
    store: Interrupted, record: Record
) -> None:
    """Its content goes with it: else the signature would be known again by the content."""
    put(store, b"common", *(b"%d" % number for number in range(MANY)))
    other = of_pod(99, file("/own", b"7"))
    record([other])

    def forget() -> None:
        store.forget(Query(pod="web-99"))
        store.discard([content_of(b"7").sha256])

    store.meanwhile = forget
    outcomes = record(group_of_many())
    assert outcomes == [[ACKNOWLEDGED, MISSING if number == 7 else ACKNOWLEDGED] for number in range(MANY)]


def test_a_signature_that_the_store_says_is_known_and_then_refuses_is_missing(
    store: Interrupted, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store whose `known` lags behind, such as one that asks a replica."""
    put(store, b"common", *(b"%d" % number for number in range(MANY)))
    stale = file("/own", b"7")
    known = store.known
    assert stale.content is not None
    told = {stale.signature: stale.content}
    monkeypatch.setattr(store, "known", lambda signatures: known(signatures) | told)
    outcomes = record(group_of_many())
    assert outcomes == [[ACKNOWLEDGED, MISSING if number == 7 else ACKNOWLEDGED] for number in range(MANY)]


def test_a_refusal_that_names_nothing_is_of_the_file_alone_that_is_at_fault(
    store: Interrupted, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, b"common", *(b"%d" % number for number in range(MANY)))
    append = store.append

    def refuse(files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        if any(one.pod.name == "web-7" and one.signature.path == "/own" for one in references):
            raise UnknownContent
        return append(files, references)

    monkeypatch.setattr(store, "append", refuse)
    outcomes = record(group_of_many())
    assert outcomes == [[ACKNOWLEDGED, MISSING if number == 7 else ACKNOWLEDGED] for number in range(MANY)]
    assert len(all_references(store, Query())) == 2 * MANY - 1


def test_a_timeline_that_has_no_later_time_is_refused_alone(store: Interrupted, record: Record) -> None:
    put(store, b"common", b"old", *(b"%d" % number for number in range(MANY)))
    old = file("/own", b"old")
    assert old.content is not None
    at_the_end = Reference(old.signature, of_pod(7).pod, NO_METADATA, MAX_TIME_NS)
    store.record({old.signature: old.content}, [at_the_end])
    outcomes = record(group_of_many())
    refused = outcomes[7].pop()
    assert isinstance(refused, InvalidValue)
    assert "/own" in str(refused)
    assert "web-7" in str(refused)
    assert [outcome for one in outcomes for outcome in one] == [ACKNOWLEDGED] * (2 * MANY - 1)
    assert len(all_references(store, Query())) == 2 * MANY


def test_a_conflict_that_comes_between_is_of_the_file_alone(store: Interrupted, record: Record) -> None:
    put(store, b"common", b"made", *(b"%d" % number for number in range(MANY)))
    signature = file("/own", b"7").signature
    made = replace(content_of(b"made"), md5=signature.md5)

    def record_another() -> None:
        store.meanwhile = nothing
        store.put(made, [b"made"])
        monkey = Reference(signature, Pod("shop", "attacker"), NO_METADATA, 1)
        store.record({signature: content_of(b"made")}, [monkey])

    store.meanwhile = record_another
    outcomes = record(group_of_many())
    refused = outcomes[7].pop()
    assert isinstance(refused, Conflict)
    assert [outcome for one in outcomes for outcome in one] == [ACKNOWLEDGED] * (2 * MANY - 1)


def test_announcements_of_one_group_are_recorded_in_the_order_of_their_times(
    store: Interrupted, record: Record
) -> None:
    """The one that waited longer may be recorded behind the other."""
    put(store, b"first", b"then")
    first = replace(of_pod(1, file("/own", b"first")), observed_at_ns=100)
    then = replace(of_pod(1, file("/own", b"then")), observed_at_ns=101)
    record([then, first])
    assert [(one.signature, one.observed_at_ns) for one in all_references(store, Query())] == [
        (first.files[0].signature, 100),
        (then.files[0].signature, 101),
    ]


def test_all_that_is_new_in_a_group_is_one_append(store: Interrupted, record: Record) -> None:
    put(store, b"common", *(b"%d" % number for number in range(MANY)))
    record(group_of_many())
    assert store.appends == 1
    record(group_of_many())
    assert store.appends == 1
